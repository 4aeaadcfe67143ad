"""Compensation that a cancel can't cut short (rule 17).

Compensations run in a task of their own, awaited in a loop that holds every CancelledError back: on 3.13 a TaskGroup can cancel its parent a second
time, and a `finally` that simply awaits would lose the rest of them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, ParamSpec, Self, TypeVar

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.replay.futures import ContinueAsNew, ReplayExit

_P = ParamSpec("_P")
_T = TypeVar("_T")


class Saga:
    """`async with Saga() as saga`: on an error or a cancel in the block the compensations run, last in first out, each to its end even if another
    fails or a second cancel comes; then the error goes on, with what compensation failed with as notes. Not on success, not on continue_as_new,
    not when the instance is terminated or leaves this worker."""

    def __init__(self) -> None:
        self._undos: list[Callable[[], Awaitable[Any]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        undos, self._undos = self._undos, []
        if error is None or not undos or not _calls_for_compensation(error):
            return
        failures: list[tuple[str, BaseException]] = []
        await _to_its_end(asyncio.get_running_loop().create_task(_undo_all(undos, failures)))
        for name, failure in failures:
            error.add_note(f"compensation {name} failed: {type(failure).__name__}: {failure}")

    def compensate(self, undo: Callable[_P, Awaitable[Any]], /, *args: _P.args, **kwargs: _P.kwargs) -> None:
        """Registers `undo(*args, **kwargs)`."""
        if not callable(undo):
            raise InvalidArgumentError(
                f"Saga.compensate takes a function to call later, not {undo!r}; leave out the parentheses"
            )
        self._undos.append(partial(undo, *args, **kwargs))

    async def do(self, call: Awaitable[_T], undo: Callable[[_T], Awaitable[Any]]) -> _T:
        """Waits for the call to its end even when cancelled meanwhile, registers `undo(result)`, then lets the cancel go on: nothing that was
        begun is left behind unknown."""
        if not callable(undo):
            raise InvalidArgumentError(f"Saga.do takes a function of the result as `undo`, not {undo!r}")
        future = asyncio.ensure_future(call)
        cancel = await _to_its_end(future)
        if not future.cancelled() and future.exception() is None:
            self.compensate(undo, future.result())
        if cancel is not None:
            raise cancel
        return future.result()

    def forget(self) -> None:
        """Drops what was registered so far: the work is now permanent."""
        self._undos.clear()


async def _undo_all(undos: list[Callable[[], Awaitable[Any]]], failures: list[tuple[str, BaseException]]) -> None:
    for undo in reversed(undos):
        try:
            await undo()
        except (ReplayExit, GeneratorExit):
            raise
        except BaseException as failure:
            function: Any = getattr(undo, "func", undo)
            name = getattr(function, "__qualname__", None) or getattr(function, "name", None)
            failures.append((str(name or function), failure))


async def _to_its_end(future: "asyncio.Future[Any]") -> asyncio.CancelledError | None:
    """Answers with the last cancel that came meanwhile."""
    held = None
    while not future.done():
        try:
            await asyncio.wait([future])
        except asyncio.CancelledError as cancel:
            held = cancel
    return held


def _calls_for_compensation(error: BaseException) -> bool:
    if isinstance(error, (ReplayExit, GeneratorExit, ContinueAsNew)):
        return False
    if isinstance(error, BaseExceptionGroup):
        return error.split((ReplayExit, GeneratorExit, ContinueAsNew))[1] is not None
    return True
