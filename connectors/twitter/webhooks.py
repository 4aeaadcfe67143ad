"""Webhooks of X's Account Activity and filtered-stream products: the CRC that proves who hosts them, and the signature of what they bring.

Both are HMAC-SHA256 with the app's consumer secret, in base64. Source: docs.x.com/x-api/webhooks.
"""

from base64 import b64encode
from collections.abc import Awaitable, Callable
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_hmac

import msgspec

from connectors.core import ConnectionMissing, Secret
from connectors.core.webhooks import Incoming, RaiseEvent, Reply, Webhook, WebhookRefused
from connectors.twitter.credentials import TwitterConnection

Route = Callable[[Incoming], "Awaitable[RaiseEvent | None] | RaiseEvent | None"]
_LONGEST_TOKEN = 1_000


def crc_response(secret: Secret, token: str) -> str:
    """The `response_token` of a challenge."""
    return f"sha256={_mac(secret, token.encode())}"


def verify(secret: Secret, request: Incoming) -> None:
    """Of a POST its signature, of a GET that it is a challenge. Raises WebhookRefused."""
    if request.method == "GET":
        if not 0 < len(request.param("crc_token")) <= _LONGEST_TOKEN:
            raise WebhookRefused("a GET that is no challenge", status=400)
        return
    given = request.header("x-twitter-webhooks-signature").encode("utf-8", "surrogateescape")
    if not compare_digest(f"sha256={_mac(secret, request.body)}".encode(), given):
        raise WebhookRefused("the signature of the body is not right")


def webhook(connection: TwitterConnection, path: str, to_event: Route) -> Webhook:
    """A route of the kit's app: it answers challenges by itself, everything else becomes what `to_event` says. Needs the consumer secret."""
    secret = connection.consumer_secret
    if not secret:
        raise ConnectionMissing(f"twitter connection {connection.name!r} needs consumer_secret to verify webhooks")

    def heard(request: Incoming) -> "Awaitable[RaiseEvent | None] | RaiseEvent | Reply | None":
        if request.method == "GET":
            answer = {"response_token": crc_response(secret, request.param("crc_token"))}
            return Reply(body=msgspec.json.encode(answer), content_type="application/json")
        return to_event(request)

    return Webhook(
        path=path,
        verify=lambda request: verify(secret, request),
        to_event=heard,
        methods=frozenset({"GET", "POST"}),
    )


def _mac(secret: Secret, body: bytes) -> str:
    return b64encode(new_hmac(secret.reveal().encode(), body, sha256).digest()).decode()
