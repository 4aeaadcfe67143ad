"""`human_approval`: asks people, by links that are good for one answer, until enough have said yes, somebody no, or time is up.

The first answer of each person counts. An answer after the decision, a second one, and one of somebody who was not asked change nothing. Nobody
answering is an outcome, no failure.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Literal

import msgspec

from connectors.core import InvalidRequest
from connectors.twilio import OptedOut
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration
from suborchestrations.people.board import PATIENT, Board, refusal, short
from suborchestrations.people.requests import Answer, ApprovalRequest, Approver, text_approval
from suborchestrations.steps import Outcome, PlannedCall, Spec

_WEEK = 7 * 86400.0
ANSWER = "answer"
"""An event with an Answer, for answers that come another way than by link: `dtf raise ID answer '{"by": "ann", "approved": true}'`."""


class ApprovalSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing is undone, whatever `on_failure` says: what was sent is sent. `poll_interval` is not used."""

    question: str
    """What they are asked. It travels in the links and is stored: no secrets."""
    approvers: list[Approver]
    quorum: int = 1
    """So many must approve."""
    veto: bool = True
    """One rejection decides. False: it is rejected when the quorum can't be reached any more."""
    reminders: int = 2
    """At most so many to each who has not answered."""
    remind_every: float = 86400.0
    """Seconds after the last message to that person."""
    deadline: float = _WEEK
    """Then the links end too."""
    send: str = ""
    """The activity that sends: it gets an ApprovalRequest, whose `links()` it calls, and is tried again until the deadline unless it raises a
    NonRetriableError. Empty: by SMS, through Twilio."""
    webhooks: str = "default"
    connection: str = "default"
    """The name of the TwilioConnection."""
    from_: str = msgspec.field(name="from", default="")
    """The number that texts; empty: the connection's."""


class Answered(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that counted."""

    by: str
    approved: bool
    at: datetime


Decision = Literal["approved", "rejected", "expired", "unreachable", "planned"]


class ApprovalOutcome(Outcome, frozen=True, kw_only=True):
    decision: Decision
    """expired: the deadline came first. unreachable: too few of them can be asked for the quorum."""
    answers: list[Answered]
    """In the order in which they came."""
    ignored: int = 0
    """Answers that came before the decision and did not count: second ones, and of nobody who was asked."""
    unreached: list[str] = msgspec.field(default_factory=list)
    """Who has opted out or can't be sent anything."""

    @property
    def approved(self) -> bool:
        return self.decision == "approved"


@orchestration(name="suborchestrations.people.human_approval", version="1")
async def human_approval(ctx: OrchestrationContext, spec: ApprovalSpec) -> ApprovalOutcome:
    """Needs a WebhookApp that runs with the same WebhookConnection. `planned` is what is sent when nobody answers.

    Raises InvalidRequest for a spec that can't be right, and TaskFailedError for what is wrong with the sending and not with a person:
    credentials, a connection that is missing, an activity that fails for good.
    """
    _check(spec)
    begun = ctx.now()
    event = "<event>" if spec.plan else f"approval-{ctx.uuid4()}"
    asks = {
        one.name: ApprovalRequest(
            approver=one,
            question=spec.question,
            event=event,
            ends=begun + timedelta(seconds=spec.deadline),
            webhooks=spec.webhooks,
            connection=spec.connection,
            from_=spec.from_,
        )
        for one in spec.approvers
    }
    if spec.plan:
        return ApprovalOutcome(decision="planned", answers=[], planned=_planned(spec, list(asks.values())))
    return await _Vote(ctx, spec, asks).run(event)


class _Vote:
    """One run."""

    def __init__(self, ctx: OrchestrationContext, spec: ApprovalSpec, asks: dict[str, ApprovalRequest]) -> None:
        self._ctx, self._spec, self._asks = ctx, spec, asks
        self._board = Board(ctx, asks)
        self._answers: dict[str, Answered] = {}
        self._unreached: list[str] = []
        self._ignored = 0

    async def run(self, event: str) -> ApprovalOutcome:
        asking = {name: asyncio.create_task(self._ask(ask)) for name, ask in self._asks.items()}
        hearing = [self._ctx.wait_for_event(name) for name in (event, ANSWER)]
        decision: Decision | None
        try:
            async with asyncio.timeout(self._spec.deadline):
                while (decision := self._decision()) is None:
                    await asyncio.wait([*hearing, *asking.values()], return_when=asyncio.FIRST_COMPLETED)
                    for number, name in enumerate((event, ANSWER)):
                        if hearing[number].done():
                            self._hear(hearing[number].result(), asking)
                            hearing[number] = self._ctx.wait_for_event(name)
                    for name in [name for name, one in asking.items() if one.done()]:
                        asking.pop(name).result()
        except TimeoutError:
            decision = "expired"
        finally:
            for one in (*hearing, *asking.values()):
                one.cancel()
            await asyncio.gather(*asking.values(), return_exceptions=True)
        self._board.close()
        return ApprovalOutcome(
            decision=decision, answers=list(self._answers.values()), ignored=self._ignored, unreached=self._unreached
        )

    async def _ask(self, ask: ApprovalRequest) -> None:
        """Sends, and reminds; ends when there is nothing more to send."""
        name = ask.approver.name
        for reminder in range(self._spec.reminders + 1):
            if reminder:
                await asyncio.sleep(self._spec.remind_every)
            self._board.set(name, "running", "is being asked" if not reminder else "is being reminded")
            try:
                await self._send(msgspec.structs.replace(ask, reminder=reminder))
            except TaskFailedError as error:
                failure = refusal(error)
                why = "has opted out" if failure.is_caused_by(OptedOut) else short(failure)
                if reminder:  # the links are there, so an answer may still come
                    self._board.set(name, "running", f"asked, no reminder: {why}")
                else:
                    self._unreached.append(name)
                    self._board.set(name, "failed", why)
                return
            self._board.set(name, "running", f"reminded {reminder} times" if reminder else "asked")

    async def _send(self, ask: ApprovalRequest) -> None:
        if self._spec.send:
            await self._ctx.call_activity(self._spec.send, ask, retry=PATIENT)
        else:
            await text_approval(ask)

    def _hear(self, payload: Any, asking: dict[str, "asyncio.Task[None]"]) -> None:
        try:
            answer = msgspec.convert(payload, Answer)
        except msgspec.ValidationError:
            self._ignored += 1
            return
        if answer.by not in self._asks or answer.by in self._answers:
            self._ignored += 1
            return
        self._answers[answer.by] = Answered(by=answer.by, approved=answer.approved, at=self._ctx.now())
        self._board.set(answer.by, "done", "approved" if answer.approved else "rejected")
        if answer.by in asking:  # no more reminders
            asking.pop(answer.by).cancel()

    def _decision(self) -> Decision | None:
        yes = sum(one.approved for one in self._answers.values())
        no = len(self._answers) - yes
        if yes >= self._spec.quorum:
            return "approved"
        if (no and self._spec.veto) or len(self._asks) - no < self._spec.quorum:
            return "rejected"
        lost = sum(name not in self._answers for name in self._unreached)
        return "unreachable" if len(self._asks) - no - lost < self._spec.quorum else None


def _check(spec: ApprovalSpec) -> None:
    names = [one.name for one in spec.approvers]
    if not spec.question or not names or len(set(names)) != len(names) or not all(names):
        raise InvalidRequest("human_approval needs a question, and approvers with names of their own")
    if not 1 <= spec.quorum <= len(names):
        raise InvalidRequest(f"human_approval: a quorum of {spec.quorum} can't be reached by {len(names)} approvers")
    if spec.reminders < 0 or not spec.remind_every > 0 or not spec.deadline > 0:
        raise InvalidRequest("human_approval needs reminders from 0, remind_every and deadline above 0")


def _planned(spec: ApprovalSpec, asks: list[ApprovalRequest]) -> list[PlannedCall]:
    """Round by round, as far as the deadline lets them."""
    rounds = [n for n in range(spec.reminders + 1) if n * spec.remind_every < spec.deadline]
    return [
        PlannedCall(
            activity=spec.send or text_approval.name,
            input=msgspec.to_builtins(msgspec.structs.replace(ask, reminder=n)),
        )
        for n in rounds
        for ask in asks
    ]
