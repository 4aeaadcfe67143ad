"""What instances hear of Twilio, as external events: news of messages and calls, and what people send. Names and payloads."""

import msgspec

INBOUND_MESSAGE = "twilio.inbound-message"
INBOUND_CALL = "twilio.inbound-call"


def message_event(sid: str) -> str:
    """The name of the events with news of that message: `await ctx.wait_for_event(message_event(sent.sid), MessageNews)`."""
    return f"twilio.message.{sid}"


def call_event(sid: str) -> str:
    """The name of the events with news of that call."""
    return f"twilio.call.{sid}"


class MessageNews(msgspec.Struct, frozen=True, kw_only=True):
    sid: str
    status: str
    """As in `Message`. Twilio does not promise the order."""
    error_code: int | None = None


class CallNews(msgspec.Struct, frozen=True, kw_only=True):
    sid: str
    status: str
    duration: int = 0
    """Seconds, once it has ended."""
    answered_by: str = ""


class InboundMessage(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody texted one of the account's numbers."""

    sid: str
    from_: str = msgspec.field(name="from")
    to: str
    body: str
    media_urls: list[str] = msgspec.field(default_factory=list)
    opt_out: str = ""
    """STOP, START or HELP, when Twilio took it for one and has acted on it."""
    profile_name: str = ""
    """Of a WhatsApp user."""


class InboundCall(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody calls one of the account's numbers."""

    sid: str
    from_: str = msgspec.field(name="from")
    to: str
    status: str
    digits: str = ""
    """Keys that were pressed, for a <Gather>."""
    speech: str = ""
