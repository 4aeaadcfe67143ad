"""The operations of `$management`, one small function each, and what they are to access rules and faults."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dtf_runtime.testing.servicebus.access import Right
from dtf_runtime.testing.servicebus.amqp.message import parse
from dtf_runtime.testing.servicebus.amqp.types import Array, Int, Timestamp
from dtf_runtime.testing.servicebus.broker.options import LARGEST_MESSAGE
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import bad_argument, not_allowed, too_large
from dtf_runtime.testing.servicebus.broker.session_queue import SessionQueue
from dtf_runtime.testing.servicebus.faults import Operation
from dtf_runtime.testing.servicebus.links.outgoing import ReceiverLink, compose_delivery
from dtf_runtime.testing.servicebus.links.settling import apply_settlement

NOTHING = object()  # the answer "no content"
_FOR_EVER = 253_402_300_800_000  # milliseconds: .NET's last instant, "all sessions"
_RECEIVE_AND_DELETE = 0
_SETTLEMENTS = {
    "completed": Operation.COMPLETE,
    "abandoned": Operation.ABANDON,
    "defered": Operation.DEFER,
    "suspended": Operation.DEAD_LETTER,
}


@dataclass(frozen=True)
class Request:
    queue: Queue
    body: dict[str, Any]
    receiver: ReceiverLink | None

    @property
    def sessions(self) -> SessionQueue:
        if not isinstance(self.queue, SessionQueue):
            raise not_allowed(f"'{self.queue.name}' has no sessions.")
        return self.queue

    @property
    def session_id(self) -> str:
        return str(self.body["session-id"])


def _peek(request: Request) -> Any:
    body = request.body
    found = request.queue.peek(body["from-sequence-number"], body["message-count"], body.get("session-id"))
    return {"messages": [{"message": compose_delivery(each, None)} for each in found]} if found else NOTHING


def _schedule(request: Request) -> Any:
    messages = [each["message"] for each in request.body["messages"]]
    if (size := sum(map(len, messages))) > LARGEST_MESSAGE:
        raise too_large(size, LARGEST_MESSAGE)
    return {"sequence-numbers": Array("long", tuple(request.queue.send([parse(each) for each in messages])))}


def _cancel_scheduled(request: Request) -> Any:
    request.queue.cancel_scheduled(request.body["sequence-numbers"])
    return {}


def _receive_deferred(request: Request) -> Any:
    body = request.body
    if isinstance(request.queue, SessionQueue):
        request.queue.held(request.session_id, request.receiver)
    is_destructive = body.get("receiver-settle-mode") == _RECEIVE_AND_DELETE
    found = request.queue.receive_deferred(
        body["sequence-numbers"], request.receiver, is_destructive=is_destructive, session_id=body.get("session-id")
    )
    return {"messages": [{"message": compose_delivery(each, token), "lock-token": token} for each, token in found]}


def _renew_lock(request: Request) -> Any:
    ends = request.queue.renew(request.body["lock-tokens"])
    return {"expirations": Array("timestamp", tuple(int(end * 1000) for end in ends))}


def _renew_session(request: Request) -> Any:
    return {"expiration": Timestamp(request.sessions.renew_session(request.session_id, request.receiver) * 1000)}


def _get_state(request: Request) -> Any:
    return {"session-state": request.sessions.state_of(request.session_id, request.receiver)}


def _set_state(request: Request) -> Any:
    request.sessions.set_state(request.session_id, request.receiver, request.body.get("session-state"))
    return {}


def _settlement(request: Request) -> Operation:
    return _SETTLEMENTS.get(str(request.body.get("disposition-status")), Operation.RELEASE)


def _settle(request: Request) -> Any:
    body = request.body
    if str(body.get("disposition-status")) not in _SETTLEMENTS:
        raise bad_argument(f"no disposition is called {body.get('disposition-status')!r}")
    if isinstance(request.queue, SessionQueue):
        request.queue.held(request.session_id, request.receiver)
    reason, description = body.get("deadletter-reason"), body.get("deadletter-description")
    for token in body["lock-tokens"]:
        apply_settlement(request.queue, _settlement(request), token, reason, description)
    return {}


def _list_sessions(request: Request) -> Any:
    since = request.body.get("last-updated-time")
    after = since / 1000 if since is not None and since < _FOR_EVER else None
    skip, most = request.body.get("skip", 0), request.body.get("top", 100)
    found = request.sessions.session_ids(state_changed_after=after)[skip : skip + most]
    return {"skip": Int(skip + len(found)), "sessions-ids": Array("string", tuple(found))} if found else NOTHING


def _expire_message_locks(request: Request) -> None:
    request.queue.expire_locks(request.body.get("lock-tokens", []))


def _expire_session(request: Request) -> None:
    request.sessions.expire_sessions(request.session_id)


@dataclass(frozen=True)
class Form:
    run: Callable[[Request], Any]
    operation: Callable[[Request], Operation]
    right: Right = Right.LISTEN
    expire_lock: Callable[[Request], None] = _expire_message_locks


def _always(operation: Operation) -> Callable[[Request], Operation]:
    return lambda request: operation


FORMS = {
    "com.microsoft:peek-message": Form(_peek, _always(Operation.PEEK)),
    "com.microsoft:schedule-message": Form(_schedule, _always(Operation.SCHEDULE), Right.SEND),
    "com.microsoft:cancel-scheduled-message": Form(_cancel_scheduled, _always(Operation.CANCEL_SCHEDULED), Right.SEND),
    "com.microsoft:receive-by-sequence-number": Form(_receive_deferred, _always(Operation.RECEIVE_DEFERRED)),
    "com.microsoft:renew-lock": Form(_renew_lock, _always(Operation.RENEW_LOCK)),
    "com.microsoft:renew-session-lock": Form(
        _renew_session, _always(Operation.RENEW_SESSION), expire_lock=_expire_session
    ),
    "com.microsoft:get-session-state": Form(_get_state, _always(Operation.GET_STATE), expire_lock=_expire_session),
    "com.microsoft:set-session-state": Form(_set_state, _always(Operation.SET_STATE), expire_lock=_expire_session),
    "com.microsoft:update-disposition": Form(_settle, _settlement),
    "com.microsoft:get-message-sessions": Form(_list_sessions, _always(Operation.LIST_SESSIONS)),
}
