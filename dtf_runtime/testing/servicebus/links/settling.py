"""What a client's disposition does to a message. The outcome is echoed, or the refusal in its place: clients wait for it."""

from typing import Any
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.performatives import (
    ACCEPTED,
    MODIFIED,
    RECEIVED,
    REJECTED,
    REJECTED_STATE,
    RELEASED,
    Disposition,
    rejected,
)
from dtf_runtime.testing.servicebus.amqp.types import Described, MalformedError
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.faults import Operation
from dtf_runtime.testing.servicebus.links.host import Call
from dtf_runtime.testing.servicebus.links.outgoing import ReceiverLink


def settle(link: ReceiverLink, token: UUID, delivery: int, frame: Disposition) -> bool:
    """Does it and answers. False: the client has only said that it received the message."""
    if isinstance(frame.state, Described) and frame.state.descriptor == RECEIVED:
        return False
    operation, reason, description = _meaning(frame.state)

    def answer(result: Any) -> None:
        if frame.settled or not link.is_open:
            return
        state = frame.state
        if isinstance(result, Refused):
            state = rejected(result.condition, result.description)
        elif operation is Operation.DEAD_LETTER:
            state = REJECTED_STATE  # without the error: with one, the client takes it for a refusal
        link.channel.send(Disposition(role=False, first=delivery, last=delivery, settled=True, state=state))

    link.channel.host.perform(
        Call(
            operation=operation,
            queue=link.queue.name,
            work=lambda: apply_settlement(link.queue, operation, token, reason, description),
            answer=answer,
            abort=link.channel.abort,
            expire_lock=lambda: link.queue.expire_locks([token]),
        )
    )
    return True


def apply_settlement(
    queue: Queue, operation: Operation, token: UUID, reason: str | None = None, description: str | None = None
) -> None:
    match operation:
        case Operation.COMPLETE:
            queue.complete(token)
        case Operation.ABANDON:
            queue.abandon(token)
        case Operation.DEFER:
            queue.defer(token)
        case Operation.DEAD_LETTER:
            queue.dead_letter(token, reason, description)
        case _:
            queue.release(token)


def _meaning(state: object) -> tuple[Operation, str | None, str | None]:
    """The operation that a delivery state asks for, and reason and description of a dead letter."""
    if not isinstance(state, Described):
        return Operation.RELEASE, None, None
    fields = [*(state.value if isinstance(state.value, list) else []), None, None]
    if state.descriptor == ACCEPTED:
        return Operation.COMPLETE, None, None
    if state.descriptor == MODIFIED:
        return (Operation.DEFER if fields[1] else Operation.ABANDON), None, None
    if state.descriptor == REJECTED:
        info = _dead_letter_info(fields[0])
        return Operation.DEAD_LETTER, info.get("DeadLetterReason"), info.get("DeadLetterErrorDescription")
    if state.descriptor == RELEASED:
        return Operation.RELEASE, None, None
    raise MalformedError(f"no delivery state has the descriptor {state.descriptor!r}")


def _dead_letter_info(given: object) -> dict[str, Any]:
    fields = given.value if isinstance(given, Described) and isinstance(given.value, list) else []
    return fields[2] if len(fields) > 2 and isinstance(fields[2], dict) else {}
