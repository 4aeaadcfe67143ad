"""Takes a live orchestration out of memory without running what it would do next (rule 21).

A coroutine that reaches the garbage collector is closed there, outside of everything that makes a call durable: `finally: await refund(order)` would
run the real refund. So each is closed here, while whatever durable thing its code asks for is refused.

Innermost first, by hand: `throw` closes what a coroutine awaits with `close()`, and one of those that awaits something in its `finally` would be left
behind, alive. Async generators are never run, but what they await is closed.
"""

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dtf_runtime.tracing import events as trace

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_MOST_AWAITS = 20  # of one that awaits again and again while it is closed
_unclosable: list[Any] = []  # kept, so that they never run


def close_all(execution: "Execution") -> None:
    """Newest task first. The caller has marked the execution as evicting."""
    loop = execution.loop
    asyncio._set_running_loop(loop)
    for call in execution.failed_calls:
        call._log_traceback = False
    _close_generators(execution)
    for task in reversed(loop.tasks.values()):
        setattr(task, "_log_destroy_pending", False)  # noqa: B010 (asyncio's own flag, unknown to type checkers)
        if not task.done():
            task.context.run(_close, execution, task.get_coro())
    _close_generators(execution)  # whose own end began only now
    loop.clear()
    loop.tasks.clear()


def _close_generators(execution: "Execution") -> None:
    for generator in reversed(execution.loop.generators):
        if asyncio.iscoroutine(generator.ag_await):
            execution.loop.context.run(_close, execution, generator.ag_await)


def _close(execution: "Execution", coroutine: Any) -> None:
    awaits = 0
    while awaits <= _MOST_AWAITS:
        awaiting = list(_chain(coroutine))
        if not awaiting:
            return
        try:
            waited_for = awaiting[-1].throw(GeneratorExit())
        except BaseException:
            if awaiting[-1].cr_frame is not None:
                break
            continue
        awaits += 1
        if waited_for is not None:
            waited_for._asyncio_future_blocking = False
    _unclosable.append(coroutine)
    trace.coroutine_would_not_close(
        instance_id=execution.instance_id, execution_id=execution.execution_id, coroutine=repr(coroutine)
    )


def _chain(coroutine: Any) -> Iterator[Any]:
    """What awaits what, as far as it is coroutines that have not ended."""
    found = coroutine
    while asyncio.iscoroutine(found) and getattr(found, "cr_frame", None) is not None:
        yield found
        found = getattr(found, "cr_await", None)
