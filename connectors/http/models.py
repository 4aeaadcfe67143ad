"""What goes into the activities of the connector and what comes out of them.

All of it is stored in the instance's history, in clear: no secret belongs into a URL, a header or a body. Name a connection instead.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.core import Mutation

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE


class Part(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One part of a multipart/form-data body. One of `text`, `data` and `path`."""

    name: str
    text: str | None = None
    data: bytes | None = None
    path: str | None = None
    """A file on the worker, which is read into memory."""
    filename: str | None = None
    """Default: the path's last part, or none."""
    content_type: str | None = None
    """Default: text/plain for text, else application/octet-stream."""


class Check(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What else an answer must be. One that is not is UnexpectedAnswer, and is not tried again."""

    content_type: str | None = None
    """Without its parameters: `application/json`."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    contains: str | None = None
    """Somewhere in the text."""
    json: Mapping[str, Any] = msgspec.field(default_factory=dict)
    """JSON pointer (RFC 6901, `/order/status`): the value that must be there."""


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One HTTP call. At most one of `json`, `form`, `parts`, `text` and `body` is given."""

    url: str
    """Absolute, http or https; or below the connection's `base_url`."""
    method: str = "GET"
    connection: str = "default"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """ASCII names and values; they go before what this connector would send by itself."""
    params: Mapping[str, str | int | list[str]] = msgspec.field(default_factory=dict)
    """Added to the query that `url` may have already; a list gives the name several times."""
    json: Any = None
    """Sent as application/json. None is no body; for a JSON null write `text="null"`."""
    form: Mapping[str, str | int | list[str]] | None = None
    """Sent as application/x-www-form-urlencoded."""
    parts: tuple[Part, ...] = ()
    """Sent as multipart/form-data, the same bytes at every attempt."""
    text: str | None = None
    """Sent as UTF-8, as text/plain."""
    body: bytes | None = None
    """Sent as it is, as application/octet-stream."""
    timeout: float = 30.0
    """Seconds for all of one attempt, redirects and the body included."""
    max_bytes: int = MEBIBYTE
    """Of the answer's body, after decompression. A larger one is BodyTooLarge, and is not read to its end."""
    save_to: str | None = None
    """A file on the worker, written whole or not at all, that gets the body instead of the answer, up to `max_saved_bytes`."""
    max_saved_bytes: int = GIBIBYTE
    expected: tuple[int, ...] = ()
    """The statuses that are an answer; any other is an error. Empty: 200 to 299, and for a DELETE 404 and 410, since missing is what it wanted."""
    check: Check | None = None
    follow_redirects: bool = True
    """At most ten. To another origin no header of yours goes along but the harmless ones and the idempotency key."""
    idempotency_header: str = ""
    """Empty: the connection's."""
    send_idempotency_key: Literal["auto", "always", "never"] = "auto"
    """auto: with the methods that aren't idempotent by themselves (POST, PATCH and unknown ones)."""


class HttpResponse(Mutation, frozen=True, kw_only=True):
    """An answer with an expected status. `replayed` is what the server says: `Idempotent-Replayed: true`."""

    status: int
    url: str
    """Where the answer came from, after redirects; without user, password, fragment and what grants access."""
    headers: dict[str, str]
    """Lower-case names; repeated ones joined by a comma. Set-Cookie is left out, since all of this is stored."""
    body: bytes = b""
    """Decompressed; empty when it was saved to a file."""
    elapsed: float
    """Seconds from the call to the last byte."""
    size: int = 0
    """Bytes of the body, decompressed."""
    saved_to: str | None = None
    sha256: str = ""
    """Hex digits, of a body that was saved."""

    @property
    def text(self) -> str:
        """The body in the character set its Content-Type names, else UTF-8; what doesn't fit becomes U+FFFD."""
        named = re.search(r"charset=[\"']?([\w.:-]+)", self.headers.get("content-type", ""), re.IGNORECASE)
        try:
            return self.body.decode(named[1] if named else "utf-8", errors="replace")
        except LookupError:  # a character set that Python doesn't know
            return self.body.decode("utf-8", errors="replace")

    def json(self, type: Any = Any) -> Any:
        """The body as JSON, checked against `type` when one is given. Raises msgspec.DecodeError."""
        return msgspec.json.decode(self.body, type=type)
