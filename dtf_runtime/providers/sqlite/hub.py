"""What this process holds of the hub, in the loop's thread, and the plumbing to the writer.

Everything in memory here also exists as a row, or is made and consumed in one transaction: losing it all to a kill loses nothing.
"""

import asyncio
import itertools
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec

from dtf_runtime.clock import Clock
from dtf_runtime.errors import ProviderError
from dtf_runtime.model.commit import InstanceRecord
from dtf_runtime.model.messages import Message, StartExecution, encode_message
from dtf_runtime.providers.sqlite.inbox import Owned, RunningTasks, Watches, WorkerQueue
from dtf_runtime.providers.sqlite.instances import Op
from dtf_runtime.providers.sqlite.rows import to_micros
from dtf_runtime.providers.sqlite.turns import TurnOp
from dtf_runtime.providers.sqlite.work import FinishTaskOp, ReleaseOp
from dtf_runtime.providers.sqlite.writer import RegisterOp, Writer
from dtf_runtime.service import ActivityWorkItem, WorkerProfile
from dtf_runtime.tracing import events as trace

_KEYS = 1 << 40  # an owner makes fewer keys than that


class Hub:
    """`scan` is set by the scanner: it looks in the file for what is due."""

    def __init__(self, url: str, clock: Clock, lease: float | None) -> None:
        self.url = url
        self.clock = clock
        self.loop = asyncio.get_running_loop()
        self.writer: Writer | None = None
        self.workers: dict[int, WorkerQueue] = {}
        self.owned: dict[int, Owned] = {}
        self.by_id: dict[str, Owned] = {}
        self.tasks: deque[ActivityWorkItem] = deque()  # ours, to be handed out
        self.passed: list[ActivityWorkItem] = []  # ours too, but their activity is at its own limit just now
        self.tasks_elsewhere = False  # unowned activities may be in the file
        self.running = RunningTasks()
        self.watches = Watches()
        self.suspect: Owned | None = None  # the one instance that runs alone
        self.reserved = 0  # activity slots promised to turns under way
        self.scan: Any = None
        self.due_at: Any = None
        self._lease = lease
        self._homes: dict[tuple[str, str], WorkerQueue | None] = {}
        self._owner: asyncio.Future[int] | None = None
        self._first_key = 0
        self._keys = itertools.count(1)
        self._last_micros = 0
        self._flushing = False

    # -- time, keys, operations
    def micros(self) -> int:
        """Now; never the same twice, so that what one process sends keeps its order."""
        self._last_micros = max(to_micros(self.clock.now()), self._last_micros + 1)
        return self._last_micros

    def key(self) -> int:
        return self._first_key + next(self._keys)

    @property
    def is_owner(self) -> bool:
        return self._first_key > 0

    async def ensure_owner(self) -> None:
        writer = self.open_writer()
        if self._owner is None:
            self._owner = self.loop.create_future()
            lease = self._lease
            if lease is None:
                lease = min((queue.profile.lock_duration for queue in self.workers.values()), default=30.0)
            try:
                owner = await self.do(RegisterOp(writer, lease))
            except BaseException as error:
                waiting, self._owner = self._owner, None
                waiting.set_exception(error)
                waiting.exception()
                raise
            self.became(owner)
            self._owner.set_result(owner)
        elif not self._owner.done():
            await asyncio.shield(self._owner)

    def became(self, owner: int) -> None:
        self._first_key = owner * _KEYS

    def open_writer(self) -> Writer:
        if self.writer is None:
            raise ProviderError(
                f"the hub {self.url} is not open: enter a TaskHubClient or TaskHubWorker first (`async with`)"
            )
        return self.writer

    def do(self, op: Op) -> "asyncio.Future[Any]":
        future: asyncio.Future[Any] = self.loop.create_future()
        op.future = future
        self.open_writer().submit(op)
        return future

    def do_aside(self, op: Op) -> None:
        """Nobody waits for it."""
        if self.writer is not None:
            self.do(op).add_done_callback(report)

    def start_watching(self) -> None:
        """From now on somebody wants to know what other processes write."""
        if self.writer is not None and not self.writer.watching:
            self.writer.watching = True
            self.writer.wake()

    # -- workers
    def attach(self, worker: WorkerProfile) -> WorkerQueue:
        queue = self.workers[id(worker)] = WorkerQueue(worker)
        self._homes.clear()
        return queue

    def detach(self, worker: WorkerProfile) -> WorkerQueue | None:
        self._homes.clear()
        return self.workers.pop(id(worker), None)

    def home(self, name: str, version: str) -> WorkerQueue | None:
        """The worker here that runs it."""
        key = (name, version)
        if key not in self._homes:
            known = (queue for queue in self.workers.values() if queue.profile.runs_orchestration(name, version))
            self._homes[key] = next(known, None)
        return self._homes[key]

    def runs_activity(self, name: str, version: str) -> bool:
        return any(queue.profile.runs_activity(name, version) for queue in self.workers.values())

    def may_take(self, name: str, version: str) -> bool:
        """An activity at its own limit is not hoarded: it would keep the slots from the others."""
        return self.runs_activity(name, version) and all(
            item.task.name != name or item.task.version != version for item in self.passed
        )

    # -- instances
    def adopt(self, n: int, x: int, start: StartExecution) -> Owned:
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
        self.owned[n] = owned
        self.by_id[owned.id] = owned
        self.ready(owned)
        return owned

    def ready(self, owned: Owned) -> None:
        """Has it something to do? Then its worker gets it; without a worker here it is given back."""
        if owned.busy or owned.queued or not (owned.inbox or owned.record is not None):
            return
        home = self.home(owned.name, owned.version)
        if home is None:
            self.release(owned)
        else:
            owned.queued = True
            home.ready.append(owned)
            self.flush_soon()

    def release(self, owned: Owned) -> None:
        results = self.unkept_results([owned])
        self.forget(owned.n, keep_results=True)
        self.do_aside(ReleaseOp(results, [owned.n], self.micros()))

    def forget(self, n: int, *, keep_results: bool = False) -> None:
        owned = self.owned.pop(n, None)
        if owned is None:
            return
        if self.by_id.get(owned.id) is owned:
            del self.by_id[owned.id]
        if not keep_results:
            self.drop_results(owned, owned.inbox)
        owned.record = None
        owned.inbox = []
        if self.suspect is owned:
            self.suspect = None

    def drop_results(self, owned: Owned, entries: Iterable[tuple[Message, int, int]]) -> None:
        """Nobody will ever consume these: their tasks are done all the same."""
        for message, _, task in entries:
            if task:
                self.do_aside(FinishTaskOp(task, owned.n, message.execution_id, None, 0))

    def unkept_results(self, owned: Iterable[Owned]) -> list[tuple[int, int, str, str]]:
        """Results that exist in memory alone: (task, n, execution, body)."""
        found = []
        for one in list(owned):
            for message, _, task in (*one.taken, *one.inbox):
                if task:
                    found.append((task, one.n, message.execution_id, encode_message(message).decode()))
        return found

    def arrived(self, n: int, message: Message, key: int) -> None:
        """A message row that is on disk now."""
        owned = self.owned.get(n)
        if owned is None:
            self.scan()
        elif key not in owned.keys:
            owned.keys.add(key)
            owned.inbox.append((message, key, 0))
            self.ready(owned)

    # -- activities
    def room(self) -> int:
        """Slots that wait for an activity and are promised to none."""
        demand = 0
        for queue in self.workers.values():
            demand += queue.activity_demand
        return demand - self.reserved - len(self.tasks)

    def take_tasks(self, queue: WorkerQueue) -> list[ActivityWorkItem]:
        found: list[ActivityWorkItem] = []
        limited: list[ActivityWorkItem] = []
        others: list[ActivityWorkItem] = []  # for another worker of this process
        profile = queue.profile
        if self.passed:
            self.tasks.extendleft(reversed(self.passed))
            self.passed = []
        while self.tasks and len(found) < queue.activity_demand:
            item = self.tasks.popleft()
            task = item.task
            if item.cancelled:
                key, n = item.lease
                self.do_aside(FinishTaskOp(key, n, item.execution_id, None, 0))
            elif not profile.runs_activity(task.name, task.version):
                others.append(item)
            elif profile.take_activity(task.name, task.version):
                item.poisoned = item.deliveries >= profile.max_delivery_count
                self.running.add(item.lease[1], item)
                found.append(item)
            else:
                limited.append(item)
        self.passed = limited
        if others:
            self.tasks.extendleft(reversed(others))
        return found

    def cancel_instance(self, n: int) -> None:
        """Nobody waits for its activities any more: running ones are told, the others never handed out."""
        self.running.cancel_instance(n)
        for item in (*self.tasks, *self.passed):
            if item.lease[1] == n:
                item.cancelled = True

    # -- handing out
    def flush_soon(self) -> None:
        if not self._flushing:
            self._flushing = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Everybody who waits gets what there is."""
        self._flushing = False
        for queue in self.workers.values():
            if queue.ready:
                queue.serve_orchestrations(self.owned)
            if self.tasks and queue.activity_demand:
                queue.serve_activities(self.take_tasks(queue))

    def answered(self, batch: list[Any]) -> None:
        """A group is on disk, or failed: everybody is told, then what it made is handed over."""
        for op in batch:
            if isinstance(op, TurnOp):
                op.answered(op)
                continue
            if op.answered is not None:
                op.answered(op)
            if op.future is not None and not op.future.done():
                if op.error is None:
                    op.future.set_result(op.result)
                else:
                    op.future.set_exception(op.error)
        self.flush()


def report(future: Any) -> None:
    if not future.cancelled() and (error := future.exception()) is not None and not isinstance(error, ProviderError):
        trace.worker_error(worker="", where="sqlite provider", error=error)
