"""From a live orchestration to the Commit of its turn. Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from msgspec import UNSET, Raw

from dtf_runtime.errors import FailureDetails
from dtf_runtime.model import history as h
from dtf_runtime.model.commit import Commit, InstanceRecord, Send
from dtf_runtime.model.messages import ChildResult, Control, ExternalEvent, Message
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.replay import rewinding
from dtf_runtime.replay.execution import Execution
from dtf_runtime.tracing import events as trace


def turn(execution: Execution, history: Sequence[h.HistoryEvent], messages: Sequence[Message], at: datetime) -> Commit:
    """Replays `history` if there is any, then feeds what is new."""
    if history:
        execution.replay(history)
    first = not history and execution.revision == 0
    execution.begin(at)
    if first:
        messages = _suspend_first(execution, messages)
        execution.start()
    _feed(execution, messages)
    return _commit(execution)


def _suspend_first(execution: Execution, messages: Sequence[Message]) -> Sequence[Message]:
    """Suspended before it began: nothing of it runs until the resume."""
    for message in messages:
        if isinstance(message, Control) and message.action == "suspend":
            execution.receive(message)
            return [other for other in messages if other is not message]
    return messages


def _feed(execution: Execution, messages: Sequence[Message]) -> None:
    for position, message in enumerate(messages):
        if not execution.is_running:
            outcome = execution.outcome
            if outcome is not None and outcome.next is not None:
                late = [
                    m for m in messages[position:] if isinstance(m, (ExternalEvent, Control)) and not m.execution_id
                ]
                execution.turn.reinject.extend(late)
            return
        execution.receive(message)


def rewind(execution: Execution, history: list[h.HistoryEvent], messages: Sequence[Message], at: datetime) -> Commit:
    """See replay/rewinding.py. The history is written anew."""
    control = next(m for m in messages if isinstance(m, Control) and m.action == "rewind")
    ended = next((e for e in reversed(history) if isinstance(e, h.ExecutionCompleted)), None)
    failure = ended.failure if ended is not None else None
    cut = rewinding.cut(history, failure.call_number if failure is not None else None)
    kept = [_renumbered(event, position) for position, event in enumerate(cut.kept)]
    answered = {getattr(event, "number", 0) for event in cut.again}
    rewound = h.ExecutionRewound(
        event_id=len(kept),
        timestamp=at,
        reason=control.reason,
        highest=cut.highest,
        message_id=control.id,
        restarted=tuple(sorted(rewinding.open_children(kept) - cut.failed_children - answered)),
    )
    execution.begin(at)
    execution.replay([*kept, rewound], is_rewind=True)
    execution.seen[control.id] = None
    if execution.is_running:
        rewinding.reschedule(execution, rewound, answered)
        _feed(execution, [*rewinding.as_messages(cut.again, execution), *(m for m in messages if m is not control)])
    trace.rewound(
        instance_id=execution.instance_id,
        execution_id=execution.execution_id,
        removed=cut.removed,
        reason=control.reason,
    )
    commit = _commit(execution)
    commit.history = h.encode_events([*kept, rewound, *execution.turn.events])
    commit.rewrite = True
    return commit


def _renumbered(event: h.HistoryEvent, position: int) -> h.HistoryEvent:
    event.event_id = position
    return event


def _commit(execution: Execution) -> Commit:
    turn, outcome = execution.turn, execution.outcome
    status = OrchestrationStatus.SUSPENDED if execution.suspended else OrchestrationStatus.RUNNING
    if outcome is not None:
        status = outcome.status
    commit = Commit(
        at=turn.at,
        status=status,
        history=h.encode_events(turn.events) if turn.events else b"",
        history_length=execution.event_count,
        custom_status=execution.custom_status,
        tasks=list(turn.tasks.values()),
        cancelled_tasks=turn.cancelled_tasks,
        timers=list(turn.timers.values()),
        withdrawn_timers=turn.withdrawn_timers,
        starts=turn.starts,
        sends=turn.sends,
        reinject=turn.reinject,
    )
    execution.custom_status = None
    if outcome is not None:
        commit.output, commit.failure, commit.next = outcome.output, outcome.failure, outcome.next
        if outcome.next is None:
            _tell_parent(execution.record, commit)
    return commit


def _tell_parent(record: InstanceRecord, commit: Commit) -> None:
    parent = record.parent
    if parent is None:
        return
    result = ChildResult(
        execution_id=parent.execution_id,
        number=parent.number,
        attempt=parent.attempt,
        status=commit.status,
        result=UNSET if commit.output is None else Raw(commit.output),
        failure=commit.failure,
    )
    commit.sends = [*commit.sends, Send(parent.instance_id, result)]


def failure(record: InstanceRecord, history: Sequence[h.HistoryEvent], error: BaseException, at: datetime) -> Commit:
    """Ends an execution as FAILED without running its code."""
    details = FailureDetails.of(error)
    number = 1 + max((getattr(event, "number", 0) for event in history), default=0)
    completed = h.ExecutionCompleted(
        event_id=len(history), timestamp=at, number=number, status=OrchestrationStatus.FAILED, failure=details
    )
    commit = Commit(
        at=at,
        status=OrchestrationStatus.FAILED,
        history=h.encode_events([completed]),
        history_length=len(history) + 1,
        failure=details,
    )
    _tell_parent(record, commit)
    return commit


def report(execution: Execution, commit: Commit) -> None:
    """What a committed turn tells the trace."""
    outcome = execution.outcome
    trace.turn_committed(
        instance_id=execution.instance_id, execution_id=execution.execution_id, events=len(execution.turn.events)
    )
    if outcome is None:
        return
    ids: dict[str, Any] = {"instance_id": execution.instance_id, "execution_id": execution.execution_id}
    name = execution.record.name
    if outcome.next is not None:
        trace.continued_as_new(**ids, name=name, new_execution_id=outcome.next.execution_id)
    elif outcome.status == OrchestrationStatus.COMPLETED:
        trace.orchestration_completed(**ids, name=name)
    elif outcome.status == OrchestrationStatus.CANCELLED:
        trace.orchestration_cancelled(**ids, name=name, reason=outcome.failure.message if outcome.failure else "")
    else:
        failure = outcome.failure
        trace.orchestration_failed(**ids, name=name, error=f"{failure.type}: {failure.message}" if failure else "")
