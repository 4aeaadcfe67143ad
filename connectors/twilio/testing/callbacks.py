"""How the fake calls back: signed as Twilio signs, when its clock says so.

The signature is made here from Twilio's description of it, not with the SDK's validator, so that one checks the other.
Source: https://www.twilio.com/docs/usage/security#validating-requests
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

from connectors.twilio.testing.world import News

if TYPE_CHECKING:
    from connectors.twilio.testing.server import FakeTwilio

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True)
class Told:
    """One webhook that was sent. `status` is what the receiver answered; 0: nobody there."""

    url: str
    form: Mapping[str, str]
    status: int
    body: str
    headers: Mapping[str, str] = field(default_factory=dict)


async def tell_forever(fake: "FakeTwilio", ready: Callable[[], None]) -> None:
    """Sends each callback when it is due."""
    world, stirred, loop = fake.world, asyncio.Event(), asyncio.get_running_loop()

    def stir() -> None:
        loop.call_soon_threadsafe(stirred.set)

    world.stirred = stir
    ready()
    try:
        while True:
            stirred.clear()
            world.settle()
            for news in world.take_news():
                with world.clock.hold():
                    await asyncio.to_thread(_tell, fake, news)
            if not stirred.is_set():
                await _until_due(fake, stirred)
    finally:
        world.stirred = lambda: None


async def _until_due(fake: "FakeTwilio", stirred: asyncio.Event) -> None:
    due, clock = fake.world.next_due(), fake.world.clock
    waits: list[asyncio.Task[Any]] = [asyncio.create_task(stirred.wait())]
    if due is not None:
        waits.append(asyncio.create_task(clock.sleep(max((due - clock.now()).total_seconds(), 0.0))))
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waits:
            one.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _tell(fake: "FakeTwilio", news: News) -> None:
    one, is_message = news.thing, news.thing.sid.startswith("SM")
    form = {"AccountSid": fake.account_sid, "ApiVersion": "2010-04-01", "From": one.from_, "To": one.to}
    if is_message:
        form |= {"MessageSid": one.sid, "SmsSid": one.sid, "MessageStatus": news.status, "SmsStatus": news.status}
    else:
        form |= {"CallSid": one.sid, "CallStatus": news.status, "Direction": one.direction}
        form |= {"CallDuration": "8"} if news.status == "completed" else {}
    if one.error_code and news.status in ("failed", "undelivered"):
        form["ErrorCode"] = str(one.error_code)
    post(fake, one.callback, form)


def post(fake: "FakeTwilio", url: str, form: Mapping[str, str]) -> Told:
    """One signed webhook, sent now to where the public address really is."""
    signature = signature_of(fake.auth_token, url, form)
    headers = {"X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": secrets.token_hex(16)}
    told = send(fake, url, urlencode(form).encode(), "application/x-www-form-urlencoded", headers, form)
    fake.told.append(told)
    return told


def send(
    fake: "FakeTwilio", url: str, body: bytes, kind: str, headers: Mapping[str, str], form: Mapping[str, str]
) -> Told:
    public = urlsplit(url)
    base = f"{public.scheme}://{public.netloc}"
    real = fake.public.get(base, base) + url.removeprefix(base)
    forwarded = {"Host": public.netloc, "X-Forwarded-Proto": public.scheme, "Content-Type": kind, **headers}
    request = urllib.request.Request(real, data=body, headers=forwarded, method="POST")
    try:
        with _opener.open(request, timeout=15) as answer:
            return Told(url, dict(form), answer.status, answer.read().decode(), forwarded)
    except urllib.error.HTTPError as error:
        with error:
            return Told(url, dict(form), error.code, error.read().decode(), forwarded)
    except OSError:
        return Told(url, dict(form), 0, "", forwarded)


def signature_of(secret: str, url: str, form: Mapping[str, str], algorithm: str = "sha1") -> str:
    """Base64 of the HMAC of the address with each parameter's name and value behind it, sorted by name."""
    text = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), getattr(hashlib, algorithm)).digest()).decode()
