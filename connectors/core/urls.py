"""Addresses that are fit to be shown: without user, password and whatever in a query grants access. Pure."""

import re
from collections.abc import Collection
from urllib.parse import unquote_plus, urljoin, urlsplit, urlunsplit

MASK = "***"
_GRANTS = re.compile(  # signatures of Azure, AWS, Google and CloudFront, tokens and keys of everybody
    r"(?i)(?:^|[-_.])(?:sig|signature|token|secret|password|passwd|pwd|key|apikey|credential|credentials|auth|authorization|code|assertion|jwt|sas)$"
    r"|(?i:apikey|accesstoken|policy|session)$"
)


def redact(url: str) -> str:
    """The address without user, password, query and fragment, for errors and logs."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(an unreadable address)"
    if not parts.netloc:
        return "(an address without a host)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def without_grants(url: str, also: Collection[str] = ()) -> str:
    """The address with its query, but without user, password, fragment and the values that grant access, for what is stored."""
    parts = urlsplit(url)
    pairs = [_masked(pair, also) for pair in parts.query.split("&")] if parts.query else []
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="&".join(pairs), fragment=""))


def _masked(pair: str, also: Collection[str]) -> str:
    name, equals, _value = pair.partition("=")
    plain = unquote_plus(name)
    return f"{name}={MASK}" if equals and (plain in also or _GRANTS.search(plain)) else pair


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port. Raises ValueError."""
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def joined(base: str, url: str) -> str:
    """`url` as seen from `base`; an empty base leaves it as it is."""
    if not base or "://" in url.partition("?")[0]:
        return url
    root = base if base.endswith("/") else f"{base}/"
    return urljoin(root, url.lstrip("/")) if url else base
