"""The service that dispatchers and clients talk to. Lives in the loop's thread; the writer and the reader do all that touches the file.

An activity step costs one commit: its result is handed to its instance in memory, the turn that consumes it also deletes the task's row, and the
next activity is handed out as soon as that transaction is on disk. Nothing is handed over earlier, and only from turns that were applied.
"""

import asyncio
import itertools
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import Raw

from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.errors import (
    FailureDetails,
    InstanceNotFoundError,
    InvalidArgumentError,
    ProviderError,
)
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.messages import (
    ActivityResult,
    Message,
    StartExecution,
    decode_message,
    decode_task,
    encode_message,
)
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus, PurgeResult
from dtf_runtime.providers.sqlite import reads, schema
from dtf_runtime.providers.sqlite.inbox import (
    Owned,
    RunningTasks,
    Watched,
    Watches,
    WorkerQueue,
    stop,
    work_item,
)
from dtf_runtime.providers.sqlite.instances import CreateOp, Op, SendOp, TerminateOp, record_of
from dtf_runtime.providers.sqlite.rows import to_micros
from dtf_runtime.providers.sqlite.turns import TurnOp
from dtf_runtime.providers.sqlite.work import (
    AbandonOp,
    FinishTaskOp,
    PurgeOp,
    ReleaseOp,
    RenewTaskOp,
    ReturnTaskOp,
    ScanOp,
    WatchOp,
)
from dtf_runtime.providers.sqlite.writer import RegisterOp, Writer
from dtf_runtime.service import ActivityWorkItem, OrchestrationWorkItem, Outcome, Watch, WorkerProfile
from dtf_runtime.tracing import events as trace

_T = TypeVar("_T")
_KEYS = 1 << 40  # an owner makes fewer keys than that
_MOST_BACKLOG = 1_000  # ready instances before new ones are left to other processes
_MOST_CLAIMED = 100  # instances a scan
_RETRY = 1.0  # seconds after a group failed


class SqliteService:
    """See `connect`. All methods belong to one event loop."""

    def __init__(
        self, url: str, *, synchronous: str = "full", clock: Clock = REAL_CLOCK, lease: float | None = None
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise InvalidArgumentError(f'synchronous must be "full" or "normal", not {synchronous!r}')
        self.url = url
        self.path = _path_of(url)
        self._synchronous = synchronous
        self._clock = clock
        self._lease = lease
        self._users = 0
        self._starting: asyncio.Lock | None = None
        self._writer: Writer | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._read_db: sqlite3.Connection | None = None
        self._loop: asyncio.AbstractEventLoop
        self._reset()

    def _reset(self) -> None:
        self._owner: asyncio.Future[int] | None = None
        self._keys = itertools.count(1)
        self._workers: dict[int, WorkerQueue] = {}
        self._homes: dict[tuple[str, str], WorkerQueue | None] = {}
        self._owned: dict[int, Owned] = {}
        self._by_id: dict[str, Owned] = {}
        self._tasks: deque[ActivityWorkItem] = deque()
        self._running = RunningTasks()
        self._watches = Watches()
        self._watch_checking = False
        self._last_micros = 0
        self._scanning = False
        self._scan_again = False
        self._tasks_elsewhere = False  # unowned tasks may be in the file
        self._wake_at: float | None = None
        self._wake: asyncio.TimerHandle | None = None
        self._suspect: Owned | None = None
        self._reserved = 0  # activity slots promised to turns under way

    # -- life
    async def start(self) -> None:
        if self._starting is None:
            self._starting = asyncio.Lock()
        async with self._starting:
            self._users += 1
            if self._users > 1:
                return
            try:
                await self._open()
            except BaseException:
                self._users -= 1
                raise

    async def _open(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reset()
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="dtf-sqlite-reader")
        await self._loop.run_in_executor(self._reader, self._open_reader)
        self._writer = Writer(
            self.path, self._synchronous, self._loop, self._answered, self._changed_elsewhere, self._lease_lost
        )
        self._writer.start()
        trace.hub_opened(hub=self.url, schema_version=schema.SCHEMA_VERSION)

    def _open_reader(self) -> None:
        self._read_db = schema.open_database(self.path, synchronous=self._synchronous)
        schema.migrate(self._read_db, self.path)
        self._read_db.execute("pragma query_only=1")

    async def stop(self) -> None:
        assert self._starting is not None
        async with self._starting:
            self._users -= 1
            if self._users:
                return
            await self._close()

    async def _close(self) -> None:
        writer, reader = self._writer, self._reader
        assert writer is not None and reader is not None
        if self._wake is not None:
            self._wake.cancel()
        if writer.owner:
            try:
                await self._do(ReleaseOp(self._unkept_results(self._owned.values()), None, self._micros()))
            except ProviderError as error:
                trace.provider_failed(hub=self.url, operation="release", error=error)
        writer.finish()
        await self._loop.run_in_executor(None, writer.join)
        await self._loop.run_in_executor(reader, self._close_reader)
        reader.shutdown(wait=False)
        self._writer = self._reader = None
        self._starting = None
        trace.hub_closed(hub=self.url)

    def _close_reader(self) -> None:
        if self._read_db is not None:
            self._read_db.close()
            self._read_db = None

    async def create_hub(self) -> None:
        await self.start()
        await self.stop()

    async def delete_hub(self) -> None:
        """Removes the file. Nothing may use it."""
        if self._users:
            raise ProviderError(
                f"{self.path} is in use by this program: leave its clients and workers before deleting the hub"
            )
        for suffix in ("", "-wal", "-shm"):
            Path(self.path + suffix).unlink(missing_ok=True)

    async def backup(self, target: str) -> None:
        """A consistent copy of the file while everything goes on. `target` must not exist."""
        if Path(target).exists():
            raise InvalidArgumentError(f"{target} exists already: choose another file, a backup overwrites nothing")
        await self._read(lambda db: _copy(db, target))

    # -- plumbing
    def _micros(self) -> int:
        self._last_micros = max(to_micros(self._clock.now()), self._last_micros + 1)
        return self._last_micros

    def _key(self) -> int:
        assert self._owner is not None
        return self._owner.result() * _KEYS + next(self._keys)

    async def _ensure_owner(self) -> None:
        if self._writer is None:
            raise ProviderError(
                f"the hub {self.url} is not open: enter a TaskHubClient or TaskHubWorker first (`async with`)"
            )
        if self._owner is None:
            self._owner = self._loop.create_future()
            lease = self._lease
            if lease is None:
                lease = min((q.profile.lock_duration for q in self._workers.values()), default=30.0)
            try:
                self._owner.set_result(await self._do(RegisterOp(self._writer, lease)))
            except BaseException as error:
                waiting, self._owner = self._owner, None
                waiting.set_exception(error)
                waiting.exception()
                raise
        elif not self._owner.done():
            await asyncio.shield(self._owner)

    def _do(self, op: Op) -> "asyncio.Future[Any]":
        if self._writer is None:
            raise ProviderError(
                f"the hub {self.url} is not open: enter a TaskHubClient or TaskHubWorker first (`async with`)"
            )
        future: asyncio.Future[Any] = self._loop.create_future()
        op.future = future
        self._writer.submit(op)
        return future

    async def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._reader is None:
            raise ProviderError(
                f"the hub {self.url} is not open: enter a TaskHubClient or TaskHubWorker first (`async with`)"
            )

        def run() -> _T:
            assert self._read_db is not None
            try:
                return work(self._read_db)
            except sqlite3.Error as error:
                raise schema.provider_error(self.path, "read", error) from error

        return await self._loop.run_in_executor(self._reader, run)

    def _answered(self, batch: list[Any]) -> None:
        """A group is on disk (or failed): everybody is told, then what it made is handed over."""
        for op in batch:
            if isinstance(op, TurnOp):
                if op.error is None:
                    self._applied(op)
                else:
                    self._not_applied(op)
                continue
            if op.answered is not None:
                op.answered(op)
            if op.future is not None and not op.future.done():
                if op.error is None:
                    op.future.set_result(op.result)
                else:
                    op.future.set_exception(op.error)

    # -- client
    async def create(
        self, start: StartExecution, reuse: frozenset[OrchestrationStatus], watch: bool = False
    ) -> Watch | None:
        if self._owner is None or not self._owner.done():
            await self._ensure_owner()
        at = self._micros()
        home = self._home(start.name, start.version)
        ours = (
            home is not None
            and start.instance_id not in self._by_id
            and len(home.ready) < _MOST_BACKLOG
            and (start.due is None or to_micros(start.due) <= at)
        )
        op = CreateOp(self._key(), self._key(), start, reuse, at, ours)
        watched = self._watch(start.instance_id) if watch else None
        op.answered = self._created
        future = self._do(op)
        if ours:
            self._adopt_new(op.n, op.x, start)
        await future
        return watched

    def _created(self, op: CreateOp) -> None:
        if op.error is not None or op.result is not None:
            self._forget(op.n)
        if op.error is None and op.result is not None:
            self._forget(op.result)
            self._running.cancel_instance(op.result)
            self._scan()
        elif op.error is None and not op.ours:
            self._due_at(op.at if op.start.due is None else to_micros(op.start.due))

    async def send(self, instance_id: str, message: Message) -> None:
        await self._ensure_owner()
        op = SendOp(self._key(), instance_id, message, self._micros())
        op.answered = self._sent
        await self._do(op)

    def _sent(self, op: SendOp) -> None:
        if op.error is not None:
            return
        n, kept, outcome = op.result
        if outcome is not None:
            self._forget(n)
            self._watches.ended(op.instance_id, outcome)
            self._scan()
        elif kept is not None:
            self._arrived(n, op.message, kept)

    async def terminate(self, instance_id: str, reason: str, recursive: bool) -> None:
        await self._ensure_owner()
        op = TerminateOp(instance_id, reason, recursive, self._micros())
        op.answered = self._terminated
        await self._do(op)

    def _terminated(self, op: TerminateOp) -> None:
        for n, id_, outcome in op.result or ():
            trace.orchestration_terminated(instance_id=id_, execution_id="", name="", reason=op.reason)
            self._forget(n)
            self._running.cancel_instance(n)
            self._watches.ended(id_, outcome)
        if op.result:
            self._scan()

    async def get(self, instance_id: str, execution_id: str | None = None) -> InstanceState | None:
        return await self._read(lambda db: reads.get(db, instance_id, execution_id))

    async def history(self, instance_id: str, execution_id: str | None = None) -> list[HistoryEvent]:
        events = await self._read(lambda db: reads.history(db, instance_id, execution_id))
        if events is None:
            what = (
                f"instance {instance_id!r}"
                if execution_id is None
                else f"execution {execution_id!r} of instance {instance_id!r}"
            )
            raise InstanceNotFoundError(f"there is no {what} in this hub. `dtf list` shows those that are.")
        return events

    async def query(
        self, query: OrchestrationQuery, continuation: str | None
    ) -> tuple[list[InstanceState], str | None]:
        return await self._read(lambda db: reads.page(db, query, continuation))

    async def count(self, query: OrchestrationQuery) -> dict[OrchestrationStatus, int]:
        return await self._read(lambda db: reads.count(db, query))

    async def purge(self, which: str | OrchestrationQuery, recursive: bool) -> PurgeResult:
        await self._ensure_owner()
        deleted = 0
        while True:
            result: PurgeResult = await self._do(PurgeOp(which, recursive))
            deleted += result.deleted
            limited = isinstance(which, OrchestrationQuery) and which.limit is not None and deleted >= which.limit
            if result.is_complete or limited or not result.deleted:
                return PurgeResult(deleted=deleted, is_complete=result.is_complete)

    def watch(self, instance_id: str) -> Watched:
        watched = self._watch(instance_id)
        self._check_watches()
        return watched

    def _watch(self, instance_id: str) -> Watched:
        watched = self._watches.add(instance_id, self._loop)
        self._start_watching()
        return watched

    def _start_watching(self) -> None:
        if self._writer is not None and not self._writer.watching:
            self._writer.watching = True
            self._writer.wake()

    def _check_watches(self) -> None:
        if not self._watch_checking and self._watches:
            self._watch_checking = True
            self._loop.create_task(self._look_for_ends()).add_done_callback(_report)

    async def _look_for_ends(self) -> None:
        self._watch_checking = False
        for id_, status, output, failure in await self._do(WatchOp(self._watches.ids())):
            details = None if failure is None else msgspec.json.decode(failure, type=FailureDetails)
            outcome = Outcome(OrchestrationStatus(status), None if output is None else output.encode(), details)
            self._watches.ended(id_, outcome)

    # -- what this process owns
    def _home(self, name: str, version: str) -> WorkerQueue | None:
        key = (name, version)
        if key not in self._homes:
            known = (queue for queue in self._workers.values() if queue.profile.runs_orchestration(name, version))
            self._homes[key] = next(known, None)
        return self._homes[key]

    def _adopt_new(self, n: int, x: int, start: StartExecution) -> Owned:
        """An instance that this process has just made (or is making: its turn can't be applied before it)."""
        owned = Owned(n, start.instance_id, x, start.execution_id, start.name, start.version, 0)
        owned.record = InstanceRecord(
            instance_id=start.instance_id,
            execution_id=start.execution_id,
            name=start.name,
            version=start.version,
            input=None if start.input is msgspec.UNSET else bytes(start.input),
            tags=start.tags,
            parent=start.parent,
        )
        self._adopt(owned)
        return owned

    def _adopt(self, owned: Owned) -> None:
        self._owned[owned.n] = owned
        self._by_id[owned.id] = owned
        self._ready(owned)

    def _ready(self, owned: Owned) -> None:
        if owned.busy or owned.queued or not (owned.inbox or owned.record is not None):
            return
        home = self._home(owned.name, owned.version)
        if home is None:
            self._release(owned)
        else:
            home.put(owned)

    def _release(self, owned: Owned) -> None:
        """Nobody here runs it: others may."""
        results = self._unkept_results([owned])
        self._forget(owned.n, keep_results=True)
        self._do(ReleaseOp(results, [owned.n], self._micros())).add_done_callback(_report)

    def _forget(self, n: int, *, keep_results: bool = False) -> None:
        owned = self._owned.pop(n, None)
        if owned is None:
            return
        if self._by_id.get(owned.id) is owned:
            del self._by_id[owned.id]
        if not keep_results:
            self._drop_results(owned, owned.inbox)
        owned.record = None
        owned.inbox = []
        if self._suspect is owned:
            self._suspect = None

    def _drop_results(self, owned: Owned, entries: list[tuple[Message, int, int]]) -> None:
        """Nobody will ever consume these: their tasks are done all the same."""
        for message, _, task in entries:
            if task:
                self._do(FinishTaskOp(task, owned.n, message.execution_id, None, 0)).add_done_callback(_report)

    def _arrived(self, n: int, message: Message, key: int) -> None:
        """A message row that is on disk now."""
        owned = self._owned.get(n)
        if owned is None:
            self._scan()
        elif key not in owned.keys:
            owned.keys.add(key)
            owned.inbox.append((message, key, 0))
            self._ready(owned)

    def _unkept_results(self, owned: Any) -> list[tuple[int, int, str, str]]:
        """Results that exist in memory alone: (task, n, execution, body)."""
        found = []
        for one in list(owned):
            for message, _, task in (*one.taken, *one.inbox):
                if task:
                    found.append((task, one.n, message.execution_id, encode_message(message).decode()))
        return found

    # -- orchestrations
    async def lock_orchestrations(self, worker: WorkerProfile, most: int) -> list[OrchestrationWorkItem]:
        queue = await self._queue_of(worker)
        while True:
            items = [
                work_item(owned, poisoned=owned.deliveries >= worker.max_delivery_count)
                for owned in queue.take(most)
                if self._owned.get(owned.n) is owned and not owned.busy
            ]
            if items:
                return items
            if queue.orchestrations is None or queue.orchestrations.done():
                queue.orchestrations = self._loop.create_future()
            await asyncio.shield(queue.orchestrations)

    async def _queue_of(self, worker: WorkerProfile) -> WorkerQueue:
        queue = self._workers.get(id(worker))
        if queue is None:
            queue = self._workers[id(worker)] = WorkerQueue(worker)
            self._homes.clear()
            await self._ensure_owner()
            self._start_watching()
            self._scan()
        elif self._owner is None or not self._owner.done():
            await self._ensure_owner()
        return queue

    async def load(self, item: OrchestrationWorkItem) -> tuple[InstanceRecord, list[HistoryEvent]]:
        return await self._read(lambda db: reads.load(db, item.instance_id, item.execution_id, item.revision))

    def commit(self, item: OrchestrationWorkItem, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        owned: Owned = item.lease
        op = TurnOp(owned, commit, done)
        for _, key, task in owned.taken:
            if task:
                op.task_keys.append(task)
            else:
                op.messages.append(key)
        room = self._room()
        for task_ in commit.tasks:
            ours = task_.due is None and room > 0 and self._runs_activity(task_.name, task_.version)
            room -= ours
            self._reserved += ours
            op.tasks.append((self._key(), task_, ours))
        op.timers = [(self._key(), timer) for timer in commit.timers]
        for start in commit.starts:
            ours = (
                start.due is None
                and start.instance_id not in self._by_id
                and self._home(start.name, start.version) is not None
            )
            op.children.append((self._key(), self._key(), start, ours))
        op.sends = [(self._key(), send) for send in commit.sends]
        op.reinjects = [(self._key(), message) for message in commit.reinject]
        if commit.next is not None:
            op.next_x = self._key()
        if self._writer is None:
            done(ProviderError(f"the hub {self.url} was closed"))
            return
        self._writer.submit(op)

    def _applied(self, op: TurnOp) -> None:
        owned: Owned = op.owned
        commit = op.commit
        for _, key, _ in owned.taken:
            owned.keys.discard(key)
        owned.taken = []
        owned.record = None
        owned.deliveries = 0
        owned.busy = False
        if self._suspect is owned:
            self._suspect = None
            self._scan()
        owned.revision += 1
        op.done(None)
        if commit.next is not None:
            self._continue(op)
        elif commit.status.is_final:
            self._forget(owned.n)
            if commit.status != OrchestrationStatus.COMPLETED:
                self._running.cancel_instance(owned.n)
            self._watches.ended(owned.id, Outcome(commit.status, commit.output, commit.failure))
        self._hand_over(op)
        if self._owned.get(owned.n) is owned:
            for key, message in op.reinjects:
                self._arrived(owned.n, message, key)
            self._ready(owned)

    def _continue(self, op: TurnOp) -> None:
        owned, coming = op.owned, op.commit.next
        assert coming is not None
        home = self._home(owned.name, coming.version)
        if home is None:
            self._release(owned)
            return
        owned.x, owned.execution, owned.version, owned.revision = op.next_x, coming.execution_id, coming.version, 0
        owned.inbox = [entry for entry in owned.inbox if not entry[0].execution_id or entry[2]]
        owned.record = InstanceRecord(
            instance_id=owned.id,
            execution_id=owned.execution,
            name=owned.name,
            version=owned.version,
            input=coming.input,
            tags=coming.tags,
            parent=coming.parent,
            carried=coming.carried,
            recent=coming.recent,
        )

    def _hand_over(self, op: TurnOp) -> None:
        owned, commit = op.owned, op.commit
        for key, task, ours in op.tasks:
            if ours:
                self._reserved -= 1
                self._tasks.append(
                    ActivityWorkItem(instance_id=owned.id, execution_id=op.execution, task=task, lease=(key, owned.n))
                )
            elif task.due is not None:
                self._due_at(to_micros(task.due))
            else:
                self._tasks_elsewhere = True
        if op.tasks:
            self._wake_activities()
        for _, timer in op.timers:
            self._due_at(to_micros(timer.fire_at))
        if commit.cancelled_tasks:
            self._running.cancel(owned.n, op.execution, commit.cancelled_tasks)
            self._drop_queued(owned.n, op.execution, set(commit.cancelled_tasks))
        for n, x, start, ours in op.children:
            if n in op.lost_children:
                self._scan()
            elif ours:
                self._adopt_new(n, x, start)
            else:
                self._due_at(to_micros(commit.at if start.due is None else start.due))
        for key, send in op.sends:
            if key not in op.lost_sends:
                target = self._by_id.get(send.instance_id)
                if target is None:
                    self._scan()
                else:
                    self._arrived(target.n, send.message, key)

    def _not_applied(self, op: TurnOp) -> None:
        owned: Owned = op.owned
        self._reserved -= sum(ours for _, _, ours in op.tasks)
        owned.busy = False
        assert op.error is not None
        op.done(op.error)
        taken, owned.taken = owned.taken, []
        if self._owned.get(owned.n) is not owned:
            self._drop_results(owned, taken)
            self._scan()
            return
        owned.inbox = [*taken, *owned.inbox]
        if isinstance(op.error, ProviderError):
            self._loop.call_later(_RETRY, self._retry, owned)
        else:
            self._release(owned)
            self._scan()

    def _retry(self, owned: Owned) -> None:
        if self._owned.get(owned.n) is owned and self._writer is not None:
            self._ready(owned)

    async def abandon_orchestration(self, item: OrchestrationWorkItem, delay: float, *, counts: bool) -> None:
        owned: Owned = item.lease
        if self._owned.get(owned.n) is not owned or self._writer is None:
            return
        results = [(task, execution, body) for task, _, execution, body in self._unkept_results([owned])]
        self._forget(owned.n, keep_results=True)
        until = to_micros(self._clock.now()) + int(delay * 1_000_000)
        trace.work_abandoned(instance_id=item.instance_id, reason="its turn failed", delay=delay)
        await self._do(AbandonOp(owned.n, results, until, counts))
        self._due_at(until)

    async def renew_orchestration(self, item: OrchestrationWorkItem) -> None:
        """The writer's thread renews the process's lease, also while a turn blocks the loop."""

    # -- activities
    def _room(self) -> int:
        demand = sum(queue.activity_demand for queue in self._workers.values())
        return demand - self._reserved - len(self._tasks)

    def _runs_activity(self, name: str, version: str) -> bool:
        return any(queue.profile.runs_activity(name, version) for queue in self._workers.values())

    async def lock_activities(self, worker: WorkerProfile, most: int) -> list[ActivityWorkItem]:
        queue = await self._queue_of(worker)
        queue.activity_demand = most
        try:
            while True:
                items = self._take_tasks(queue, most)
                if items:
                    return items
                if self._tasks_elsewhere:
                    self._scan()
                if queue.activities is None or queue.activities.done():
                    queue.activities = self._loop.create_future()
                await asyncio.shield(queue.activities)
        finally:
            queue.activity_demand = 0

    def _take_tasks(self, queue: WorkerQueue, most: int) -> list[ActivityWorkItem]:
        found: list[ActivityWorkItem] = []
        passed: list[ActivityWorkItem] = []
        profile = queue.profile
        while self._tasks and len(found) < most:
            item = self._tasks.popleft()
            task = item.task
            if item.cancelled:
                self._finish_quietly(item)
            elif profile.runs_activity(task.name, task.version) and profile.take_activity(task.name, task.version):
                item.poisoned = item.deliveries >= profile.max_delivery_count
                self._running.add(item.lease[1], item)
                found.append(item)
            else:
                passed.append(item)
        if passed:
            self._tasks.extendleft(reversed(passed))
        return found

    def _wake_activities(self) -> None:
        for queue in self._workers.values():
            queue.wake_activities()

    def _drop_queued(self, n: int, execution: str, numbers: set[int]) -> None:
        for item in self._tasks:
            if item.lease[1] == n and item.execution_id == execution and item.task.number in numbers:
                item.cancelled = True

    def _finish_quietly(self, item: ActivityWorkItem) -> None:
        key, n = item.lease
        self._do(FinishTaskOp(key, n, item.execution_id, None, 0)).add_done_callback(_report)

    async def complete_activity(self, item: ActivityWorkItem, result: ActivityResult) -> None:
        key, n = item.lease
        self._running.remove(n, item)
        owned = self._owned.get(n)
        if owned is not None and owned.execution == item.execution_id and not item.cancelled:
            owned.inbox.append((result, 0, key))
            if not owned.busy and not owned.queued:
                self._ready(owned)
            return
        body = None if item.cancelled else encode_message(result).decode()
        if await self._do(FinishTaskOp(key, n, item.execution_id, body, self._micros())) and body:
            self._scan()

    async def abandon_activity(self, item: ActivityWorkItem, *, counts: bool) -> None:
        key, n = item.lease
        self._running.remove(n, item)
        await self._do(ReturnTaskOp(key, counts))
        self._tasks_elsewhere = True
        self._wake_activities()

    async def renew_activity(self, item: ActivityWorkItem, heartbeat: Raw | None = None) -> bool:
        details = None if heartbeat is None else str(memoryview(heartbeat), "utf-8")
        if item.cancelled and details is None:
            return True
        return bool(await self._do(RenewTaskOp(item.lease[0], details))) or item.cancelled

    async def detach(self, worker: WorkerProfile) -> None:
        queue = self._workers.pop(id(worker), None)
        if queue is None:
            return
        self._homes.clear()
        for owned in queue.take(len(queue.ready)):
            if self._owned.get(owned.n) is owned:
                self._ready(owned)
        for owned in [
            one for one in self._owned.values() if not one.busy and self._home(one.name, one.version) is None
        ]:
            self._release(owned)
        for item in [item for item in self._tasks if not self._runs_activity(item.task.name, item.task.version)]:
            self._tasks.remove(item)
            await self._do(ReturnTaskOp(item.lease[0], counts=False))

    # -- looking for what is due
    def _due_at(self, micros: int) -> None:
        """Something becomes due then: scan at that time."""
        now = to_micros(self._clock.now())
        if micros <= now:
            self._scan()
            return
        at = self._loop.time() + (micros - now) / 1_000_000 + 0.0002
        if self._wake_at is None or at < self._wake_at:
            if self._wake is not None:
                self._wake.cancel()
            self._wake_at = at
            self._wake = self._loop.call_at(at, self._woken)

    def _woken(self) -> None:
        self._wake = self._wake_at = None
        self._scan()

    def _scan(self) -> None:
        if not self._workers or self._writer is None or self._owner is None:
            return
        if self._scanning:
            self._scan_again = True
            return
        self._scanning = True
        self._scan_again = False
        self._loop.create_task(self._run_scan()).add_done_callback(_report)

    async def _run_scan(self) -> None:
        try:
            await self._ensure_owner()
            self._tasks_elsewhere = False
            room = max(0, self._room())
            self._reserved += room
            op = ScanOp(
                to_micros(self._clock.now()),
                _MOST_CLAIMED,
                room,
                self._suspect is not None,
                lambda name, version: self._home(name, version) is not None,
                self._runs_activity,
            )
            op.answered = self._merge
            try:
                await self._do(op)
            finally:
                self._reserved -= room
            if len(op.tasks) >= room:
                self._tasks_elsewhere = True
            if op.next_due is not None:
                self._due_at(op.next_due)
            self._scan_again = self._scan_again or op.more
        except ProviderError as error:
            trace.provider_retried(hub=self.url, operation="scan", delay=_RETRY, error=error)
            self._loop.call_later(_RETRY, self._scan)
        finally:
            self._scanning = False
            if self._scan_again:
                self._scan()

    def _merge(self, op: ScanOp) -> None:
        """At once when the group is on disk: what a later turn of the same group consumed must not come in again."""
        if op.error is not None:
            return
        new = []
        for n, id_, x, execution, name, version, revision, deliveries, suspect, record in op.claimed:
            if n in self._owned:
                continue
            owned = Owned(n, id_, x, execution, name, version, revision)
            owned.deliveries, owned.suspect = deliveries, suspect
            owned.record = None if record is None else record_of(record)
            if suspect:
                self._suspect = owned
            self._owned[n] = owned
            self._by_id[id_] = owned
            new.append(owned)
        touched = {owned.n: owned for owned in new}
        for key, n, body in op.messages:
            holder = self._owned.get(n)
            if holder is not None and key not in holder.keys:
                self._take_in(holder, key, body)
                touched[n] = holder
        for owned in touched.values():
            self._ready(owned)
        for key, n, id_, execution, deliveries, heartbeat, body in op.tasks:
            task = decode_task(body)
            if heartbeat is not None:
                task = msgspec.structs.replace(task, heartbeat=Raw(heartbeat.encode()))
            item = ActivityWorkItem(
                instance_id=id_ or "", execution_id=execution, task=task, deliveries=deliveries, lease=(key, n)
            )
            self._tasks.append(item)
        if op.tasks:
            self._wake_activities()

    def _take_in(self, owned: Owned, key: int, body: str) -> None:
        try:
            message = decode_message(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            owned.keys.add(key)  # this version can't read it: it stays in its row
            trace.row_set_aside(table="messages", key=str(key), error=error, instance_id=owned.id)
            return
        owned.keys.add(key)
        owned.inbox.append((message, key, 0))

    def _changed_elsewhere(self) -> None:
        self._tasks_elsewhere = True
        self._scan()
        self._check_watches()

    def _lease_lost(self) -> None:
        """Others run what was ours: forget it all, tell what runs."""
        for n in list(self._owned):
            self._forget(n)
        self._running.cancel_all()
        for item in self._tasks:
            stop(item)
        self._tasks.clear()
        if self._writer is not None:
            self._owner = self._loop.create_future()
            self._owner.set_result(self._writer.owner)
        self._scan()


def _report(task: Any) -> None:
    if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, ProviderError):
        trace.worker_error(worker="", where="sqlite provider", error=error)


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment:
        raise InvalidArgumentError(f"{url!r} is not of the form sqlite:///orders.db (or sqlite:////var/lib/orders.db)")
    path = unquote(parts.path)[1:]
    if not path or path.startswith(":memory:"):
        raise InvalidArgumentError(
            f"{url!r} names no file: write sqlite:///orders.db, or memory:// for a hub without one"
        )
    return path


def _copy(db: sqlite3.Connection, target: str) -> None:
    started = time.monotonic()
    with sqlite3.connect(target) as copy:
        db.backup(copy, pages=1_000, sleep=0.001)
    copy.close()
    trace.hub_opened(
        hub=f"backup {target} after {time.monotonic() - started:.1f} s", schema_version=schema.SCHEMA_VERSION
    )
