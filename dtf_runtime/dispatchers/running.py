"""One activity that runs here: how it is told to stop, timed, and heard. No decision about its result is made here."""

import asyncio
import contextvars
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Raw, UnsetType

from dtf_runtime.dispatchers.activity_context import ActivityContext
from dtf_runtime.dispatchers.delays import call_after
from dtf_runtime.service import ActivityWorkItem
from dtf_runtime.tracing import events as trace

if TYPE_CHECKING:
    from dtf_runtime.dispatchers.activities import ActivityDispatcher

CANCELLED, HANDED_BACK = "cancelled", "handed back"
TIMEOUT, HEARTBEAT_TIMEOUT = "timeout", "heartbeat_timeout"


class Running:
    """`live` while code of the user runs; only then a cancel may reach the task. `told`: the result is not wanted any more, and why."""

    __slots__ = (
        "_alarms",
        "_answer",
        "_host",
        "beating",
        "context",
        "expired",
        "has_ended",
        "heartbeat",
        "in_thread",
        "is_over",
        "item",
        "last_beat",
        "live",
        "task",
        "told",
        "unsent",
    )

    def __init__(self, host: "ActivityDispatcher", item: ActivityWorkItem) -> None:
        self.item = item
        self.context = ActivityContext(item, self)
        self.task: asyncio.Task[None] | None = None
        self.live = False
        self.told = ""
        self.expired = ""
        self.in_thread = False
        self.is_over = False
        self.has_ended = False
        self.heartbeat: Raw | UnsetType = item.task.heartbeat
        self.unsent: Raw | None = None
        self.beating: asyncio.Task[None] | None = None
        self.last_beat = 0.0
        self._host = host
        self._answer: asyncio.Future[tuple[bool, Any]] | None = None
        self._alarms: list[Callable[[], object]] | None = None

    @property
    def connections(self) -> tuple[Any, ...]:
        return self._host.connections

    @property
    def identity(self) -> dict[str, Any]:
        """The fields of its trace events."""
        item = self.item
        return {
            "instance_id": item.instance_id,
            "execution_id": item.execution_id,
            "name": item.task.name,
            "task_id": item.task.number,
            "attempt": item.task.attempt,
        }

    # -- in a thread
    async def in_a_thread(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """Runs a plain function. What it raises is carried in a box: a StopIteration can't go through a future."""
        answer = self._answer = self._host.loop.create_future()
        self.in_thread = True
        context = contextvars.copy_context()
        self._host.threads.start(partial(context.run, self._work, fn, args, kwargs))
        returned, value = await answer
        if not returned:
            raise value
        return value

    def _work(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            box = (True, fn(*args, **kwargs))
        except BaseException as error:
            box = (False, error)
        with suppress(RuntimeError):  # the loop is closed: it was handed back long ago
            self._host.loop.call_soon_threadsafe(self._thread_ended, box)

    def _thread_ended(self, box: tuple[bool, Any]) -> None:
        self.in_thread = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(box)
        if self.has_ended:
            self._host.free(self.item)

    # -- stopping
    def cancel(self) -> None:
        """Nobody waits for its result any more, or the lock is lost. In the loop's thread."""
        if not self.told:
            self.told = CANCELLED
            self._stop(None)

    def hand_back(self) -> None:
        """The worker stops. A thread can't be stopped: what it gives is ignored. One whose code has ended is left to hand its result over."""
        if not self.is_over:
            self.told = self.told or HANDED_BACK
            self._stop(asyncio.CancelledError("the worker stops"))

    def _expire(self, kind: str, seconds: float) -> None:
        if self.live and not self.told and not self.expired:
            self.expired = kind
            trace.activity_timed_out(**self.identity, timeout=seconds, kind=kind)
            self._stop(self.timeout_error())

    def _stop(self, answer: BaseException | None) -> None:
        """`answer` ends a wait for a thread at once; None waits until the thread has ended."""
        self.context.tell()
        if not self.live or self.task is None:
            return
        if self._answer is None or self._answer.done():
            self.task.cancel()
        elif answer is not None:
            self._answer.set_result((False, answer))

    def timeout_error(self) -> TimeoutError:
        task = self.item.task
        what = f"activity {task.name!r} (task {task.number} of {self.item.instance_id!r}, attempt {task.attempt})"
        if self.expired == TIMEOUT:
            return TimeoutError(f"{what} did not end within its timeout of {task.timeout:g} s")
        return TimeoutError(f"{what} gave no heartbeat for {task.heartbeat_timeout:g} s, its heartbeat_timeout")

    # -- time limits
    def set_alarms(self) -> None:
        task, clock = self.item.task, self._host.clock
        self._alarms = []
        if task.timeout is not None:
            self._alarms.append(call_after(clock, task.timeout, partial(self._expire, TIMEOUT, task.timeout)))
        if task.heartbeat_timeout is not None:
            self.last_beat = clock.monotonic()
            self._alarms.append(call_after(clock, task.heartbeat_timeout, self._listen))

    def _listen(self) -> None:
        limit, clock = self.item.task.heartbeat_timeout, self._host.clock
        if limit is None or self._alarms is None:
            return
        left = self.last_beat + limit - clock.monotonic()
        if left <= 0:
            self._expire(HEARTBEAT_TIMEOUT, limit)
        else:
            self._alarms.append(call_after(clock, left, self._listen))
            del self._alarms[:-2]  # spent ones

    def end(self) -> None:
        """The user's code has ended."""
        self.live = False
        self.is_over = True
        if self._alarms is not None:
            for call_off in self._alarms:
                call_off()
            self._alarms = None

    # -- heartbeats
    def beat(self, details: Raw) -> None:
        """From any thread. One is on its way at a time; meanwhile the newest waits."""
        host = self._host
        self.last_beat = host.clock.monotonic()
        with host.beats:
            is_coming = self.unsent is not None
            self.unsent = self.heartbeat = details
        if is_coming:
            return
        if threading.get_ident() == host.thread:
            self._send()
        else:
            with suppress(RuntimeError):  # the loop is closed
                host.loop.call_soon_threadsafe(self._send)

    def _send(self) -> None:
        if self.told != CANCELLED and not self.has_ended:
            self._flush()

    def _flush(self) -> None:
        if self.beating is None and self.unsent is not None:
            self.beating = self._host.loop.create_task(self._send_all())

    async def _send_all(self) -> None:
        try:
            while self.unsent is not None and (self.told == HANDED_BACK or not (self.told or self.has_ended)):
                with self._host.beats:
                    details, self.unsent = self.unsent, None
                await self._host.renew(self, details)
        finally:
            self.beating = None

    async def heartbeats_sent(self) -> None:
        """For the worker that gets it next."""
        self._flush()
        if self.beating is not None:
            await asyncio.wait([self.beating])
