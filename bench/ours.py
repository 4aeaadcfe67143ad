"""Our engine as a user would run it: `connect`, a worker and a client with default options, SQLite in one file.

After each run the file is read with a connection of its own, and has to hold what the run claims.
"""

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import Any

from bench.engine import CheckFailedError, Claim, Engine, mark, record
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

Argument = list[Any]
FULL = 2  # what `pragma synchronous` says when each commit is flushed to the disk
COMPLETED_ACTIVITIES = """
select count(*) from history, json_each(history.events) where json_extract(json_each.value, '$.kind') = 'TaskCompleted'
"""


_OPENED: list[sqlite3.Connection] = []


def _note_connection(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect/handle":
        _OPENED.append(arguments[0])


sys.addaudithook(_note_connection)


def _pragmas(connection: sqlite3.Connection) -> tuple[bool, int]:
    """Whether it may write, and its `synchronous`."""
    read_only = connection.execute("pragma query_only").fetchone()[0]
    return not read_only, int(connection.execute("pragma synchronous").fetchone()[0])


@activity
async def act(argument: Argument) -> int:
    return record(argument)


@orchestration
async def noop(ctx: OrchestrationContext, argument: Argument) -> int:
    return 0


@orchestration
async def seq(ctx: OrchestrationContext, argument: Argument) -> int:
    total = 0
    for i in range(argument[1]):
        total += await act([argument[0], i])
    return total


@orchestration
async def fan(ctx: OrchestrationContext, argument: Argument) -> int:
    return sum(await asyncio.gather(*[act([argument[0], i]) for i in range(argument[1])]))


@orchestration
async def subs(ctx: OrchestrationContext, argument: Argument) -> int:
    children = [f"{argument[0]}.{k}" for k in range(argument[1])]
    return sum(await asyncio.gather(*[seq.options(instance_id=child)([child, argument[2]]) for child in children]))


@orchestration
async def timer(ctx: OrchestrationContext, argument: Argument) -> int:
    mark("a:" + argument[0])
    await asyncio.sleep(argument[1])
    mark("b:" + argument[0])
    return 0


@orchestration
async def event(ctx: OrchestrationContext, argument: Argument) -> int:
    mark("w:" + argument[0])
    return await ctx.wait_for_event("go", int)


@orchestration
async def hold(ctx: OrchestrationContext, argument: Argument) -> int:
    for i in range(argument[1]):
        await act([argument[0], i])
    mark("w:" + argument[0])
    return await ctx.wait_for_event("go", int)


KINDS = {"noop": noop, "seq": seq, "fan": fan, "subs": subs, "timer": timer, "event": event, "hold": hold}


class Ours(Engine):
    name = "ours"
    package = "dtf_runtime"
    durability = "SQLite WAL, synchronous=FULL, group commit (the default)"

    @property
    def connections(self) -> list[sqlite3.Connection]:
        """Those the service has opened since it started. It closes them when it stops, so ask before."""
        return list(_OPENED)

    @property
    def file(self) -> Path:
        return self.workdir / "ours.db"

    async def start(self) -> None:
        _OPENED.clear()
        self.service = connect(f"sqlite:///{self.file}")
        self.worker = await TaskHubWorker(self.service).__aenter__()
        self.client = await TaskHubClient(self.service).__aenter__()

    async def stop(self) -> None:
        await self.client.__aexit__(None, None, None)
        await self.worker.__aexit__(None, None, None)

    async def begin(self, kind: str, instance_id: str, argument: Argument) -> OrchestrationHandle[int]:
        try:
            return await self.client.start(KINDS[kind], argument, instance_id=instance_id)
        except OrchestrationAlreadyExistsError:  # recover: the start was stored, its acknowledgement was not seen
            return self.client.handle(instance_id, int)

    async def wait(self, handle: OrchestrationHandle[int]) -> int:
        return await handle.result()

    async def lookup(self, kind: str, instance_id: str) -> OrchestrationHandle[int]:
        return self.client.handle(instance_id, int)

    async def raise_event(self, instance_id: str, value: int) -> None:
        await self.client.raise_event(instance_id, "go", value)

    async def history_length(self, instance_id: str) -> int:
        return (await self.client.handle(instance_id).state()).history_length

    def synchronous(self) -> int:
        """What SQLite says on the connections that the service holds on the file; the least of them.

        The setting belongs to a connection, not to the file, so asking another one would prove nothing.
        """
        if getattr(self.service, "synchronous", None) != "full":
            raise CheckFailedError("ours: the service does not report synchronous='full'")
        answers = [_pragmas(connection) for connection in self.connections]
        if not any(writes for writes, _ in answers):
            raise CheckFailedError("ours: no connection that writes was found, so nothing is known of its durability")
        return min(synchronous for _, synchronous in answers)

    async def check(self, claim: Claim) -> dict[str, Any]:
        """From a second connection: as many instances and activity results as claimed, no work left over."""
        synchronous = self.synchronous()
        database = sqlite3.connect(f"file:{self.file}?mode=ro", uri=True)
        try:
            by_status = dict(database.execute("select status, count(*) from instances group by status").fetchall())
            activities = database.execute(COMPLETED_ACTIVITIES).fetchone()[0]
            left = sum(database.execute(f"select count(*) from {name}").fetchone()[0] for name in ("messages", "tasks"))
            journal = database.execute("pragma journal_mode").fetchone()[0]
        finally:
            database.close()
        found = {
            "finished": by_status.pop("completed", 0),
            "waiting": by_status.pop("running", 0),
            "activities": activities,
            "left_over": left + sum(by_status.values()),
            "journal": journal,
            "synchronous": synchronous,
        }
        wanted = {
            "finished": claim.finished,
            "waiting": claim.waiting,
            "activities": claim.activities,
            "left_over": 0,
            "journal": "wal",
            "synchronous": FULL,
        }
        if found != wanted:
            raise CheckFailedError(f"ours: the file holds {found}, the run claims {wanted}")
        return found


ENGINE = Ours
