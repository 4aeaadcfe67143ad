"""What the fake does with each request. Pure of sockets: method, path and parameters in, status and JSON out."""

import base64
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from connectors.twilio.testing import answers
from connectors.twilio.testing.world import Refusal, Thing, Verification, World

_NUMBER = re.compile(r"(whatsapp:|messenger:)?\+[1-9]\d{6,14}")
_MOST_SENDS = _MOST_CHECKS = 5
_VALID = timedelta(minutes=10)


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    query: Mapping[str, str]
    form: Mapping[str, list[str]]
    authorization: str

    def one(self, name: str) -> str:
        return (self.form.get(name) or [""])[0]


Answer = tuple[int, Any]


class Routes:
    def __init__(self, world: World, account: str, secret: str) -> None:
        self._world = world
        self._account = account
        self._expected = "Basic " + base64.b64encode(f"{account}:{secret}".encode()).decode()
        root = rf"/2010-04-01/Accounts/{account}"
        self._table: tuple[tuple[str, str, Callable[..., Answer]], ...] = (
            ("POST", rf"{root}/Messages\.json", self._send),
            ("GET", rf"{root}/Messages\.json", self._messages),
            ("GET", rf"{root}/Messages/(\w+)\.json", self._message),
            ("POST", rf"{root}/Messages/(\w+)\.json", self._change_message),
            ("POST", rf"{root}/Calls\.json", self._call),
            ("GET", rf"{root}/Calls\.json", self._calls),
            ("GET", rf"{root}/Calls/(\w+)\.json", self._one_call),
            ("POST", rf"{root}/Calls/(\w+)\.json", self._change_call),
            ("POST", r"/v2/Services/(VA\w+)/Verifications", self._verify),
            ("GET", r"/v2/Services/(VA\w+)/Verifications/([^/]+)", self._verification),
            ("POST", r"/v2/Services/(VA\w+)/VerificationCheck", self._check),
            ("GET", r"/v2/Attempts", self._attempts),
            ("GET", r"/v2/PhoneNumbers/([^/]+)", self._number),
        )

    def answer(self, asked: Asked) -> Answer:
        """Raises Refusal."""
        if asked.authorization != self._expected:
            raise Refusal(20003)
        self._world.settle()
        for method, pattern, do in self._table:
            found = re.fullmatch(pattern, asked.path)
            if found and method == asked.method:
                return do(asked, *found.groups())
        raise Refusal(20404)

    # -- messages -----------------------------------------------------------------------------------------------------

    def _send(self, asked: Asked) -> Answer:
        to, sender, service = asked.one("To"), asked.one("From"), asked.one("MessagingServiceSid")
        if not to:
            raise Refusal(21604)
        if not sender and not service:
            raise Refusal(21603)
        if not _NUMBER.fullmatch(to):
            raise Refusal(21211, message=f"The 'To' number {to} is not a valid phone number.")
        if not asked.one("Body") and not asked.form.get("MediaUrl") and not asked.one("ContentSid"):
            raise Refusal(21619)
        if len(asked.one("Body")) > 1_600:
            raise Refusal(21617)
        at = asked.one("SendAt")
        one = self._world.send(
            to,
            sender,
            service,
            asked.one("Body"),
            media=len(asked.form.get("MediaUrl", ())),
            callback=asked.one("StatusCallback"),
            asked=dict(asked.form),
            ahead=[(datetime.fromisoformat(at), "queued")] if at else [],
        )
        return 201, answers.message(self._account, one)

    def _messages(self, asked: Asked) -> Answer:
        with self._world.lock:
            found = self._world.visible(self._world.messages.values())
        kept = [one for one in found if _matches(one, asked.query)]
        rows = [answers.message(self._account, one) for one in kept]
        return 200, answers.page("messages", asked.path, asked.query, rows)

    def _message(self, asked: Asked, sid: str) -> Answer:
        return 200, answers.message(self._account, _found(self._world.messages, sid))

    def _change_message(self, asked: Asked, sid: str) -> Answer:
        one = _found(self._world.messages, sid)
        if asked.one("Status") == "canceled":
            if one.status not in ("scheduled", "queued", "accepted", "canceled"):
                raise Refusal(30409, 409, "the message can no longer be cancelled")
            self._world.change(one, "canceled")
        if "Body" in asked.form:
            one.body = asked.one("Body")
        return 200, answers.message(self._account, one)

    # -- calls --------------------------------------------------------------------------------------------------------

    def _call(self, asked: Asked) -> Answer:
        to, sender = asked.one("To"), asked.one("From")
        if not _NUMBER.fullmatch(to):
            raise Refusal(21211, message=f"The phone number {to} is not valid")
        if not sender:
            raise Refusal(21212)
        one = self._world.call(to, sender, callback=asked.one("StatusCallback"), asked=dict(asked.form))
        return 201, answers.call(self._account, one)

    def _calls(self, asked: Asked) -> Answer:
        with self._world.lock:
            found = self._world.visible(self._world.calls.values())
        kept = [one for one in found if _matches(one, asked.query)]
        rows = [answers.call(self._account, one) for one in kept]
        return 200, answers.page("calls", asked.path, asked.query, rows)

    def _one_call(self, asked: Asked, sid: str) -> Answer:
        return 200, answers.call(self._account, _found(self._world.calls, sid))

    def _change_call(self, asked: Asked, sid: str) -> Answer:
        one = _found(self._world.calls, sid)
        if one.status in ("completed", "canceled", "busy", "failed", "no-answer"):
            raise Refusal(21220)
        self._world.change(one, asked.one("Status"))
        return 200, answers.call(self._account, one)

    # -- verify and lookup --------------------------------------------------------------------------------------------

    def _verify(self, asked: Asked, service: str) -> Answer:
        to, now = asked.one("To"), self._world.clock.now()
        if not _NUMBER.fullmatch(to) and "@" not in to:
            raise Refusal(60200, message=f"Invalid parameter `To`: {to}")
        with self._world.lock:
            one = self._pending(to)
            if one is None:
                code = f"{secrets.randbelow(1_000_000):06}"
                one = Verification(f"VE{secrets.token_hex(16)}", to, asked.one("Channel"), code, now)
                self._world.verifications[one.sid] = one
            if len(one.sends) >= _MOST_SENDS:
                raise Refusal(60203)
            one.channel = asked.one("Channel")
            one.sends.append((now, f"VL{secrets.token_hex(16)}"))
        return 201, answers.verification(self._account, service, one)

    def _verification(self, asked: Asked, service: str, which: str) -> Answer:
        with self._world.lock:
            one = self._world.verifications.get(which) or self._pending(which)
        if one is None or one.status != "pending" or one.created + _VALID < self._world.clock.now():
            raise Refusal(20404)
        return 200, answers.verification(self._account, service, one)

    def _attempts(self, asked: Asked) -> Answer:
        one = self._world.verifications.get(asked.query.get("VerificationSid", ""))
        service = asked.query.get("VerifyServiceSid", "")
        return 200, answers.meta_page("attempts", answers.attempts(self._account, service, one) if one else [])

    def _check(self, asked: Asked, service: str) -> Answer:
        with self._world.lock:
            one = self._world.verifications.get(asked.one("VerificationSid")) or self._pending(asked.one("To"))
            if one is None or one.status != "pending" or one.created + _VALID < self._world.clock.now():
                raise Refusal(20404)
            if one.checks >= _MOST_CHECKS:
                raise Refusal(60202)
            one.checks += 1
            if asked.one("Code") == one.code:
                one.status = "approved"
        return 201, answers.verification(self._account, service, one)

    def _pending(self, to: str) -> Verification | None:
        now = self._world.clock.now()
        for one in reversed(self._world.verifications.values()):
            if one.to == to and one.status == "pending" and one.created + _VALID >= now:
                return one
        return None

    def _number(self, asked: Asked, digits: str) -> Answer:
        if not digits.startswith("+"):
            raise Refusal(20404)
        return 200, answers.number(digits, fields=asked.query.get("Fields", ""))


def _found(things: Mapping[str, Thing], sid: str) -> Thing:
    if sid not in things:
        raise Refusal(20404)
    return things[sid]


def _matches(one: Thing, query: Mapping[str, str]) -> bool:
    if query.get("To", one.to) != one.to or query.get("From", one.from_) != one.from_:
        return False
    after, before = query.get("DateSent>"), query.get("DateSent<")
    if (after or before) and one.sent is None:
        return False
    day = one.sent.isoformat() if one.sent else ""
    return not (after and day < after[:19]) and not (before and day > before[:19])
