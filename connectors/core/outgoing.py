"""One request on its way to `transport.exchange`. No HTTP library is loaded by this."""

from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass, field

from connectors.core.urls import redact


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """One request, checked by who made it."""

    method: str
    url: str
    host: str = ""
    """The host that the caller took `url` to name when it added credentials; an address that reads otherwise is refused."""
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | AsyncIterable[bytes] | None = None
    """Something that can be iterated again when a redirect repeats the body; a generator can't."""
    timeout: float = 30.0
    """Seconds for all of it, until the answer is left."""
    idle: float | None = None
    """Seconds without a byte in either direction, and to wait for a free connection."""
    repeatable: bool = False
    """Sending it twice does no harm."""
    follow_redirects: bool = True
    answers: tuple[int, ...] = ()
    """Redirects that are not followed, since they are what the caller wants to see."""
    keep: frozenset[str] = frozenset()
    """Lower-case names of headers that may follow a redirect to another origin, beside the harmless ones."""
    shown: str = ""
    """The address in errors; default: `url` without user and query."""

    @property
    def address(self) -> str:
        return self.shown or redact(self.url)
