"""Webhooks of a page: the challenge when they are set up, and `X-Hub-Signature-256`, HMAC-SHA256 of the body with the app's secret, in hex.

Source: developers.facebook.com/docs/graph-api/webhooks/getting-started.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from hmac import compare_digest
from typing import Any

import msgspec

from connectors.core import ConnectionMissing
from connectors.core.webhooks import Incoming, RaiseEvent, Reply, Webhook, WebhookRefused, signed_body
from connectors.facebook.credentials import FacebookConnection
from connectors.facebook.models import Change

_LONGEST_CHALLENGE = 1_000


class _Entry(msgspec.Struct):
    id: str
    time: int = 0
    changes: list[dict[str, Any]] = []


class _Told(msgspec.Struct):
    object: str
    entry: list[_Entry] = []


def webhook(
    connection: FacebookConnection, path: str, to_event: Callable[[tuple[Change, ...]], RaiseEvent | None]
) -> Webhook:
    """A route of the kit's app. Facebook may tell several changes at once; they become one event. It sends again for 36 hours until it hears 200,
    the same bytes, which are raised once. Raises ConnectionMissing without app_secret and verify_token."""
    if not (connection.app_secret and connection.verify_token):
        raise ConnectionMissing(
            f"facebook connection {connection.name!r} needs app_secret and verify_token for webhooks"
        )
    is_signed = signed_body(connection.app_secret, header="x-hub-signature-256", prefix="sha256=")
    expected = connection.verify_token.reveal().encode()

    def verify(request: Incoming) -> None:
        if request.method != "GET":
            return is_signed(request)
        given = request.param("hub.verify_token").encode("utf-8", "surrogateescape")
        if request.param("hub.mode") != "subscribe" or not compare_digest(given, expected):
            raise WebhookRefused("a challenge of somebody else", status=403)
        return None

    def heard(request: Incoming) -> RaiseEvent | Reply | None:
        if request.method == "GET":
            return Reply(body=request.param("hub.challenge")[:_LONGEST_CHALLENGE].encode())
        return to_event(changes_of(request)) or Reply()  # anything but a 200 would be sent again, for 36 hours

    return Webhook(path=path, verify=verify, to_event=heard, methods=frozenset({"GET", "POST"}))


def changes_of(request: Incoming) -> tuple[Change, ...]:
    """All that it tells, in order. Raises msgspec.MsgspecError: the app answers 400."""
    told: _Told = request.json(_Told)
    return tuple(
        Change(
            page_id=entry.id,
            field=str(change.get("field") or ""),
            value=value if isinstance(value := change.get("value"), dict) else {"value": value},
            time=_instant(entry.time),
        )
        for entry in told.entry
        for change in entry.changes
    )


def _instant(time: int) -> datetime | None:
    """Seconds, or milliseconds: Facebook has both."""
    seconds = time / 1000 if time > 100_000_000_000 else float(time)
    return datetime.fromtimestamp(seconds, UTC) if 0 < seconds < 10_000_000_000 else None
