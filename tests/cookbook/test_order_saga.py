"""The order saga, copied out of the project: offline by itself, and killed between a change at the shop and its answer, each change in turn."""

import asyncio
from pathlib import Path

import pytest

from cookbook.order_saga import books, entries, shop
from tests.cookbook.conftest import Kitchen

SLOW = 0.5  # seconds between a change at the shop and its answer
SAID = [
    "A1 shipped",
    "A2 refused: nothing is shipped to Atlantis",
    "A3 refused: there is no unicorn in stock",
]
WHOLE = ["payments/A1", "reservations/A1", "shipments/A1"]
CHANGES = [
    ("made", "reservations/A1"),
    ("made", "payments/A1"),
    ("made", "shipments/A1"),
    ("taken back", "payments/A2"),
    ("taken back", "reservations/A2"),
]


def did(log: Path, what: str, name: str) -> int:
    return sum((entry["what"], entry.get("name")) == (what, name) for entry in entries(log))


def test_copied_alone_it_runs_offline_and_only_what_was_shipped_is_paid(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("order_saga")
    assert code == 0, printed
    assert printed.splitlines() == [*SAID, "The shop's books:", *(f"  {name}" for name in WHOLE)]
    assert not kitchen.refused


def test_run_again_it_tells_the_same_and_asks_for_nothing(kitchen: Kitchen) -> None:
    printed = kitchen.run("order_saga")[1]
    before = entries(kitchen.folder / "order_saga_shop.jsonl")
    assert kitchen.run("order_saga") == (0, printed)
    assert entries(kitchen.folder / "order_saga_shop.jsonl") == before


@pytest.mark.parametrize(("what", "name"), CHANGES)
async def test_killed_before_the_answer_the_same_line_goes_on_and_nothing_happens_twice(
    kitchen: Kitchen, tmp_path: Path, what: str, name: str
) -> None:
    log = tmp_path / "shop.jsonl"
    with shop(log, SLOW) as base_url:
        there = {
            "DTF_CONNECTION_HTTP_SHOP_BASE_URL": base_url,
            "DTF_CONNECTION_HTTP_SHOP_ALLOW_HOSTS": "127.0.0.1",
        }
        at_work = Kitchen(kitchen.folder, {**kitchen.environment, **there})
        with at_work.start("order_saga") as recipe:
            try:
                async with asyncio.timeout(30):
                    while not did(log, what, name):
                        await asyncio.sleep(0.02)
            finally:
                recipe.kill()
        code, printed = await asyncio.to_thread(at_work.run, "order_saga")
    assert (code, printed.splitlines()) == (0, SAID)
    assert books(log) == WHOLE
    assert [did(log, *change) for change in CHANGES] == [1] * len(CHANGES)
    assert not kitchen.refused
