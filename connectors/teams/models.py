"""What goes into the activities of the connector and what comes out of them. All of it is stored in the instance's history, in clear."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.core import Mutation

OnAmbiguous = Literal["resend", "fail"]
"""When it may have been posted: post it again, with the same reference; or end with Ambiguous. There is nothing to look in."""


class Link(msgspec.Struct, frozen=True, kw_only=True, tag="link"):
    """A button that opens a page."""

    title: str
    url: str


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag="answer"):
    """A button that raises an event: its address is signed when the message is sent, and good for one answer."""

    title: str
    event: str
    payload: Any = None
    """What `ctx.wait_for_event(event)` gets."""
    question: str = ""
    """What the person who opens it is asked; default: the title."""
    instance_id: str = ""
    """Empty: the instance that sends the message."""


Button = Link | Answer


class SendMessage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A message, made into an Adaptive Card. Texts may have Markdown."""

    text: str
    title: str = ""
    facts: Mapping[str, str] = {}
    """Two columns, in order."""
    buttons: tuple[Button, ...] = ()
    """The answers among them are used up together."""
    answers_until: datetime | None = None
    """When the answers' links end. Needed with an `Answer`: `ctx.now() + timedelta(days=1)`."""
    show_key: bool = True
    """A last, small line with the reference of this call: the same on a repeat, so that people and flows know it."""
    on_ambiguous: OnAmbiguous = "resend"
    connection: str = "default"
    links: str = "default"
    """The `WebhookConnection` that signs the answers' links."""


class SendCard(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An Adaptive Card of your own, up to version 1.5."""

    card: Mapping[str, Any]
    show_key: bool = True
    on_ambiguous: OnAmbiguous = "resend"
    connection: str = "default"


class Sent(Mutation, frozen=True, kw_only=True):
    """Accepted by the flow, which posts it a moment later. Teams tells no message id; `request_id` is the flow's run."""

    key: str
    """The reference in the card."""


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """What somebody wrote to an outgoing webhook by @mention."""

    id: str
    text: str
    """Without the mention."""
    user: str = ""
    user_id: str = ""
    """Of Entra ID."""
    conversation_id: str = ""
