"""The polling job, copied out of the project: offline by itself, and killed at each of its steps without ordering anything twice."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cookbook.http_polling_job import content, export_service
from dtf_runtime import TaskHubClient
from tests.cookbook.conftest import Kitchen

SLOW = 1.5  # seconds that the service takes for an order, and for ten pieces of a file


def entries(log: Path) -> list[dict[str, Any]]:
    """What the service did, by its own log."""
    if not log.exists():
        return []
    return [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]


def did(log: Path, what: str) -> list[dict[str, Any]]:
    return [entry for entry in entries(log) if entry["what"] == what]


def test_copied_alone_it_runs_offline_and_leaves_the_machine_alone(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("http_polling_job")
    assert code == 0, printed
    assert "ready after 3 polls" in printed
    assert (kitchen.folder / "export.csv").read_bytes() == content("2023-1")
    log = kitchen.folder / "export_service.jsonl"
    assert [entry["what"] for entry in entries(log)] == ["began", "ordered", *["polled"] * 3, "sending", "deleted"]
    assert not kitchen.refused


def test_run_again_it_tells_the_same_and_asks_for_nothing(kitchen: Kitchen) -> None:
    assert kitchen.run("http_polling_job")[0] == 0
    before = entries(kitchen.folder / "export_service.jsonl")
    code, printed = kitchen.run("http_polling_job")
    assert code == 0, printed
    assert entries(kitchen.folder / "export_service.jsonl") == before


@pytest.fixture
def service(kitchen: Kitchen, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """An export service that outlives the recipe, and its log."""
    log = tmp_path / "service.jsonl"
    with export_service(log, SLOW) as base_url:
        yield base_url, log


def at_work(kitchen: Kitchen, base_url: str) -> Kitchen:
    there = {
        "DTF_CONNECTION_HTTP_EXPORTS_BASE_URL": base_url,
        "DTF_CONNECTION_HTTP_EXPORTS_ALLOW_HOSTS": "127.0.0.1",
    }
    return Kitchen(kitchen.folder, {**kitchen.environment, **there})


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "ordered, and the answer not yet read": lambda log: bool(did(log, "ordered")),
    "waiting between polls": lambda log: len(did(log, "polled")) == 1,
    "half of the file fetched": lambda log: bool(did(log, "sending")),
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_any_step_the_same_line_goes_on_and_orders_nothing_twice(
    kitchen: Kitchen, service: tuple[str, Path], moment: str
) -> None:
    base_url, log = service
    kitchen = at_work(kitchen, base_url)
    part = kitchen.folder / "export.csv.part"
    with kitchen.start("http_polling_job") as recipe:
        try:
            await until(lambda: MOMENTS[moment](log))
            if moment.startswith("half"):
                await until(lambda: part.exists() and part.stat().st_size > 0)
        finally:
            recipe.kill()
    assert not (kitchen.folder / "export.csv").exists()
    code, printed = await asyncio.to_thread(kitchen.run, "http_polling_job")
    assert code == 0, printed
    assert (kitchen.folder / "export.csv").read_bytes() == content("2023-1")
    assert len(did(log, "ordered")) == 1
    assert len(did(log, "deleted")) == 1
    if moment.startswith("ordered"):
        assert len(did(log, "ordered again")) == 1
    if moment.startswith("half"):
        assert [entry["start"] > 0 for entry in did(log, "sending")] == [False, True]
    assert not part.exists()
    assert not kitchen.refused


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not happened():
            await asyncio.sleep(0.02)


async def test_without_patience_the_export_is_cancelled_at_the_service(
    kitchen: Kitchen, service: tuple[str, Path]
) -> None:
    base_url, log = service
    code, printed = await asyncio.to_thread(at_work(kitchen, base_url).run, "http_polling_job", "--patience", "0.5")
    assert code == 1, printed
    assert "still running" in printed
    async with TaskHubClient(f"sqlite:///{kitchen.folder / 'http_polling_job.db'}") as client:
        state = await client.get_state("export-2023")
    assert state is not None and state.failure is not None
    assert state.failure.is_caused_by("OperationTimedOut")
    assert len(did(log, "deleted")) == 1
