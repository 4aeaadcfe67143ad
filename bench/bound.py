"""How fast the design can be: the hot path and nothing else. A bound to compare with, never a base to build on.

A deterministic loop for each orchestration, one SQLite writer thread with group commit, work handed over in memory
after the commit, one commit for an activity step (its result, the turn, the next activity). Every commit is on disk
(WAL, synchronous=FULL) before anything that depends on it runs. What is missing is what a product needs: leases,
revision checks, retries, replay, eviction, errors, timers, events. Compare within one run only: it moves with the disk.
"""

import asyncio
import queue
import sqlite3
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextvars import Context
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec

from bench.engine import CheckFailedError, Claim, Engine, record

GROUP = 256  # turns in one transaction, at most
SCHEMA = """
create table instance(id text primary key, revision integer, status text);
create table history(id text, seq integer, event blob, primary key(id, seq)) without rowid;
create table task(id integer primary key, instance text, event blob);
"""
UPSERT = """
insert into instance values(?, ?, ?)
on conflict(id) do update set revision = excluded.revision, status = excluded.status
"""

encode = msgspec.json.Encoder().encode
Argument = list[Any]
CallActivity = Callable[[Argument], Awaitable[int]]


class Event(msgspec.Struct, tag=True):
    number: int
    timestamp: float
    name: str
    payload: msgspec.Raw


def event(number: int, timestamp: float, name: str, payload: object) -> bytes:
    return encode(Event(number, timestamp, name, msgspec.Raw(encode(payload))))


class Commit(NamedTuple):
    """One turn as rows, and what runs on the event loop once it is on disk."""

    instance: tuple[str, int, str]
    history: list[tuple[str, int, bytes]]
    new_tasks: list[tuple[int, str, bytes]]
    done_tasks: list[tuple[int]]
    committed: Callable[[], None]


class Loop:
    """As much of an event loop as tasks and futures need: ready callbacks run in order, by hand."""

    def __init__(self) -> None:
        self.ready: list[asyncio.Handle] = []
        self.as_loop = cast(asyncio.AbstractEventLoop, self)

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.as_loop, context)
        self.ready.append(handle)
        return handle

    def get_debug(self) -> bool:
        return False

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self.as_loop)

    def drain(self) -> None:
        outer = asyncio._get_running_loop()
        asyncio._set_running_loop(self.as_loop)
        try:
            while self.ready:
                batch, self.ready = self.ready, []
                for handle in batch:
                    if not handle.cancelled():
                        handle._run()
        finally:
            asyncio._set_running_loop(outer)


class Writer(threading.Thread):
    """The only connection that writes: takes what queued up, commits it as one transaction, tells the event loop."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(daemon=True)
        self.path, self.loop = path, loop
        self.queue: queue.SimpleQueue[Commit | None] = queue.SimpleQueue()
        self.synchronous = -1

    def run(self) -> None:
        database = sqlite3.connect(self.path, isolation_level=None)
        database.executescript(f"pragma journal_mode=wal; pragma synchronous=full; {SCHEMA}")
        self.synchronous = database.execute("pragma synchronous").fetchone()[0]
        while group := self._next_group():
            database.execute("begin immediate")
            database.executemany(UPSERT, [commit.instance for commit in group])
            database.executemany("insert into history values(?, ?, ?)", [row for c in group for row in c.history])
            database.executemany("insert into task values(?, ?, ?)", [row for c in group for row in c.new_tasks])
            database.executemany("delete from task where id = ?", [row for c in group for row in c.done_tasks])
            database.execute("commit")
            self.loop.call_soon_threadsafe(self._committed, group)
        database.close()

    def _next_group(self) -> list[Commit]:
        group: list[Commit] = []
        try:
            commit = self.queue.get()
            while commit is not None:
                group.append(commit)
                if len(group) == GROUP:
                    break
                commit = self.queue.get_nowait()
        except queue.Empty:
            pass
        return group

    @staticmethod
    def _committed(group: list[Commit]) -> None:
        for commit in group:
            commit.committed()


class Instance:
    """One live orchestration: its loop, the activities it waits for, and results that came during a commit."""

    def __init__(self, bound: "Bound", kind: str, instance_id: str, argument: Argument) -> None:
        self.bound, self.id, self.loop = bound, instance_id, Loop()
        self.task = asyncio.Task(KINDS[kind](self.call_activity, argument), loop=self.loop.as_loop)
        self.result: asyncio.Future[int] = bound.writer.loop.create_future()
        self.revision = self.number = 0
        self.calls: list[tuple[int, Argument]] = []
        self.waiting: dict[int, asyncio.Future[Any]] = {}
        self.inbox: list[tuple[int, int, int]] = []  # task id, number, result
        self.busy = False

    def call_activity(self, argument: Argument) -> Awaitable[int]:
        self.number += 1
        future = self.waiting[self.number] = self.loop.create_future()
        self.calls.append((self.number, argument))
        return future

    def turn(self) -> None:
        """Feed what is in the inbox, one event and one drain at a time, then hand the writer one commit."""
        inbox, self.inbox, self.busy = self.inbox, [], True
        now = time.time()
        rows = [] if self.revision else [event(0, now, "started", None)]
        self.loop.drain()
        for _, number, result in inbox:
            rows.append(event(number, now, "completed", result))
            self.waiting.pop(number).set_result(result)
            self.loop.drain()
        calls, self.calls = self.calls, []
        new_tasks = [(self.bound.next_task(), self.id, event(number, now, "scheduled", arg)) for number, arg in calls]
        rows += [blob for _, _, blob in new_tasks]
        ended = self.task.done()
        if ended:
            rows.append(event(0, now, "ended", self.task.result()))
        history = [(self.id, self.revision + k, blob) for k, blob in enumerate(rows)]
        self.revision += len(rows)

        def committed() -> None:
            self.busy = False
            for (task_id, _, _), (number, argument) in zip(new_tasks, calls, strict=True):
                self.bound.spawn(self.run_activity(task_id, number, argument))
            if ended:
                self.result.set_result(self.task.result())
            elif self.inbox:
                self.turn()

        row = (self.id, self.revision, "ended" if ended else "running")
        self.bound.writer.queue.put(Commit(row, history, new_tasks, [(task_id,) for task_id, _, _ in inbox], committed))

    async def run_activity(self, task_id: int, number: int, argument: Argument) -> None:
        self.inbox.append((task_id, number, await activity(argument)))
        if not self.busy and len(self.inbox) == 1:  # the first result of a batch asks for the turn that takes them all
            self.bound.writer.loop.call_soon(self.turn_if_free)

    def turn_if_free(self) -> None:
        if not self.busy and self.inbox:
            self.turn()


async def activity(argument: Argument) -> int:
    return record(argument)


async def noop(call: CallActivity, argument: Argument) -> int:
    return 0


async def seq(call: CallActivity, argument: Argument) -> int:
    total = 0
    for i in range(argument[1]):
        total += await call([argument[0], i])
    return total


async def fan(call: CallActivity, argument: Argument) -> int:
    return sum(await asyncio.gather(*[call([argument[0], i]) for i in range(argument[1])]))


KINDS = {"noop": noop, "seq": seq, "fan": fan}


class Bound(Engine):
    name = "bound"
    package = "msgspec"
    durability = "SQLite WAL, synchronous=FULL, group commit"

    async def start(self) -> None:
        self.writer = Writer(self.workdir / "bound.db", asyncio.get_running_loop())
        self.writer.start()
        self.tasks_made = 0
        self.running: set[asyncio.Task[None]] = set()

    async def stop(self) -> None:
        self.writer.queue.put(None)
        await asyncio.to_thread(self.writer.join)

    def next_task(self) -> int:
        self.tasks_made += 1
        return self.tasks_made

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.writer.loop.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def begin(self, kind: str, instance_id: str, argument: Argument) -> asyncio.Future[int]:
        instance = Instance(self, kind, instance_id, argument)
        instance.turn()
        return instance.result

    async def wait(self, handle: asyncio.Future[int]) -> int:
        return await handle

    async def check(self, claim: Claim) -> dict[str, Any]:
        database = sqlite3.connect(f"file:{self.workdir / 'bound.db'}?mode=ro", uri=True)
        ended = database.execute("select count(*) from instance where status = 'ended'").fetchone()[0]
        open_tasks = database.execute("select count(*) from task").fetchone()[0]
        database.close()
        if (ended, open_tasks, self.writer.synchronous) != (claim.finished, 0, 2):
            raise CheckFailedError(
                f"bound: {ended} instances ended of {claim.finished}, {open_tasks} tasks left, "
                f"synchronous={self.writer.synchronous}"
            )
        return {"ended": ended, "synchronous": self.writer.synchronous}


ENGINE = Bound
