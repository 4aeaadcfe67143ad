"""Links that answer an orchestration: signed, expiring, and used once. Pure; nothing is stored for a link that was made.

A link names its instance, its event and when it ends, under an HMAC-SHA256; who has it can raise that one event and do nothing else. So a link is
a secret: make it in the activity that sends it, and let it enter neither inputs nor results. Several links with the same `once` (an Approve and a
Reject) are used up together.

Must never be trusted before `read` has checked the signature, in constant time, and the end.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from hmac import new as new_hmac
from typing import Any
from urllib.parse import urlsplit

import msgspec

from connectors.core.errors import InvalidRequest, Permanent
from connectors.core.secret import Secret
from connectors.core.urls import redact
from connectors.core.webhooks.connection import WebhookConnection
from dtf_runtime.clock import REAL_CLOCK, Clock, Duration, seconds

LINK_PATH = "/events/"
SHORTEST_KEY = 32
"""Characters."""
MOST_PAYLOAD = 1_000
"""Bytes of JSON: it travels in the address."""
_VERSION = 1
_DOMAIN = b"dtf-link-v1\0"


class LinkRefused(Permanent):
    """The link is not one of ours, or not valid any more. `code`: invalid, expired."""


class Link(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a link says."""

    version: int = _VERSION
    instance_id: str
    event: str
    ends: int
    """Seconds since 1970, UTC."""
    once: str
    question: str = ""
    """What a person who opens it is asked."""
    has_payload: bool = False
    payload: Any = None
    """What the event carries; without one it carries what is sent to the link, as `Received`."""


class Received(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of an event that was raised by a request to a link without one of its own."""

    content_type: str = ""
    body: bytes = b""

    @property
    def text(self) -> str:
        """As UTF-8; what doesn't fit becomes U+FFFD."""
        return self.body.decode(errors="replace")

    def json(self, type: Any = Any) -> Any:
        """The body as JSON, checked against `type` when one is given. Raises msgspec.DecodeError."""
        return msgspec.json.decode(self.body, type=type)


_UNSET: Any = object()
_decode = msgspec.json.Decoder(Link).decode


class Links:
    """Makes and reads links. The first of `keys` signs, all of them are believed: so a key is replaced without breaking links that are out.

    `base_url`: where the webhook app is reached from outside, `https://hooks.example.com`. A key has at least 32 characters:
    `python -c "import secrets; print(secrets.token_urlsafe(32))"`. Raises InvalidRequest.
    """

    def __init__(self, base_url: str, keys: Sequence[Secret], *, clock: Clock = REAL_CLOCK) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise InvalidRequest("base_url of links must be an http or https address without query and fragment")
        if not keys or any(len(key.reveal()) < SHORTEST_KEY for key in keys):
            raise InvalidRequest(f"links need a signing key of at least {SHORTEST_KEY} characters")
        self.base_url = base_url.rstrip("/")
        self._keys = [key.reveal().encode() for key in keys]
        self._clock = clock

    @classmethod
    def of(cls, connection: WebhookConnection, *, clock: Clock = REAL_CLOCK) -> "Links":
        keys = [key for key in (connection.signing_key, connection.previous_key) if key]
        return cls(connection.base_url, keys, clock=clock)

    def make(
        self,
        instance_id: str,
        event: str,
        *,
        once: str,
        expires_in: Duration,
        payload: Any = _UNSET,
        question: str = "",
    ) -> str:
        """The address. `once`: what is used up with it; the `idempotency_key` of the activity that makes it, say. Raises InvalidRequest."""
        ends = self._clock.now() + timedelta(seconds=seconds(expires_in, "expires_in"))
        return self.make_until(instance_id, event, once=once, ends=ends, payload=payload, question=question)

    def make_until(
        self, instance_id: str, event: str, *, once: str, ends: datetime, payload: Any = _UNSET, question: str = ""
    ) -> str:
        """The same, until an instant: the same arguments give the same address, at every attempt of an activity."""
        if not (instance_id and event and once):
            raise InvalidRequest("a link needs an instance_id, an event and what it is good for once")
        given = payload is not _UNSET
        if given and len(msgspec.json.encode(payload)) > MOST_PAYLOAD:
            raise InvalidRequest(f"the payload of a link has at most {MOST_PAYLOAD} bytes: it travels in the address")
        link = Link(
            instance_id=instance_id,
            event=event,
            ends=int(ends.timestamp()),
            once=once,
            question=question,
            has_payload=given,
            payload=payload if given else None,
        )
        body = msgspec.json.encode(link)
        token = f"{_text(body)}.{_text(_mac(self._keys[0], body))}"
        return self.base_url + LINK_PATH + token

    def read(self, token: str) -> Link:
        """What is behind LINK_PATH. Raises LinkRefused, which says as little as it can."""
        body, signature = _split(token)
        right = False
        for key in self._keys:  # all of them, so that the time says nothing about which
            right |= compare_digest(_mac(key, body), signature)
        if not right:
            raise _refused()
        try:
            link = _decode(body)
        except (msgspec.DecodeError, ValueError):  # of another version of the kit
            raise _refused() from None
        if link.version != _VERSION:
            raise _refused()
        if self._clock.now().timestamp() >= link.ends:
            raise LinkRefused("this link has expired", code="expired", status=410)
        return link

    def __repr__(self) -> str:
        return f"Links({redact(self.base_url)!r}, ***)"


def _refused() -> LinkRefused:
    return LinkRefused("this link is not valid", code="invalid", status=403)


def _split(token: str) -> tuple[bytes, bytes]:
    head, dot, tail = token.partition(".")
    try:
        body, signature = _bytes(head), _bytes(tail)
    except (binascii.Error, ValueError):
        raise _refused() from None
    if not dot or _text(body) != head or _text(signature) != tail:  # one link, one spelling
        raise _refused()
    return body, signature


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))


def _mac(key: bytes, body: bytes) -> bytes:
    return new_hmac(key, _DOMAIN + body, sha256).digest()
