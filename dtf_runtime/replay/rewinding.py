"""Rewind (rule 14): which history a failed execution goes on from, and what is fed to it again.

Two halves. `cut` is a pure function over the stored history. `apply` is what an ExecutionRewound means to a live instance, in the turn that made
it and at every replay after that.
"""

from typing import TYPE_CHECKING, Any

import msgspec

from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import Send, Timer
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.replay.futures import ActivityCall, DurableChildCall

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_FAILED = (h.TaskFailed, h.SubOrchestrationFailed)
_COMPLETED = (h.TaskCompleted, h.SubOrchestrationCompleted)


class Cut(msgspec.Struct):
    """`kept` is history without numbers for its new end; `again` is fed live after it; `removed` counts what went."""

    kept: list[h.HistoryEvent]
    again: list[h.HistoryEvent]
    highest: int
    removed: int
    failed_children: set[int]


def cut(history: list[h.HistoryEvent], number: int | None) -> Cut:
    """`number`: the call whose failure ended the execution; None: its own code failed."""
    highest = max((getattr(event, "number", 0) for event in history), default=0)
    highest = max([highest, *(event.highest for event in history if isinstance(event, h.ExecutionRewound))])
    end = next((i for i, event in enumerate(history) if isinstance(event, h.ExecutionCompleted)), len(history))
    body = history[:end]
    position = None if number is None else _failed_result(body, number)
    if position is None:
        return Cut(body, [], highest, len(history) - len(body), set())
    while position > 0:
        earlier = _earlier_failure(body, position)
        if earlier is None:
            break
        position = earlier
    kept, rest = body[:position], body[position:]
    made = {event.number for event in kept if isinstance(event, h.DECISIONS)}  # type: ignore[attr-defined]
    gone = {e.number for e in rest if isinstance(e, _FAILED) and e.retry_at is None and e.number in made}
    children = {
        e.number for e in rest if isinstance(e, h.SubOrchestrationFailed) and e.number in gone and _failed_by_itself(e)
    }
    kept = [e for e in kept if not (isinstance(e, _FAILED) and e.number in gone)]
    again = [e for e in rest if _goes_back(e, made)]
    return Cut(kept, again, highest, len(history) - len(kept) - len(again), children)


def _failed_result(body: list[h.HistoryEvent], number: int) -> int | None:
    for position in range(len(body) - 1, -1, -1):
        event = body[position]
        if isinstance(event, _FAILED) and event.number == number and event.retry_at is None:
            return position
    return None


def _earlier_failure(body: list[h.HistoryEvent], position: int) -> int | None:
    """The nearest failed result before `position` with no decision in between."""
    for earlier in range(position - 1, -1, -1):
        event = body[earlier]
        if isinstance(event, h.DECISIONS):
            return None
        if isinstance(event, _FAILED) and event.retry_at is None:
            return earlier
    return None


def _goes_back(event: h.HistoryEvent, made: set[int]) -> bool:
    if isinstance(event, (*_COMPLETED, h.TimerFired)):
        return event.number in made
    return isinstance(event, h.EventRaised)


def _failed_by_itself(event: h.SubOrchestrationFailed) -> bool:
    """So that the child can be rewound: not cancelled, terminated or never started."""
    return not event.cancelled and not event.failure.type.startswith("dtf_runtime.Orchestration")


def open_children(history: list[h.HistoryEvent]) -> set[int]:
    found = {e.number for e in history if isinstance(e, h.SubOrchestrationCreated) and not e.detached}
    return found - {
        e.number
        for e in history
        if isinstance(e, h.SubOrchestrationCompleted)
        or (isinstance(e, h.SubOrchestrationFailed) and e.retry_at is None)
    }


def as_messages(events: list[h.HistoryEvent], execution: "Execution") -> list[m.Message]:
    """What goes back to the inbox, as the messages it came by."""
    found: list[m.Message] = []
    for event in events:
        match event:
            case h.TaskCompleted():
                found.append(
                    m.ActivityResult(execution_id=execution.execution_id, number=event.number, result=event.result)
                )
            case h.SubOrchestrationCompleted():
                found.append(
                    m.ChildResult(
                        execution_id=execution.execution_id,
                        number=event.number,
                        status=OrchestrationStatus.COMPLETED,
                        result=event.result,
                    )
                )
            case h.TimerFired():
                found.append(
                    m.TimerDue(execution_id=execution.execution_id, number=event.number, fire_at=event.fire_at)
                )
            case h.EventRaised():
                found.append(m.ExternalEvent(id=event.message_id, name=event.name, payload=event.payload))
    return found


def apply(execution: "Execution", event: h.ExecutionRewound) -> None:
    """Numbering goes on behind every number ever used; open calls begin again with their first attempt."""
    execution.number = max(execution.number, event.highest)
    for call in execution.open.values():
        call.attempt = 1
        if call.number in event.restarted:
            call.restarts += 1


def reschedule(execution: "Execution", event: h.ExecutionRewound, answered: set[int]) -> None:
    """Into the turn of the rewind: every open call and timer that `answered` (fed again right after) does not settle."""
    turn = execution.turn
    for call in list(execution.open.values()):
        if call.number in answered:
            continue
        if isinstance(call, ActivityCall):
            turn.tasks[(call.number, 1)] = call.attempted(1)
        elif isinstance(call, DurableChildCall):
            _again(execution, call, restarted=call.number in event.restarted, reason=event.reason)
    for number, handle in execution.timers.items():
        if number not in answered:
            turn.timers[number] = Timer(number, handle.fire_at)


def _again(execution: "Execution", call: Any, *, restarted: bool, reason: str) -> None:
    start = execution.child_start(call, 1, None)
    if restarted:
        execution.turn.starts.append(start)
        return
    control = m.Control(
        execution_id=start.execution_id,
        id=f"{start.execution_id}:rewind:{execution.number}",
        action="rewind",
        reason=reason,
    )
    execution.turn.sends.append(Send(start.instance_id, control))
