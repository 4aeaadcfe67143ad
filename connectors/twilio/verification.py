"""Verify: a code to a phone, and whether it was right. Source: https://www.twilio.com/docs/verify/api

Starting one anew while it is pending sends the same code once more, so a lost answer is looked for: Twilio lists when it sent what.
"""

from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.core import (
    DEFAULT_RETRY,
    Ambiguous,
    Effect,
    InvalidRequest,
    Mutation,
    NotFound,
    call_key,
    declare,
    resolve,
)
from connectors.twilio.client import request_id, twilio_call
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.errors import Unsettled
from connectors.twilio.ledger import ledger
from connectors.twilio.models import TwilioCall, some
from connectors.twilio.once import OnAmbiguous, Send, likeness_of, once, until_known
from dtf_runtime import activity


class StartVerification(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    service_sid: str
    """VA..."""
    to: str
    """E.164, or an e-mail address for the channel `email`."""
    channel: Literal["sms", "call", "email", "whatsapp"] = "sms"
    locale: str = ""
    on_ambiguous: OnAmbiguous = "lookup"


class StartedVerification(Mutation, frozen=True, kw_only=True):
    sid: str
    status: str
    channel: str
    sends: int
    """How often the code was sent so far; after five Twilio refuses (60203)."""


class CheckVerification(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    service_sid: str
    verification_sid: str
    code: str
    """Of use once, and for ten minutes."""


class CheckedVerification(Mutation, frozen=True, kw_only=True):
    sid: str
    status: str
    """approved, pending (the code was wrong), canceled."""

    @property
    def approved(self) -> bool:
        return self.status == "approved"


class _Sent(msgspec.Struct, frozen=True):
    """One send of a code; `sid` is the attempt's."""

    sid: str
    verification_sid: str
    status: str
    channel: str
    sends: int
    sent: float
    """Seconds since 1970."""


@declare(Effect.LOOKUP, "after a lost answer: among the sends that Twilio lists for the pending verification")
@activity(name="twilio.start_verification", retry=DEFAULT_RETRY)
def start_verification(call: StartVerification) -> StartedVerification:
    """Sends a code. It costs, by verification. Raises Unsettled, Permanent (60203: five sends are the most), Throttled, InvalidRequest."""
    connection = resolve(TwilioConnection, call.connection)
    service = some(call.service_sid, "VA", "Verify service")
    if not call.to:
        raise InvalidRequest("the verification has no recipient")
    answers: list[str] = []

    def post() -> _Sent:
        more = {"locale": call.locale} if call.locale else {}
        raw, headers = twilio_call(
            connection,
            "start_verification",
            lambda sdk: sdk.verify.v2.services(service).verifications.create(to=call.to, channel=call.channel, **more),
            repeatable=False,
        )
        answers.append(request_id(headers))
        return _sends(raw)[-1]

    def look(since: float) -> list[_Sent]:
        return [one for one in _fetch(connection, service, call.to) if one.sent >= int(since)]

    key = call_key(call)
    send = Send(
        what="verification",
        connection=connection,
        key=key,
        likeness=likeness_of("verification", service, call.to),
        on_ambiguous=call.on_ambiguous,
        post=post,
        look=look,
        fetch=lambda sid: _again(_fetch(connection, service, call.to), sid),
    )
    made, replayed = once(send)
    return StartedVerification(
        sid=made.verification_sid,
        status=made.status,
        channel=made.channel,
        sends=made.sends,
        request_id=answers[-1] if answers else "",
        replayed=replayed,
    )


@declare(Effect.LOOKUP, "an earlier delivery's check is known by Twilio's list of attempts: one of them has converted")
@activity(name="twilio.check_verification", retry=DEFAULT_RETRY)
def check_verification(call: CheckVerification) -> CheckedVerification:
    """Whether the code is right. Raises NotFound (expired, or checked with success by another call), Permanent (60202: five checks are the
    most), Unsettled."""
    connection = resolve(TwilioConnection, call.connection)
    service = some(call.service_sid, "VA", "Verify service")
    sid = some(call.verification_sid, "VE", "verification")
    if not (3 < len(call.code) < 11 and call.code.isalnum()):
        raise InvalidRequest("a code has 4 to 10 letters or digits")
    key = call_key(call)
    return until_known("check", lambda: _checked(connection, key, service, sid, call.code))


ACTIVITIES = (start_verification, check_verification)


def _checked(connection: TwilioConnection, key: str, service: str, sid: str, code: str) -> CheckedVerification:
    # Approved may be adopted only by the call that asked with this very code: another's wrong code must not become right by it.
    entry = ledger(connection.ledger_path).begin(key, likeness_of("check", sid), 0.0, None)
    if not entry.is_new and _is_approved(connection, service, sid):
        return CheckedVerification(sid=sid, status="approved", replayed=True)
    try:
        raw, headers = twilio_call(
            connection,
            "check_verification",
            lambda sdk: sdk.verify.v2.services(service).verification_checks.create(verification_sid=sid, code=code),
            repeatable=False,
        )
    except Ambiguous as error:
        raise Unsettled(f"{error}; the next attempt of this call does", code=error.code, retry_after=1.0) from None
    return CheckedVerification(sid=sid, status=str(raw.status), request_id=request_id(headers))


def _is_approved(connection: TwilioConnection, service: str, sid: str) -> bool:
    """Verify forgets a verification once it is approved (20404), but not its attempts."""

    def ask(sdk: Any) -> bool:
        found = sdk.verify.v2.verification_attempts.list(verification_sid=sid, verify_service_sid=service, limit=20)
        return any(str(one.conversion_status).lower() == "converted" for one in found)

    answer, _ = twilio_call(connection, "list_verification_attempts", ask, repeatable=True)
    return answer


def _fetch(connection: TwilioConnection, service: str, to: str) -> list[_Sent]:
    """What was sent for the pending verification, oldest first; empty when there is none."""
    try:
        raw, _ = twilio_call(
            connection,
            "get_verification",
            lambda sdk: sdk.verify.v2.services(service).verifications(to).fetch(),
            repeatable=True,
        )
    except NotFound:
        return []
    return _sends(raw)


def _sends(raw: Any) -> list[_Sent]:
    attempts = raw.send_code_attempts or []
    found = []
    for sends, one in enumerate(attempts, 1):
        when = datetime.fromisoformat(str(one["time"]).replace("Z", "+00:00"))
        found.append(
            _Sent(
                sid=str(one["attempt_sid"]),
                verification_sid=raw.sid,
                status=str(raw.status),
                channel=str(one["channel"]),
                sends=sends,
                sent=when.timestamp(),
            )
        )
    return found


def _again(found: list[_Sent], sid: str) -> _Sent:
    for one in found:
        if one.sid == sid:
            return one
    raise NotFound("the verification that this call started is over", code="20404")
