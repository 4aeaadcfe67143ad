"""New messages, judged against what is open (rule 9): each is recorded and fed, or dropped with a trace event that says why.

The verdict on a failed attempt (rule 16) is made here too, since only a message that is new may ask the policy.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw

from dtf_runtime.errors import FailureDetails, OrchestrationCancelledError, OrchestrationTerminatedError
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.replay import retries
from dtf_runtime.replay.futures import ActivityCall, DurableChildCall, NumberedCall
from dtf_runtime.tracing import events as trace

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_NULL = Raw(b"null")


def _drop(execution: "Execution", message: m.Message, why: str) -> None:
    trace.result_dropped(
        instance_id=execution.instance_id,
        execution_id=execution.execution_id,
        kind=type(message).__name__,
        task_id=getattr(message, "number", 0),
        reason=why,
    )


def _open_call(execution: "Execution", message: m.ActivityResult | m.ChildResult) -> NumberedCall | None:
    number = message.number
    call = execution.open.get(number)
    if message.execution_id != execution.execution_id:
        _drop(execution, message, "it is for another execution")
    elif call is None or call.attempt != message.attempt or number in execution.answered:
        _drop(execution, message, "nobody waits for it (any more)")
    else:
        return call
    return None


def _activity_result(execution: "Execution", message: m.ActivityResult) -> None:
    call = _open_call(execution, message)
    if not isinstance(call, ActivityCall):
        return
    at = execution.turn.at
    number = message.number
    if message.failure is None:
        result = _NULL if message.result is UNSET else message.result
        execution.accept(h.TaskCompleted(event_id=0, timestamp=at, number=number, result=result))
        return
    failure = msgspec.structs.replace(message.failure, number=number)
    retry_at = retries.verdict(call, failure, at, execution.instance_id)
    attempt = message.attempt
    if retry_at is not None:
        again = call.attempted(attempt + 1, due=retry_at, heartbeat=message.heartbeat)
        execution.turn.tasks[(number, attempt + 1)] = again
    execution.accept(
        h.TaskFailed(event_id=0, timestamp=at, number=number, attempt=attempt, failure=failure, retry_at=retry_at)
    )


def _child_result(execution: "Execution", message: m.ChildResult) -> None:
    call = _open_call(execution, message)
    if not isinstance(call, DurableChildCall):
        return
    at = execution.turn.at
    number = message.number
    if message.status == OrchestrationStatus.COMPLETED:
        result = _NULL if message.result is UNSET else message.result
        execution.accept(h.SubOrchestrationCompleted(event_id=0, timestamp=at, number=number, result=result))
        return
    failure = msgspec.structs.replace(message.failure or _no_details(message.status), number=number)
    retry_at = None
    if message.status == OrchestrationStatus.FAILED and not call.cancel_requested:
        retry_at = retries.verdict(call, failure, at, execution.instance_id)
    if retry_at is not None:
        execution.turn.starts.append(execution.child_start(call, message.attempt + 1, retry_at))
    execution.accept(
        h.SubOrchestrationFailed(
            event_id=0,
            timestamp=at,
            number=number,
            attempt=message.attempt,
            failure=failure,
            cancelled=message.status == OrchestrationStatus.CANCELLED,
            retry_at=retry_at,
        )
    )


def _no_details(status: OrchestrationStatus) -> FailureDetails:
    ended = OrchestrationCancelledError if status == OrchestrationStatus.CANCELLED else OrchestrationTerminatedError
    return FailureDetails.of(ended(f"the child ended {status}"))


def _timer_due(execution: "Execution", message: m.TimerDue) -> None:
    number = message.number
    if message.execution_id != execution.execution_id:
        _drop(execution, message, "it is for another execution")
    elif number not in execution.timers or number in execution.answered:
        _drop(execution, message, "it was cancelled or has fired")
    else:
        at = execution.turn.at
        execution.accept(h.TimerFired(event_id=0, timestamp=at, number=number, fire_at=message.fire_at))


def _is_repeated(execution: "Execution", message: m.ExternalEvent | m.Control) -> bool:
    """Feeding notes the id. One that changed nothing is not in history, so memory must not know it either."""
    if message.id in execution.seen:
        _drop(execution, message, "it was delivered before")
        return True
    if message.execution_id and message.execution_id != execution.execution_id:
        _drop(execution, message, "it is for another execution")
        return True
    return False


def _external_event(execution: "Execution", message: m.ExternalEvent) -> None:
    if _is_repeated(execution, message):
        return
    name = message.name
    trace.event_raised(instance_id=execution.instance_id, execution_id=execution.execution_id, event_name=name)
    at = execution.turn.at
    execution.accept(h.EventRaised(event_id=0, timestamp=at, name=name, payload=message.payload, message_id=message.id))


def _control(execution: "Execution", message: m.Control) -> None:
    if message.action == "rewind" or _is_repeated(execution, message):
        return
    if message.action == "cancel" and execution.next_input is None and _has_cancel(execution):
        trace.cancel_dropped(
            instance_id=execution.instance_id, execution_id=execution.execution_id, reason=message.reason
        )
        return
    kind = _CONTROLS[message.action]
    if (kind is h.ExecutionSuspended) == execution.suspended and kind is not h.CancelRequested:
        return
    execution.accept(kind(event_id=0, timestamp=execution.turn.at, reason=message.reason, message_id=message.id))


def _has_cancel(execution: "Execution") -> bool:
    return execution.cancel_requested is not None or any(isinstance(e, h.CancelRequested) for e in execution.held)


_CONTROLS: dict[str, type[h.CancelRequested] | type[h.ExecutionSuspended] | type[h.ExecutionResumed]] = {
    "cancel": h.CancelRequested,
    "suspend": h.ExecutionSuspended,
    "resume": h.ExecutionResumed,
}
RECEIVERS: dict[type, Callable[["Execution", Any], None]] = {
    m.ActivityResult: _activity_result,
    m.ChildResult: _child_result,
    m.TimerDue: _timer_due,
    m.ExternalEvent: _external_event,
    m.Control: _control,
}
