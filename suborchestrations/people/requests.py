"""What an approver is sent: two links, good for one answer between them, made where they are sent.

An activity of your own gets an ApprovalRequest and calls its `links()`. Must never let a link into a result, a log or an error.
"""

import threading
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from connectors.core import Effect, InvalidRequest, Secret, declare, resolve
from connectors.core.webhooks import LINK_PATH, Links, WebhookConnection
from connectors.twilio import SendMessage, SentMessage, TwilioConnection, send_message
from connectors.twilio.ledger import ledger
from dtf_runtime import activity, activity_context
from suborchestrations.people.board import PATIENT

_QUESTION = 120  # characters of it that travel in each link, for the page that confirms
_LONGEST_TEXT = 1_600  # characters, Twilio's limit
_opening = threading.Lock()
"""Approvers are texted at once, and SQLite refuses two threads that make one new file a WAL at the same moment."""


class Approver(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """What others see, and how an answer says whose it is. Unique."""
    to: str
    """A number (E.164) for texts; whatever your own activity takes."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a link answers."""

    by: str
    approved: bool


class ApprovalLinks(NamedTuple):
    """`reveal()` gives the address. Whoever has it can answer in that person's name, so neither can be stored or logged."""

    approve: Secret
    reject: Secret


class ApprovalRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the sending activity gets: all that makes the links, but for the key that signs them."""

    approver: Approver
    question: str
    event: str
    """The links raise it; it is another one in each run."""
    ends: datetime
    """The links are refused from then on."""
    reminder: int = 0
    """0: the first message; 1, 2, ... a reminder. All of them have the same links."""
    webhooks: str = "default"
    """The name of the WebhookConnection."""
    connection: str = "default"
    """The name of the TwilioConnection, for texts."""
    from_: str = msgspec.field(name="from", default="")

    def links(self) -> ApprovalLinks:
        """The same at every attempt. Raises ConnectionMissing, InvalidRequest, OutsideActivityError: they answer the instance that called the
        activity."""
        instance_id = activity_context().instance_id
        links = Links.of(resolve(WebhookConnection, self.webhooks))

        def make(approved: bool) -> Secret:
            url = links.make_until(
                instance_id,
                self.event,
                once=f"{self.event}/{self.approver.name}",
                ends=self.ends,
                payload=Answer(by=self.approver.name, approved=approved),
                question=f"{'Approve' if approved else 'Reject'}: {self.question[:_QUESTION]}",
            )
            Secret(url.partition(LINK_PATH)[2])  # HTTP libraries log paths; what was a Secret once, is masked
            return Secret(url)

        return ApprovalLinks(make(True), make(False))


@declare(Effect.LOOKUP, "as twilio.send_message: the same links, so the same text, at every attempt")
@activity(name="suborchestrations.people.text_approval", retry=PATIENT)
def text_approval(ask: ApprovalRequest) -> SentMessage:
    """Texts both links. It costs, by segment: two links are some 700 characters. Raises what `twilio.send_message` raises."""
    approve, reject = (link.reveal() for link in ask.links())
    text = f"{'Reminder: ' if ask.reminder else ''}{ask.question}\nApprove: {approve}\nReject: {reject}"
    if len(text) > _LONGEST_TEXT:
        raise InvalidRequest(
            f"the text to {ask.approver.name} has {len(text)} characters of {_LONGEST_TEXT}: shorten the question"
        )
    with _opening:
        ledger(resolve(TwilioConnection, ask.connection).ledger_path)
    fields: dict[str, Any] = {"to": ask.approver.to, "from_": ask.from_, "connection": ask.connection}
    sent: SentMessage = send_message.fn(SendMessage(body=text, **fields))
    return sent
