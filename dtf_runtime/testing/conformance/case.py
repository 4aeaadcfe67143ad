"""What the checks share: a worker that can do anything or only some things, and turns made by hand. Uses the contract alone."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Collection
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from msgspec import Raw

from dtf_runtime.clock import REAL_CLOCK
from dtf_runtime.model import history as h
from dtf_runtime.model.commit import Commit
from dtf_runtime.model.messages import ActivityResult, ActivityTask, Control, ExternalEvent, Message, StartExecution
from dtf_runtime.model.state import InstanceState, OrchestrationStatus, ParentLink
from dtf_runtime.service import ActivityWorkItem, OrchestrationService, OrchestrationWorkItem, Watch

PATIENCE = 10.0  # seconds after which something that must come has not
QUIET = 0.15  # seconds in which something that must not come would have
SOON = timedelta(milliseconds=250)
NO_REUSE: frozenset[OrchestrationStatus] = frozenset()
_numbers = count(1)

Check = Callable[["Case"], Awaitable[None]]


class Worker:
    """A WorkerProfile. `knows` None: everything. `refuses`: activities whose own limit is reached."""

    lock_duration = 30.0
    max_delivery_count = 3

    def __init__(self, knows: Collection[str] | None = None) -> None:
        self.knows = knows
        self.refuses: set[str] = set()

    def runs_orchestration(self, name: str, version: str) -> bool:
        return self.knows is None or name in self.knows

    def runs_activity(self, name: str, version: str) -> bool:
        return self.knows is None or name in self.knows

    def take_activity(self, name: str, version: str) -> bool:
        return name not in self.refuses


class Case:
    """One hub under test."""

    def __init__(self, service: OrchestrationService) -> None:
        self.service = service
        self.worker = Worker()
        self._lengths: Counter[tuple[str, str]] = Counter()

    # -- starting and telling
    async def create(self, instance_id: str, **changes: Any) -> StartExecution:
        start = start_of(instance_id, **changes)
        await self.service.create(start, NO_REUSE)
        return start

    async def watched(self, instance_id: str) -> Watch:
        watch = await self.service.create(start_of(instance_id), NO_REUSE, True)
        assert watch is not None, "create(watch=True) gave no Watch"
        return watch

    async def send(self, instance_id: str, name: str, **changes: Any) -> None:
        await self.service.send(instance_id, event(name, **changes))

    async def state(self, instance_id: str) -> InstanceState:
        state = await self.service.get(instance_id)
        assert state is not None, f"there is no instance {instance_id!r}"
        return state

    async def status(self, instance_id: str) -> OrchestrationStatus:
        return (await self.state(instance_id)).status

    # -- orchestrations
    async def lock(self, instance_id: str, worker: Worker | None = None) -> OrchestrationWorkItem:
        """The one item that there is now, which must be of that instance."""
        items: list[OrchestrationWorkItem] = await within(
            self.service.lock_orchestrations(worker or self.worker, 10), f"a turn of {instance_id!r}"
        )
        found = [item.instance_id for item in items]
        assert found == [instance_id], f"a turn of {instance_id!r} was due and nothing else, but {found} came"
        return items[0]

    async def begun(self, instance_id: str, **changes: Any) -> StartExecution:
        """Created, and its first turn committed."""
        start = await self.create(instance_id)
        await self.commit(await self.lock(instance_id), **changes)
        return start

    async def no_turn(self, why: str, worker: Worker | None = None) -> None:
        items = await quiet(self.service.lock_orchestrations(worker or self.worker, 10))
        assert not items, f"{why}, but a turn of {items[0].instance_id!r} was handed out with {items[0].messages}"

    async def commit(
        self, item: OrchestrationWorkItem, status: OrchestrationStatus = OrchestrationStatus.RUNNING, **changes: Any
    ) -> None:
        """One turn with one event; raises what `done` is told."""
        self.commit_soon(answer := asyncio.get_running_loop().create_future(), item, status, **changes)
        error = await within(answer, f"the answer to a commit of {item.instance_id!r}")
        if error is not None:
            raise error

    def commit_soon(
        self, answer: "asyncio.Future[Any]", item: OrchestrationWorkItem, status: OrchestrationStatus, **changes: Any
    ) -> None:
        key = (item.instance_id, item.execution_id)
        length = 0 if changes.get("rewrite") else self._lengths[key]  # positions count from 0; a rewrite begins anew
        recorded: h.HistoryEvent = h.PatchRecorded(event_id=length, timestamp=now(), change_id=f"turn {item.revision}")
        if item.record is not None:
            recorded = h.ExecutionStarted(
                event_id=0, timestamp=now(), name=item.record.name, execution_id=item.execution_id
            )
        commit = Commit(
            at=now(), status=status, history=h.encode_events([recorded]), history_length=length + 1, **changes
        )

        def done(error: BaseException | None) -> None:
            if error is None:
                self._lengths[key] = length + 1
            answer.set_result(error)

        self.service.commit(item, commit, done)

    # -- activities
    async def take(self, name: str, worker: Worker | None = None) -> ActivityWorkItem:
        """The one activity that is due now, which must be called that."""
        items: list[ActivityWorkItem] = await within(
            self.service.lock_activities(worker or self.worker, 10), f"activity {name!r}"
        )
        found = [item.task.name for item in items]
        assert found == [name], f"activity {name!r} was due and nothing else, but {found} came"
        return items[0]

    async def no_activity(self, why: str, worker: Worker | None = None) -> None:
        items = await quiet(self.service.lock_activities(worker or self.worker, 10))
        assert not items, f"{why}, but activity {items[0].task.name!r} was handed out"

    async def answer(self, item: ActivityWorkItem, result: str = "done") -> None:
        await self.service.complete_activity(item, answer_of(item, result))


def now() -> datetime:
    return REAL_CLOCK.now()


def later() -> datetime:
    """A time that no check lives to see."""
    return datetime.now(UTC) + timedelta(days=1)


def start_of(instance_id: str, name: str = "work", **changes: Any) -> StartExecution:
    return StartExecution(instance_id=instance_id, execution_id=f"execution {next(_numbers)}", name=name, **changes)


def child_of(parent: StartExecution, instance_id: str, number: int = 1, **changes: Any) -> StartExecution:
    link = ParentLink(parent.instance_id, parent.execution_id, parent.name, parent.version, number)
    return start_of(instance_id, parent=link, **changes)


def event(name: str, **changes: Any) -> ExternalEvent:
    return ExternalEvent(id=f"event {next(_numbers)}", name=name, payload=Raw(b"null"), **changes)


def control(action: Any, **changes: Any) -> Control:
    return Control(id=f"control {next(_numbers)}", action=action, **changes)


def task(name: str, number: int = 1, **changes: Any) -> ActivityTask:
    return ActivityTask(number=number, name=name, input=Raw(b"[[],{}]"), **changes)


def answer_of(item: ActivityWorkItem, result: str) -> ActivityResult:
    data = Raw(b'"' + result.encode() + b'"')
    return ActivityResult(
        execution_id=item.execution_id, number=item.task.number, attempt=item.task.attempt, result=data
    )


def names(messages: Collection[Message]) -> list[str]:
    """Of the events among them, and the kinds of the others."""
    return [getattr(message, "name", type(message).__name__) for message in messages]


async def within(awaitable: Awaitable[Any], what: str) -> Any:
    try:
        async with asyncio.timeout(PATIENCE):
            return await awaitable
    except TimeoutError:
        raise AssertionError(f"{what} did not come within {PATIENCE:g} s") from None


async def quiet(awaitable: Awaitable[list[Any]]) -> list[Any]:
    """What it gives within a while in which it should give nothing."""
    try:
        async with asyncio.timeout(QUIET):
            return await awaitable
    except TimeoutError:
        return []


async def refused(awaitable: Awaitable[Any], kind: type[BaseException], why: str) -> None:
    """It must raise that."""
    try:
        await awaitable
    except kind:
        return
    raise AssertionError(f"{why}, but no {kind.__name__} was raised")
