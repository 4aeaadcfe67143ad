"""From an HTTP status to an error, and Retry-After to seconds. Pure: no I/O, no clock but the answer's own Date and `now`.

Sources: RFC 9110 (400 to 505), 4918 (423, 424, 507), 5842 (508), 6585 (428, 429, 431, 511), 7725 (451), 8470 (425), 2295 (506), 2774 (510);
what nginx, Cloudflare, IIS and load balancers of AWS say beyond those, from their own documentation.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

from connectors.core.errors import (
    LONGEST_RETRY_AFTER,
    Ambiguous,
    AuthenticationFailed,
    CapacityUnavailable,
    Conflict,
    ConnectorError,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)

_logger = logging.getLogger("connectors.http")


@dataclass(frozen=True)
class Meaning:
    """What a status says. `undone`: the server did not take the request up, so that even a POST may be sent again."""

    kind: type[ConnectorError]
    undone: bool = True
    phrase: str = ""


STATUSES: Mapping[int, Meaning] = {
    400: Meaning(Permanent),
    401: Meaning(AuthenticationFailed),
    402: Meaning(Permanent),
    403: Meaning(AuthenticationFailed),
    404: Meaning(NotFound),
    405: Meaning(Permanent),
    406: Meaning(Permanent),
    407: Meaning(AuthenticationFailed),
    408: Meaning(Transient),
    409: Meaning(Conflict),
    410: Meaning(NotFound),
    411: Meaning(Permanent),
    412: Meaning(Conflict),
    413: Meaning(Permanent),
    414: Meaning(Permanent),
    415: Meaning(Permanent),
    416: Meaning(Permanent),
    417: Meaning(Permanent),
    418: Meaning(Permanent),
    420: Meaning(Throttled, phrase="Enhance Your Calm"),
    421: Meaning(Transient),
    422: Meaning(Permanent),
    423: Meaning(Conflict),
    424: Meaning(Permanent),
    425: Meaning(Transient),
    426: Meaning(Permanent),
    428: Meaning(Permanent),
    429: Meaning(Throttled),
    431: Meaning(Permanent),
    440: Meaning(AuthenticationFailed, phrase="Login Time-out"),
    451: Meaning(Permanent),
    494: Meaning(Permanent, phrase="Request Header Too Large"),
    495: Meaning(AuthenticationFailed, phrase="SSL Certificate Error"),
    496: Meaning(AuthenticationFailed, phrase="SSL Certificate Required"),
    497: Meaning(Permanent, phrase="HTTP Request Sent to HTTPS Port"),
    498: Meaning(AuthenticationFailed, phrase="Invalid Token"),
    499: Meaning(Transient, undone=False, phrase="Client Closed Request"),
    500: Meaning(Transient, undone=False),
    501: Meaning(Permanent),
    502: Meaning(Transient, undone=False),
    503: Meaning(Transient),
    504: Meaning(Transient, undone=False),
    505: Meaning(Permanent),
    506: Meaning(Permanent),
    507: Meaning(CapacityUnavailable),
    508: Meaning(Permanent),
    509: Meaning(Throttled, phrase="Bandwidth Limit Exceeded"),
    510: Meaning(Permanent),
    511: Meaning(AuthenticationFailed),
    520: Meaning(Transient, undone=False, phrase="Web Server Returned an Unknown Error"),
    521: Meaning(Transient, phrase="Web Server Is Down"),
    522: Meaning(Transient, undone=False, phrase="Connection Timed Out"),
    523: Meaning(Transient, phrase="Origin Is Unreachable"),
    524: Meaning(Transient, undone=False, phrase="A Timeout Occurred"),
    525: Meaning(Transient, phrase="SSL Handshake Failed"),
    526: Meaning(Permanent, phrase="Invalid SSL Certificate"),
    529: Meaning(Throttled, phrase="Site Is Overloaded"),
    530: Meaning(Transient, phrase="Origin DNS Error"),
    561: Meaning(AuthenticationFailed, phrase="Unauthorized"),
    598: Meaning(Transient, undone=False, phrase="Network Read Time-out"),
    599: Meaning(Transient, undone=False, phrase="Network Connect Time-out"),
}
"""Each has a row in the README of the http connector."""

_traced: set[int] = set()


def meaning_of(status: int) -> Meaning:
    """An unlisted 5xx is Transient and may have happened; any other status that isn't listed is Permanent, and traced once."""
    known = STATUSES.get(status)
    if known is not None:
        return known
    if 500 <= status <= 599:
        return Meaning(Transient, undone=False)
    if not 300 <= status <= 399 and not 200 <= status <= 299 and status not in _traced:
        _traced.add(status)
        _logger.warning("a server answered %d, which is not in the table of statuses: taken as Permanent", status)
    return Meaning(Permanent)


def is_expected(status: int, expected: tuple[int, ...]) -> bool:
    """Empty: 200 to 299."""
    return status in expected if expected else 200 <= status <= 299


def error_for(
    status: int,
    headers: Mapping[str, str],
    *,
    method: str,
    url: str,
    repeatable: bool,
    now: datetime,
    request_id: str = "",
) -> ConnectorError:
    """The error that an unexpected status is.

    `repeatable`: sending it twice does no harm, by its method or its idempotency key. `headers`: lower-case names. `url`: fit to be shown.
    """
    meaning = meaning_of(status)
    said = f"{method} {url}: the server answered {status} {phrase(status)}".rstrip()
    facts: dict[str, Any] = {"status": status, "request_id": request_id, "method": method, "url": url}
    delay = retry_after(headers, now=now)
    if meaning.kind in (Transient, Throttled):
        if meaning.undone or repeatable:
            later = "" if delay is None else f", try again in {delay:g} s"
            return meaning.kind(said + later, retry_after=delay, **facts)
        hint = "it may have happened; look before you send it again, or send an idempotency key"
        return Ambiguous(f"{said}; {hint}", **facts)
    if status == 413 and delay is not None:  # RFC 9110, 15.5.14: then it is for a time only
        return Transient(f"{said}, try again in {delay:g} s", retry_after=delay, **facts)
    if 300 <= status <= 399:
        said += ", a redirect that was not followed"
    return meaning.kind(f"{said}; add it to `expected` if that is an answer", **facts)


def retry_after(headers: Mapping[str, str], *, now: datetime) -> float | None:
    """Seconds that the server asks to wait, 0 to a day; None when it doesn't say, or says something unreadable.

    A date is counted from the server's own Date header, so that clocks that differ do no harm, else from `now`.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return min(float(value), LONGEST_RETRY_AFTER)
    due = _http_date(value)
    if due is None:
        return None
    sent = _http_date(headers.get("date", "")) or now
    return min(max((due - sent).total_seconds(), 0.0), LONGEST_RETRY_AFTER)


def _http_date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def phrase(status: int) -> str:
    known = STATUSES.get(status)
    if known is not None and known.phrase:
        return known.phrase
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
