"""Inputs and outputs that the activities share. Times are UTC; prices are what Twilio says, a negative number as text."""

from datetime import datetime
from typing import Any

import msgspec

from connectors.core import InvalidRequest


class TwilioCall(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every input."""

    connection: str = "default"
    """The name of a TwilioConnection that the worker has."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message as it is now."""

    sid: str
    status: str
    """queued, accepted, scheduled, sending, sent, delivered, read, undelivered, failed, canceled, receiving, received."""
    direction: str
    to: str
    from_: str = msgspec.field(name="from")
    body: str
    segments: int
    media: int
    error_code: int | None
    """Why it was not delivered: see the README's second table."""
    messaging_service_sid: str
    price: str
    """Empty until it is known."""
    price_unit: str
    date_created: datetime | None
    date_sent: datetime | None


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A phone call as it is now."""

    sid: str
    status: str
    """queued, ringing, in-progress, completed, busy, failed, no-answer, canceled."""
    direction: str
    to: str
    from_: str = msgspec.field(name="from")
    answered_by: str
    """human, machine_start and so on with machine detection, else empty."""
    duration: int
    """Seconds; 0 until it has ended."""
    price: str
    price_unit: str
    date_created: datetime | None


FINAL_MESSAGE = frozenset({"delivered", "read", "undelivered", "failed", "canceled", "received"})
FINAL_CALL = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})


def message_of(raw: Any) -> Message:
    """From the SDK's instance."""
    return Message(
        sid=raw.sid,
        status=str(raw.status or ""),
        direction=str(raw.direction or ""),
        to=raw.to or "",
        from_=raw.from_ or "",
        body=raw.body or "",
        segments=int(raw.num_segments or 0),
        media=int(raw.num_media or 0),
        error_code=raw.error_code,
        messaging_service_sid=raw.messaging_service_sid or "",
        price=str(raw.price or ""),
        price_unit=raw.price_unit or "",
        date_created=raw.date_created,
        date_sent=raw.date_sent,
    )


def call_of(raw: Any) -> Call:
    """From the SDK's instance."""
    return Call(
        sid=raw.sid,
        status=str(raw.status or ""),
        direction=str(raw.direction or ""),
        to=raw.to or "",
        from_=raw._from or "",  # the SDK has no public name for it
        answered_by=raw.answered_by or "",
        duration=int(raw.duration or 0),
        price=str(raw.price or ""),
        price_unit=raw.price_unit or "",
        date_created=raw.date_created,
    )


def given(**values: Any) -> dict[str, Any]:
    """Without what was left out: the SDK would send an empty value."""
    return {name: value for name, value in values.items() if value not in (None, "", [], {})}


def some(sid: str, prefix: str, what: str) -> str:
    """A SID, before it is sent as part of an address. Raises InvalidRequest."""
    if not (sid.startswith(prefix) and len(sid) == 34 and sid.isalnum()):
        raise InvalidRequest(f"a {what}'s SID is {prefix} and 32 hex digits")
    return sid
