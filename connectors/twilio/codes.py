"""Twilio's error codes and what each means for the caller. Pure; the README's table is generated from this one.

A code that isn't listed is judged by its HTTP status (`errors.py`). Source of every row: Twilio's own page of the code,
https://www.twilio.com/docs/api/errors/<code>.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a code says of the request."""

    THROTTLED = "Throttled"
    UNKNOWN = "Transient / Ambiguous"
    """It may have happened: Transient where a repeat is safe, else Ambiguous."""
    AUTHENTICATION = "AuthenticationFailed"
    NOT_FOUND = "NotFound"
    CONFLICT = "Conflict"
    OPTED_OUT = "OptedOut"
    PERMANENT = "Permanent"


@dataclass(frozen=True)
class Code:
    status: int
    """The HTTP status it comes with."""
    kind: Kind
    says: str
    of: str = "any"


CODES: Mapping[int, Code] = {
    20001: Code(400, Kind.PERMANENT, "unknown parameters"),
    20003: Code(401, Kind.AUTHENTICATION, "the credentials are not those of an active account"),
    20004: Code(405, Kind.PERMANENT, "method not allowed"),
    20005: Code(403, Kind.AUTHENTICATION, "the account is not active"),
    20006: Code(403, Kind.AUTHENTICATION, "access denied"),
    20008: Code(403, Kind.AUTHENTICATION, "test credentials can't do this"),
    20404: Code(404, Kind.NOT_FOUND, "no such resource"),
    20409: Code(409, Kind.CONFLICT, "the resource is in another state"),
    20429: Code(429, Kind.THROTTLED, "too many requests at once; it was not processed"),
    20500: Code(500, Kind.UNKNOWN, "internal server error"),
    20503: Code(503, Kind.UNKNOWN, "service unavailable"),
    21210: Code(400, Kind.PERMANENT, "the sender's number is not verified", "calls"),
    21211: Code(400, Kind.PERMANENT, "the recipient's number is invalid", "messages, calls"),
    21212: Code(400, Kind.PERMANENT, "the sender's number is invalid", "messages, calls"),
    21214: Code(400, Kind.PERMANENT, "the recipient's number can't be reached", "calls"),
    21215: Code(400, Kind.PERMANENT, "geographic permission: the account may not call there", "calls"),
    21219: Code(400, Kind.PERMANENT, "a trial account calls verified numbers only", "calls"),
    21220: Code(400, Kind.CONFLICT, "the call is not in progress", "calls"),
    21408: Code(400, Kind.PERMANENT, "geographic permission: the account may not text there", "messages"),
    21602: Code(400, Kind.PERMANENT, "a body is required", "messages"),
    21603: Code(400, Kind.PERMANENT, "a sender is required", "messages"),
    21604: Code(400, Kind.PERMANENT, "a recipient is required", "messages"),
    21606: Code(400, Kind.PERMANENT, "the sender can't send to this recipient", "messages"),
    21608: Code(400, Kind.PERMANENT, "a trial account texts verified numbers only", "messages"),
    21609: Code(400, Kind.PERMANENT, "the status callback's address is invalid", "messages"),
    21610: Code(400, Kind.OPTED_OUT, "the recipient has opted out (STOP)", "messages"),
    21611: Code(429, Kind.THROTTLED, "the sender's queue is full", "messages"),
    21612: Code(400, Kind.PERMANENT, "this sender can't reach this recipient", "messages"),
    21614: Code(400, Kind.PERMANENT, "the recipient is no mobile number", "messages"),
    21617: Code(400, Kind.PERMANENT, "the body is longer than 1,600 characters", "messages"),
    21619: Code(400, Kind.PERMANENT, "a body or media is required", "messages"),
    21620: Code(400, Kind.PERMANENT, "the media's address is invalid", "messages"),
    21655: Code(400, Kind.PERMANENT, "the ContentSid is invalid", "messages"),
    21656: Code(400, Kind.PERMANENT, "the ContentVariables are invalid", "messages"),
    21703: Code(400, Kind.PERMANENT, "the Messaging Service has no number to send from", "messages"),
    21705: Code(400, Kind.PERMANENT, "the Messaging Service is invalid", "messages"),
    60200: Code(400, Kind.PERMANENT, "invalid parameter", "verify"),
    60202: Code(429, Kind.PERMANENT, "the code was checked too often; start again once it has expired", "verify"),
    60203: Code(429, Kind.PERMANENT, "the code was sent too often; check it, or wait until it has expired", "verify"),
    60205: Code(403, Kind.PERMANENT, "a landline gets no text", "verify"),
    60212: Code(429, Kind.THROTTLED, "too many requests at once for this number", "verify"),
    60410: Code(403, Kind.PERMANENT, "blocked: the number's prefix looks like fraud", "verify"),
    60600: Code(404, Kind.NOT_FOUND, "the number is not in use", "lookup"),
    63003: Code(400, Kind.NOT_FOUND, "the channel can't find the recipient", "WhatsApp"),
    63007: Code(400, Kind.NOT_FOUND, "no channel with this sender", "WhatsApp"),
    63016: Code(400, Kind.PERMANENT, "outside of the 24-hour window: use a template", "WhatsApp"),
    63018: Code(429, Kind.THROTTLED, "the channel's rate is exceeded", "WhatsApp"),
    63024: Code(400, Kind.PERMANENT, "the recipient is invalid for the channel", "WhatsApp"),
    63038: Code(429, Kind.PERMANENT, "the account's messages of the day are used up", "messages"),
}


@dataclass(frozen=True)
class Delivery:
    """Why an accepted message did not arrive: `error_code` of the message."""

    says: str
    may_pass: bool
    """Whether another message, later, may arrive."""


DELIVERY: Mapping[int, Delivery] = {
    21610: Delivery("the recipient has opted out (STOP)", False),
    30001: Delivery("the sender's queue overflowed", True),
    30002: Delivery("the account is suspended", False),
    30003: Delivery("the handset can't be reached", True),
    30004: Delivery("the recipient or the carrier blocks it", False),
    30005: Delivery("the number is unknown", False),
    30006: Delivery("a landline, or a carrier that can't be reached", False),
    30007: Delivery("filtered by Twilio or the carrier", False),
    30008: Delivery("the carrier gave no reason", True),
    30034: Delivery("the sender is not registered for A2P 10DLC", False),
    63003: Delivery("the channel can't find the recipient", False),
    63016: Delivery("outside of the 24-hour window: use a template", False),
    63018: Delivery("the channel's rate was exceeded", True),
    63024: Delivery("the recipient is invalid for the channel", False),
    63032: Delivery("the channel doesn't let this sender message this recipient", False),
}
