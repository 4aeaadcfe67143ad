"""The webhook round trip, copied out of the project: offline by itself, and killed at each of its steps without telling anybody twice."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cookbook.webhook_roundtrip import OFFLINE_KEY, STATIONS, parcel_service
from dtf_runtime import TaskHubClient
from tests.cookbook.conftest import Kitchen

TOLD = [f"Your parcel: {station}" for station in STATIONS]


def entries(log: Path) -> list[dict[str, Any]]:
    """What the service did, by its own log."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]


def did(log: Path, what: str) -> list[dict[str, Any]]:
    return [entry for entry in entries(log) if entry["what"] == what]


@pytest.fixture
def port() -> str:
    """One that is free now, and again after a kill."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return str(free.getsockname()[1])


async def raised(kitchen: Kitchen) -> Counter[str]:
    """How often each event is in a history, the parcel's or its child's that waits for the call, by the beginning of its name."""
    names: list[str] = []
    async with TaskHubClient(f"sqlite:///{kitchen.folder / 'webhook_roundtrip.db'}") as client:
        async for state in client.query():
            history = await client.get_history(state.instance_id)
            names += [event.name for event in history if event.kind == "EventRaised"]  # type: ignore[attr-defined]
    return Counter(name.partition("-")[0] for name in names)


async def test_copied_alone_it_runs_offline_and_leaves_the_machine_alone(kitchen: Kitchen, port: str) -> None:
    code, printed = await asyncio.to_thread(kitchen.run, "webhook_roundtrip", "--port", port)
    assert code == 0, printed
    assert "parcel-7: label L-7, picked up -> on its way -> delivered" in printed
    log = kitchen.folder / "parcel_service.jsonl"
    assert [entry["text"] for entry in did(log, "told")] == TOLD
    assert len(did(log, "booked")) == 1
    assert await raised(kitchen) == {"callback": 1, "status": 3}
    assert not kitchen.refused


def test_what_comes_in_by_the_link_is_not_in_any_file_of_ours(kitchen: Kitchen, port: str) -> None:
    assert kitchen.run("webhook_roundtrip", "--port", port)[0] == 0
    (booking,) = did(kitchen.folder / "parcel_service.jsonl", "booked")
    signature = booking["answer_to"].rpartition(".")[2]
    ours = [path for path in kitchen.folder.iterdir() if path.name.startswith("webhook_roundtrip.")]
    assert len(ours) >= 2
    for path in ours:
        if path.is_file():
            assert signature.encode() not in path.read_bytes(), path
    assert signature not in kitchen.output.read_text()


@pytest.fixture
def service(port: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A parcel service that outlives the recipe, and its log."""
    log = tmp_path / "service.jsonl"
    with parcel_service(log, f"http://127.0.0.1:{port}/parcels", slow=0.3) as base_url:
        yield base_url, log


def at_work(kitchen: Kitchen, base_url: str, port: str) -> Kitchen:
    there = {
        "DTF_CONNECTION_HTTP_PARCELS_BASE_URL": base_url,
        "DTF_CONNECTION_HTTP_PARCELS_ALLOW_HOSTS": "127.0.0.1",
        "DTF_CONNECTION_WEBHOOKS_DEFAULT_BASE_URL": f"http://127.0.0.1:{port}",
        "DTF_CONNECTION_WEBHOOKS_DEFAULT_SIGNING_KEY": OFFLINE_KEY,
        "PARCELS_WEBHOOK_KEY": OFFLINE_KEY,
    }
    return Kitchen(kitchen.folder, {**kitchen.environment, **there})


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "booked, and nobody called back yet": lambda log: bool(did(log, "booked")),
    "being called back": lambda log: bool(did(log, "calling")),
    "called back, waiting for a webhook": lambda log: bool(did(log, "called back")),
    "the first webhook on its way": lambda log: any(entry["of"] == "sent" for entry in did(log, "calling")),
    "the customer told of the first one": lambda log: bool(did(log, "told")),
    "the second one sent twice": lambda log: len(did(log, "sent")) == 2,
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_any_step_the_same_line_goes_on_and_tells_nobody_twice(
    kitchen: Kitchen, service: tuple[str, Path], port: str, moment: str
) -> None:
    base_url, log = service
    kitchen = at_work(kitchen, base_url, port)
    with kitchen.start("webhook_roundtrip", "--port", port) as recipe:
        try:
            await until(lambda: MOMENTS[moment](log))
        finally:
            recipe.kill()
    assert len(did(log, "told")) < len(STATIONS)
    code, printed = await asyncio.to_thread(kitchen.run, "webhook_roundtrip", "--port", port)
    assert code == 0, printed
    assert "picked up -> on its way -> delivered" in printed
    assert len(did(log, "booked")) == 1
    assert [entry["text"] for entry in did(log, "told")] == TOLD
    assert await raised(kitchen) == {"callback": 1, "status": 3}
    assert not kitchen.refused


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():
            await asyncio.sleep(0.005)
