"""Phone calls. Source: https://www.twilio.com/docs/voice/api/call-resource

Twilio takes no key for a call either, and shows neither its TwiML nor its address: a lost one is looked for by recipient and caller alone.
"""

import itertools
from functools import partial
from typing import Any, Literal

import msgspec

from connectors.core import DEFAULT_RETRY, Conflict, Effect, InvalidRequest, Mutation, call_key, declare, resolve
from connectors.twilio.callbacks import callback
from connectors.twilio.client import request_id, twilio_call
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.models import FINAL_CALL, Call, TwilioCall, call_of, given, some
from connectors.twilio.once import OnAmbiguous, Send, likeness_of, once
from dtf_runtime import activity

_MOST_LOOKED_AT = 1_000
_PAGE = 100
_EVENTS = ["initiated", "ringing", "answered", "completed"]


class MakeCall(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    to: str
    """E.164, or a SIP or client address."""
    from_: str = msgspec.field(name="from", default="")
    """Empty: the connection's sender."""
    twiml: str = ""
    """What is to happen in the call, at most 4,000 characters."""
    url: str = ""
    """Where Twilio asks for that instead."""
    ring_timeout: int | None = None
    """Seconds, at most 600."""
    time_limit: int | None = None
    """Seconds that it may last."""
    send_digits: str = ""
    machine_detection: Literal["", "Enable", "DetectMessageEnd"] = ""
    status_callback: str | None = None
    """Public address for news of it. None: the connection's; empty: none."""
    notify: str = ""
    """The instance that hears the news, as events; empty: the one that calls."""
    on_ambiguous: OnAmbiguous = "lookup"


class MadeCall(Mutation, frozen=True, kw_only=True):
    sid: str
    status: str
    to: str
    from_: str = msgspec.field(name="from")


class CallSid(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    sid: str


class HungUp(Mutation, frozen=True, kw_only=True):
    sid: str
    status: str


@declare(Effect.LOOKUP, "after a lost answer: by recipient and caller, created since; adopted by one call only")
@activity(name="twilio.make_call", retry=DEFAULT_RETRY)
def make_call(call: MakeCall) -> MadeCall:
    """Begins to ring; how it ends is for `wait_for_call`. It costs, by the minute.

    Raises Unsettled (the next attempt looks for it), Ambiguous (`on_ambiguous="fail"`), Permanent, Throttled, InvalidRequest.
    """
    connection = resolve(TwilioConnection, call.connection)
    call = _checked(call, connection)
    answers: list[str] = []
    key = call_key(call)
    base = connection.status_callback if call.status_callback is None else call.status_callback
    asked = _asked(call, callback(base, key, call.notify))

    def post() -> Call:
        made, headers = twilio_call(connection, "make_call", lambda sdk: sdk.calls.create(**asked), repeatable=False)
        answers.append(request_id(headers))
        return call_of(made)

    send = Send(
        what="call",
        connection=connection,
        key=key,
        likeness=likeness_of("call", call.to, call.from_),
        on_ambiguous=call.on_ambiguous,
        post=post,
        look=lambda since: _look(connection, call, since),
        fetch=partial(_fetch, connection),
    )
    made, replayed = once(send)
    return MadeCall(
        sid=made.sid,
        status=made.status,
        to=made.to,
        from_=made.from_,
        request_id=answers[-1] if answers else "",
        replayed=replayed,
    )


@declare(Effect.READ)
@activity(name="twilio.get_call", retry=DEFAULT_RETRY)
def get_call(call: CallSid) -> Call:
    """Raises NotFound."""
    return _fetch(resolve(TwilioConnection, call.connection), call.sid)


@declare(Effect.NATURAL, "a call that has ended stays ended")
@activity(name="twilio.hang_up", retry=DEFAULT_RETRY)
def hang_up(call: CallSid) -> HungUp:
    """Ends it, whether it rings or is being talked. One that has ended is what was wanted. Raises NotFound."""
    connection = resolve(TwilioConnection, call.connection)
    sid = some(call.sid, "CA", "call")
    before = _fetch(connection, sid)
    if before.status in FINAL_CALL:
        return HungUp(sid=sid, status=before.status, replayed=True)
    try:
        raw, headers = twilio_call(
            connection, "hang_up", lambda sdk: sdk.calls(sid).update(status="completed"), repeatable=True
        )
    except Conflict:  # it ended just now
        return HungUp(sid=sid, status=_fetch(connection, sid).status, replayed=True)
    return HungUp(sid=sid, status=str(raw.status), request_id=request_id(headers))


ACTIVITIES = (make_call, get_call, hang_up)


def _checked(call: MakeCall, connection: TwilioConnection) -> MakeCall:
    if not call.from_:
        call = msgspec.structs.replace(call, from_=connection.sender)
    if not call.to or not call.from_:
        raise InvalidRequest("the call has no recipient or no caller: name both, or give the connection a sender")
    if bool(call.twiml) == bool(call.url):
        raise InvalidRequest("the call needs either twiml or url")
    return call


def _asked(call: MakeCall, status_callback: str) -> dict[str, Any]:
    return given(
        to=call.to,
        from_=call.from_,
        twiml=call.twiml,
        url=call.url,
        timeout=call.ring_timeout,
        time_limit=call.time_limit,
        send_digits=call.send_digits,
        machine_detection=call.machine_detection,
        status_callback=status_callback,
        status_callback_event=_EVENTS if status_callback else None,
    )


def _fetch(connection: TwilioConnection, sid: str) -> Call:
    sid = some(sid, "CA", "call")
    raw, _ = twilio_call(connection, "get_call", lambda sdk: sdk.calls(sid).fetch(), repeatable=True)
    return call_of(raw)


def _look(connection: TwilioConnection, wanted: MakeCall, since: float) -> list[Call]:
    """Oldest first. Twilio filters by the time a call *started*, which one in the queue has not; so by date created, here."""
    begin = int(since)

    def look(sdk: Any) -> list[Call]:
        found = sdk.calls.stream(to=wanted.to, from_=wanted.from_, page_size=_PAGE, limit=_MOST_LOOKED_AT)
        mine = itertools.takewhile(lambda one: _is_recent(one, begin), map(call_of, found))
        return [one for one in mine if one.direction != "inbound"]

    found, _ = twilio_call(connection, "find_calls", look, repeatable=True)
    return sorted(found, key=lambda one: (str(one.date_created), one.sid))


def _is_recent(one: Call, begin: int) -> bool:
    return one.date_created is None or one.date_created.timestamp() >= begin
