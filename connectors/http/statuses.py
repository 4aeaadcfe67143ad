"""From a status to an error, and Retry-After to seconds. Pure: no I/O, no clock but the answer's own Date and `now`."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from connectors.http.errors import (
    Ambiguous,
    AuthenticationFailed,
    Conflict,
    HttpError,
    NotFound,
    Permanent,
    Throttled,
    ThrottledAfter,
    Transient,
    TransientAfter,
)

LONGEST_RETRY_AFTER = 86_400.0  # seconds; a server that asks for more is asked again after a day
_REFUSED_UNDONE = frozenset({408, 425, 429, 503})  # the server says that it did not take the request up
_PERMANENT: Mapping[int, type[Permanent]] = {
    401: AuthenticationFailed,
    403: AuthenticationFailed,
    407: AuthenticationFailed,
    404: NotFound,
    410: NotFound,
    409: Conflict,
    412: Conflict,
}


def is_expected(status: int, expected: tuple[int, ...]) -> bool:
    return status in expected if expected else 200 <= status <= 299


def error_for(
    status: int, headers: Mapping[str, str], *, method: str, url: str, repeatable: bool, now: datetime
) -> HttpError:
    """The error that an unexpected status is.

    `repeatable`: sending it twice does no harm, by its method or its idempotency key. `headers`: lower-case names.
    """
    said = f"the server answered {status} {_phrase(status)}".rstrip()
    if status != 429 and status not in (408, 425) and status < 500:
        if 300 <= status <= 399:
            said += ", a redirect that was not followed"
        kind = _PERMANENT.get(status, Permanent)
        return kind(f"{said}; add it to `expected` if that is an answer", method=method, url=url, status=status)
    delay = retry_after(headers, now=now)
    if delay is not None:
        after = ThrottledAfter if status == 429 else TransientAfter
        return after(f"{said}, try again in {delay:g} s", delay=delay, method=method, url=url, status=status)
    if not repeatable and status not in _REFUSED_UNDONE:
        hint = "it may have happened; look before you send it again, or send an idempotency key"
        return Ambiguous(f"{said}; {hint}", method=method, url=url, status=status)
    return (Throttled if status == 429 else Transient)(said, method=method, url=url, status=status)


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


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""
