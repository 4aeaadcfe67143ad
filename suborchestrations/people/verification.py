"""`phone_verification`: a code to a phone, and somebody who types it: attempts that are counted, resends, a deadline. Through Twilio Verify.

The code that is typed comes as an event, so it is in history: it is of use once, and not at all when this has ended.
"""

import asyncio
from datetime import timedelta
from typing import Any, Literal

import msgspec

from connectors.core import InvalidRequest, NotFound
from connectors.twilio import (
    CheckVerification,
    OptedOut,
    StartVerification,
    check_verification,
    start_verification,
)
from dtf_runtime import FailureDetails, OrchestrationContext, TaskFailedError, orchestration
from suborchestrations.people.board import PATIENT, PATIENT_WHILE_GOOD, Board, refusal, short
from suborchestrations.steps import Outcome, PlannedCall, Spec

CODE = "code"
"""The event with what was typed, a string."""
RESEND = "resend"
"""The event that asks for the code once more."""
_TEN_MINUTES = 600.0
_CHECKED_TOO_OFTEN = "60202"
State = Literal["verified", "wrong", "expired", "refused", "planned"]


class VerificationSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """Nothing is undone, whatever `on_failure` says: a code that was sent expires by itself. `poll_interval` is not used."""

    number: str
    """E.164."""
    service_sid: str
    """The Verify service, VA..."""
    channel: Literal["sms", "call", "whatsapp"] = "sms"
    locale: str = ""
    attempts: int = 3
    """So many codes may be typed; Twilio takes five for one that was sent."""
    resends: int = 2
    """So often it is sent again when asked; a second one has the same code while that is good, for ten minutes."""
    connection: str = "default"
    """The name of the TwilioConnection."""
    deadline: float = _TEN_MINUTES
    """For the right code to be typed; the check of one that came in time is waited for."""


class VerificationOutcome(Outcome, frozen=True, kw_only=True):
    state: State
    """wrong: the attempts are used up. expired: the deadline passed. refused: nothing can be sent to that number; `reason` says why."""
    attempts: int = 0
    """Codes that were typed."""
    sends: int = 0
    reason: str = ""

    @property
    def verified(self) -> bool:
        return self.state == "verified"


@orchestration(name="suborchestrations.people.phone_verification", version="1")
async def phone_verification(ctx: OrchestrationContext, spec: VerificationSpec) -> VerificationOutcome:
    """Takes the events `code` and `resend`; the custom status says how many attempts are left. `planned` is what is sent when nobody types anything.

    It costs, by verification. Raises InvalidRequest for a spec that can't be right, and TaskFailedError for what is wrong with the account.
    """
    if spec.attempts < 1 or spec.resends < 0 or not spec.deadline > 0 or not spec.number or not spec.service_sid:
        raise InvalidRequest(
            "phone_verification needs a number, a service_sid, attempts from 1, resends from 0 and a deadline above 0"
        )
    if spec.plan:
        planned = PlannedCall(activity=start_verification.name, input=msgspec.to_builtins(_start(spec)))
        return VerificationOutcome(state="planned", planned=[planned])
    return await _Verification(ctx, spec).run()


class _Verification:
    """One run."""

    def __init__(self, ctx: OrchestrationContext, spec: VerificationSpec) -> None:
        self._ctx, self._spec = ctx, spec
        self._board = Board(ctx, ("send", "code"))
        self._end = ctx.now() + timedelta(seconds=spec.deadline)
        self._sid = ""
        self._sends = self._attempts = self._resends = 0
        self._hearing = {name: ctx.wait_for_event(name) for name in (CODE, RESEND)}

    async def run(self) -> VerificationOutcome:
        try:
            reason = await self._send()
            if reason:
                self._board.set("send", "failed", reason)
                return self._over("refused", reason)
            while self._attempts < self._spec.attempts:
                event, payload = await self._heard()
                if event == RESEND:
                    await self._resend()
                elif await self._is_right(payload):
                    self._board.set("code", "done")
                    return self._over("verified")
            self._board.set("code", "failed", "no attempts left")
            return self._over("wrong")
        except TimeoutError:
            self._board.set("code", "failed", "the deadline passed")
            return self._over("expired")
        finally:
            for one in self._hearing.values():
                one.cancel()

    def _over(self, state: State, reason: str = "") -> VerificationOutcome:
        self._board.close()
        return VerificationOutcome(state=state, attempts=self._attempts, sends=self._sends, reason=reason)

    def _left(self) -> float:
        return max((self._end - self._ctx.now()).total_seconds(), 0.0)

    async def _send(self) -> str:
        """Why it can't be sent; empty when it was."""
        self._board.set("send", "running")
        try:
            async with asyncio.timeout(self._left()):
                started = await start_verification.options(retry=PATIENT)(_start(self._spec))
        except TaskFailedError as error:
            failure = refusal(error)
            return "opted_out" if failure.is_caused_by(OptedOut) else short(failure)
        self._sid = started.sid
        self._sends += 1
        self._board.set("send", "done", "" if self._sends == 1 else f"sent {self._sends} times")
        self._board.set("code", "running", self._attempts_left())
        return ""

    async def _resend(self) -> None:
        if self._resends >= self._spec.resends:
            self._board.set("send", "done", "no more resends")
            return
        self._resends += 1
        if reason := await self._send():
            self._board.set("send", "failed", f"not again: {reason}")

    async def _heard(self) -> tuple[str, Any]:
        """The next event, codes before resends. Raises TimeoutError at the deadline."""
        async with asyncio.timeout(self._left()):
            await asyncio.wait(self._hearing.values(), return_when=asyncio.FIRST_COMPLETED)
        for name, heard in self._hearing.items():
            if heard.done():
                self._hearing[name] = self._ctx.wait_for_event(name)
                return name, heard.result()
        raise AssertionError("unreachable")

    async def _is_right(self, typed: Any) -> bool:
        self._attempts += 1
        code = typed.strip() if isinstance(typed, str) else ""
        said = "wrong"
        if 3 < len(code) < 11 and code.isalnum():  # else Twilio would not look at it
            self._board.set("code", "running", "is being checked")
            call = CheckVerification(
                service_sid=self._spec.service_sid,
                verification_sid=self._sid,
                code=code,
                connection=self._spec.connection,
            )
            try:
                if (await check_verification.options(retry=PATIENT_WHILE_GOOD)(call)).approved:
                    return True
            except TaskFailedError as error:
                said = _why_not(error)
        self._board.set("code", "running", f"{said}, {self._attempts_left()}")
        return False

    def _attempts_left(self) -> str:
        return f"{self._spec.attempts - self._attempts} attempts left"


def _start(spec: VerificationSpec) -> StartVerification:
    return StartVerification(
        service_sid=spec.service_sid,
        to=spec.number,
        channel=spec.channel,
        locale=spec.locale,
        connection=spec.connection,
    )


def _why_not(error: TaskFailedError) -> str:
    """Of a check that says nothing about the code. Raises it when nothing is wrong with the verification."""
    failure: FailureDetails = error.failure
    if failure.is_caused_by(NotFound):
        return "the code has expired"
    if failure.properties.get("code") == _CHECKED_TOO_OFTEN:
        return "checked too often"
    raise error
