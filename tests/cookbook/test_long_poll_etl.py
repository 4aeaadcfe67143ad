"""The ETL, copied out of the project: offline by itself, and killed at each of its steps. The warehouse's log and the file count."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cookbook.long_poll_etl import BUSY, POLLS, SALES, UNKNOWN, did, expected, warehouse
from tests.cookbook.conftest import Kitchen

SLOW = 1.0  # seconds that the warehouse takes for an order, and for ten prices
AT_ONCE = 8
ASKED = "asked for the price of"


def test_copied_alone_it_runs_offline_and_leaves_the_machine_alone(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("long_poll_etl")
    assert code == 0, printed
    assert "sales.csv: 58 rows" in printed
    assert [line.partition(":")[0].strip() for line in printed.splitlines() if line.startswith("  ")] == [
        f"sale {number}" for number in UNKNOWN
    ]
    assert (kitchen.folder / "sales.csv").read_text() == expected()
    log = kitchen.folder / "long_poll_etl_warehouse.jsonl"
    assert len(did(log, "ordered")) == 1
    assert len(did(log, "polled")) == POLLS
    assert Counter(did(log, ASKED)) == {one.id: 2 if one.id in BUSY else 1 for one in SALES}
    assert not kitchen.refused


def test_run_again_it_tells_the_same_and_asks_for_nothing(kitchen: Kitchen) -> None:
    printed = kitchen.run("long_poll_etl")[1]
    before = (kitchen.folder / "long_poll_etl_warehouse.jsonl").read_text()
    assert kitchen.run("long_poll_etl") == (0, printed)
    assert (kitchen.folder / "long_poll_etl_warehouse.jsonl").read_text() == before


def test_one_row_too_many_without_a_price_and_the_old_file_stays(kitchen: Kitchen) -> None:
    (kitchen.folder / "sales.csv").write_text("yesterday's\n")
    code, printed = kitchen.run("long_poll_etl", "--may-fail", "1")
    assert code == 1, printed
    assert "2 of 60 items failed, 1 were allowed" in printed
    assert (kitchen.folder / "sales.csv").read_text() == "yesterday's\n"


@pytest.fixture
def at_work(kitchen: Kitchen, tmp_path: Path) -> Iterator[tuple[Kitchen, Path]]:
    """Where the recipe finds a warehouse that outlives it, and that warehouse's log."""
    log = tmp_path / "warehouse.jsonl"
    with warehouse(log, SLOW) as base_url:
        there = {
            "DTF_CONNECTION_HTTP_WAREHOUSE_BASE_URL": base_url,
            "DTF_CONNECTION_HTTP_WAREHOUSE_ALLOW_HOSTS": "127.0.0.1",
        }
        yield replace(kitchen, environment={**kitchen.environment, **there}), log


MOMENTS: dict[str, Callable[[Path], bool]] = {
    "ordered, and the answer not yet read": lambda log: bool(did(log, "ordered")),
    "waiting between polls": lambda log: len(did(log, "polled")) == 1,
    "half of the rows priced": lambda log: len(did(log, ASKED)) >= len(SALES) // 2,
}


@pytest.mark.parametrize("moment", MOMENTS)
async def test_killed_at_any_step_the_same_line_goes_on_and_asks_for_nothing_that_it_has(
    at_work: tuple[Kitchen, Path], moment: str
) -> None:
    kitchen, log = at_work
    with kitchen.start("long_poll_etl") as recipe:
        try:
            async with asyncio.timeout(30):
                while not MOMENTS[moment](log):
                    await asyncio.sleep(0.02)
        finally:
            recipe.kill()
    assert not (kitchen.folder / "sales.csv").exists()
    code, printed = await asyncio.to_thread(kitchen.run, "long_poll_etl")
    assert code == 0, printed
    assert (kitchen.folder / "sales.csv").read_text() == expected()
    assert len(did(log, "ordered")) == 1
    assert len(did(log, "ordered again")) == (1 if moment.startswith("ordered") else 0)
    asked = Counter(did(log, ASKED))
    assert set(asked) == {one.id for one in SALES}
    again = [sale for sale, count in asked.items() if count > (2 if sale in BUSY else 1)]
    assert len(again) <= (AT_ONCE if moment.startswith("half") else 0), "only what was under way is asked for again"
    assert not kitchen.refused


async def test_without_patience_the_query_is_cancelled_at_the_warehouse_and_there_is_no_file(
    at_work: tuple[Kitchen, Path],
) -> None:
    kitchen, log = at_work
    code, printed = await asyncio.to_thread(kitchen.run, "long_poll_etl", "--patience", "1.5")
    assert code == 1, printed
    assert "There is no file" in printed
    assert did(log, "cancelled") == ["1"]
    assert not (kitchen.folder / "sales.csv").exists()
