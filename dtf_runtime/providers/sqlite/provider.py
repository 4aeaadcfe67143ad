"""The service that dispatchers and clients talk to. Lives in the loop's thread; the writer and the reader do all that touches the file.

An activity step costs one commit: its result is handed to its instance in memory, the turn that consumes it also deletes the task's row, and the
next activity is handed out as soon as that transaction is on disk. Nothing is handed over earlier, and only from turns that were applied.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from msgspec import Raw

from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.errors import InstanceNotFoundError, InvalidArgumentError, LockLostError, ProviderError
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.messages import ActivityResult, Message, StartExecution, encode_message
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus, PurgeResult
from dtf_runtime.providers.sqlite import reads, schema
from dtf_runtime.providers.sqlite.alarms import Alarms
from dtf_runtime.providers.sqlite.committing import Committer
from dtf_runtime.providers.sqlite.hub import Hub
from dtf_runtime.providers.sqlite.inbox import Owned, Watched
from dtf_runtime.providers.sqlite.instances import CreateOp, SendOp, TerminateOp
from dtf_runtime.providers.sqlite.rows import to_micros
from dtf_runtime.providers.sqlite.scanner import Scanner
from dtf_runtime.providers.sqlite.work import (
    AbandonOp,
    FinishTaskOp,
    PurgeOp,
    ReleaseOp,
    RenewTaskOp,
    ReturnTaskOp,
)
from dtf_runtime.providers.sqlite.writer import Writer
from dtf_runtime.service import ActivityWorkItem, OrchestrationWorkItem, Watch, WorkerProfile
from dtf_runtime.tracing import events as trace

_T = TypeVar("_T")
_MOST_BACKLOG = 1_000  # ready instances before new ones are left to other processes


class SqliteService:
    """See `connect`. All methods belong to one event loop."""

    def __init__(
        self, url: str, *, synchronous: str = "full", clock: Clock = REAL_CLOCK, lease: float | None = None
    ) -> None:
        if synchronous not in ("full", "normal"):
            raise InvalidArgumentError(f'synchronous must be "full" or "normal", not {synchronous!r}')
        self.url = url
        self.path = schema.path_of(url)
        self.synchronous = synchronous
        self._clock = clock
        self._lease = lease
        self._users = 0
        self._opening: asyncio.Lock | None = None
        self._reader: ThreadPoolExecutor | None = None
        self._read_db: sqlite3.Connection | None = None
        self._hub: Hub
        self._scanner: Scanner
        self._alarms: Alarms
        self._committer: Committer

    # -- life
    async def start(self) -> None:
        if self._opening is None:
            self._opening = asyncio.Lock()
        async with self._opening:
            if not self._users:
                await self._open()
            self._users += 1

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._hub = Hub(self.url, self._clock, self._lease)
        self._scanner = Scanner(self._hub)
        self._alarms = Alarms(self._hub)
        self._committer = Committer(self._hub, self._alarms)
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="dtf-sqlite-reader")
        try:
            await loop.run_in_executor(self._reader, self._open_reader)
        except BaseException:
            self._reader.shutdown(wait=False)
            self._reader = None
            raise
        writer = Writer(
            self.path,
            self.synchronous,
            loop,
            self._hub.answered,
            self._scanner.changed_elsewhere,
            self._scanner.lease_lost,
        )
        writer.start()
        self._hub.writer = writer
        trace.hub_opened(hub=self.url, schema_version=schema.SCHEMA_VERSION)

    def _open_reader(self) -> None:
        self._read_db = schema.open_database(self.path, synchronous=self.synchronous)
        try:
            schema.migrate(self._read_db, self.path)
            self._read_db.execute("pragma query_only=1")
        except BaseException:
            self._close_reader()
            raise

    async def stop(self) -> None:
        assert self._opening is not None
        async with self._opening:
            self._users -= 1
            if not self._users:
                await self._close()

    async def _close(self) -> None:
        hub, reader = self._hub, self._reader
        writer = hub.open_writer()
        assert reader is not None
        self._scanner.close()
        self._alarms.close()
        if hub.is_owner:
            try:
                await hub.do(ReleaseOp(hub.unkept_results(hub.owned.values()), None, hub.micros()))
            except ProviderError as error:
                trace.provider_failed(hub=self.url, operation="release", error=error)
        hub.writer = None
        writer.finish()
        await hub.loop.run_in_executor(reader, writer.join)
        await hub.loop.run_in_executor(reader, self._close_reader)
        reader.shutdown(wait=False)
        self._reader = None
        self._opening = None
        trace.hub_closed(hub=self.url)

    def _close_reader(self) -> None:
        if self._read_db is not None:
            self._read_db.close()
            self._read_db = None

    async def create_hub(self) -> None:
        """Creates the file and its tables, if they are not there."""
        await self.start()
        await self.stop()

    async def delete_hub(self) -> None:
        """Removes the file. Nothing may use it."""
        if self._users:
            raise ProviderError(
                f"{self.path} is in use by this program: leave its clients and workers before deleting the hub"
            )
        schema.delete(self.path)

    async def backup(self, target: str) -> None:
        """A consistent copy of the file while everything goes on. `target` must not exist."""
        await self._read(lambda db: schema.copy(db, target))

    async def _read(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._reader is None:
            raise _not_open(self.url)

        def run() -> _T:
            assert self._read_db is not None
            try:
                return work(self._read_db)
            except sqlite3.Error as error:
                raise schema.provider_error(self.path, "read", error) from error

        return await self._hub.loop.run_in_executor(self._reader, run)

    def _open_hub(self) -> Hub:
        if self._reader is None:
            raise _not_open(self.url)
        return self._hub

    # -- client
    async def create(
        self, start: StartExecution, reuse: frozenset[OrchestrationStatus], watch: bool = False
    ) -> Watch | None:
        hub = self._open_hub()
        if not hub.is_owner:
            await hub.ensure_owner()
        at = hub.micros()
        home = hub.home(start.name, start.version)
        ours = (
            home is not None
            and start.instance_id not in hub.by_id
            and len(home.ready) < _MOST_BACKLOG
            and (start.due is None or to_micros(start.due) <= at)
        )
        op = CreateOp(hub.key(), hub.key(), start, reuse, at, ours)
        op.answered = self._created
        watched = self._watch(start.instance_id) if watch else None
        created = hub.do(op)
        if ours:
            hub.adopt(op.n, op.x, start)
        await created
        return watched

    def _created(self, op: CreateOp) -> None:
        hub = self._hub
        if op.error is not None or op.result is not None:
            hub.forget(op.n)
        if op.error is None and op.result is not None:
            hub.forget(op.result)
            hub.cancel_instance(op.result)
            hub.scan()
        elif op.error is None and not op.ours:
            hub.due_at(op.at if op.start.due is None else to_micros(op.start.due))

    async def send(self, instance_id: str, message: Message) -> None:
        hub = self._open_hub()
        await hub.ensure_owner()
        op = SendOp(hub.key(), instance_id, message, hub.micros())
        op.answered = self._sent
        await hub.do(op)

    def _sent(self, op: SendOp) -> None:
        if op.error is not None:
            return
        hub = self._hub
        n, kept, outcome = op.result
        if outcome is not None:
            hub.forget(n)
            hub.watches.ended(op.instance_id, outcome)
            hub.scan()
        elif kept is not None:
            hub.arrived(n, op.message, kept)

    async def terminate(self, instance_id: str, reason: str, recursive: bool) -> None:
        hub = self._open_hub()
        await hub.ensure_owner()
        op = TerminateOp(instance_id, reason, recursive, hub.micros())
        op.answered = self._terminated
        await hub.do(op)

    def _terminated(self, op: TerminateOp) -> None:
        hub = self._hub
        for n, id_, outcome in op.result or ():
            trace.orchestration_terminated(instance_id=id_, execution_id="", name="", reason=op.reason)
            hub.forget(n)
            hub.cancel_instance(n)
            hub.watches.ended(id_, outcome)
        if op.result:
            hub.scan()

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
        hub = self._open_hub()
        await hub.ensure_owner()
        deleted = 0
        while True:
            result: PurgeResult = await hub.do(PurgeOp(which, recursive))
            deleted += result.deleted
            limited = isinstance(which, OrchestrationQuery) and which.limit is not None and deleted >= which.limit
            if result.is_complete or limited or not result.deleted:
                return PurgeResult(deleted=deleted, is_complete=result.is_complete)

    def watch(self, instance_id: str) -> Watched:
        self._open_hub()
        watched = self._watch(instance_id)
        self._scanner.check_watches()
        return watched

    def _watch(self, instance_id: str) -> Watched:
        hub = self._hub
        hub.start_watching()
        return hub.watches.add(instance_id, hub.loop)

    # -- orchestrations
    def lock_orchestrations(self, worker: WorkerProfile, most: int) -> Awaitable[list[OrchestrationWorkItem]]:
        queue = self._open_hub().workers.get(id(worker))
        if queue is None or not self._hub.is_owner:
            return self._lock_first(worker, most)
        return queue.wait_for_turns(most, self._hub.owned, self._hub.loop)

    async def _lock_first(self, worker: WorkerProfile, most: int) -> list[OrchestrationWorkItem]:
        await self._attach(worker)
        return await self._hub.workers[id(worker)].wait_for_turns(most, self._hub.owned, self._hub.loop)

    async def _attach(self, worker: WorkerProfile) -> None:
        hub = self._hub
        if id(worker) not in hub.workers:
            hub.attach(worker)
        await hub.ensure_owner()
        hub.start_watching()
        hub.scan()

    async def load(self, item: OrchestrationWorkItem) -> tuple[InstanceRecord, list[HistoryEvent]]:
        return await self._read(lambda db: reads.load(db, item.instance_id, item.execution_id, item.revision))

    def commit(self, item: OrchestrationWorkItem, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        owned: Owned = item.lease
        if not owned.busy or owned.revision != item.revision or owned.execution != item.execution_id:
            done(
                LockLostError(
                    f"the lock of instance {item.instance_id!r} ended with an earlier commit of the same item"
                )
            )
            return
        try:
            self._committer.submit(owned, commit, done)
        except ProviderError as error:
            done(error)

    async def abandon_orchestration(self, item: OrchestrationWorkItem, delay: float, *, counts: bool) -> None:
        hub = self._hub
        owned: Owned = item.lease
        if hub.owned.get(owned.n) is not owned or hub.writer is None:
            return
        results = [(task, execution, body) for task, _, execution, body in hub.unkept_results([owned])]
        hub.forget(owned.n, keep_results=True)
        until = to_micros(self._clock.now()) + int(delay * 1_000_000)
        trace.work_abandoned(instance_id=item.instance_id, reason="its turn failed", delay=delay)
        await hub.do(AbandonOp(owned.n, results, until, counts))
        hub.due_at(until)

    async def renew_orchestration(self, item: OrchestrationWorkItem) -> None:
        """The writer's thread renews the process's lease, also while a turn blocks the loop."""

    # -- activities
    def lock_activities(self, worker: WorkerProfile, most: int) -> Awaitable[list[ActivityWorkItem]]:
        hub = self._open_hub()
        queue = hub.workers.get(id(worker))
        if queue is None or not hub.is_owner:
            return self._lock_first_activities(worker, most)
        work = queue.wait_for_work(most, hub.loop)
        if hub.tasks or hub.passed:
            queue.serve_activities(hub.take_tasks(queue))
        if not work.done() and hub.tasks_elsewhere:
            self._scanner.scan()
        return work

    async def _lock_first_activities(self, worker: WorkerProfile, most: int) -> list[ActivityWorkItem]:
        await self._attach(worker)
        self._hub.tasks_elsewhere = True
        return await self.lock_activities(worker, most)

    async def complete_activity(self, item: ActivityWorkItem, result: ActivityResult) -> None:
        hub = self._hub
        key, n = item.lease
        hub.running.remove(n, item)
        owned = hub.owned.get(n)
        if owned is not None and owned.execution == item.execution_id and not item.cancelled:
            owned.inbox.append((result, 0, key))
            if not owned.busy and not owned.queued:
                hub.ready(owned)
            return
        body = None if item.cancelled else encode_message(result).decode()
        if await hub.do(FinishTaskOp(key, n, item.execution_id, body, hub.micros())) and body:
            hub.scan()

    async def abandon_activity(self, item: ActivityWorkItem, *, counts: bool) -> None:
        hub = self._hub
        key, n = item.lease
        hub.running.remove(n, item)
        await hub.do(ReturnTaskOp(key, counts))
        self._hub.tasks_elsewhere = True
        hub.scan()

    async def renew_activity(self, item: ActivityWorkItem, heartbeat: Raw | None = None) -> bool:
        if item.cancelled:
            return True
        details = None if heartbeat is None else str(memoryview(heartbeat), "utf-8")
        return bool(await self._hub.do(RenewTaskOp(item.lease[0], details))) or item.cancelled

    async def detach(self, worker: WorkerProfile) -> None:
        hub = self._hub
        queue = hub.detach(worker)
        if queue is None:
            return
        for owned in queue.ready:
            owned.queued = False
        for owned in list(hub.owned.values()):
            if hub.home(owned.name, owned.version) is None and not owned.busy:
                hub.release(owned)
            else:
                hub.ready(owned)
        for item in [
            item for item in (*hub.tasks, *hub.passed) if not hub.runs_activity(item.task.name, item.task.version)
        ]:
            (hub.tasks if item in hub.tasks else hub.passed).remove(item)
            await hub.do(ReturnTaskOp(item.lease[0], counts=False))


def _not_open(url: str) -> ProviderError:
    return ProviderError(f"the hub {url} is not open: enter a TaskHubClient or TaskHubWorker first (`async with`)")
