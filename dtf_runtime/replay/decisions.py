"""What orchestration code asks for: activities, children, timers, events, the next execution. Bound to Execution as its methods.

A decision takes its number when it is made (rule 8). While replaying it must be the one that history holds there, and history's version,
instance id and deadline stand; live it is recorded, and what it sends is put into the turn.
"""

import asyncio
import hashlib
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw

from dtf_runtime.definitions import Activity, Orchestration, RetryPolicy
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import Send, Timer
from dtf_runtime.model.state import ParentLink
from dtf_runtime.replay import inputs
from dtf_runtime.replay.futures import (
    ActivityCall,
    ContinueAsNew,
    Decoder,
    DurableChildCall,
    EventCall,
    Limits,
)

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution
    from dtf_runtime.replay.loop import TimerHandle


def derived(execution_id: str, number: int, attempt: int = 1, restarts: int = 0) -> str:
    """An execution id of a child or of the next generation (rule 18). `restarts`: by rewinds of the parent."""
    text = f"{execution_id}/{number}/{attempt}" + (f"/{restarts}" if restarts else "")
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


# -- activities
def call_activity(
    execution: "Execution", activity: Activity[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> ActivityCall:
    execution.check_open()
    parameters = activity.parameters
    data = parameters.encode_call(args, kwargs, f"an argument of activity {activity.name!r}")
    return schedule_activity(
        execution, activity.name, activity.version, data, activity, activity.retry, parameters.decode_result
    )


def schedule_activity(
    execution: "Execution",
    name: str,
    version: str,
    data: bytes,
    limits: "Limits | Activity[..., Any]",
    policy: RetryPolicy | None,
    decoder: Decoder,
) -> ActivityCall:
    number = execution.number + 1
    call = ActivityCall(execution, number, name, decoder, policy)
    call.version, call.data, call.limits = version, data, limits
    execution.open[number] = call
    if execution.matcher.replaying:
        call.version = execution.repeat(h.TaskScheduled, number, name, data).version
        return call
    execution.number = number
    turn = execution.turn
    task = turn.tasks[(number, 1)] = call.attempted(1)
    execution.append(
        h.TaskScheduled(event_id=0, timestamp=turn.at, number=number, name=name, version=version, input=task.input)
    )
    return call


def cancel_activity(execution: "Execution", call: ActivityCall) -> None:
    """Nobody waits for it any more. One that this turn would have sent is not sent."""
    if execution.open.pop(call.number, None) is None or not execution.is_live:
        return
    if execution.turn.tasks.pop((call.number, call.attempt), None) is None:
        execution.turn.cancelled_tasks.append(call.number)


# -- children
def call_orchestration(
    execution: "Execution", child: Orchestration[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> DurableChildCall:
    execution.check_open()
    return schedule_child(
        execution,
        name=child.name,
        version=child.version,
        data=child.parameters.encode_input_call(args, kwargs, f"the input of orchestration {child.name!r}"),
        instance_id=child.instance_id,
        tags=dict(child.tags),
        policy=child.retry,
        decoder=child.parameters.decode_result,
    )


def schedule_child(
    execution: "Execution",
    *,
    name: str,
    version: str,
    data: bytes,
    instance_id: str | None,
    tags: dict[str, str],
    policy: RetryPolicy | None,
    decoder: Decoder,
) -> DurableChildCall:
    number = execution.number + 1
    call = DurableChildCall(execution, number, name, decoder, policy)
    record = execution.record
    call.start = m.StartExecution(
        instance_id=instance_id or "",
        execution_id="",
        name=name,
        version=version,
        input=Raw(data) if data else UNSET,
        tags=tags,
        parent=ParentLink(record.instance_id, record.execution_id, record.name, record.version, number),
    )
    execution.open[number] = call
    _create_child(execution, number, child_start(execution, call, 1, None), data, detached=False)
    return call


def start_detached(
    execution: "Execution", name: str, version: str, data: bytes, instance_id: str | None, tags: dict[str, str]
) -> str:
    number = execution.number + 1
    start = m.StartExecution(
        instance_id=instance_id or f"{execution.execution_id}.{number}",
        execution_id=derived(execution.execution_id, number, 1),
        name=name,
        version=version,
        input=Raw(data) if data else UNSET,
        tags=tags,
    )
    return _create_child(execution, number, start, data, detached=True)


def _create_child(execution: "Execution", number: int, start: m.StartExecution, data: bytes, *, detached: bool) -> str:
    """Gives the child's instance id."""
    if execution.matcher.replaying:
        label = f"{start.name}, detached" if detached else start.name
        held = execution.repeat(h.SubOrchestrationCreated, number, label, data)
        return str(held.instance_id)
    execution.number = number
    execution.append(
        h.SubOrchestrationCreated(
            event_id=0,
            timestamp=execution.turn.at,
            number=number,
            name=start.name,
            version=start.version,
            instance_id=start.instance_id,
            input=start.input,
            detached=detached,
        )
    )
    execution.turn.starts.append(start)
    return start.instance_id


def child_start(execution: "Execution", call: DurableChildCall, attempt: int, due: datetime | None) -> m.StartExecution:
    template: m.StartExecution = call.start
    assert template.parent is not None
    derived_id = f"{execution.execution_id}.{call.number}" + (f"~{attempt}" if attempt > 1 else "")
    return msgspec.structs.replace(
        template,
        instance_id=template.instance_id or derived_id,
        execution_id=derived(execution.execution_id, call.number, attempt, call.restarts),
        parent=msgspec.structs.replace(template.parent, attempt=attempt),
        due=due,
    )


def cancel_child(execution: "Execution", call: DurableChildCall) -> None:
    """Also at the end of a failed or cancelled parent."""
    if execution.matcher.replaying:
        return
    start = child_start(execution, call, call.attempt, None)
    control = m.Control(
        execution_id=start.execution_id,
        id=f"{start.execution_id}:cancel",
        action="cancel",
        reason=f"its parent {execution.instance_id!r} cancelled it",
    )
    execution.turn.sends.append(Send(start.instance_id, control))


# -- timers
def create_timer(execution: "Execution", handle: "TimerHandle", due: int) -> None:
    execution.check_open()
    handle.number = number = execution.number + 1
    handle.fire_at = fire_at = execution.moment(due)
    execution.timers[number] = handle
    if execution.matcher.replaying:
        handle.fire_at = execution.repeat(h.TimerCreated, number, "", fire_at).fire_at
        return
    execution.number = number
    execution.append(h.TimerCreated(event_id=0, timestamp=execution.turn.at, number=number, fire_at=fire_at))
    execution.turn.timers[number] = Timer(number, fire_at)


def withdraw_timer(execution: "Execution", number: int) -> None:
    """It was cancelled. One that this turn would have set is not set."""
    if execution.timers.pop(number, None) is None or not execution.is_live:
        return
    if execution.turn.timers.pop(number, None) is None:
        execution.turn.withdrawn_timers.append(number)


# -- events
def send_event(execution: "Execution", instance_id: str, name: str, payload: bytes) -> None:
    execution.check_open()
    number = execution.number + 1
    if execution.matcher.replaying:
        execution.repeat(h.EventSent, number, name, payload)
        return
    execution.number = number
    raw = Raw(payload)
    at = execution.turn.at
    execution.append(
        h.EventSent(event_id=0, timestamp=at, number=number, instance_id=instance_id, name=name, payload=raw)
    )
    message = m.ExternalEvent(id=f"{execution.execution_id}:{number}", name=name, payload=raw)
    execution.turn.sends.append(Send(instance_id, message))


def wait_for_event(execution: "Execution", name: str, result_type: Any) -> EventCall:
    """Takes no number: that nobody waits (yet) changes nothing for anybody else."""
    execution.check_open()
    call = EventCall(execution, name, result_type)
    waiting = execution.buffered.get(name)
    if waiting:
        inputs.give(execution, call, waiting.popleft().payload)
    else:
        execution.lines.setdefault(name, deque()).append(call)
    return call


def leave_line(execution: "Execution", call: EventCall) -> None:
    line = execution.lines.get(call.name)
    if line and call in line:
        line.remove(call)


# -- versions and generations
def patched(execution: "Execution", change_id: str) -> bool:
    execution.check_open()
    known = execution.patches.get(change_id)
    if known is None:
        known = execution.patches[change_id] = not execution.matcher.replaying
        if known:
            execution.append(h.PatchRecorded(event_id=0, timestamp=execution.turn.at, change_id=change_id))
    return known


def continue_as_new(execution: "Execution", data: bytes | None, version: str | None, carry_events: bool) -> None:
    execution.check_open()
    if asyncio.current_task(execution.loop) is not execution.main:
        raise RuntimeError(
            f"continue_as_new was called in a side task of {execution.instance_id!r}. Call it in the orchestration function itself."
        )
    if execution.next_input is None:
        execution.next_input = (data, version, carry_events)
    raise ContinueAsNew
