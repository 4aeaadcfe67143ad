"""The event loop of one orchestration (rules 1 to 6): what asyncio needs, driven by history instead of a clock and a selector.

It runs inside the worker's own loop, in the worker's thread, one drain at a time: `drain` runs callbacks until none is ready. Nothing here may
look at the real time, and nothing may iterate in an order that another worker would not repeat.
"""

import asyncio
import contextvars
import math
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from dtf_runtime.errors import ForbiddenCallError
from dtf_runtime.replay import guard

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_T = TypeVar("_T")
_FUTURES_FROM = 1 << 23  # loop.create_future() counts apart: wait_for makes one more on 3.11 than on 3.12


class Handle:
    """A callback that is ready."""

    __slots__ = ("args", "callback", "context", "dropped")

    def __init__(self, callback: Callable[..., Any], args: tuple[Any, ...], context: contextvars.Context) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.dropped = False

    def cancel(self) -> None:
        self.dropped = True

    def cancelled(self) -> bool:
        return self.dropped

    def when(self) -> float:
        """A deadline that had passed already."""
        return 0.0


class TimerHandle(Handle):
    """A callback that a durable timer makes ready. `number` and `fire_at` are those of its decision."""

    __slots__ = ("fire_at", "loop", "number", "when_")

    def __init__(self, loop: "DurableLoop", when: float, *args: Any) -> None:
        super().__init__(*args)
        self.loop = loop
        self.when_ = when
        self.number = 0
        self.fire_at: datetime

    def cancel(self) -> None:
        if not self.dropped:
            self.dropped = True
            self.loop.scheduler.withdraw_timer(self.number)

    def when(self) -> float:
        return self.when_


class DurableFuture(asyncio.Future[Any]):
    """`loop.create_future()`, hashed by its number so that sets iterate alike everywhere (rule 5)."""

    def __init__(self, loop: "DurableLoop", hash_: int) -> None:
        self._hash = hash_
        super().__init__(loop=loop)

    def __hash__(self) -> int:
        return self._hash


class DurableTask(asyncio.Task[Any]):
    """A task that remembers which child's call it was cancelled in: that cancel comes again if the child ends with a result (rule 13)."""

    def __init__(self, coro: Any, *, loop: "DurableLoop", name: str, context: Any, hash_: int) -> None:
        self._hash = hash_  # before Task.__init__, which puts the task into a set
        self.context = context
        super().__init__(coro, loop=loop, name=name, context=context)

    def __hash__(self) -> int:
        return self._hash

    def cancel(self, msg: Any | None = None) -> bool:
        waiter = getattr(self, "_fut_waiter", None)
        done = super().cancel(msg)
        if done and waiter is not None and not waiter.done():
            owed = getattr(waiter, "owed_cancels", None)
            if owed is not None:
                owed.append((self, self.cancelling(), msg))
        return done


_Loop: Any = asyncio.AbstractEventLoop  # what is abstract in it is forbidden, below


class DurableLoop(_Loop):  # type: ignore[misc]
    """See the module. `scheduler` is the execution: decorated calls find it here."""

    def __init__(self, scheduler: "Execution", salt: int) -> None:
        self.scheduler = scheduler
        self.now = 0.0  # seconds since the epoch, from history
        self.context = contextvars.Context()
        self.tasks: dict[int, DurableTask] = {}  # strong and in order of creation
        self.generators: list[Any] = []
        self.steps_left = 0
        self._salt = salt << 24
        self._objects = 0
        self._futures = _FUTURES_FROM
        self._ready: deque[Handle] = deque()

    # -- what runs
    def call_soon(self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None) -> Any:
        handle = Handle(callback, args, context if context is not None else contextvars.copy_context())
        self._ready.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        return self.call_at(self.now + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> Any:
        if when != when:
            raise ValueError(f"a timer of orchestration {self.scheduler.instance_id!r} was given NaN as its time")
        if when <= self.now:
            return self.call_soon(callback, *args, context=context)
        handle = TimerHandle(self, when, callback, args, context if context is not None else contextvars.copy_context())
        self.scheduler.create_timer(handle, milliseconds_up(when))
        return handle

    def make_ready(self, handle: Handle) -> None:
        self._ready.append(handle)

    def time(self) -> float:
        return self.now

    def next_hash(self) -> int:
        """Of the next task or call: they share one counter."""
        self._objects += 1
        return self._salt + self._objects

    def create_future(self) -> "asyncio.Future[Any]":
        self._futures += 1
        return DurableFuture(self, self._salt + self._futures)

    def create_task(
        self,
        coro: Any,
        *,
        name: object = None,
        context: contextvars.Context | None = None,
        **_ignored: object,
    ) -> Any:
        if asyncio.isfuture(coro):
            coro = _wait_for_future(coro)
        elif not asyncio.iscoroutine(coro):
            raise TypeError(
                f"a coroutine or a call of an activity or orchestration is needed, got {type(coro).__name__}"
            )
        try:
            self.scheduler.check_open()
            _refuse_unordered(sys._getframe(1))
        except BaseException:
            coro.close()  # it has not begun
            raise
        hash_ = self.next_hash()
        task = DurableTask(
            coro,
            loop=self,
            name=f"task-{self._objects}" if name is None else str(name),
            context=context if context is not None else contextvars.copy_context(),
            hash_=hash_,
        )
        self.tasks[hash_] = task
        task.add_done_callback(self._forget)
        return task

    def _forget(self, task: Any) -> None:
        self.tasks.pop(hash(task), None)
        if not task.cancelled() and task._log_traceback:
            self.scheduler.failed_unseen(task)

    def drain(self) -> None:
        """Runs until nothing is ready, the main task has ended, or the turn has failed. The caller has made this the running loop."""
        self.context.run(self._drain)

    def _drain(self) -> None:
        ready = self._ready
        scheduler = self.scheduler
        ended = scheduler.main.done if scheduler.is_running else _never
        left = self.steps_left
        while ready and not ended() and scheduler.fatal is None:
            handle = ready.popleft()
            if handle.dropped:
                continue
            left -= 1
            if left < 0:
                scheduler.spinning()
                return
            try:
                handle.context.run(handle.callback, *handle.args)
            except KeyboardInterrupt:
                raise
            except SystemExit:
                continue  # the task holds it already
            except BaseException as error:
                scheduler.callback_failed(handle.callback, error)
        self.steps_left = left

    def clear(self) -> None:
        self._ready.clear()

    # -- what asyncio asks
    def get_debug(self) -> bool:
        return False

    def set_debug(self, enabled: bool) -> None:
        return

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def get_exception_handler(self) -> Any:
        return None

    def set_exception_handler(self, handler: Any) -> None:
        return

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.scheduler.exception_reported(context)

    def get_task_factory(self) -> Any:
        return None

    def set_task_factory(self, factory: Any) -> None:
        return

    def _timer_handle_cancelled(self, handle: Any) -> None:
        return


def _never() -> bool:
    return False


async def _wait_for_future(future: "asyncio.Future[_T]") -> _T:
    return await future


def _refuse_unordered(frame: FrameType | None) -> None:
    """asyncio.as_completed puts what it is given into a set first: coroutines would become tasks in another order on every worker (rule 5)."""
    if frame is None or frame.f_code.co_name not in ("ensure_future", "_ensure_future"):
        return
    for _ in range(4):
        frame = frame.f_back
        if frame is None:
            return
        if frame.f_code.co_name == "as_completed" or "_AsCompletedIterator" in frame.f_code.co_qualname:
            raise TypeError(
                "asyncio.as_completed was given coroutines: their order can't be replayed. Give it calls of activities or "
                "orchestrations, or tasks made with asyncio.create_task."
            )


def milliseconds_up(when: float) -> int:
    """Since the epoch. Rounded to a microsecond first: a float of this size carries some tenths of one."""
    return math.ceil(round(when * 1_000_000) / 1000)


def _forbid(name: str) -> Callable[..., NoReturn]:
    def refuse(self: DurableLoop, *args: object, **kwargs: object) -> NoReturn:
        raise self.scheduler.forbidden(
            ForbiddenCallError(
                f"loop.{name}() was called in orchestration {self.scheduler.instance_id!r}: sockets, threads, processes and signals can't be "
                f"replayed. Move it into an @activity and await that."
            )
        )

    return refuse


_ALLOWED = {name for name in vars(DurableLoop) if not name.startswith("__")}
for _name, _member in vars(asyncio.AbstractEventLoop).items():
    if callable(_member) and not _name.startswith("__") and _name not in _ALLOWED:
        setattr(DurableLoop, _name, _forbid(_name))


def _keep_generator(generator: Any) -> None:
    loop = events._get_running_loop()
    if isinstance(loop, DurableLoop):
        loop.generators.append(generator)


def _never_run(generator: Any) -> None:
    """One left open is dropped without running: its code must not run in the garbage collector (rule 6)."""


@contextmanager
def turns() -> Iterator[Callable[[DurableLoop], None]]:
    """Swaps the thread's running loop and generator hooks for a batch of drains (rule 2). Yields the way to make one loop the running one."""
    outer = events._get_running_loop()
    hooks = sys.get_asyncgen_hooks()
    sys.set_asyncgen_hooks(firstiter=_keep_generator, finalizer=_never_run)
    guard.enter()
    try:
        yield events._set_running_loop
    finally:
        guard.leave()
        events._set_running_loop(outer)
        sys.set_asyncgen_hooks(*hooks)
