"""The pieces that the hub keeps in memory: owned instances, workers that wait, activities that run, watches."""

import asyncio
import weakref
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any

from dtf_runtime.model.commit import InstanceRecord
from dtf_runtime.model.messages import Message
from dtf_runtime.service import ActivityWorkItem, OrchestrationWorkItem, Outcome, WorkerProfile


class Owned:
    """An instance of this process. `inbox` has (message, its row or 0, the task that a result answers or 0)."""

    __slots__ = (
        "busy",
        "deliveries",
        "execution",
        "id",
        "inbox",
        "keys",
        "n",
        "name",
        "queued",
        "record",
        "revision",
        "taken",
        "version",
        "x",
    )

    def __init__(self, n: int, id_: str, x: int, execution: str, name: str, version: str, revision: int) -> None:
        self.n, self.id, self.x, self.execution = n, id_, x, execution
        self.name, self.version, self.revision = name, version, revision
        self.deliveries = 0
        self.record: InstanceRecord | None = None
        self.inbox: list[tuple[Message, int, int]] = []
        self.keys: set[int] = set()  # of message rows in memory, so that a scan does not add them again
        self.taken: list[tuple[Message, int, int]] = []  # of the turn under way
        self.busy = False
        self.queued = False


class WorkerQueue:
    """A worker of this process: what is ready for it, and whether it waits."""

    def __init__(self, profile: WorkerProfile) -> None:
        self.profile = profile
        self.ready: deque[Owned] = deque()
        self.activity_demand = 0
        self._turns: asyncio.Future[list[OrchestrationWorkItem]] | None = None
        self._most = 0
        self._work: asyncio.Future[list[ActivityWorkItem]] | None = None

    def wait_for_turns(
        self, most: int, held: Mapping[int, Owned], loop: asyncio.AbstractEventLoop
    ) -> "asyncio.Future[list[OrchestrationWorkItem]]":
        self._turns = loop.create_future()
        self._most = most
        self.serve_orchestrations(held)
        return self._turns

    def serve_orchestrations(self, held: Mapping[int, Owned]) -> None:
        turns = self._turns
        if turns is None or turns.done():
            return
        items: list[OrchestrationWorkItem] = []
        while self.ready and len(items) < self._most:
            owned = self.ready.popleft()
            owned.queued = False
            if held.get(owned.n) is owned and not owned.busy:
                items.append(work_item(owned, self.profile.max_delivery_count))
        if items:
            turns.set_result(items)

    def wait_for_work(self, most: int, loop: asyncio.AbstractEventLoop) -> "asyncio.Future[list[ActivityWorkItem]]":
        self.activity_demand = most
        self._work = loop.create_future()
        self._work.add_done_callback(self._no_more_demand)
        return self._work

    def _no_more_demand(self, work: Any) -> None:
        if work is self._work:
            self.activity_demand = 0

    def serve_activities(self, items: list[ActivityWorkItem]) -> None:
        """Only what was taken while `activity_demand` was above 0."""
        if items and self._work is not None:
            self.activity_demand = 0
            self._work.set_result(items)


def work_item(owned: Owned, max_delivery_count: int) -> OrchestrationWorkItem:
    owned.busy = True
    taken = owned.taken = owned.inbox
    owned.inbox = []
    return OrchestrationWorkItem(
        instance_id=owned.id,
        execution_id=owned.execution,
        revision=owned.revision,
        messages=[entry[0] for entry in taken],
        record=owned.record if owned.revision == 0 else None,
        deliveries=owned.deliveries,
        poisoned=owned.deliveries >= max_delivery_count,
        lease=owned,
    )


class Watched:
    """Knows when an instance has ended. The hub holds it weakly."""

    __slots__ = ("__weakref__", "future", "instance_id")

    def __init__(self, instance_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.instance_id = instance_id
        self.future: asyncio.Future[Outcome] = loop.create_future()

    async def outcome(self) -> Outcome:
        if self.future.done():
            return self.future.result()
        return await asyncio.shield(self.future)


class Watches:
    def __init__(self) -> None:
        self._by_id: dict[str, list[weakref.ref[Watched]]] = {}

    def add(self, instance_id: str, loop: asyncio.AbstractEventLoop) -> Watched:
        watch = Watched(instance_id, loop)
        self._by_id.setdefault(instance_id, []).append(weakref.ref(watch))
        return watch

    def ended(self, instance_id: str, outcome: Outcome) -> None:
        for ref in self._by_id.pop(instance_id, ()):
            watch = ref()
            if watch is not None and not watch.future.done():
                watch.future.set_result(outcome)

    def ids(self) -> list[str]:
        """Still watched."""
        for id_, refs in list(self._by_id.items()):
            if not any(ref() is not None for ref in refs):
                del self._by_id[id_]
        return list(self._by_id)

    def __bool__(self) -> bool:
        return bool(self._by_id)


class RunningTasks:
    """Activities handed out by this process, by the call they belong to."""

    def __init__(self) -> None:
        self._by_call: dict[tuple[int, int], ActivityWorkItem] = {}

    def add(self, n: int, item: ActivityWorkItem) -> None:
        self._by_call[n, item.task.number] = item

    def remove(self, n: int, item: ActivityWorkItem) -> None:
        if self._by_call.get((n, item.task.number)) is item:
            del self._by_call[n, item.task.number]

    def cancel(self, n: int, execution: str, numbers: Iterable[int]) -> None:
        for number in numbers:
            item = self._by_call.get((n, number))
            if item is not None and item.execution_id == execution:
                stop(item)

    def cancel_instance(self, n: int) -> None:
        for (known, _), item in list(self._by_call.items()):
            if known == n:
                stop(item)

    def cancel_all(self) -> None:
        for item in list(self._by_call.values()):
            stop(item)


def stop(item: ActivityWorkItem) -> None:
    item.cancelled = True
    if item.on_cancel is not None:
        item.on_cancel()
