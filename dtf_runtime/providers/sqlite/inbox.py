"""What this process holds in memory: the instances it owns, what has come in for them, who waits for work, who waits for an end.

Everything here also exists as a row, or is made and consumed in one transaction: losing it all to a kill loses nothing.
"""

import asyncio
import weakref
from collections import deque
from collections.abc import Iterable
from typing import Any

from dtf_runtime.model.commit import InstanceRecord
from dtf_runtime.model.messages import Message
from dtf_runtime.service import ActivityWorkItem, OrchestrationWorkItem, Outcome, WorkerProfile


class Owned:
    """An instance of this process. `inbox` has (message, message row or 0, task row or 0)."""

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
        "suspect",
        "taken",
        "version",
        "x",
    )

    def __init__(self, n: int, id_: str, x: int, execution: str, name: str, version: str, revision: int) -> None:
        self.n, self.id, self.x, self.execution = n, id_, x, execution
        self.name, self.version, self.revision = name, version, revision
        self.deliveries = 0
        self.suspect = False
        self.record: InstanceRecord | None = None
        self.inbox: list[tuple[Message, int, int]] = []
        self.keys: set[int] = set()  # of message rows in memory, so that a scan does not add them again
        self.taken: list[tuple[Message, int, int]] = []  # of the turn under way
        self.busy = False
        self.queued = False


class Watched:
    """Knows when an instance has ended. The service holds it weakly."""

    __slots__ = ("__weakref__", "future", "instance_id")

    def __init__(self, instance_id: str, loop: asyncio.AbstractEventLoop) -> None:
        self.instance_id = instance_id
        self.future: asyncio.Future[Outcome] = loop.create_future()

    async def outcome(self) -> Outcome:
        return await asyncio.shield(self.future)


class Watches:
    def __init__(self) -> None:
        self._by_id: dict[str, weakref.WeakSet[Watched]] = {}

    def add(self, instance_id: str, loop: asyncio.AbstractEventLoop) -> Watched:
        watch = Watched(instance_id, loop)
        self._by_id.setdefault(instance_id, weakref.WeakSet()).add(watch)
        return watch

    def ended(self, instance_id: str, outcome: Outcome) -> None:
        for watch in self._by_id.pop(instance_id, ()):
            if not watch.future.done():
                watch.future.set_result(outcome)

    def ids(self) -> list[str]:
        for id_ in [id_ for id_, watches in self._by_id.items() if not watches]:
            del self._by_id[id_]
        return list(self._by_id)

    def __bool__(self) -> bool:
        return bool(self._by_id)


class WorkerQueue:
    """A worker of this process: what is ready for it, and whether it waits."""

    def __init__(self, profile: WorkerProfile) -> None:
        self.profile = profile
        self.ready: deque[Owned] = deque()
        self.orchestrations: asyncio.Future[None] | None = None
        self.activities: asyncio.Future[None] | None = None
        self.activity_demand = 0

    def wake_orchestrations(self) -> None:
        if self.orchestrations is not None and not self.orchestrations.done():
            self.orchestrations.set_result(None)

    def wake_activities(self) -> None:
        if self.activities is not None and not self.activities.done():
            self.activities.set_result(None)

    def put(self, owned: Owned) -> None:
        owned.queued = True
        self.ready.append(owned)
        self.wake_orchestrations()

    def take(self, most: int) -> list[Owned]:
        found: list[Owned] = []
        while self.ready and len(found) < most:
            owned = self.ready.popleft()
            owned.queued = False
            found.append(owned)
        return found


def work_item(owned: Owned, *, poisoned: bool) -> OrchestrationWorkItem:
    owned.busy = True
    owned.taken, owned.inbox = owned.inbox, []
    return OrchestrationWorkItem(
        instance_id=owned.id,
        execution_id=owned.execution,
        revision=owned.revision,
        messages=[message for message, _, _ in owned.taken],
        record=owned.record if owned.revision == 0 else None,
        deliveries=owned.deliveries,
        poisoned=poisoned,
        lease=owned,
    )


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

    def items(self) -> list[Any]:
        return list(self._by_call.values())


def stop(item: ActivityWorkItem) -> None:
    item.cancelled = True
    if item.on_cancel is not None:
        item.on_cancel()
