"""`notify_with_escalation`: a text, then a call, then the next contact, until somebody says that they have it.

Acknowledged by a text (its first word), by a key pressed in the call, or by an event; whoever was told may do it, also when others are being told
already. Who has opted out is passed over. An outage of the provider delays and skips nobody. Nobody answering is an outcome, no failure.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any, Literal
from xml.sax.saxutils import escape, quoteattr

import msgspec

from connectors.core import InvalidRequest
from connectors.twilio import (
    INBOUND_CALL,
    INBOUND_MESSAGE,
    InboundCall,
    InboundMessage,
    MakeCall,
    OptedOut,
    SendMessage,
    make_call,
    send_message,
)
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration
from suborchestrations.people.board import PATIENT, Board, refusal, short
from suborchestrations.steps import Outcome, PlannedCall, Spec

_DAY = 86400.0
ACKNOWLEDGE = "acknowledge"
"""An event with an Acknowledgement, for those that come from elsewhere: `dtf raise ID acknowledge '{"by": "ann"}'`."""
How = Literal["", "event", "text", "call"]
Channel = Literal["text", "call"]


class Contact(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """What others see. Unique."""
    number: str
    """E.164. Unique."""
    channels: list[Channel] = msgspec.field(default_factory=lambda: ["text", "call"])
    """In this order."""


class Acknowledgement(msgspec.Struct, frozen=True, kw_only=True):
    by: str


class EscalationSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing is undone, whatever `on_failure` says: what was sent is sent. `poll_interval` is not used."""

    message: str
    """It is texted and read out, and stored: no secrets."""
    contacts: list[Contact]
    wait_after_text: float = 300.0
    """Seconds that somebody has to answer a text, from when it was sent."""
    wait_after_call: float = 300.0
    rounds: int = 1
    """So often the list is gone through."""
    words: list[str] = msgspec.field(default_factory=lambda: ["ok", "ack", "yes"])
    """A text that begins with one of them, in capitals or not, acknowledges."""
    digit: str = "1"
    """The key that does in a call."""
    digits_url: str = ""
    """Where Twilio sends the key that was pressed: the app's route of `inbound_calls`. Empty: a call only speaks."""
    connection: str = "default"
    """The name of the TwilioConnection."""
    from_: str = msgspec.field(name="from", default="")
    deadline: float = _DAY


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One text or call that went out."""

    name: str
    channel: Channel
    sid: str
    at: datetime


class EscalationOutcome(Outcome, frozen=True, kw_only=True):
    state: Literal["acknowledged", "nobody", "expired", "planned"]
    """nobody: the list is through. expired: the deadline came first."""
    by: str = ""
    """Who acknowledged."""
    how: How = ""
    told: list[Told] = msgspec.field(default_factory=list)
    skipped: list[str] = msgspec.field(default_factory=list)
    """Who has opted out, or can be reached by none of their channels."""


@orchestration(name="suborchestrations.people.notify_with_escalation", version="1")
async def notify_with_escalation(ctx: OrchestrationContext, spec: EscalationSpec) -> EscalationOutcome:
    """Texts and keys come in as INBOUND_MESSAGE and INBOUND_CALL, which `inbound_messages` and `inbound_calls` of `connectors.twilio.webhooks` raise
    on the instance that their `route` names: this one's id. `planned` is what goes out when nobody answers. It costs, by text and call.

    Raises InvalidRequest for a spec that can't be right, and TaskFailedError for what is wrong with the account and not with a contact.
    """
    _check(spec)
    if spec.plan:
        return EscalationOutcome(state="planned", planned=_planned(spec))
    return await _Escalation(ctx, spec).run()


class _Acknowledged(Exception):
    def __init__(self, by: str, how: How) -> None:
        super().__init__(by)
        self.by, self.how = by, how


class _Escalation:
    """One run."""

    def __init__(self, ctx: OrchestrationContext, spec: EscalationSpec) -> None:
        self._ctx, self._spec = ctx, spec
        self._board = Board(ctx, [one.name for one in spec.contacts])
        self._names = {one.number: one.name for one in spec.contacts}
        self._told: list[Told] = []
        self._skipped: list[str] = []
        self._opted_out: set[str] = set()
        self._hearing = {name: ctx.wait_for_event(name) for name in (ACKNOWLEDGE, INBOUND_MESSAGE, INBOUND_CALL)}

    async def run(self) -> EscalationOutcome:
        by = ""
        how: How = ""
        state: Literal["acknowledged", "nobody", "expired"] = "nobody"
        try:
            async with asyncio.timeout(self._spec.deadline):
                for _ in range(self._spec.rounds):
                    for contact in self._spec.contacts:
                        await self._tell(contact)
        except TimeoutError:
            state = "expired"
        except _Acknowledged as yes:
            state, by, how = "acknowledged", yes.by, yes.how
            if by in self._names.values():
                self._board.set(by, "done", f"acknowledged by {how}")
        finally:
            for one in self._hearing.values():
                one.cancel()
        self._board.close()
        return EscalationOutcome(state=state, by=by, how=how, told=self._told, skipped=self._skipped)

    async def _tell(self, contact: Contact) -> None:
        """All channels of one contact, until they have had their time."""
        if contact.name in self._skipped:
            return
        reached, why = False, ""
        for channel in contact.channels:
            self._board.set(contact.name, "running", f"{channel} is going out")
            try:
                sid = await self._or_heard(contact, lambda channel=channel: _SEND[channel](self._spec, contact))  # type: ignore[misc]
            except TaskFailedError as error:
                failure = refusal(error)
                if failure.is_caused_by(OptedOut):
                    self._opted_out.add(contact.name)
                why = short(failure)
            else:
                if sid:
                    reached = True
                    self._told.append(Told(name=contact.name, channel=channel, sid=sid, at=self._ctx.now()))
                    self._board.set(contact.name, "running", f"{channel} went out, no answer yet")
                    wait = self._spec.wait_after_text if channel == "text" else self._spec.wait_after_call
                    await self._or_heard(contact, lambda wait=wait: asyncio.sleep(wait, ""))  # type: ignore[misc]
            if contact.name in self._opted_out:
                self._skipped.append(contact.name)
                self._board.set(contact.name, "skipped", "has opted out")
                return
        if not reached:
            self._skipped.append(contact.name)
        self._board.set(contact.name, "failed", "did not answer" if reached else f"can't be reached: {why}")

    async def _or_heard(self, contact: Contact, do: Callable[[], Awaitable[str]]) -> str:
        """What it gives; empty when the contact has opted out: then it is not begun, or given up. Raises _Acknowledged, and what `do` raises."""
        doing = asyncio.ensure_future(do())
        try:
            while contact.name not in self._opted_out:
                await asyncio.wait([doing, *self._hearing.values()], return_when=asyncio.FIRST_COMPLETED)
                for name, heard in list(self._hearing.items()):
                    if heard.done():
                        self._hearing[name] = self._ctx.wait_for_event(name)
                        self._hear(name, heard.result())
                if doing.done():
                    return doing.result()
            return ""
        finally:
            if not doing.cancel():
                doing.exception()  # somebody acknowledged in the same moment, which counts for more

    def _hear(self, event: str, payload: Any) -> None:
        try:
            if event == ACKNOWLEDGE:
                raise _Acknowledged(msgspec.convert(payload, Acknowledgement).by, "event")
            if event == INBOUND_MESSAGE:
                self._read(msgspec.convert(payload, InboundMessage))
            else:
                call = msgspec.convert(payload, InboundCall)
                name = self._names.get(call.from_) or self._names.get(call.to)  # ours called, or theirs
                if name and call.digits == self._spec.digit:
                    raise _Acknowledged(name, "call")
        except msgspec.ValidationError:
            self._ctx.logger.warning("%s: an event %s is none that acknowledges", self._ctx.instance_id, event)

    def _read(self, text: InboundMessage) -> None:
        name = self._names.get(text.from_)
        if name is None:
            return
        if text.opt_out == "STOP":
            self._opted_out.add(name)
            return
        first = re.split(r"\W+", text.body.strip().casefold(), maxsplit=1)[0]
        if first in {word.casefold() for word in self._spec.words}:
            raise _Acknowledged(name, "text")


async def _text(spec: EscalationSpec, contact: Contact) -> str:
    return (await send_message.options(retry=PATIENT)(_message(spec, contact))).sid


async def _call(spec: EscalationSpec, contact: Contact) -> str:
    return (await make_call.options(retry=PATIENT)(_ring(spec, contact))).sid


_SEND: dict[Channel, Callable[[EscalationSpec, Contact], Awaitable[str]]] = {"text": _text, "call": _call}


def _message(spec: EscalationSpec, contact: Contact) -> SendMessage:
    body = f"{spec.message} Answer {spec.words[0].upper()} to take it." if spec.words else spec.message
    return SendMessage(to=contact.number, from_=spec.from_, body=body, connection=spec.connection)


def _ring(spec: EscalationSpec, contact: Contact) -> MakeCall:
    says = f"<Say>{escape(spec.message)}</Say>"
    if spec.digits_url:
        told = f"<Say>{escape(spec.message)} Press {escape(spec.digit)} to take it.</Say>"
        says = f'<Gather numDigits="1" action={quoteattr(spec.digits_url)}>{told}</Gather>'
    return MakeCall(
        to=contact.number, from_=spec.from_, twiml=f"<Response>{says}</Response>", connection=spec.connection
    )


def _check(spec: EscalationSpec) -> None:
    names, numbers = {one.name for one in spec.contacts}, {one.number for one in spec.contacts}
    if not spec.message or not spec.contacts or not len(names) == len(numbers) == len(spec.contacts):
        raise InvalidRequest("notify_with_escalation needs a message, and contacts with names and numbers of their own")
    if any(not one.channels or not one.name or not one.number for one in spec.contacts):
        raise InvalidRequest("notify_with_escalation: each contact needs a name, a number and a channel")
    if spec.rounds < 1 or min(spec.wait_after_text, spec.wait_after_call, spec.deadline) <= 0:
        raise InvalidRequest("notify_with_escalation needs rounds from 1, and waits and a deadline above 0")


def _planned(spec: EscalationSpec) -> list[PlannedCall]:
    """As far as the deadline lets it, when nobody answers and everything goes out at once."""
    planned: list[PlannedCall] = []
    at = 0.0
    for _ in range(spec.rounds):
        for contact in spec.contacts:
            for channel in contact.channels:
                if at >= spec.deadline:
                    return planned
                is_text = channel == "text"
                name = send_message.name if is_text else make_call.name
                call = _message(spec, contact) if is_text else _ring(spec, contact)
                planned.append(PlannedCall(activity=name, input=msgspec.to_builtins(call)))
                at += spec.wait_after_text if is_text else spec.wait_after_call
    return planned
