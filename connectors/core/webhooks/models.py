"""What a connector says about a webhook of its service: where, who may call it, and which event it becomes."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from connectors.core.errors import Permanent

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Incoming:
    """One request, read to its end. Nothing in it is to be believed before it was verified."""

    method: str
    url: str
    """As the sender sees it: the app's public `base_url` with path and query, whatever proxies lie between. What signatures are made of."""
    path: str
    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    """Lower-case names; repeated ones joined by a comma."""
    body: bytes = b""
    received_at: datetime

    def __repr__(self) -> str:
        return f"<{self.method} {self.path}, {len(self.body)} bytes>"

    def header(self, name: str) -> str:
        """Empty when it is not there."""
        return self.headers.get(name.lower(), "")

    def param(self, name: str) -> str:
        """The first of that name in the query; empty when there is none."""
        return next((value for key, value in self.query if key == name), "")

    def json(self, type: Any = Any) -> Any:
        """The body. One that isn't JSON, or not of that type, raises msgspec.DecodeError: the app answers 400."""
        return msgspec.json.decode(self.body, type=type)

    def form(self) -> list[tuple[str, str]]:
        """The fields of an application/x-www-form-urlencoded body, in order. Raises ValueError: the app answers 400."""
        return parse_qsl(self.body.decode(), keep_blank_values=True, max_num_fields=1_000)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What the sender is told."""

    status: int = 200
    body: bytes = b""
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class RaiseEvent:
    """Raise this event, once for each `delivery_id`."""

    instance_id: str
    name: str
    payload: Any = None
    """What `ctx.wait_for_event(name, type)` gets. It is stored: no secret belongs in it."""
    delivery_id: str = ""
    """The sender's own id of the delivery, the same when it sends again. Empty: the request itself (method, query and body)."""
    reply: Reply = Reply()


class WebhookRefused(Permanent):
    """A verifier's no. The sender is told the status and nothing else."""

    def __init__(self, message: str, *, status: int = 401) -> None:
        super().__init__(message, code="refused", status=status)


Outcome = RaiseEvent | Reply | None


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """One route of the app. Both functions may be async.

    `verify` raises `WebhookRefused` unless the request is from whom it says; it runs before anything in the request is looked at. `None` is
    no verifier, which must be said. `to_event` gives the event to raise, a `Reply` (to a challenge, say), or None: nothing happens, 204. A
    ValueError or a msgspec error in it is the sender's fault: 400.
    """

    path: str
    verify: Callable[[Incoming], Awaitable[None] | None] | None
    to_event: Callable[[Incoming], "Awaitable[Outcome] | Outcome"]
    methods: frozenset[str] = frozenset({"POST"})
    max_bytes: int = MEBIBYTE
    """Of the body. More is answered with 413, without reading on."""
