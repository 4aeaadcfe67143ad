"""What each input of a history does to a live execution: `feed` finds it by kind. Live and replayed inputs come here alike.

Nothing here records or sends: that an input is new is known to receiving.py only.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from msgspec import UNSET, Raw

from dtf_runtime.converter import decode
from dtf_runtime.errors import SerializationError, SubOrchestrationFailedError, TaskFailedError
from dtf_runtime.model import history as h
from dtf_runtime.replay.futures import DurableChildCall, EventCall

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution


def _started(execution: "Execution", event: h.ExecutionStarted) -> None:
    for carried in event.carried:
        execution.buffered.setdefault(carried.name, deque()).append(carried)
    execution.seen.update(dict.fromkeys(event.recent))
    data = b"" if event.input is UNSET else bytes(event.input)
    asyncio._set_running_loop(execution.loop)
    execution.main = execution.loop.context.run(_create_main, execution, data)


def _create_main(execution: "Execution", data: bytes) -> Any:
    return execution.loop.create_task(_main(execution, data), name="main")


async def _main(execution: "Execution", data: bytes) -> Any:
    definition = execution.definition
    arguments = definition.parameters.decode_input(data, f"the input of orchestration {execution.instance_id!r}")
    return await definition.fn(execution.context, *arguments)


def _completed(execution: "Execution", event: h.TaskCompleted | h.SubOrchestrationCompleted) -> None:
    call = execution.open.pop(event.number, None)
    if call is None or call.done():
        return
    try:
        value = call.decode(event.result, call.name)
    except SerializationError as error:
        call.fail(error)
        return
    call.set_result(value)
    if type(call) is DurableChildCall:
        call.pay_cancels()


def _task_failed(execution: "Execution", event: h.TaskFailed) -> None:
    if event.retry_at is not None:
        _next_attempt(execution, event)
        return
    call = execution.open.pop(event.number, None)
    if call is not None:
        call.fail(TaskFailedError(event.failure))


def _child_failed(execution: "Execution", event: h.SubOrchestrationFailed) -> None:
    if event.retry_at is not None:
        _next_attempt(execution, event)
        return
    call = execution.open.pop(event.number, None)
    if call is None:
        return
    if event.cancelled and isinstance(call, DurableChildCall) and call.cancel_requested:
        call.end_cancelled()
    else:
        call.fail(SubOrchestrationFailedError(event.failure))


def _next_attempt(execution: "Execution", event: h.TaskFailed | h.SubOrchestrationFailed) -> None:
    call = execution.open.get(event.number)
    if call is not None:
        call.attempt = event.attempt + 1


def _timer_fired(execution: "Execution", event: h.TimerFired) -> None:
    due = event.fire_at.timestamp()
    if due > execution.loop.now:
        execution.loop.now = due
    handle = execution.timers.pop(event.number, None)
    if handle is not None:
        execution.loop.make_ready(handle)


def _event_raised(execution: "Execution", event: h.EventRaised) -> None:
    _remember(execution, event)
    line = execution.lines.get(event.name)
    if line:
        give(execution, line.popleft(), event.payload)
    else:
        carried = h.CarriedEvent(event.name, event.payload, event.message_id)
        execution.buffered.setdefault(event.name, deque()).append(carried)


def give(execution: "Execution", call: EventCall, payload: Raw) -> None:
    """An external event to the waiter whose turn it is. One of another type is consumed all the same."""
    what = f"event {call.name!r} of {execution.instance_id!r}"
    try:
        call.set_result(decode(bytes(payload), call.result_type, what))
    except SerializationError as error:
        call.fail(error)


def _cancel(execution: "Execution", event: h.CancelRequested) -> None:
    _remember(execution, event)
    if execution.next_input is not None:
        execution.deferred_cancel = event  # the next execution's
        return
    execution.cancel_requested = event
    execution.main.cancel()


def _suspend(execution: "Execution", event: h.ExecutionSuspended) -> None:
    _remember(execution, event)
    execution.suspended = True


def _resume(execution: "Execution", event: h.ExecutionResumed) -> None:
    _remember(execution, event)
    execution.suspended = False
    execution.answered.clear()
    held = execution.held
    while held and execution.is_running:
        execution.feed(held.popleft())


def hold(execution: "Execution", event: h.HistoryEvent) -> None:
    """While suspended inputs wait for the resume. What decides whether a later message is a repeated one is noted at once."""
    _remember(execution, event)
    if isinstance(event, h.ExecutionSuspended):
        return
    if isinstance(event, (h.TaskFailed, h.SubOrchestrationFailed)) and event.retry_at is not None:
        _next_attempt(execution, event)
        return
    if isinstance(event, _ANSWERS):
        execution.answered.add(event.number)
    execution.held.append(event)


def _remember(execution: "Execution", event: Any) -> None:
    message_id = getattr(event, "message_id", "")
    if message_id:
        execution.seen[message_id] = None


_ANSWERS = (
    h.TaskCompleted,
    h.TaskFailed,
    h.SubOrchestrationCompleted,
    h.SubOrchestrationFailed,
    h.TimerFired,
)
FEEDERS: dict[type, Callable[["Execution", Any], None]] = {
    h.ExecutionStarted: _started,
    h.TaskCompleted: _completed,
    h.TaskFailed: _task_failed,
    h.SubOrchestrationCompleted: _completed,
    h.SubOrchestrationFailed: _child_failed,
    h.TimerFired: _timer_fired,
    h.EventRaised: _event_raised,
    h.CancelRequested: _cancel,
    h.ExecutionSuspended: _suspend,
    h.ExecutionResumed: _resume,
}
