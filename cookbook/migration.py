"""Migration: customers' databases move to another region while nobody writes; whoever doesn't fit there stays where he was, whole.

Shows   typed clients: classes over activities, so that the workflow reads as calls with types; a saga with parallel parts, a point of no return
Needs   pip install dtf-runtime
Run     python migration.py                 two customers; one fits into the new region, the other does not and is put back
        kill it (Ctrl-C, kill -9), and run the same line: it goes on where it stood
Watch   dtf show migrate-acme --hub sqlite:///migration.db

The regions are SQLite files. For yours, change the activities: each may be called twice and must then do nothing the second time.
"""

import argparse
import asyncio
import hashlib
import logging
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dtf_runtime import (
    Call,
    NonRetriableError,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    RetryPolicy,
    Saga,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

# == The workflow =================================================================================================


@dataclass(frozen=True)
class Move:
    customer: str
    databases: list[str]
    source: str  # a region's file
    target: str
    catalog: str
    piece: int = 100  # rows in one call
    pause: float = 0.05  # seconds between two pieces, so that others get their turn
    keep: float = 0.5  # seconds that the old databases stay after the switch; a week, in earnest


@dataclass(frozen=True)
class Moved:
    moved: bool
    why_not: str = ""


@orchestration
async def migrate(ctx: OrchestrationContext, move: Move) -> Moved:
    source, target, catalog = Region(move.source), Region(move.target), Catalog(move.catalog)
    refusals: list[str] = []
    try:
        async with Saga() as saga:  # each undo is registered before its call, and is content with nothing
            ctx.set_custom_status("freezing")
            saga.compensate(source.thaw, move.customer)
            await saga.do(source.freeze(move.customer), nothing)
            ctx.set_custom_status("copying")
            async with asyncio.TaskGroup() as group:  # when one fails the others end first, then all is undone
                for name in move.databases:
                    group.create_task(copy(saga, Database(move.customer, name), source, target, move))
            ctx.set_custom_status("switching")
            saga.compensate(catalog.serve, move.customer, move.source)
            await saga.do(catalog.serve(move.customer, move.target), nothing)
    except* TaskFailedError as errors:
        refusals.extend(refused(errors))
    if refusals:
        ctx.set_custom_status("put back")
        return Moved(False, refusals[0])
    ctx.set_custom_status("keeping the old ones for a while")  # from here on nothing is put back
    await asyncio.sleep(move.keep)
    for name in move.databases:
        await source.drop(Database(move.customer, name))
    await source.thaw(move.customer)
    ctx.set_custom_status("moved")
    return Moved(True)


async def copy(saga: Saga, what: "Database", source: "Region", target: "Region", move: Move) -> None:
    saga.compensate(target.drop, what)
    last = 0
    while True:
        # On a cancel, because another database failed, the piece under way is waited for: no row comes after the drop.
        took = await saga.do(target.take(what, source, last, move.piece), nothing)
        if not took:
            break
        last = took
        await asyncio.sleep(move.pause)
    await target.compare(what, source)


async def nothing(made: object) -> None:
    """Its undo is registered already."""


def refused(errors: "BaseExceptionGroup[TaskFailedError]") -> Iterator[str]:
    """What a region said; anything else is no refusal, and goes on."""
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from refused(error)
        elif error.failure.is_caused_by(RefusedError):
            yield error.failure.message
        else:
            raise error


# == The typed clients ============================================================================================
# What the workflow sees. They know where, which activity, how often it is tried; it knows what, and editors know the types.


@dataclass(frozen=True)
class Database:
    customer: str
    name: str


@dataclass(frozen=True)
class Region:
    path: str

    def freeze(self, customer: str) -> Call[None]:
        """From now on nobody can write."""
        return freeze(self.path, customer)

    def thaw(self, customer: str) -> Call[None]:
        return thaw(self.path, customer)

    def take(self, what: Database, source: "Region", after: int, count: int) -> Call[int]:
        """The next rows of it; the last one's id, or 0 when there are no more."""
        return take(self.path, source.path, what, after, count)

    def compare(self, what: Database, source: "Region") -> Call[None]:
        """Raises RefusedError when they differ."""
        return compare(self.path, source.path, what)

    def drop(self, what: Database) -> Call[None]:
        return drop(self.path, what)


@dataclass(frozen=True)
class Catalog:
    path: str

    def serve(self, customer: str, region: str) -> Call[None]:
        """Who asks for the customer is sent to that region."""
        return serve(self.path, customer, region)


# == The activities ===============================================================================================

PATIENT = RetryPolicy(max_attempts=10, first_interval=0.2, max_interval=30.0)


class RefusedError(NonRetriableError):
    """Asking again would not help."""


@contextmanager
def opened(path: str) -> Iterator[sqlite3.Connection]:
    """All that is done with it, or nothing."""
    with closing(sqlite3.connect(path, timeout=30)) as db, db:
        yield db


def change(db: sqlite3.Connection, log: str, statement: str, *values: object) -> None:
    """Notes it in the same transaction, when it changed something."""
    if db.execute(statement, values).rowcount:
        db.execute("insert into log (what) values (?)", (log,))


@activity(retry=PATIENT)
def freeze(region: str, customer: str) -> None:
    with opened(region) as db:
        change(db, f"froze {customer}", "insert or ignore into frozen values (?)", customer)


@activity(retry=PATIENT)
def thaw(region: str, customer: str) -> None:
    with opened(region) as db:
        change(db, f"thawed {customer}", "delete from frozen where customer = ?", customer)


@activity(retry=PATIENT)
def take(target: str, source: str, what: Database, after: int, count: int) -> int:
    piece = "select * from rows where customer = ? and name = ? and id > ? order by id limit ?"
    with opened(source) as db:
        rows = db.execute(piece, (what.customer, what.name, after, count)).fetchall()
    if not rows:
        return 0
    last = int(rows[-1][2])
    with opened(target) as db:
        if db.executemany("insert or ignore into rows values (?, ?, ?, ?)", rows).rowcount:
            db.execute("insert into log (what) values (?)", (f"took {what.customer}/{what.name} up to {last}",))
        for there, room in db.execute("select count(*), room from rows, quota where customer = ?", (what.customer,)):
            if room is not None and there > room:
                raise RefusedError(f"no customer may have more than {room} rows here")
    return last


@activity(retry=PATIENT)
def compare(target: str, source: str, what: Database) -> None:
    if fingerprint(target, what) != fingerprint(source, what):
        raise RefusedError(f"the copy of {what.name} is not like the original")


def fingerprint(region: str, what: Database) -> str:
    digest = hashlib.sha256()
    with opened(region) as db:
        mine = "select id, value from rows where customer = ? and name = ? order by id"
        for row in db.execute(mine, (what.customer, what.name)):
            digest.update(repr(row).encode())
    return digest.hexdigest()


@activity(retry=PATIENT)
def drop(region: str, what: Database) -> None:
    with opened(region) as db:
        gone = "delete from rows where customer = ? and name = ?"
        change(db, f"dropped {what.customer}/{what.name}", gone, what.customer, what.name)


@activity(retry=PATIENT)
def serve(catalog: str, customer: str, region: str) -> None:
    with opened(catalog) as db:
        there = "update home set region = ? where customer = ? and region <> ?"
        change(db, f"{customer} is in {Path(region).stem}", there, region, customer, region)


# == Two regions and a catalog ====================================================================================

SIZES = {"acme": 400, "globex": 600}  # rows in each of a customer's databases
DATABASES = ["orders", "users", "invoices"]
ROOM = 1500  # rows of one customer that the new region takes
REGION = """
create table rows (customer text, name text, id integer, value text, primary key (customer, name, id));
create table frozen (customer text primary key);
create table quota (room integer);
create table log (number integer primary key, what text);
create trigger insert_frozen before insert on rows when new.customer in (select customer from frozen)
begin select raise(abort, 'frozen'); end;
create trigger update_frozen before update on rows when new.customer in (select customer from frozen)
begin select raise(abort, 'frozen'); end;
"""
CATALOG = """
create table home (customer text primary key, region text);
create table log (number integer primary key, what text);
"""


@dataclass(frozen=True)
class World:
    folder: Path

    def path(self, name: str) -> str:
        return str(self.folder / f"{name}.db")

    def furnish(self) -> None:
        """What is not there yet. Each file comes whole or not at all."""
        self.folder.mkdir(exist_ok=True)
        rows = [
            (customer, name, number, f"{name} {number}")
            for customer, count in SIZES.items()
            for name in DATABASES
            for number in range(1, count + 1)
        ]
        homes = [(customer, self.path("west")) for customer in SIZES]
        self._file("west", REGION, "insert into rows values (?, ?, ?, ?)", rows)
        self._file("east", REGION, "insert into quota values (?)", [(ROOM,)])
        self._file("catalog", CATALOG, "insert into home values (?, ?)", homes)

    def _file(self, name: str, schema: str, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        path, part = Path(self.path(name)), Path(self.path(name) + ".part")
        if path.exists():
            return
        part.unlink(missing_ok=True)
        with opened(str(part)) as db:
            db.executescript(schema)
            db.executemany(statement, rows)
        os.replace(part, path)

    def rows(self, region: str) -> dict[str, int]:
        with opened(self.path(region)) as db:
            counts = "select customer || '/' || name, count(*) from rows group by 1 order by 1"
            return dict(db.execute(counts).fetchall())

    def frozen(self, region: str) -> list[str]:
        with opened(self.path(region)) as db:
            return [customer for (customer,) in db.execute("select customer from frozen order by 1")]

    def homes(self) -> dict[str, str]:
        with opened(self.path("catalog")) as db:
            found = db.execute("select customer, region from home order by 1").fetchall()
        return {customer: Path(region).stem for customer, region in found}

    def log(self, name: str) -> list[str]:
        with opened(self.path(name)) as db:
            return [what for (what,) in db.execute("select what from log order by number")]

    def is_well(self) -> bool:
        """Who fits is in the east, whole; who doesn't is in the west, whole, and can write."""
        fits = {customer: count * len(DATABASES) <= ROOM for customer, count in SIZES.items()}
        return (
            self.homes() == {customer: "east" if fit else "west" for customer, fit in fits.items()}
            and self.rows("east") == held(customer for customer, fit in fits.items() if fit)
            and self.rows("west") == held(customer for customer, fit in fits.items() if not fit)
            and not self.frozen("west")
        )


def held(customers: Iterator[str]) -> dict[str, int]:
    return {f"{customer}/{name}": SIZES[customer] for customer in customers for name in DATABASES}


# == The program ==================================================================================================

HUB = "sqlite:///migration.db"


async def main(hub: str, world: World) -> int:
    service = connect(hub)
    async with TaskHubWorker(service), TaskHubClient(service) as client:
        handles = {customer: await start(client, customer, world) for customer in SIZES}
        for customer, handle in handles.items():
            found = await handle.result()
            print(f"{customer} {'moved' if found.moved else f'was put back: {found.why_not}'}", flush=True)
    for region in ("west", "east"):
        print(f"{region}: {world.rows(region)}")
    return 0 if world.is_well() else 1


async def start(client: TaskHubClient, customer: str, world: World) -> OrchestrationHandle[Moved]:
    move = Move(customer, DATABASES, world.path("west"), world.path("east"), world.path("catalog"))
    try:
        return await client.start(migrate, move, instance_id=f"migrate-{customer}")
    except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
        return client.handle(f"migrate-{customer}", Moved)


def program() -> int:
    parser = argparse.ArgumentParser(description="Move customers from one region to another.")
    parser.add_argument(
        "--regions", type=Path, default=Path("migration_regions"), help="a folder; default: %(default)s"
    )
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    options = parser.parse_args()
    logging.basicConfig(filename="migration.log", format="%(asctime)s %(levelname)s %(message)s")
    world = World(options.regions.resolve())
    world.furnish()
    return asyncio.run(main(options.hub, world))


if __name__ == "__main__":
    sys.exit(program())
