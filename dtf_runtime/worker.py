"""TaskHubWorker: runs orchestrations and activities of a task hub until it is left.

It is never global, and does nothing before it is entered. It owns two dispatchers and a watchdog; the locks are the provider's.
"""

import asyncio
import itertools
import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any, Self

from dtf_runtime.checks import check_count, check_limit
from dtf_runtime.clock import REAL_CLOCK, Clock
from dtf_runtime.definitions import Registry, default_registry
from dtf_runtime.dispatchers.activities import ActivityDispatcher
from dtf_runtime.dispatchers.connecting import as_service
from dtf_runtime.dispatchers.orchestrations import OrchestrationDispatcher
from dtf_runtime.dispatchers.profiles import Profile
from dtf_runtime.dispatchers.profiles import VersionPolicy as VersionPolicy
from dtf_runtime.dispatchers.watchdog import Watchdog
from dtf_runtime.errors import Duration, InvalidArgumentError, InvalidStateError, seconds
from dtf_runtime.plugins import load_connector
from dtf_runtime.service import OrchestrationService
from dtf_runtime.tracing import events as trace

_numbers = itertools.count(1)
_RESTART = 1.0  # seconds after a dispatcher failed
_LAST_PASSES = 10  # of the loop, in which results that were just handed over get their turn


class NonDeterminismPolicy(StrEnum):
    """What becomes of an instance whose code no longer does what its history says."""

    BLOCK = "block"  # the turn fails, the instance stays RUNNING and is tried again with backoff, so that a fixed deployment goes on
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class WorkerOptions:
    """Durations are timedeltas or seconds. Raises InvalidArgumentError.

    `max_concurrent_activities` is also the size of the thread pool. `lock_duration`: leases of instances and activities, renewed while
    held. `shutdown_grace`: then running activities are told and handed back. `max_delivery_count`: then the instance fails with the
    reason; non-determinism under BLOCK does not count. `blocked_after`: a turn that holds the thread longer is reported with its
    stack. `max_steps_per_turn`: then the turn fails, so that a spinning orchestration does not take the worker with it.
    """

    max_concurrent_activities: int = 100
    max_cached_orchestrations: int = 10_000
    lock_duration: Duration = 30.0
    shutdown_grace: Duration = 10.0
    max_delivery_count: int = 10
    non_determinism: NonDeterminismPolicy = NonDeterminismPolicy.BLOCK
    versions: VersionPolicy = VersionPolicy.STRICT
    blocked_after: Duration = 2.0
    max_steps_per_turn: int = 1_000_000

    def __post_init__(self) -> None:
        for name in (
            "max_concurrent_activities",
            "max_cached_orchestrations",
            "max_delivery_count",
            "max_steps_per_turn",
        ):
            check_count(getattr(self, name), f"WorkerOptions.{name}")
        for name in ("lock_duration", "blocked_after"):
            if check_limit(getattr(self, name), f"WorkerOptions.{name}") is None:
                raise InvalidArgumentError(f"WorkerOptions.{name} must be a duration, not None")
        seconds(self.shutdown_grace, "WorkerOptions.shutdown_grace")
        for name, policy in (("non_determinism", NonDeterminismPolicy), ("versions", VersionPolicy)):
            value = getattr(self, name)
            if not isinstance(value, policy):
                known = ", ".join(f"{policy.__name__}.{member.name}" for member in policy)
                raise InvalidArgumentError(f"WorkerOptions.{name} must be one of {known}, not {value!r}")


DEFAULT_OPTIONS = WorkerOptions()


class TaskHubWorker:
    """Works while it is entered. `registry`: what it can run, as it is when the worker is entered. `connections`: for connectors."""

    def __init__(
        self,
        service: OrchestrationService | str,
        *,
        registry: Registry = default_registry,
        options: WorkerOptions = DEFAULT_OPTIONS,
        connections: Iterable[Any] = (),
        clock: Clock = REAL_CLOCK,
    ) -> None:
        if not isinstance(registry, Registry):
            raise InvalidArgumentError(f"registry must be a Registry, not {registry!r} ({type(registry).__name__})")
        if not isinstance(options, WorkerOptions):
            raise InvalidArgumentError(f"options must be WorkerOptions, not {options!r} ({type(options).__name__})")
        if isinstance(connections, (str, bytes)) or not isinstance(connections, Iterable):
            raise InvalidArgumentError(f"connections must be a list of connections, not {connections!r}")
        self._service = as_service(service)
        self._registry = registry
        self._connectors = Registry()
        self._options = options
        self._connections = tuple(connections)
        self._clock = clock
        self._name = f"{os.getpid()}.{next(_numbers)}"
        self._active: _Active | None = None
        self._is_entered = False

    def add_connector(self, *names: str) -> Self:
        """Adds the activities and orchestrations of installed connectors, for this worker alone. Before it is entered.

        Unknown: InvalidArgumentError. Entered: InvalidStateError. Broken: an error that names the connector.
        """
        if self._is_entered:
            raise InvalidStateError(
                "a connector is added before its worker is entered: it takes no new definitions afterwards"
            )
        for connector in [load_connector(name) for name in names]:
            self._connectors.add(*connector.activities, *connector.orchestrations)
        return self

    def knows(self, name: str, version: str) -> bool:
        """Whether it can run an orchestration of that name and version."""
        return self._profile().runs_orchestration(name, version)

    def _profile(self) -> Profile:
        return Profile(
            Registry().update(self._registry).update(self._connectors),
            self._options.versions,
            lock_duration=seconds(self._options.lock_duration, "lock_duration"),
            max_delivery_count=self._options.max_delivery_count,
        )

    async def __aenter__(self) -> Self:
        if self._is_entered:
            raise InvalidStateError("this TaskHubWorker is running already; leave it first, or make another one")
        profile = self._profile()
        self._is_entered = True
        try:
            await self._service.start()
        except BaseException:
            self._is_entered = False
            raise
        self._active = _Active(self._service, profile, self._options, self._clock, self._connections, self._name)
        registry = profile.registry
        trace.worker_started(
            worker=self._name,
            hub=type(self._service).__name__,
            orchestrations=len(registry.orchestrations()),
            activities=len(registry.activities()),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        active, self._active = self._active, None
        if active is None:
            return
        try:
            await active.stop()
        finally:
            self._is_entered = False
            await self._service.stop()

    async def run(self) -> None:
        """Enters by itself and works until SIGINT or SIGTERM, then stops gracefully. A second signal acts as if there were no worker."""
        stop = asyncio.Event()
        with _signals(stop):
            async with self:
                await stop.wait()


class _Active:
    """What an entered worker consists of."""

    def __init__(
        self,
        service: OrchestrationService,
        profile: Profile,
        options: WorkerOptions,
        clock: Clock,
        connections: tuple[Any, ...],
        name: str,
    ) -> None:
        self._service = service
        self._profile = profile
        self._name = name
        self._grace = seconds(options.shutdown_grace, "shutdown_grace")
        self._orchestrations = OrchestrationDispatcher(
            service,
            profile,
            profile.find_orchestration,
            clock,
            cache=options.max_cached_orchestrations,
            max_steps=options.max_steps_per_turn,
            fail_blocked=options.non_determinism is NonDeterminismPolicy.FAIL,
        )
        self._activities = ActivityDispatcher(
            service,
            profile,
            clock,
            slots=options.max_concurrent_activities,
            grace=self._grace,
            connections=connections,
        )
        self._watchdog = Watchdog(threading.get_ident(), seconds(options.blocked_after, "blocked_after"))
        self._watchdog.start()
        loop = asyncio.get_running_loop()
        self._turns = loop.create_task(self._supervised(self._orchestrations.run, "the orchestration dispatcher"))
        self._work = loop.create_task(self._supervised(self._activities.run, "the activity dispatcher"))

    async def _supervised(self, run: Callable[[], Any], where: str) -> None:
        """A dispatcher must not end because of an error: a worker that looks alive and does nothing is worse."""
        while True:
            try:
                await run()
            except Exception as error:
                trace.worker_error(worker=self._name, where=where, error=error)
                await asyncio.sleep(_RESTART)

    async def stop(self) -> None:
        """Activities first, while turns still run: a result counts only once the turn that takes it is stored."""
        trace.worker_stopping(worker=self._name, grace=self._grace)
        handed_back = 0
        try:
            await _cancelled(self._work)
            handed_back = await self._activities.close()
            for _ in range(_LAST_PASSES):
                await asyncio.sleep(0)
            await _cancelled(self._turns)
            await self._orchestrations.close()
            await self._service.detach(self._profile)
        finally:
            self._work.cancel()
            self._turns.cancel()
            self._watchdog.stop()
            trace.worker_stopped(worker=self._name, handed_back=handed_back)


async def _cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.wait([task])


@contextmanager
def _signals(stop: asyncio.Event) -> Iterator[None]:
    """The first SIGINT or SIGTERM sets `stop`. Where the loop can't (Windows), the interpreter's own handlers do; in another thread none can."""
    loop = asyncio.get_running_loop()
    undo: list[Callable[[], object]] = []

    def stopping() -> None:
        stop.set()
        while undo:
            undo.pop()()

    for number in (signal.SIGINT, signal.SIGTERM):
        try:
            loop.add_signal_handler(number, stopping)
            undo.append(lambda number=number: loop.remove_signal_handler(number))  # type: ignore[misc]
        except NotImplementedError:
            if threading.current_thread() is threading.main_thread():
                before = signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopping))
                undo.append(lambda number=number, before=before: signal.signal(number, before))  # type: ignore[misc]
        except (RuntimeError, ValueError):  # not the main thread
            continue
    try:
        yield
    finally:
        while undo:
            undo.pop()()
