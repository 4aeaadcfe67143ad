"""X's challenge and signatures, against digests that openssl made."""

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.core import ConnectionMissing, Secret
from connectors.core.webhooks import Incoming, RaiseEvent
from connectors.twitter import TwitterConnection
from connectors.twitter.testing import FakeTwitter
from connectors.twitter.webhooks import crc_response, webhook
from tests.connectors.vectors import base64_of, openssl_hmac
from tests.connectors.webhook_calls import LISTENER, Caller, hosted

SECRET = "z3ZX4v7mAAUGykl2EcmkqbieyqhQEknhRmo0I2FCzOh"
BODY = b'{"for_user_id":"2244994945","tweet_create_events":[{"id_str":"17","text":"Caf\\u00e9 & more"}]}'
# printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET" -binary | base64
SIGNATURE = f"sha256={base64_of(openssl_hmac(SECRET.encode(), BODY))}"


def mentioned(request: Incoming) -> RaiseEvent | None:
    events = request.json()["tweet_create_events"]
    return RaiseEvent(instance_id=LISTENER, name="heard", payload=events[0]["text"]) if events else None


@pytest.fixture
async def called(tmp_path: Path) -> AsyncIterator[Caller]:
    connection = TwitterConnection(
        consumer_key=Secret("key"),
        consumer_secret=Secret(SECRET),
        access_token=Secret("1-token"),
        access_token_secret=Secret("token-secret"),
    )
    async with hosted(webhook(connection, "/x", mentioned), tmp_path) as caller:
        yield caller


async def test_a_challenge_is_answered_with_the_digest_of_its_token(called: Caller) -> None:
    answered = await called("GET", "/x", query="crc_token=challenge_string%2F%2B&nonce=1")
    # printf %s 'challenge_string/+' | openssl dgst -sha256 -hmac "$SECRET" -binary | base64
    assert answered.json() == {
        "response_token": f"sha256={base64_of(openssl_hmac(SECRET.encode(), b'challenge_string/+'))}"
    }
    assert answered.headers["content-type"] == "application/json"


def test_the_digest_is_the_one_that_openssl_gave_once() -> None:
    # printf %s challenge_string | openssl dgst -sha256 -hmac your-consumer-secret -binary | base64
    assert crc_response(Secret("your-consumer-secret"), "challenge_string") == CRC_ONCE


CRC_ONCE = "sha256=uu0eqviYFxapm3Jrd6E6ABzmQ+zSdSUAOqd1OlGzq6Y="


@pytest.mark.parametrize("query", ["", "crc_token=", f"crc_token={'x' * 2_000}"])
async def test_a_get_that_is_no_challenge_is_refused(called: Caller, query: str) -> None:
    assert (await called("GET", "/x", query=query)).status == 400


async def test_what_x_signed_becomes_an_event_once(called: Caller) -> None:
    headers = {"X-Twitter-Webhooks-Signature": SIGNATURE}
    assert (await called("POST", "/x", BODY, headers)).status == 200
    await called.hub.advance(timedelta(minutes=10))
    assert (await called("POST", "/x", BODY, headers)).status == 200  # a replay: answered, and nothing raised
    assert await called.heard() == ["Café & more"]


CHANGED = {
    "no signature": (BODY, {}),
    "an empty signature": (BODY, {"X-Twitter-Webhooks-Signature": ""}),
    "another key": (BODY, {"X-Twitter-Webhooks-Signature": f"sha256={base64_of(openssl_hmac(b'another', BODY))}"}),
    "a changed byte": (BODY.replace(b"17", b"18"), {"X-Twitter-Webhooks-Signature": SIGNATURE}),
    "a byte more": (BODY + b" ", {"X-Twitter-Webhooks-Signature": SIGNATURE}),
    "another order": (BODY[::-1], {"X-Twitter-Webhooks-Signature": SIGNATURE}),
    "another algorithm's name": (BODY, {"X-Twitter-Webhooks-Signature": SIGNATURE.replace("sha256", "sha1")}),
    "no ASCII": (BODY, {"X-Twitter-Webhooks-Signature": "sha256=é"}),
}


@pytest.mark.parametrize(("body", "headers"), CHANGED.values(), ids=CHANGED)
async def test_what_x_did_not_sign_is_refused_and_nothing_raised(
    called: Caller, body: bytes, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert (await called("POST", "/x", body, headers)).status == 401
    assert "Caf" not in caplog.text
    assert "for_user_id" not in caplog.text
    assert await called.heard() == []


async def test_ten_megabytes_are_refused_before_they_are_read(called: Caller) -> None:
    body = b"x" * 10_000_000
    headers = {"X-Twitter-Webhooks-Signature": f"sha256={base64_of(openssl_hmac(SECRET.encode(), body))}"}
    assert (await called("POST", "/x", body, headers)).status == 413


async def test_what_can_not_be_read_is_refused(called: Caller) -> None:
    headers = {"X-Twitter-Webhooks-Signature": f"sha256={base64_of(openssl_hmac(SECRET.encode(), b'not json'))}"}
    assert (await called("POST", "/x", b"not json", headers)).status == 400


def test_without_the_apps_secret_there_is_no_webhook() -> None:
    with FakeTwitter() as x, pytest.raises(ConnectionMissing, match="consumer_secret"):
        webhook(TwitterConnection(base_url=x.url, oauth2_token=Secret("token")), "/x", mentioned)
