"""Webhooks of a page: the challenge, and X-Hub-Signature-256 against openssl's digests and a published example."""

import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.core import ConnectionMissing, Secret
from connectors.core.webhooks import Incoming, RaiseEvent, WebhookRefused
from connectors.facebook import Change, FacebookConnection
from connectors.facebook.webhooks import changes_of, webhook
from tests.connectors.vectors import openssl_hmac
from tests.connectors.webhook_calls import LISTENER, Caller, hosted

SECRET = "0123456789abcdef0123456789abcdef"
BODY = (
    b'{"object":"page","entry":[{"id":"112233","time":1767225600,"changes":[{"field":"feed","value":{"item":"comment",'
    b'"verb":"add","comment_id":"1_2","post_id":"1","message":"\\u00e4nd m\\u00f6re","from":{"id":"5","name":"Ada"}}}]}]}'
)
# printf %s "$BODY" | openssl dgst -sha256 -hmac "$SECRET"
SIGNATURE = f"sha256={openssl_hmac(SECRET.encode(), BODY).hex()}"


def to_event(changes: tuple[Change, ...]) -> RaiseEvent | None:
    comments = [change.value["message"] for change in changes if change.is_comment]
    return RaiseEvent(instance_id=LISTENER, name="heard", payload=comments) if comments else None


def connection(secret: str = SECRET) -> FacebookConnection:
    return FacebookConnection(app_secret=Secret(secret), verify_token=Secret("what-was-entered"))


@pytest.fixture
async def called(tmp_path: Path) -> AsyncIterator[Caller]:
    async with hosted(webhook(connection(), "/facebook", to_event), tmp_path) as caller:
        yield caller


async def test_a_comment_becomes_an_event_once(called: Caller) -> None:
    headers = {"X-Hub-Signature-256": SIGNATURE}
    assert (await called("POST", "/facebook", BODY, headers)).status == 200
    await called.hub.advance(timedelta(minutes=10))
    assert (await called("POST", "/facebook", BODY, headers)).status == 200  # a replay: answered, and nothing raised
    assert await called.heard() == [["änd möre"]]


def test_all_changes_of_a_delivery_are_told_in_order() -> None:
    change = b'{"field":"feed","value":{"item":"comment","verb":"add"}},{"field":"name","value":"New"}'
    entry = b'{"id":"1","time":1767225600000,"changes":[%b]},{"id":"2","changes":[{"field":"mention"}]}' % change
    body = b'{"object":"page","entry":[%b]}' % entry
    request = Incoming(method="POST", url="", path="/", body=body, received_at=datetime.now(UTC))
    changes = changes_of(request)
    assert [(c.page_id, c.field, c.is_comment) for c in changes] == [
        ("1", "feed", True),
        ("1", "name", False),
        ("2", "mention", False),
    ]
    assert changes[0].time == datetime(2026, 1, 1, tzinfo=UTC)
    assert changes[1].value == {"value": "New"}


def test_the_signature_is_the_one_of_a_published_example() -> None:
    """GitHub signs the same way, and publishes one: docs.github.com, "Validating webhook deliveries"."""
    hook = webhook(connection("It's a Secret to Everybody"), "/facebook", to_event)
    published = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

    def request(body: bytes) -> Incoming:
        headers = {"x-hub-signature-256": published}
        return Incoming(method="POST", url="", path="/", headers=headers, body=body, received_at=datetime.now(UTC))

    assert hook.verify is not None
    hook.verify(request(b"Hello, World!"))
    with pytest.raises(WebhookRefused):
        hook.verify(request(b"Hello, World?"))


async def test_the_challenge_is_answered_to_who_knows_the_token(called: Caller) -> None:
    query = "hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token="
    assert (await called("GET", "/facebook", query=query + "what-was-entered")).body == b"1158201444"
    assert (await called("GET", "/facebook", query=query + "something-else")).status == 403
    assert (await called("GET", "/facebook", query=query)).status == 403
    assert (await called("GET", "/facebook")).status == 403


CHANGED = {
    "no signature": (BODY, {}),
    "another key": (BODY, {"X-Hub-Signature-256": f"sha256={openssl_hmac(b'another', BODY).hex()}"}),
    "a changed byte": (BODY.replace(b"112233", b"112234"), {"X-Hub-Signature-256": SIGNATURE}),
    "a byte more": (BODY + b"\n", {"X-Hub-Signature-256": SIGNATURE}),
    "the older header": (BODY, {"X-Hub-Signature": SIGNATURE}),
    "without the algorithm": (BODY, {"X-Hub-Signature-256": SIGNATURE.removeprefix("sha256=")}),
    "upper case": (BODY, {"X-Hub-Signature-256": SIGNATURE.upper()}),
    "no ASCII": (BODY, {"X-Hub-Signature-256": "sha256=é"}),
}


@pytest.mark.parametrize(("body", "headers"), CHANGED.values(), ids=CHANGED)
async def test_what_facebook_did_not_sign_is_refused_and_nothing_raised(
    called: Caller, body: bytes, headers: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert (await called("POST", "/facebook", body, headers)).status == 401
    assert "Ada" not in caplog.text
    assert await called.heard() == []


async def test_ten_megabytes_are_refused_before_they_are_read(called: Caller) -> None:
    body = b" " * 10_000_000
    headers = {"X-Hub-Signature-256": f"sha256={openssl_hmac(SECRET.encode(), body).hex()}"}
    assert (await called("POST", "/facebook", body, headers)).status == 413


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"object":"page","entry":[{"time":1}]}'])
async def test_what_can_not_be_read_is_refused(called: Caller, body: bytes) -> None:
    headers = {"X-Hub-Signature-256": f"sha256={openssl_hmac(SECRET.encode(), body).hex()}"}
    assert (await called("POST", "/facebook", body, headers)).status == 400


def test_without_secrets_there_is_no_webhook() -> None:
    with pytest.raises(ConnectionMissing, match="verify_token"):
        webhook(FacebookConnection(app_secret=Secret(SECRET)), "/facebook", to_event)
