"""Messages: SMS, MMS, WhatsApp; at once, by template, or scheduled. Source: https://www.twilio.com/docs/messaging/api/message-resource

Twilio takes no key for a message, so `once.py` looks for a lost one by recipient, sender and body. It must not ask Twilio to filter by date:
that filter goes by the date *sent*, and a queued message has none.
"""

import itertools
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from connectors.core import DEFAULT_RETRY, Conflict, Effect, InvalidRequest, Mutation, call_key, declare, resolve
from connectors.twilio.callbacks import callback
from connectors.twilio.client import request_id, twilio_call
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.models import Message, TwilioCall, given, message_of, some
from connectors.twilio.once import OnAmbiguous, Send, likeness_of, once
from dtf_runtime import activity

_MOST_LOOKED_AT = 1_000  # messages between the same two numbers
_PAGE = 100
_TRIAL = "Sent from your Twilio trial account - "  # put before every text of one


class SendMessage(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    to: str
    """E.164, such as +15551234567, or a channel's address: whatsapp:+15551234567."""
    body: str = ""
    """At most 1,600 characters. Billed by segment: 160 characters of GSM-7, 70 of anything else, less when there are several."""
    from_: str = msgspec.field(name="from", default="")
    """Empty: the connection's sender, unless there is a messaging service."""
    messaging_service_sid: str = ""
    media_urls: list[str] = msgspec.field(default_factory=list)
    """At most ten public addresses."""
    content_sid: str = ""
    """A template, instead of a body."""
    content_variables: Mapping[str, str] = msgspec.field(default_factory=dict)
    send_at: datetime | None = None
    """15 minutes to 35 days ahead; needs a messaging service."""
    validity_period: int | None = None
    """Seconds, 1 to 36,000, that it may wait in Twilio's queue; then it fails."""
    smart_encoded: bool = False
    shorten_urls: bool = False
    status_callback: str | None = None
    """Public address for news of its delivery. None: the connection's; empty: none."""
    notify: str = ""
    """The instance that hears the news, as events; empty: the one that calls."""
    on_ambiguous: OnAmbiguous = "lookup"
    """When no answer comes: look for it and adopt it or send it again; raise Ambiguous; send it again without a look."""


class SentMessage(Mutation, frozen=True, kw_only=True):
    sid: str
    status: str
    to: str
    from_: str = msgspec.field(name="from")
    """Empty while a messaging service has not chosen one."""
    segments: int


class MessageSid(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    sid: str


class MessageChanged(Mutation, frozen=True, kw_only=True):
    sid: str
    status: str


class ListMessages(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    to: str = ""
    from_: str = msgspec.field(name="from", default="")
    sent_after: datetime | None = None
    """By the date *sent*: one that is still queued has none, and is left out then."""
    sent_before: datetime | None = None
    limit: int = 100


class FindMessages(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    to: str
    from_: str = msgspec.field(name="from", default="")
    messaging_service_sid: str = ""
    body: str | None = None
    """Exactly this one. None: any."""
    created_since: datetime
    """By the date *created*, so that queued ones are found."""


class Messages(msgspec.Struct, frozen=True, kw_only=True):
    messages: list[Message]


@declare(Effect.LOOKUP, "after a lost answer: by recipient, sender and body, created since; adopted by one call only")
@activity(name="twilio.send_message", retry=DEFAULT_RETRY)
def send_message(call: SendMessage) -> SentMessage:
    """Queues a message; whether it arrives is for `wait_for_delivery`. It costs, by segment.

    Raises OptedOut, Unsettled (the next attempt looks for it), Ambiguous (`on_ambiguous="fail"`), Permanent, Throttled, InvalidRequest.
    """
    connection = resolve(TwilioConnection, call.connection)
    call = _checked(call, connection)
    answers: list[str] = []

    def post() -> Message:
        made, headers = twilio_call(
            connection, "send_message", lambda sdk: sdk.messages.create(**asked), repeatable=False
        )
        answers.append(request_id(headers))
        return message_of(made)

    key = call_key(call)
    base = connection.status_callback if call.status_callback is None else call.status_callback
    asked = _asked(call, callback(base, key, call.notify))
    found = FindMessages(
        to=call.to,
        from_=call.from_,
        messaging_service_sid=call.messaging_service_sid,
        body=None if call.content_sid or call.smart_encoded or call.shorten_urls else call.body,
        created_since=datetime.now(UTC),
    )
    send = Send(
        what="message",
        connection=connection,
        key=key,
        likeness=likeness_of("message", call.to, call.from_, call.messaging_service_sid, found.body or ""),
        on_ambiguous=call.on_ambiguous,
        post=post,
        look=lambda since: _look(connection, found, since, outgoing=True),
        fetch=partial(_fetch, connection),
    )
    made, replayed = once(send)
    return SentMessage(
        sid=made.sid,
        status=made.status,
        to=made.to,
        from_=made.from_,
        segments=made.segments,
        request_id=answers[-1] if answers else "",
        replayed=replayed,
    )


@declare(Effect.READ)
@activity(name="twilio.get_message", retry=DEFAULT_RETRY)
def get_message(call: MessageSid) -> Message:
    """Raises NotFound."""
    return _fetch(resolve(TwilioConnection, call.connection), call.sid)


@declare(Effect.READ)
@activity(name="twilio.list_messages", retry=DEFAULT_RETRY)
def list_messages(call: ListMessages) -> Messages:
    """Newest first, incoming ones too."""
    connection = resolve(TwilioConnection, call.connection)
    asked = given(
        to=call.to,
        from_=call.from_,
        date_sent_after=call.sent_after,
        date_sent_before=call.sent_before,
        limit=call.limit,
        page_size=min(call.limit, 1_000),
    )
    found, _ = twilio_call(connection, "list_messages", lambda sdk: sdk.messages.list(**asked), repeatable=True)
    return Messages(messages=[message_of(raw) for raw in found])


@declare(Effect.READ)
@activity(name="twilio.find_messages", retry=DEFAULT_RETRY)
def find_messages(call: FindMessages) -> Messages:
    """Oldest first. What was accepted a moment ago may not be seen yet."""
    connection = resolve(TwilioConnection, call.connection)
    return Messages(messages=_look(connection, call, call.created_since.timestamp(), outgoing=False))


@declare(Effect.NATURAL, "a cancelled message stays cancelled")
@activity(name="twilio.cancel_message", retry=DEFAULT_RETRY)
def cancel_message(call: MessageSid) -> MessageChanged:
    """A scheduled or queued one, before it is sent. Raises Conflict when it is too late, NotFound."""
    connection = resolve(TwilioConnection, call.connection)
    sid = _sid(call.sid)
    before = _fetch(connection, sid)
    if before.status == "canceled":
        return MessageChanged(sid=sid, status=before.status, replayed=True)
    if before.status not in ("scheduled", "queued", "accepted"):
        raise Conflict(f"the message can't be cancelled any more: it is {before.status}", code=before.status)
    return _updated(connection, "cancel_message", sid, status="canceled")


@declare(Effect.NATURAL, "a body that is gone stays gone")
@activity(name="twilio.redact_message", retry=DEFAULT_RETRY)
def redact_message(call: MessageSid) -> MessageChanged:
    """Erases the body of a sent message at Twilio, for good. Raises NotFound."""
    return _updated(resolve(TwilioConnection, call.connection), "redact_message", _sid(call.sid), body="")


ACTIVITIES = (send_message, get_message, list_messages, find_messages, cancel_message, redact_message)


def _checked(call: SendMessage, connection: TwilioConnection) -> SendMessage:
    if not call.from_ and not call.messaging_service_sid:
        call = msgspec.structs.replace(call, from_=connection.sender)
    wrong = (
        "has no recipient"
        if not call.to
        else "has no sender: name one, a messaging service, or give the connection a sender"
        if not call.from_ and not call.messaging_service_sid
        else "has neither body, media nor template"
        if not (call.body or call.media_urls or call.content_sid)
        else "is scheduled, which needs a messaging service"
        if call.send_at and not call.messaging_service_sid
        else "is scheduled at a time without a time zone"
        if call.send_at and call.send_at.tzinfo is None
        else ""
    )
    if wrong:
        raise InvalidRequest(f"the message {wrong}")
    return call


def _asked(call: SendMessage, status_callback: str) -> dict[str, Any]:
    return given(
        to=call.to,
        from_=call.from_,
        messaging_service_sid=call.messaging_service_sid,
        body=call.body,
        media_url=call.media_urls,
        content_sid=call.content_sid,
        content_variables=json.dumps(dict(call.content_variables)) if call.content_variables else None,
        send_at=call.send_at.astimezone(UTC) if call.send_at else None,
        schedule_type="fixed" if call.send_at else None,
        validity_period=call.validity_period,
        smart_encoded=call.smart_encoded or None,
        shorten_urls=call.shorten_urls or None,
        status_callback=status_callback,
    )


def _sid(sid: str) -> str:
    return some(sid, "MM" if sid.startswith("MM") else "SM", "message")


def _fetch(connection: TwilioConnection, sid: str) -> Message:
    sid = _sid(sid)
    raw, _ = twilio_call(connection, "get_message", lambda sdk: sdk.messages(sid).fetch(), repeatable=True)
    return message_of(raw)


def _updated(connection: TwilioConnection, what: str, sid: str, **change: Any) -> MessageChanged:
    raw, headers = twilio_call(connection, what, lambda sdk: sdk.messages(sid).update(**change), repeatable=True)
    return MessageChanged(sid=raw.sid, status=str(raw.status), request_id=request_id(headers))


def _look(connection: TwilioConnection, wanted: FindMessages, since: float, *, outgoing: bool) -> list[Message]:
    """Oldest first. The list comes by date sent, newest first, with those not sent yet before all; so the first one that was sent before
    `since` ends it."""
    asked = given(to=wanted.to, from_=wanted.from_, page_size=_PAGE, limit=_MOST_LOOKED_AT)
    begin = int(since)  # the dates have no fractions

    def look(sdk: Any) -> list[Message]:
        found = map(message_of, sdk.messages.stream(**asked))
        recent = itertools.takewhile(lambda one: one.date_sent is None or one.date_sent.timestamp() >= begin, found)
        return [one for one in recent if one.date_created is not None and one.date_created.timestamp() >= begin]

    recent, _ = twilio_call(connection, "find_messages", look, repeatable=True)
    alike = [one for one in recent if _is_alike(one, wanted) and not (outgoing and one.direction == "inbound")]
    return sorted(alike, key=lambda one: (one.date_created, one.sid))


def _is_alike(one: Message, wanted: FindMessages) -> bool:
    if wanted.messaging_service_sid and one.messaging_service_sid != wanted.messaging_service_sid:
        return False
    return wanted.body is None or one.body.removeprefix(_TRIAL).strip() == wanted.body.strip()
