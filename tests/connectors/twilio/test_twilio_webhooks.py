"""Webhooks: what Twilio signed is heard, once, on the right instance; anything else is refused, logged without content, and raises nothing.

The signatures are made by openssl, or are Twilio's own published examples (twilio-python, tests/unit/test_request_validator.py).
"""

import asyncio
import json
import logging
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import pytest

from connectors.core import Secret
from connectors.core.webhooks import WebhookApp, WebhookRefused, server_of
from connectors.twilio import (
    INBOUND_CALL,
    INBOUND_MESSAGE,
    CallNews,
    InboundCall,
    InboundMessage,
    MessageNews,
    TwilioConnection,
    call_event,
    message_event,
)
from connectors.twilio.ledger import Ledger
from connectors.twilio.testing import FakeTwilio
from connectors.twilio.webhooks import inbound_calls, inbound_messages, status_callbacks, verifier, verify
from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.testing import TestHub

TOKEN = "token-of-the-account-0123456789"
SHARED = "shared-key-of-a-webhook-rule-01"
PUBLIC = "https://hooks.example.com"
SID = "SM" + "a" * 32
CALL = "CA" + "c" * 32
registry = Registry()


@orchestration(registry=registry)
async def hears(ctx: OrchestrationContext) -> list[Any]:
    """Everything it is told until "stop"."""
    got: list[Any] = []

    async def listen(name: str, kind: type[Any]) -> None:
        while True:
            got.append(await ctx.wait_for_event(name, kind))

    listeners = [
        asyncio.create_task(listen(name, kind))
        for name, kind in (
            (message_event(SID), MessageNews),
            (call_event(CALL), CallNews),
            (INBOUND_MESSAGE, InboundMessage),
            (INBOUND_CALL, InboundCall),
        )
    ]
    await ctx.wait_for_event("stop")
    for one in listeners:
        one.cancel()
    return got


def openssl(text: str, key: str, digest: str = "sha1") -> str:
    command = ["openssl", "dgst", f"-{digest}", "-hmac", key, "-binary"]
    return b64encode(subprocess.run(command, input=text.encode(), capture_output=True, check=True).stdout).decode()


def signature(url: str, form: dict[str, str], key: str = TOKEN, digest: str = "sha1") -> str:
    return openssl(url + "".join(f"{name}{form[name]}" for name in sorted(form)), key, digest)


@dataclass
class Host:
    """The app on a real server, as a proxy would call it: with the internal address, over http."""

    hub: TestHub
    http: httpx.AsyncClient

    async def post(self, path: str, form: dict[str, str], signed: str, **headers: str) -> httpx.Response:
        return await self.http.post(path, data=form, headers={"X-Twilio-Signature": signed, **headers})

    async def heard(self) -> list[Any]:
        await self.hub.client.raise_event("order-7", "stop")
        result: list[Any] = await self.hub.client.handle("order-7", list[Any]).result(20)
        return result


@asynccontextmanager
async def hosting(tmp_path: Path) -> AsyncIterator[Host]:
    connection = TwilioConnection(
        account_sid="AC" + "1" * 32,
        auth_token=Secret(TOKEN),
        signing_secret=Secret(SHARED),
        ledger=tmp_path / "ledger.db",
    )
    webhooks = [
        status_callbacks(connection),
        inbound_messages(connection, route=lambda text: "order-7" if text.body != "nobody" else None),
        inbound_calls(
            connection, route=lambda call: "order-7", twiml=lambda call: "<Response><Say>Hi</Say></Response>"
        ),
    ]
    async with TestHub(registry=registry, auto_advance=False) as hub:
        await hub.client.start(hears, instance_id="order-7")
        app = WebhookApp(
            hub.client, webhooks, base_url=PUBLIC, inbox=tmp_path / "inbox.db", clock=hub.clock, read_timeout=60
        )
        server = server_of(app, port=0)
        running = asyncio.create_task(server.serve())
        while not server.started:
            assert not running.done(), running.result()
            await asyncio.sleep(0.005)
        base = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        async with httpx.AsyncClient(base_url=base, trust_env=False) as http:
            yield Host(hub, http)
        server.should_exit = True
        await running


STATUS = "/twilio/status?dtf-key=0123&dtf-instance=order-7"
DELIVERED = {"MessageSid": SID, "MessageStatus": "delivered", "To": "+15551234567", "From": "+15005550006"}


# -- Twilio's own examples --------------------------------------------------------------------------------------------

EXAMPLE = "https://mycompany.com/myapp.php?foo=1&bar=2"
FORM = b"CallSid=CA1234567890ABCDE&Caller=%2B14158675309&Digits=1234&From=%2B14158675309&To=%2B18005551212"
FORM_TYPE = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
JSON = b'{"property": "value", "boolean": true}'
JSON_URL = f"{EXAMPLE}&bodySHA256=0a1ff7634d9ab3b95db5c9a2dfe9416e41502b283a80c7cf19632632f96e6620"
JSON_HEADERS = {"content-type": "application/json", "x-twilio-signature": "a9nBmqA0ju/hNViExpshrM61xv4="}
KEYS = [Secret("12345")]


def test_twilios_example_of_a_form_is_right() -> None:
    verify({**FORM_TYPE, "x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}, FORM, EXAMPLE, KEYS)


def test_twilios_example_of_a_json_body_is_right() -> None:
    verify(JSON_HEADERS, JSON, JSON_URL, KEYS)


@pytest.mark.parametrize(
    ("body", "url", "kind"),
    [
        (JSON.replace(b"true", b"tru3"), JSON_URL, "application/json"),
        (JSON, EXAMPLE, "application/json"),
        (b"", JSON_URL, "application/json"),
        (b"", JSON_URL, "application/x-www-form-urlencoded"),
        (b"a=b", JSON_URL, "application/x-www-form-urlencoded"),
        (JSON, f"{JSON_URL}&bodySHA256={sha256(b'').hexdigest()}", "application/json"),
    ],
    ids=["a changed byte", "no digest", "no body", "no body, as a form", "a form instead", "two digests"],
)
def test_a_json_body_that_isnt_the_one_that_was_signed_is_refused(body: bytes, url: str, kind: str) -> None:
    with pytest.raises(WebhookRefused):
        verify({**JSON_HEADERS, "content-type": kind}, body, url, KEYS)


def test_a_repeated_field_is_signed_with_all_of_its_values() -> None:
    signed = openssl(f"{EXAMPLE}Digits12Digits34", "12345")
    headers = {**FORM_TYPE, "x-twilio-signature": signed}
    verify(headers, b"Digits=34&Digits=12", EXAMPLE, KEYS)
    with pytest.raises(WebhookRefused):
        verify(headers, b"Digits=34", EXAMPLE, KEYS)


SETTINGS = "key=webhooks_sharedkey_01,algorithm=HMAC_SHA256"


def test_the_newer_signature_needs_the_shared_key_and_no_other() -> None:
    text = f"{EXAMPLE}CallSidCA1234567890ABCDECaller+14158675309Digits1234From+14158675309To+18005551212"
    headers = {**FORM_TYPE, "x-twilio-signature": openssl(text, SHARED, "sha256")}
    settled = {**headers, "x-twilio-webhooks-signature-settings": SETTINGS}
    verify(settled, FORM, EXAMPLE, KEYS, [Secret(SHARED)])
    for wrong, tokens, shared in (
        (settled, [Secret(SHARED)], []),
        (settled, KEYS, [Secret("another-shared-key")]),
        (headers, [Secret(SHARED)], [Secret(SHARED)]),
        ({**settled, "x-twilio-webhooks-signature-settings": "key=k,algorithm=HMAC_MD5"}, KEYS, [Secret(SHARED)]),
    ):
        with pytest.raises(WebhookRefused):
            verify(wrong, FORM, EXAMPLE, tokens, shared)


def test_while_a_token_is_replaced_both_are_good() -> None:
    headers = {**FORM_TYPE, "x-twilio-signature": "RSOYDt4T1cUTdK1PDd93/VVr8B8="}
    verify(headers, FORM, EXAMPLE, [Secret("the-new-token"), Secret("12345")])


def test_a_verifier_without_any_key_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="anybody could sign"):
        verifier(TwilioConnection(account_sid="AC1"))


# -- On the wire ------------------------------------------------------------------------------------------------------


async def test_news_of_a_message_reach_the_instance_that_its_address_names(tmp_path: Path) -> None:
    async with hosting(tmp_path) as host:
        told = await host.post(STATUS, DELIVERED, signature(PUBLIC + STATUS, DELIVERED))
        failed = {**DELIVERED, "MessageStatus": "undelivered", "ErrorCode": "30003"}
        await host.post(STATUS, failed, signature(PUBLIC + STATUS, failed))
        assert told.status_code == 200
        assert await host.heard() == [
            {"sid": SID, "status": "delivered", "error_code": None},
            {"sid": SID, "status": "undelivered", "error_code": 30003},
        ]


async def test_news_of_a_call_and_what_people_send_are_typed_events(tmp_path: Path) -> None:
    ended = {"CallSid": CALL, "CallStatus": "completed", "CallDuration": "8"}
    text = {"MessageSid": SID, "From": "+15551234567", "To": "+15005550006", "Body": "hi", "NumMedia": "1"}
    text["MediaUrl0"] = "https://api.twilio.com/media/1"
    rings = {"CallSid": CALL, "From": "+15551234567", "To": "+15005550006", "CallStatus": "ringing"}
    async with hosting(tmp_path) as host:
        await host.post(STATUS, ended, signature(PUBLIC + STATUS, ended))
        quiet = await host.post("/twilio/sms", text, signature(f"{PUBLIC}/twilio/sms", text))
        said = await host.post("/twilio/voice", rings, signature(f"{PUBLIC}/twilio/voice", rings))
        assert (quiet.text, quiet.headers["content-type"]) == ("<Response/>", "text/xml; charset=utf-8")
        assert said.text == "<Response><Say>Hi</Say></Response>"
        news, message, call = await host.heard()
    assert (news["status"], news["duration"]) == ("completed", 8)
    assert (message["from"], message["body"], message["media_urls"]) == ("+15551234567", "hi", [text["MediaUrl0"]])
    assert (call["sid"], call["from"]) == (CALL, "+15551234567")


async def test_the_key_that_comes_back_settles_the_ledger(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db")
    book.begin("0123", "alike", 0.0, 0.0)
    async with hosting(tmp_path) as host:
        await host.post(STATUS, DELIVERED, signature(PUBLIC + STATUS, DELIVERED))
    assert book.begin("0123", "alike", 0.0, 0.0).sid == SID


async def test_nobody_hears_what_is_routed_to_nobody(tmp_path: Path) -> None:
    text = {"MessageSid": SID, "From": "+15551234567", "To": "+15005550006", "Body": "nobody"}
    async with hosting(tmp_path) as host:
        answer = await host.post("/twilio/sms", text, signature(f"{PUBLIC}/twilio/sms", text))
        assert answer.text == "<Response/>"
        assert await host.heard() == []


async def test_the_order_of_form_fields_is_not_signed_and_that_of_the_address_is(tmp_path: Path) -> None:
    signed = signature(PUBLIC + STATUS, DELIVERED)
    turned = "/twilio/status?dtf-instance=order-7&dtf-key=0123"
    async with hosting(tmp_path) as host:
        assert (await host.post(turned, DELIVERED, signed)).status_code == 401
        assert (await host.post(STATUS, dict(reversed(DELIVERED.items())), signed)).status_code == 200
        assert len(await host.heard()) == 1


@pytest.mark.parametrize(
    ("signed", "why"),
    [
        (signature(PUBLIC + STATUS, DELIVERED, key="another-token"), "a wrong key"),
        (signature(PUBLIC + STATUS, {**DELIVERED, "MessageStatus": "deliveres"}), "a changed byte"),
        (signature(PUBLIC.replace("https", "http") + STATUS, DELIVERED), "another scheme"),
        (signature(f"{PUBLIC}:8443{STATUS}", DELIVERED), "another port"),
        (signature(f"http://127.0.0.1:8080{STATUS}", DELIVERED), "the address behind the proxy"),
        (signature(f"https://hooks.example.org{STATUS}", DELIVERED), "another host"),
        (signature(PUBLIC + STATUS.replace("order-7", "order-8"), DELIVERED), "another instance"),
        (signature(PUBLIC + STATUS, DELIVERED, digest="sha256"), "another algorithm"),
        ("", "no signature"),
        ("no*base64*at*all", "no base64"),
    ],
    ids=lambda value: value if " " in value else "",
)
async def test_what_twilio_did_not_sign_is_refused_and_logged_without_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, signed: str, why: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with hosting(tmp_path) as host:
        answer = await host.post(STATUS, DELIVERED, signed)
        assert (answer.status_code, answer.content) == (401, b""), why
        assert await host.heard() == []
    written = "\n".join(record.getMessage() for record in caplog.records if record.name.startswith("connectors"))
    assert "POST /twilio/status was refused (401)" in written
    for content in (SID, "5551234567", "delivered", "0123", TOKEN, SHARED):
        assert content not in written


async def test_headers_of_a_proxy_dont_make_an_address_public(tmp_path: Path) -> None:
    internal = signature(f"https://evil.example.com{STATUS}", DELIVERED)
    async with hosting(tmp_path) as host:
        forged = {"X-Forwarded-Host": "evil.example.com", "X-Forwarded-Proto": "https"}
        assert (await host.post(STATUS, DELIVERED, internal, **forged)).status_code == 401
        good = signature(PUBLIC + STATUS, DELIVERED)
        assert (await host.post(STATUS, DELIVERED, good, **forged)).status_code == 200


async def test_a_replay_ten_minutes_later_raises_nothing(tmp_path: Path) -> None:
    signed = signature(PUBLIC + STATUS, DELIVERED)
    async with hosting(tmp_path) as host:
        await host.post(STATUS, DELIVERED, signed)
        await host.hub.advance(timedelta(minutes=10))
        await host.post(STATUS, DELIVERED, signed)
        assert len(await host.heard()) == 1


async def test_ten_megabytes_are_refused_unread(tmp_path: Path) -> None:
    async with hosting(tmp_path) as host:
        reader, writer = await asyncio.open_connection("127.0.0.1", host.http.base_url.port)
        head = f"POST {STATUS} HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\n"
        writer.write(f"{head}Content-Type: application/x-www-form-urlencoded\r\n\r\nMessageSid={SID}".encode())
        assert (await reader.readline()).split()[1] == b"413"
        writer.close()
        await writer.wait_closed()
        assert await host.heard() == []


async def test_what_is_signed_and_still_no_webhook_is_the_senders_fault(tmp_path: Path) -> None:
    form = {"Hello": "there"}
    async with hosting(tmp_path) as host:
        assert (await host.post(STATUS, form, signature(PUBLIC + STATUS, form))).status_code == 400
        body = json.dumps({"a": 1}).encode()
        path = f"{STATUS}&bodySHA256={sha256(body).hexdigest()}"
        headers = {"X-Twilio-Signature": openssl(PUBLIC + path, TOKEN), "Content-Type": "application/json"}
        assert (await host.http.post(path, content=body, headers=headers)).status_code == 400


async def test_the_fake_signs_as_openssl_does(tmp_path: Path, twilio: FakeTwilio) -> None:
    async with hosting(tmp_path) as host:
        twilio.auth_token = TOKEN
        twilio.public[PUBLIC] = str(host.http.base_url).rstrip("/")
        told = await asyncio.to_thread(
            twilio.texts, "+15551234567", "+15005550006", "Hello & goodbye + \u00fc", f"{PUBLIC}/twilio/sms"
        )
        assert told is not None
        assert told.status == 200
        assert told.headers["X-Twilio-Signature"] == signature(told.url, dict(told.form))
        assert [one["body"] for one in await host.heard()] == ["Hello & goodbye + \u00fc"]


def test_the_body_of_a_form_is_read_as_twilio_writes_it() -> None:
    form = {"Body": "a+b c&d=\u00fc%", "MessageSid": SID}
    body = urlencode(form, quote_via=quote).encode()
    verify({**FORM_TYPE, "x-twilio-signature": signature(EXAMPLE, form, "12345")}, body, EXAMPLE, KEYS)
