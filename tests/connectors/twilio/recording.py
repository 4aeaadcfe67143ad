"""Record, scrub, replay with vcrpy: what a user does to test against the real service once, and without it ever after.

    python -m tests.connectors.twilio.recording              records the committed cassette anew, against the fake
    python -m tests.connectors.twilio.recording --record     against Twilio: TWILIO_ACCOUNT_SID, TWILIO_AUTH_TOKEN, TWILIO_FROM, TWILIO_TO

What is written holds no account, credential, SID or number. Play one request at a time: vcrpy's patching is not thread-safe and lets calls
through to the network.
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import vcr
from vcr.serializers import yamlserializer

from connectors.core import Secret, using
from connectors.twilio import MessageSid, SendMessage, TwilioConnection, get_message, send_message
from connectors.twilio.testing import SENDER, FakeTwilio

CASSETTE = Path(__file__).with_name("cassettes") / "send_and_read.yaml"
AGAINST_FAKE = "the fake of connectors.twilio.testing, not Twilio itself"
ACCOUNT = "AC" + "0" * 32
NUMBER = "+15005550006"
BODY = "Your table is ready."
_SID = re.compile(r"\b([A-Z]{2})([0-9a-f]{32})\b")
_NUMBER = re.compile(r"(\+|%2B)\d{7,15}")
_KEY = re.compile(r"(dtf-key(?:=|%3D))[0-9a-f]+")
_SCRUBBED = "0" * 16


async def exercise(to: str) -> tuple[str, str, str]:
    """Sends and reads: what a cassette holds. The SID, recipient and body that came back."""
    sent = await send_message(SendMessage(to=to, body=BODY))
    read = await get_message(MessageSid(sid=sent.sid))
    return sent.sid, read.to, read.body


def player_of(folder: Path, **fields: Any) -> TwilioConnection:
    """To play a cassette with: an account that there isn't."""
    secret = Secret("no-token-of-any-account")
    return TwilioConnection(
        account_sid=ACCOUNT, auth_token=secret, sender=NUMBER, ledger=folder / "played.db", **fields
    )


def recorder(against: str, *, record: bool) -> Any:
    """A VCR that writes scrubbed cassettes, or plays them and refuses whatever isn't in them."""
    mode = vcr.mode.ALL if record else vcr.mode.NONE
    machine = vcr.VCR(
        record_mode=mode,
        serializer="said",
        match_on=("method", "scheme", "host", "path", "query", "body"),
        before_record_request=_request,
        before_record_response=_response,
    )
    machine.register_serializer("said", _Said(against))
    return machine


class _Said:
    """YAML that begins with what it was recorded against."""

    def __init__(self, against: str) -> None:
        self._against = against

    def serialize(self, cassette: dict[str, Any]) -> str:
        return f"# recorded against: {self._against}\n{yamlserializer.serialize(cassette)}"

    def deserialize(self, text: str) -> Any:
        return yamlserializer.deserialize(text)


def scrub(text: str) -> str:
    """Idempotent, since a played answer comes back in the next request."""
    text = _SID.sub(lambda found: found[1] + _alias(found[1], found[2]), text)
    return _KEY.sub(r"\g<1>0", _NUMBER.sub(lambda found: found[1] + NUMBER[1:], text))


def _alias(prefix: str, digits: str) -> str:
    if prefix == "AC":
        return "0" * 32
    if digits.startswith(_SCRUBBED):
        return digits
    return _SCRUBBED + hashlib.sha256(digits.encode()).hexdigest()[:16]


def _request(request: Any) -> Any:
    url = urlsplit(request.uri)
    request.uri = scrub(urlunsplit(url._replace(scheme="https", netloc="api.twilio.com")))
    request.headers = {}
    if request.body:
        body = request.body if isinstance(request.body, bytes) else str(request.body).encode()
        request.body = scrub(body.decode()).encode()
    return request


def _response(response: dict[str, Any]) -> dict[str, Any]:
    body = response["body"]["string"]
    kind = {name: value for name, value in response["headers"].items() if name.lower() == "content-type"}
    return {**response, "headers": kind, "body": {"string": scrub(body.decode()).encode()}}


def main() -> int:
    parser = argparse.ArgumentParser(description="Records what the tests replay.")
    parser.add_argument(
        "--record", action="store_true", help="against Twilio, with your credentials; it sends one text"
    )
    parser.add_argument("--to", default=os.environ.get("TWILIO_TO", "+15551234567"))
    options = parser.parse_args()
    CASSETTE.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder, FakeTwilio() as fake:
        if options.record:
            connection = TwilioConnection(
                account_sid=os.environ["TWILIO_ACCOUNT_SID"],
                auth_token=Secret(os.environ["TWILIO_AUTH_TOKEN"]),
                sender=os.environ["TWILIO_FROM"],
                ledger=Path(folder) / "ledger.db",
            )
            against = f"Twilio's API 2010-04-01, {datetime.now(UTC):%Y-%m-%d}"
        else:
            connection, against = fake.connection(), AGAINST_FAKE
        with using(connection), recorder(against, record=True).use_cassette(str(CASSETTE)):
            print(json.dumps([scrub(one) for one in asyncio.run(exercise(options.to))]))
    print(f"{CASSETTE}: look through it before you commit it")
    return 0


if __name__ == "__main__":
    assert SENDER == NUMBER
    sys.exit(main())
