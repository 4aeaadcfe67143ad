"""Commands by @mention: the HMAC of an outgoing webhook, against digests that openssl made, and its age."""

import base64
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from connectors.core import ConnectionMissing, Secret
from connectors.core.webhooks import RaiseEvent
from connectors.teams import Command, TeamsConnection
from connectors.teams.webhooks import said, webhook
from dtf_runtime.clock import Clock
from tests.connectors.vectors import base64_of, openssl_hmac
from tests.connectors.webhook_calls import LISTENER, Caller, hosted

KEY = bytes(range(32))


def told(
    clock: Clock, text: str = "<at>ops</at>&nbsp;restart web &amp; cache\n", age: timedelta = timedelta(0)
) -> bytes:
    sent = (clock.now() - age).strftime("%Y-%m-%dT%H:%M:%S.1234567Z")
    sender = {"id": "29:1", "name": "Ada", "aadObjectId": "00000000-0000-0000-0000-000000000001"}
    body = {"type": "message", "id": "1485983408511", "timestamp": sent, "from": sender, "text": text}
    return msgspec.json.encode(body | {"conversation": {"id": "19:channel@thread.skype"}})


def signed(body: bytes, key: bytes = KEY) -> dict[str, str]:
    """`openssl dgst -sha256 -mac HMAC -macopt hexkey:000102... -binary < body | base64`"""
    return {"Authorization": f"HMAC {base64_of(openssl_hmac(key, body))}"}


def to_event(command: Command) -> RaiseEvent | None:
    event = RaiseEvent(instance_id=LISTENER, name="heard", payload=[command.user, command.text])
    return replace(event, reply=said("On it.")) if "restart" in command.text else event


@pytest.fixture
async def called(tmp_path: Path) -> AsyncIterator[Caller]:
    connection = TeamsConnection(outgoing_key=Secret(base64.b64encode(KEY).decode()))
    async with hosted(webhook(connection, "/teams", to_event), tmp_path) as caller:
        yield caller


async def test_a_command_becomes_an_event_and_is_answered(called: Caller) -> None:
    body = told(called.hub.clock)
    answered = await called("POST", "/teams", body, signed(body))
    assert (answered.status, answered.json()) == (200, {"type": "message", "text": "On it."})
    assert await called.heard() == [["Ada", "restart web & cache"]]


async def test_a_command_without_an_answer_of_its_own_gets_one_that_teams_can_show(called: Caller) -> None:
    body = told(called.hub.clock, "<at>ops</at> status")
    assert (await called("POST", "/teams", body, signed(body))).json() == {"type": "message", "text": "Noted."}


async def test_a_command_that_is_sent_again_is_raised_once(called: Caller) -> None:
    body = told(called.hub.clock)
    for _ in range(3):
        assert (await called("POST", "/teams", body, signed(body))).status == 200
    assert len(await called.heard()) == 1


@pytest.mark.parametrize("age", [timedelta(minutes=10), timedelta(minutes=-10)])
async def test_a_request_of_another_time_is_refused(called: Caller, age: timedelta) -> None:
    body = told(called.hub.clock, age=age)
    assert (await called("POST", "/teams", body, signed(body))).status == 401
    assert await called.heard() == []


async def test_a_replay_ten_minutes_later_is_refused(called: Caller) -> None:
    body = told(called.hub.clock)
    assert (await called("POST", "/teams", body, signed(body))).status == 200
    await called.hub.advance(timedelta(minutes=10))
    assert (await called("POST", "/teams", body, signed(body))).status == 401
    assert len(await called.heard()) == 1


@pytest.mark.parametrize(
    "change",
    [
        "no signature",
        "another key",
        "the key as text",
        "a changed byte",
        "a byte more",
        "another scheme",
        "hex",
        "no ASCII",
    ],
)
async def test_what_teams_did_not_sign_is_refused_and_nothing_raised(
    called: Caller, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    body = told(called.hub.clock)
    headers = signed(body)
    sent = {"a changed byte": body.replace(b"restart", b"destroy"), "a byte more": body + b" "}.get(change, body)
    headers = {
        "no signature": {},
        "another key": signed(body, b"another key, of Mallory"),
        "the key as text": signed(body, base64.b64encode(KEY)),
        "another scheme": {"Authorization": headers["Authorization"].replace("HMAC", "Bearer")},
        "hex": {"Authorization": f"HMAC {openssl_hmac(KEY, body).hex()}"},
        "no ASCII": {"Authorization": "HMAC é"},
    }.get(change, headers)
    with caplog.at_level(logging.DEBUG):
        assert (await called("POST", "/teams", sent, headers)).status == 401
    assert "restart" not in caplog.text
    assert await called.heard() == []


@pytest.mark.parametrize("body", [b"not json", b"[]", b"{}", b'{"timestamp": 5}', b'{"timestamp": "yesterday"}'])
async def test_a_signed_body_without_a_time_is_refused(called: Caller, body: bytes) -> None:
    assert (await called("POST", "/teams", body, signed(body))).status == 401


async def test_ten_megabytes_are_refused_before_they_are_read(called: Caller) -> None:
    body = told(called.hub.clock, "x" * 10_000_000)
    assert (await called("POST", "/teams", body, signed(body))).status == 413


def test_without_a_key_that_can_be_read_there_is_no_webhook() -> None:
    with pytest.raises(ConnectionMissing, match="outgoing_key"):
        webhook(TeamsConnection(), "/teams", to_event)
    with pytest.raises(ConnectionMissing, match="base64"):
        webhook(TeamsConnection(outgoing_key=Secret("not base64!")), "/teams", to_event)
