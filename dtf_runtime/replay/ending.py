"""How an execution ends: by its code (rules 11 to 13), or stuck. Leaving memory is closing.py."""

import asyncio
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw

from dtf_runtime.errors import DurableTaskError, FailureDetails, OrchestrationCancelledError, SerializationError
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import NextExecution
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.replay.decisions import derived
from dtf_runtime.replay.futures import ActivityCall, ContinueAsNew, DurableChildCall, ReplayExit
from dtf_runtime.tracing import events as trace

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_RECENT = 100  # message ids that a new execution still recognises


class Outcome(msgspec.Struct):
    """What main came to. `next`: it continued as new."""

    status: OrchestrationStatus
    output: bytes | None = None
    failure: FailureDetails | None = None
    next: NextExecution | None = None


def stuck(execution: "Execution") -> Outcome:
    error = DurableTaskError(
        f"orchestration {execution.instance_id!r} waits at {_where(execution.main)} for something that nothing outstanding can bring: no "
        f"activity, timer, event or child is awaited. Await one, or check for a task or future that nobody completes."
    )
    return Outcome(OrchestrationStatus.FAILED, failure=FailureDetails.of(error))


def _where(task: Any) -> str:
    coroutine = task.get_coro()
    while asyncio.iscoroutine(getattr(coroutine, "cr_await", None)):
        inner = coroutine.cr_await
        if (inner.cr_code.co_filename or "").endswith(("asyncio/locks.py", "asyncio/queues.py", "asyncio/tasks.py")):
            break
        coroutine = inner
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return "an unknown line"
    return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"


def conclude(execution: "Execution") -> None:
    """Main has ended, or can't go on. Records the completion, then cancels what is still open and drains once."""
    open_calls = list(execution.open.values())
    outcome = execution.outcome or _of_main(execution)
    execution.outcome = outcome
    _record(execution, outcome)
    if outcome.status in (OrchestrationStatus.FAILED, OrchestrationStatus.CANCELLED):
        for call in open_calls:
            if isinstance(call, ActivityCall):
                if execution.turn.tasks.pop((call.number, call.attempt), None) is None:
                    execution.turn.cancelled_tasks.append(call.number)
            elif isinstance(call, DurableChildCall) and not call.cancel_requested:
                execution.cancel_child(call)
    execution.fatal = None
    execution.matcher.live()
    for task in list(execution.loop.tasks.values()):
        if not task.done():
            task.cancel()
    execution.loop.steps_left = 100_000
    execution.loop.drain()
    _trace_unseen(execution)
    execution.evict()


def _of_main(execution: "Execution") -> Outcome:
    error = execution.fatal
    if error is None:
        error = _error_of(execution.main)
    if execution.next_input is not None:
        error = _without_latch(error)
        if error is None:
            return Outcome(OrchestrationStatus.CONTINUED_AS_NEW, next=_next(execution))
    if error is None:
        try:
            what = f"the result of orchestration {execution.instance_id!r}"
            output = execution.definition.parameters.encode_result(execution.main.result(), what)
            return Outcome(OrchestrationStatus.COMPLETED, output=output)
        except SerializationError as unencodable:
            error = unencodable
    if isinstance(error, asyncio.CancelledError) and execution.cancel_requested is not None:
        reason = execution.cancel_requested.reason
        cancelled = OrchestrationCancelledError(reason or "it was cancelled")
        return Outcome(OrchestrationStatus.CANCELLED, failure=FailureDetails.of(cancelled))
    return Outcome(OrchestrationStatus.FAILED, failure=FailureDetails.of(error))


def _error_of(main: Any) -> BaseException | None:
    if main.cancelled():
        try:
            main.result()
        except asyncio.CancelledError as error:
            return error
    found: BaseException | None = main.exception()
    return found


def _without_latch(error: BaseException | None) -> BaseException | None:
    if isinstance(error, ContinueAsNew):
        return None
    if isinstance(error, BaseExceptionGroup):
        return error.split(ContinueAsNew)[1]
    return error


def _next(execution: "Execution") -> NextExecution:
    assert execution.next_input is not None
    data, version, carry = execution.next_input
    number = execution.number + 1
    carried: list[h.CarriedEvent] = []
    if carry:
        for waiting in execution.buffered.values():
            carried.extend(waiting)
        carried.extend(
            h.CarriedEvent(held.name, held.payload, held.message_id)
            for held in execution.held
            if isinstance(held, h.EventRaised)
        )
    for held in execution.held:
        if isinstance(held, h.CancelRequested):
            execution.deferred_cancel = held
    return NextExecution(
        execution_id=derived(execution.execution_id, number),
        version=execution.record.version if version is None else version,
        input=data,
        parent=execution.record.parent,
        tags=execution.record.tags,
        carried=tuple(carried),
        recent=tuple(execution.seen)[-_RECENT:],
    )


def _record(execution: "Execution", outcome: Outcome) -> None:
    number, at = execution.number + 1, execution.turn.at
    event: h.HistoryEvent
    if outcome.next is not None:
        data = UNSET if outcome.next.input is None else Raw(outcome.next.input)
        event = h.ContinuedAsNew(event_id=0, timestamp=at, number=number, version=outcome.next.version, input=data)
        label, payload = "", outcome.next.input or b""
    else:
        result = UNSET if outcome.output is None else Raw(outcome.output)
        event = h.ExecutionCompleted(
            event_id=0, timestamp=at, number=number, status=outcome.status, result=result, failure=outcome.failure
        )
        label, payload = str(outcome.status), outcome.output or b""
    execution.fatal = None
    if execution.replaying:
        execution.repeat(type(event), number, label, payload)
    else:
        execution.number = number
        execution.append(event)
    if execution.deferred_cancel is not None and outcome.next is not None:
        cancel = execution.deferred_cancel
        message = m.Control(id=cancel.message_id + ":next", action="cancel", reason=cancel.reason)
        execution.turn.reinject.append(message)


def _trace_unseen(execution: "Execution") -> None:
    """A failure that nobody awaited is reported once, here, never by asyncio when the future is collected (rule 15)."""
    for call in execution.failed_calls:
        if call._log_traceback:
            call._log_traceback = False
            error = call.exception()
            if not execution.replaying and not isinstance(error, ReplayExit):
                _trace(execution, getattr(call, "name", None) or call.get_name(), error)
    for error in execution.stray_failures:
        _trace(execution, "a callback", error)


def _trace(execution: "Execution", name: str, error: BaseException) -> None:
    trace.unawaited_failure(
        instance_id=execution.instance_id, execution_id=execution.execution_id, call=name, error=error
    )
