"""The secret scan: it finds what leaks, wherever and however it was written, and nothing where nothing leaks."""

import base64
import gzip
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from connectors.core import ConnectorError, resolve
from connectors.core.testing import Leak, Planted, Run, planted, secret_scan
from dtf_runtime import (
    OrchestrationContext,
    OrchestrationFailedError,
    Registry,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from tests.connectors.core.samples import ShopConnection

ACTIVITIES = Registry()


def token() -> str:
    found = resolve(ShopConnection).token
    assert found is not None
    return found.reveal()


@activity(registry=ACTIVITIES)
def use(how: str) -> object:
    """Sends the token to nobody, and does with it what it shouldn't."""
    leaks: dict[str, Callable[[str], object]] = {
        "well": lambda text: len(text),
        "result": lambda text: {"you": [text]},
        "bytes": lambda text: b"x" + text.encode(),
        "basic": lambda text: base64.b64encode(f"me:{text}".encode()).decode(),
        "url": lambda text: f"https://shop.example/?token={text}",
        "packed": lambda text: gzip.compress(text.encode()),
        "packed twice": lambda text: base64.b64encode(gzip.compress(base64.b64encode(text.encode()))).decode(),
        "hex": lambda text: text.encode().hex(),
        "log": lambda text: logging.getLogger("somebody.elses").debug("Authorization: %s", text),
        "error": _raise,
    }
    return leaks[how](token())


def _raise(text: str) -> None:
    raise ConnectorError(f"could not send {text}")


@orchestration(registry=ACTIVITIES)
async def shop(ctx: OrchestrationContext, how: str) -> Any:
    if how == "caught":
        try:
            return await use("error")
        except TaskFailedError:
            return None
    return await use(how)


async def scan(how: str, *, file: Callable[[Run], None] = lambda run: None) -> list[Leak]:
    async def exercise(run: Run) -> None:
        service = connect(run.hub)
        worker = TaskHubWorker(service, registry=ACTIVITIES, connections=run.connections)
        async with worker, TaskHubClient(service) as client:
            handle = await client.start(shop, how)
            try:
                await handle.result(10)
            except OrchestrationFailedError as error:
                run.note(error)
        file(run)

    return await secret_scan(planted(ShopConnection), exercise)


async def test_where_nothing_leaks_nothing_is_found() -> None:
    assert await scan("well") == []


@pytest.mark.parametrize(
    ("how", "form"),
    [
        ("result", "plain"),
        ("bytes", "base64"),
        ("basic", "base64"),
        ("url", "plain"),
        ("packed", "plain"),
        ("packed twice", "base64"),
        ("hex", "hex"),
        ("error", "plain"),
        ("caught", "plain"),
    ],
)
async def test_what_leaks_into_the_store_is_found_however_it_is_written(how: str, form: str) -> None:
    leaks = await scan(how)
    assert {leak.field for leak in leaks} == {"token"}
    assert form in {leak.form for leak in leaks if "database" in leak.where}, leaks


async def test_the_write_ahead_log_and_what_the_command_prints_are_looked_at() -> None:
    where = {leak.where for leak in await scan("result")}
    assert "the file hub.db-wal" in where
    assert {"what `dtf show --json` prints", "what `dtf history --json` prints"} <= where


async def test_a_debug_line_of_somebody_elses_logger_is_found() -> None:
    assert await scan("log") == [Leak("token", "plain", "the logs")]


async def test_a_traceback_is_found() -> None:
    assert "what was noted, such as a traceback" in {leak.where for leak in await scan("error")}


async def test_a_cassette_is_found(tmp_path: Path) -> None:
    def record(run: Run) -> None:
        assert isinstance(run.connections[0], ShopConnection) and run.connections[0].token
        (run.folder / "cassettes").mkdir()
        body = base64.b64encode(gzip.compress(f"token={run.connections[0].token.reveal()}".encode()))
        (run.folder / "cassettes" / "one.yaml").write_bytes(b"body: " + body + b"\n")

    assert await scan("well", file=record) == [Leak("token", "plain", "the file cassettes/one.yaml, decoded, unpacked")]


def test_every_credential_gets_a_canary_of_its_own_where_it_was_asked_for() -> None:
    one, other = planted(ShopConnection, url="https://x"), planted(ShopConnection, token="user:{canary}@host")
    assert isinstance(one.connection, ShopConnection) and isinstance(other.connection, ShopConnection)
    assert one.connection.token is not None and one.connection.token.reveal() == one.canaries["token"]
    assert other.connection.token is not None
    assert other.connection.token.reveal() == f"user:{other.canaries['token']}@host"
    assert one.canaries["token"] != other.canaries["token"]
    assert planted(ShopConnection, token=None) == Planted(ShopConnection(), {})


async def test_logging_is_as_it_was_afterwards() -> None:
    logger = logging.getLogger("botocore")
    logger.setLevel(logging.ERROR)
    before = list(logging.getLogger().handlers)
    await scan("well")
    assert logger.level == logging.ERROR
    assert logging.getLogger().handlers == before
