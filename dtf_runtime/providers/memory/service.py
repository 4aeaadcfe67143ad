"""The provider contract over a hub in memory: who waits, who is woken, and the one timer. Never does I/O and starts no thread.

Everything happens on the loop that opened it. A commit is applied at once, inside the call.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from weakref import WeakSet

from msgspec import UNSET, Raw

from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.errors import InstanceNotFoundError, LockLostError, ProviderError
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.history import HistoryEvent, decode_rows
from dtf_runtime.model.messages import ActivityResult, Message, StartExecution
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus, PurgeResult
from dtf_runtime.providers.memory import queries, turns
from dtf_runtime.providers.memory.hub import Hub
from dtf_runtime.providers.memory.records import Task
from dtf_runtime.providers.memory.watches import Bell, MemoryWatch
from dtf_runtime.service import ActivityWorkItem, OrchestrationWorkItem, WorkerProfile
from dtf_runtime.tracing import events as trace


def _nothing() -> None:
    return


class MemoryService:
    """One task hub. It keeps its instances while this object lives, also when nobody has it open."""

    def __init__(self, clock: Clock = REAL_CLOCK) -> None:
        self._clock = clock
        self._users = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._bell = Bell()
        self._timer: asyncio.Task[None] | None = None
        self._armed: datetime | None = None
        self._planning = False
        self.waiting = 0  # how many wait for the end of an instance
        self.stirred: Callable[[], None] = _nothing  # called when something was done or is waited for (TestHub)
        self.hub = Hub(clock.now, self._bell.ring, self._plan)

    # -- life
    async def start(self) -> None:
        self._users += 1
        if self._users == 1:
            self._loop = asyncio.get_running_loop()
            self._planning = False  # what an earlier loop still had to do is gone with it
            self._plan()

    async def stop(self) -> None:
        self._users -= 1
        if self._users:
            return
        self._free_all()
        if self._timer is not None:
            self._timer.cancel()
            await asyncio.wait([self._timer])
        self._timer = self._armed = self._loop = None
        self._bell.ring()
        closed = ProviderError(
            "the hub in memory was closed while somebody waited for an instance; keep a worker or client open"
        )
        for watches in self.hub.watches.values():
            for watch in watches:
                watch.resolve(closed)
        self.hub.watches.clear()

    def _free_all(self) -> None:
        """Whoever still holds something is gone."""
        for instance in self.hub.instances.values():
            if instance.lease is not None:
                turns.unlock(self.hub, instance)
        for task in list(self.hub.running.values()):
            self._put_back(task)

    async def create_hub(self) -> None:
        """It is there already."""

    async def delete_hub(self) -> None:
        """Forgets everything in it."""
        gone = InstanceNotFoundError("the hub in memory was deleted, and the instance with it")
        for instance in self.hub.instances.values():
            instance.lease = None
            self.hub.cancel_all(instance)
        for watches in self.hub.watches.values():
            for watch in watches:
                watch.resolve(gone)
        self.hub = Hub(self._clock.now, self._bell.ring, self._plan)
        self._plan()

    def _check_open(self) -> None:
        if self._loop is None:
            raise ProviderError(
                "the hub in memory is closed: enter a TaskHubClient or TaskHubWorker of this service first"
            )

    # -- time
    def _plan(self) -> None:
        """Soon, once for all that changes now."""
        if self._loop is not None and not self._planning:
            self._planning = True
            self._loop.call_soon(self._arm)

    def _arm(self) -> None:
        self._planning = False
        if self._loop is None:
            return
        due = self.hub.schedule.next_due()
        if due == self._armed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed = due
        self._timer = None if due is None else self._loop.create_task(self._ring_at(due))

    async def _ring_at(self, due: datetime) -> None:
        while (left := (due - self._clock.now()).total_seconds()) > 0:
            await self._clock.sleep(left)
        self._armed = self._timer = None
        self.hub.schedule.ring(self._clock.now())
        self._plan()

    # -- client
    async def create(
        self, start: StartExecution, reuse: frozenset[OrchestrationStatus], watch: bool = False
    ) -> MemoryWatch | None:
        self._check_open()
        self.hub.create(start, reuse)
        return self.watch(start.instance_id) if watch else None

    async def send(self, instance_id: str, message: Message) -> None:
        self._check_open()
        self.hub.send(instance_id, message)

    async def terminate(self, instance_id: str, reason: str, recursive: bool) -> None:
        self._check_open()
        self.hub.terminate(instance_id, reason, recursive)

    async def get(self, instance_id: str, execution_id: str | None = None) -> InstanceState | None:
        self._check_open()
        instance = self.hub.instances.get(instance_id)
        execution = None if instance is None else instance.find(execution_id)
        return None if instance is None or execution is None else instance.state(execution)

    async def history(self, instance_id: str, execution_id: str | None = None) -> list[HistoryEvent]:
        self._check_open()
        execution = self.hub.found(instance_id).find(execution_id)
        if execution is None:
            raise InstanceNotFoundError(f"instance {instance_id!r} has no execution {execution_id!r} (any more)")
        return decode_rows(execution.rows)

    async def query(
        self, query: OrchestrationQuery, continuation: str | None
    ) -> tuple[list[InstanceState], str | None]:
        self._check_open()
        return queries.page(self.hub.instances.values(), query, continuation)

    async def count(self, query: OrchestrationQuery) -> dict[OrchestrationStatus, int]:
        self._check_open()
        return queries.counted(self.hub.instances.values(), query)

    async def purge(self, which: str | OrchestrationQuery, recursive: bool) -> PurgeResult:
        self._check_open()
        return self.hub.purge(which, recursive)

    def watch(self, instance_id: str) -> MemoryWatch:
        watch = MemoryWatch(self._count_waiting)
        instance = self.hub.instances.get(instance_id)
        if instance is None:
            watch.resolve(InstanceNotFoundError(f"there is no instance {instance_id!r} in this hub"))
        elif instance.status.is_final:
            watch.resolve(instance.execution.outcome())
        else:
            self.hub.watches.setdefault(instance_id, WeakSet()).add(watch)
        return watch

    def _count_waiting(self, change: int) -> None:
        self.waiting += change
        self.stirred()

    # -- orchestrations
    async def lock_orchestrations(self, worker: WorkerProfile, most: int) -> list[OrchestrationWorkItem]:
        while True:
            self._check_open()
            items: list[OrchestrationWorkItem] = []
            if most > 0:
                for instance in self.hub.ready.taking(worker.runs_orchestration):
                    items.append(turns.lock(self.hub, instance, worker, worker.max_delivery_count))
                    self.hub.refresh(instance)
                    if len(items) == most:
                        break
            if items:
                return items
            await self._bell.wait()

    async def load(self, item: OrchestrationWorkItem) -> tuple[InstanceRecord, list[HistoryEvent]]:
        instance = turns.held(item)
        return instance.record(), decode_rows(instance.execution.rows)

    def commit(self, item: OrchestrationWorkItem, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        try:
            turns.apply(self.hub, item, commit)
        except LockLostError as error:
            done(error)
            return
        done(None)
        self.stirred()

    async def abandon_orchestration(self, item: OrchestrationWorkItem, delay: float, *, counts: bool) -> None:
        try:
            instance = turns.held(item)
        except LockLostError:
            return
        instance.deliveries += counts
        instance.not_before = self._clock.now() + timedelta(seconds=delay) if delay > 0 else None
        turns.unlock(self.hub, instance)

    async def renew_orchestration(self, item: OrchestrationWorkItem) -> None:
        turns.held(item)  # locks do not run out here: who holds one lives in this process

    # -- activities
    async def lock_activities(self, worker: WorkerProfile, most: int) -> list[ActivityWorkItem]:
        while True:
            self._check_open()
            items: list[ActivityWorkItem] = []
            if most > 0:
                for task in self.hub.queued.taking(worker.runs_activity, worker.take_activity):
                    items.append(self._hand_out(task, worker))
                    if len(items) == most:
                        break
            if items:
                return items
            await self._bell.wait()

    def _hand_out(self, task: Task, worker: WorkerProfile) -> ActivityWorkItem:
        data = task.task
        task.worker = worker
        task.item = ActivityWorkItem(
            instance_id=task.instance.instance_id,
            execution_id=task.execution_id,
            task=data if task.heartbeat is UNSET else turns.with_heartbeat(data, task.heartbeat),
            deliveries=task.deliveries,
            poisoned=task.deliveries >= worker.max_delivery_count,
            lease=task,
        )
        self.hub.running[task.sequence] = task
        return task.item

    async def complete_activity(self, item: ActivityWorkItem, result: ActivityResult) -> None:
        task = item.lease
        if task.item is not item:
            self._dropped(item, "it was handed to another worker")
            return
        task.item = None
        self.hub.running.pop(task.sequence, None)
        instance = task.instance
        self._bell.ring()  # the worker has a slot again
        self.stirred()
        if instance.tasks.get(task.key) is task:
            del instance.tasks[task.key]
        if task.cancelled or instance.status.is_final or instance.execution.execution_id != task.execution_id:
            self._dropped(item, "nobody waits for it any more")
            return
        if result.failure is not None and result.heartbeat is UNSET and task.heartbeat is not UNSET:
            result = turns.with_heartbeat(result, task.heartbeat)
        self.hub.post(instance, result, self._clock.now())

    @staticmethod
    def _dropped(item: ActivityWorkItem, reason: str) -> None:
        trace.result_dropped(
            instance_id=item.instance_id,
            execution_id=item.execution_id,
            kind="ActivityResult",
            task_id=item.task.number,
            reason=reason,
        )

    async def abandon_activity(self, item: ActivityWorkItem, *, counts: bool) -> None:
        task = item.lease
        if task.item is item:
            task.deliveries += counts
            self._put_back(task)
            self._bell.ring()
            self.stirred()

    def _put_back(self, task: Task) -> None:
        if task.cancelled:
            task.item = None
            self.hub.running.pop(task.sequence, None)
        else:
            self.hub.offer(task)

    async def renew_activity(self, item: ActivityWorkItem, heartbeat: Raw | None = None) -> bool:
        task = item.lease
        if task.item is not item:
            return True
        if heartbeat is not None:
            task.heartbeat = Raw(bytes(heartbeat))
        return bool(item.cancelled)

    async def detach(self, worker: WorkerProfile) -> None:
        """Nothing is locked here before it is asked for, so there is nothing to give back."""
