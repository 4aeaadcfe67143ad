"""The migration, copied out of the project: by itself, and killed at each kind of step. The regions' own books say what happened, and how often."""

import sqlite3
import time

import pytest

from cookbook.migration import DATABASES, World, opened
from tests.cookbook.conftest import Kitchen

SAID = ["acme moved", "globex was put back: no customer may have more than 1500 rows here"]


def world_of(kitchen: Kitchen) -> World:
    return World(kitchen.folder / "migration_regions")


def wait_for(world: World, book: str, entry: str) -> None:
    end = time.monotonic() + 30
    while not (world.folder / f"{book}.db").exists() or entry not in world.log(book):
        assert time.monotonic() < end, f"{entry!r} is not in the book of {book}"
        time.sleep(0.01)


def happened_once(world: World) -> None:
    for book in ("west", "east", "catalog"):
        log = world.log(book)
        assert len(log) == len(set(log)), book
    assert world.log("catalog") == ["acme is in east"]
    assert {entry for entry in world.log("west") if entry.startswith("dropped")} == {
        f"dropped acme/{name}" for name in DATABASES
    }
    east = world.log("east")
    for name in DATABASES:
        (dropped,) = (at for at, entry in enumerate(east) if entry == f"dropped globex/{name}")
        assert not any(entry.startswith(f"took globex/{name}") for entry in east[dropped:])


def test_who_fits_moves_whole_and_who_does_not_is_put_back_whole(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("migration")
    assert code == 0, printed
    assert printed.splitlines()[:2] == SAID
    world = world_of(kitchen)
    assert world.homes() == {"acme": "east", "globex": "west"}
    assert world.rows("east") == {f"acme/{name}": 400 for name in DATABASES}
    assert world.rows("west") == {f"globex/{name}": 600 for name in DATABASES}
    assert world.frozen("west") == []
    happened_once(world)
    assert not kitchen.refused


def test_run_again_it_tells_the_same_and_touches_nothing(kitchen: Kitchen) -> None:
    printed = kitchen.run("migration")[1]
    before = [world_of(kitchen).log(book) for book in ("west", "east", "catalog")]
    assert kitchen.run("migration") == (0, printed)
    assert [world_of(kitchen).log(book) for book in ("west", "east", "catalog")] == before


@pytest.mark.parametrize(
    ("book", "entry"),
    [
        ("west", "froze acme"),
        ("east", "took globex/users up to 200"),
        ("east", "dropped globex/orders"),
        ("catalog", "acme is in east"),
        ("west", "dropped acme/orders"),
    ],
)
def test_killed_at_any_step_the_same_line_goes_on_and_nothing_happens_twice(
    kitchen: Kitchen, book: str, entry: str
) -> None:
    world = world_of(kitchen)
    with kitchen.start("migration") as recipe:
        try:
            wait_for(world, book, entry)
        finally:
            recipe.kill()
    code, printed = kitchen.run("migration")
    assert code == 0, printed
    assert printed.splitlines()[:2] == SAID
    assert world.is_well()
    happened_once(world)
    assert not kitchen.refused


def test_while_a_customer_moves_nobody_writes(kitchen: Kitchen) -> None:
    world = world_of(kitchen)
    with kitchen.start("migration") as recipe:
        try:
            wait_for(world, "east", "took acme/users up to 100")
        finally:
            recipe.kill()
    with pytest.raises(sqlite3.IntegrityError, match="frozen"), opened(world.path("west")) as db:
        db.execute("insert into rows values ('acme', 'orders', 9999, 'late')")
    assert kitchen.run("migration")[0] == 0
    with opened(world.path("west")) as db:
        db.execute("insert into rows values ('globex', 'orders', 9999, 'welcome again')")
