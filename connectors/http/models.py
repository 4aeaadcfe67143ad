"""What goes into `http.request` and what comes out of it.

Both are stored in the instance's history, in clear: put no secret into a URL, a header or a body.
"""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

MEBIBYTE = 1024 * 1024


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One HTTP call. At most one of `json`, `text` and `body` is given."""

    url: str
    """Absolute, http or https."""
    method: str = "GET"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    """ASCII names and values; they go before what this connector would send by itself."""
    params: Mapping[str, str | int | list[str]] = msgspec.field(default_factory=dict)
    """Added to the query that `url` may have already; a list gives the name several times."""
    json: Any = None
    """Sent as application/json. None is no body; for a JSON null write `text="null"`."""
    text: str | None = None
    """Sent as UTF-8, as text/plain."""
    body: bytes | None = None
    """Sent as it is, as application/octet-stream."""
    timeout: float = 30.0
    """Seconds for all of one attempt, redirects and the body included."""
    max_bytes: int = MEBIBYTE
    """Of the answer's body, after decompression. A larger one is BodyTooLarge, and is not read to its end."""
    expected: tuple[int, ...] = ()
    """The statuses that are an answer; any other is an error. Empty: 200 to 299."""
    follow_redirects: bool = True
    """At most ten. To another origin no header of yours goes along but the harmless ones and the idempotency key."""
    idempotency_header: str = "Idempotency-Key"
    send_idempotency_key: Literal["auto", "always", "never"] = "auto"
    """auto: with the methods that aren't idempotent by themselves (POST, PATCH and unknown ones)."""


class HttpResponse(msgspec.Struct, frozen=True, kw_only=True):
    """An answer with an expected status."""

    status: int
    url: str
    """Where the answer came from, after redirects; without user, password and fragment."""
    headers: dict[str, str]
    """Lower-case names; repeated ones joined by a comma. Set-Cookie is left out, since all of this is stored."""
    body: bytes
    """Decompressed."""
    elapsed: float
    """Seconds from the call to the last byte."""

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
