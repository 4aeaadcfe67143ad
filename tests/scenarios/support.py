"""What the scenarios share: a hub with a client, waiting for states one can see, and counting what history holds.

Must never know which provider it talks to, and never sleep to let something happen: a scenario waits for a state.
"""

import asyncio
import inspect
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar, overload

from dtf_runtime import (
    ChildCall,
    HistoryEvent,
    InstanceState,
    OrchestrationContext,
    OrchestrationHandle,
    OrchestrationService,
    OrchestrationStatus,
    Registry,
    TaskHubClient,
    TaskHubWorker,
    WorkerOptions,
    activity,
    orchestration,
)

WAIT = 20.0  # seconds after which a scenario that should have gone on has failed

QUICK = WorkerOptions(shutdown_grace=0.5)  # a scenario that failed must not wait long for the activity it left behind

_R = TypeVar("_R")
_I = TypeVar("_I")


@dataclass(frozen=True)
class Sizes:
    """How much a provider is given: the full sizes, unless its entry says less."""

    fan_out: int = 10_000
    generations: int = 10_000
    kept_bytes_a_generation: int = 128  # of this process's memory
    timers: int = 500
    concurrent_starts: int = 50
    concurrent_events: int = 100
    payload_bytes: int = 10 * 1024 * 1024
    patience: float = 120.0  # seconds for the largest of them


bystanders = Registry()


@activity(registry=bystanders)
async def bystander_step() -> str:
    return "done"


@orchestration(registry=bystanders)
async def bystander(ctx: OrchestrationContext) -> str:
    return await bystander_step()


@dataclass(frozen=True)
class Hub:
    """One task hub, its open client, and as many workers as the scenario asks for."""

    service: OrchestrationService
    client: TaskHubClient

    def worker(self, registry: Registry, options: WorkerOptions = QUICK) -> TaskHubWorker:
        """A worker to enter. It knows the scenario's definitions and the bystander."""
        return TaskHubWorker(self.service, registry=registry.update(bystanders), options=options)

    @overload
    async def run(self, orchestration: Callable[[], ChildCall[_R]], /, *, within: float = WAIT) -> _R: ...
    @overload
    async def run(self, orchestration: Callable[[_I], ChildCall[_R]], input: _I, /, *, within: float = WAIT) -> _R: ...
    async def run(self, orchestration: Any, *input: Any, within: float = WAIT) -> Any:
        """Starts it, and gives its result or raises its error."""
        handle = await self.client.start(orchestration, *input)
        return await handle.result(within)

    async def finished(self, orchestration: Any, *input: Any, within: float = WAIT) -> InstanceState:
        """Starts it, waits for its end, whichever that is, and gives the state it ended in."""
        handle = await self.client.start(orchestration, *input)
        return await handle.wait(within)

    async def until_status(self, instance: str | OrchestrationHandle[Any], status: OrchestrationStatus) -> None:
        async def reached() -> bool:
            state = await self.client.get_state(_id(instance))
            return state is not None and state.status == status

        await eventually(reached, f"{_id(instance)!r} is {status}")

    async def until_custom_status(self, instance: str | OrchestrationHandle[Any], value: object) -> None:
        """Waits for the turn that set it to be stored: the orchestration then stands at its next await."""

        async def reached() -> bool:
            state = await self.client.get_state(_id(instance))
            return state is not None and state.custom_status == value

        await eventually(reached, f"{_id(instance)!r} has the custom status {value!r}")

    async def until_history_has(self, instance: str | OrchestrationHandle[Any], kind: str, times: int = 1) -> None:
        async def reached() -> bool:
            return (await self.counts(instance))[kind] >= times

        await eventually(reached, f"history of {_id(instance)!r} has {times} {kind}")

    async def state(self, instance: str | OrchestrationHandle[Any]) -> InstanceState:
        state = await self.client.get_state(_id(instance))
        assert state is not None, f"no instance {_id(instance)!r}"
        return state

    async def kinds(self, instance: str | OrchestrationHandle[Any], execution_id: str | None = None) -> list[str]:
        """The kinds of its events in order, less the marks that say which worker began a turn."""
        history = await self.client.get_history(_id(instance), execution_id)
        return [event.kind for event in history if event.kind != "OrchestratorStarted"]

    async def counts(self, instance: str | OrchestrationHandle[Any]) -> Counter[str]:
        return Counter(await self.kinds(instance))

    async def stored(self) -> int:
        """How many instances the hub holds."""
        return sum((await self.client.count()).values())

    async def bystander_runs(self) -> None:
        """Another instance goes from start to end: what was ready before it has had its turn."""
        assert await self.run(bystander) == "done"


def _id(instance: str | OrchestrationHandle[Any]) -> str:
    return instance if isinstance(instance, str) else instance.instance_id


def number_of(event: HistoryEvent) -> int:
    """The number that a decision and its answers carry."""
    number: int = getattr(event, "number")  # noqa: B009 - not on the base class
    return number


def utc_now() -> datetime:
    return datetime.now(UTC)


async def eventually(
    predicate: Callable[[], bool | Awaitable[bool]], what: str = "the expected state", timeout: float = WAIT
) -> None:
    """Waits for a state that must come. Never a proof that something does not come."""
    try:
        async with asyncio.timeout(timeout):
            while True:
                answer = predicate()
                if await answer if inspect.isawaitable(answer) else answer:
                    return
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"did not happen within {timeout} s: {what}") from None


@contextmanager
def listening(level: int = logging.DEBUG, name: str = "dtf_runtime") -> Iterator[list[str]]:
    """What is logged under `name` meanwhile, one formatted text a record, stack traces included."""
    heard: list[str] = []
    formatter = logging.Formatter("%(levelname)s %(name)s %(message)s")

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            fields = {key: value for key, value in vars(record).items() if key not in _PLAIN_RECORD}
            heard.append(f"{formatter.format(record)} {fields}")

    ear, logger = Ear(level), logging.getLogger(name)
    before = logger.level
    logger.addHandler(ear)
    logger.setLevel(level)
    try:
        yield heard
    finally:
        logger.setLevel(before)
        logger.removeHandler(ear)


_PLAIN_RECORD = frozenset(vars(logging.makeLogRecord({})))
