"""TestHub: a worker and a client on a hub in memory, whose clock jumps from one due time to the next.

The clock must never move while anything can still happen now: an activity that runs (its I/O is real), a callback that is ready, a hold. So a
test of thirty days takes no time, and no answer that was on its way is overtaken by a timeout.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, ClassVar, Self

from dtf_runtime.client import TaskHubClient
from dtf_runtime.clock import Clock, Duration, seconds, utc
from dtf_runtime.definitions import Registry, default_registry
from dtf_runtime.errors import InvalidStateError
from dtf_runtime.providers.memory import MemoryService
from dtf_runtime.providers.memory.watches import Bell
from dtf_runtime.testing.substitutes import Running, registry_of
from dtf_runtime.testing.virtual_clock import VirtualClock
from dtf_runtime.worker import TaskHubWorker, WorkerOptions

START = datetime(2030, 1, 1, tzinfo=UTC)  # fixed, so that a test sees the same days each time
# Locks in memory do not run out: without this, the clock would stop at each renewal.
_OPTIONS = WorkerOptions(lock_duration=timedelta(days=36_500), shutdown_grace=1.0)
_PASSES = 50  # of the loop, where it can't be asked whether something is ready


class TestHub:
    """Entered, it runs whatever its client starts. See `VirtualClock` for the time.

    `activities` replaces implementations: keys are activities or names, values plain functions that get the arguments as the original
    does. `start_time` is aware and defaults to a fixed day. With `auto_advance` the clock jumps to the next due time when nothing can
    run and someone waits for a result; without, only `advance` moves it. An activity that awaits `clock.sleep` does not count as running.
    Raises InvalidArgumentError.
    """

    __test__: ClassVar[bool] = False

    def __init__(
        self,
        *,
        activities: Mapping[Any, Callable[..., Any]] | None = None,
        registry: Registry = default_registry,
        start_time: datetime | None = None,
        auto_advance: bool = True,
    ) -> None:
        self._bell = Bell()
        self._stirs = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._virtual = VirtualClock(START if start_time is None else utc(start_time, "start_time"), self._stirred)
        self.clock: Clock = self._virtual
        self._service = MemoryService(self._virtual)
        self._service.stirred = self._stirred
        self.client = TaskHubClient(self._service)
        self._running = Running(self._stirred)
        self._substitutes = dict(activities or {})
        self._registry = registry
        registry_of(registry, self._substitutes, self._running)  # complains now
        self._auto_advance = auto_advance
        self._worker: TaskHubWorker | None = None
        self._mover: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if self._worker is not None:
            raise InvalidStateError("this TestHub is entered already; make one for each test")
        registry = registry_of(self._registry, self._substitutes, self._running)
        worker = TaskHubWorker(self._service, registry=registry, options=_OPTIONS, clock=self._virtual)
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._moving = asyncio.Lock()
        await worker.__aenter__()
        try:
            await self.client.__aenter__()
        except BaseException:
            await worker.__aexit__(None, None, None)
            raise
        self._worker = worker
        if self._auto_advance:
            self._mover = self._loop.create_task(self._move())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        worker, self._worker = self._worker, None
        if worker is None:
            return
        try:
            if self._mover is not None:
                self._mover.cancel()
                await asyncio.wait([self._mover])
        finally:
            await worker.__aexit__(kind, error, trace)
            await self.client.__aexit__(kind, error, trace)
            self._loop = None

    def now(self) -> datetime:
        """The virtual time, aware and in UTC."""
        return self._virtual.now()

    async def advance(self, by: Duration) -> None:
        """Moves the clock on, stopping wherever something is due; returns when all that is then due has run.

        Waits, as the clock itself does, for activities that run and holds that are taken.
        """
        span = timedelta(seconds=seconds(by, "the span to advance by"))
        if self._worker is None:
            raise InvalidStateError("this TestHub is not entered: write `async with TestHub() as hub`")
        async with self._moving:
            await self._until_quiet()
            target = self._virtual.now() + span
            while (due := self._virtual.next_due()) is not None and due <= target:
                self._virtual.move_to(due)
                await self._until_quiet()
            self._virtual.move_to(target)
            await self._until_quiet()

    # -- moving by itself
    async def _move(self) -> None:
        while True:
            seen = self._stirs
            async with self._moving:
                while self._service.waiting and await self._is_quiet() and self._service.waiting:
                    due = self._virtual.next_due()
                    if due is None:
                        break
                    self._virtual.move_to(due)
            await self._stirred_since(seen)

    def _stirred(self) -> None:
        """From any thread."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        if threading.get_ident() == self._thread:
            self._note()
        else:
            loop.call_soon_threadsafe(self._note)

    def _note(self) -> None:
        self._stirs += 1
        self._bell.ring()

    async def _stirred_since(self, seen: int) -> None:
        while self._stirs == seen:
            await self._bell.wait()

    async def _until_quiet(self) -> None:
        while True:
            seen = self._stirs
            if await self._is_quiet():
                return
            await self._stirred_since(seen)

    async def _is_quiet(self) -> bool:
        """After all that is ready has run."""
        await _settled()
        if self._virtual.is_held:
            return False
        handed_out = {
            (task.execution_id, task.task.number, task.task.attempt) for task in self._service.hub.running.values()
        }
        return (handed_out | self._running.keys()) <= self._virtual.asleep.keys()


async def _settled() -> None:
    """When a pass of the loop, with a look at its sockets, has found nothing but this task to run."""
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:
        for _ in range(_PASSES):
            await asyncio.sleep(0)
        return
    quiet = 0
    while quiet < 2:
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1
