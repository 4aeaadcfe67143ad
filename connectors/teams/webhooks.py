"""Outgoing webhooks of Teams: somebody @mentions one, and what they wrote becomes an event. Signed with HMAC-SHA256 over the body.

The key is the security token that Teams shows once, decoded from base64. Source: learn.microsoft.com, "Create an outgoing webhook".
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as BadBase64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_hmac
from html import unescape
from typing import Any

import msgspec

from connectors.core import ConnectionMissing
from connectors.core.webhooks import Incoming, RaiseEvent, Reply, Webhook, WebhookRefused
from connectors.teams.credentials import TeamsConnection
from connectors.teams.models import Command

WINDOW = timedelta(minutes=5)
"""How old, or how far ahead, a request may say it is."""
_MENTION = re.compile(r"<at\b[^>]*>.*?</at>", re.DOTALL)
_TAG = re.compile(r"<[^>]*>")


def webhook(
    connection: TeamsConnection, path: str, to_event: Callable[[Command], RaiseEvent | Reply | None]
) -> Webhook:
    """A route of the kit's app. Teams wants its answer within ten seconds and shows it in the thread: `said("Noted.")`.

    Raises ConnectionMissing without a key.
    """
    key = _key(connection)

    def heard(request: Incoming) -> RaiseEvent | Reply | None:
        command = command_of(request)
        outcome = to_event(command)
        if isinstance(outcome, RaiseEvent) and not outcome.delivery_id:
            reply = outcome.reply if outcome.reply != Reply() else said("Noted.")
            return RaiseEvent(
                instance_id=outcome.instance_id,
                name=outcome.name,
                payload=outcome.payload,
                delivery_id=command.id,
                reply=reply,
            )
        return outcome

    return Webhook(path=path, verify=lambda request: verify(key, request), to_event=heard)


def said(text: str) -> Reply:
    """What Teams posts as the answer."""
    return Reply(body=msgspec.json.encode({"type": "message", "text": text}), content_type="application/json")


def verify(key: bytes, request: Incoming) -> None:
    """The signature, then the age. Raises WebhookRefused."""
    digest = b64encode(new_hmac(key, request.body, sha256).digest())
    given = request.header("authorization").encode("utf-8", "surrogateescape")
    if not compare_digest(b"HMAC " + digest, given):
        raise WebhookRefused("the signature of the body is not right")
    sent = _sent_at(request)
    if sent is None or abs(request.received_at - sent) > WINDOW:
        raise WebhookRefused("the request is too old")


def command_of(request: Incoming) -> Command:
    """What was written. Raises ValueError or a msgspec error: the app answers 400."""
    told: dict[str, Any] = request.json(dict[str, Any])
    sender = told.get("from") or {}
    text = unescape(_TAG.sub("", _MENTION.sub("", str(told.get("text") or ""))))
    return Command(
        id=str(told["id"]) if told.get("id") else "",
        text=text.replace("\xa0", " ").strip(),
        user=str(sender.get("name") or ""),
        user_id=str(sender.get("aadObjectId") or ""),
        conversation_id=str((told.get("conversation") or {}).get("id") or ""),
    )


def _sent_at(request: Incoming) -> datetime | None:
    try:
        text = str(request.json(dict[str, Any])["timestamp"])
        sent = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", text))
    except (msgspec.DecodeError, RecursionError, KeyError, ValueError):
        return None
    return sent if sent.tzinfo else sent.replace(tzinfo=UTC)


def _key(connection: TeamsConnection) -> bytes:
    if not connection.outgoing_key:
        raise ConnectionMissing(f"teams connection {connection.name!r} needs outgoing_key to verify commands")
    try:
        return b64decode(connection.outgoing_key.reveal(), validate=True)
    except (BadBase64, ValueError):
        raise ConnectionMissing(f"outgoing_key of teams connection {connection.name!r} is not base64") from None
