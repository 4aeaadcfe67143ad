"""What `http.request` ends with when it gets no expected answer.

    HttpError
    ├── Transient                 no connection, a time-out or a broken answer where a repeat is safe; 408, 425, 5xx
    │   └── TransientAfter        the same, and the server said Retry-After  (a RetryAfter too)
    ├── Throttled                 429
    │   └── ThrottledAfter        the same, and the server said Retry-After  (a RetryAfter too)
    ├── Ambiguous                 it may have happened, and no key was sent to tell a repeat   (NonRetriableError)
    └── Permanent                 any other status                                             (NonRetriableError)
        ├── AuthenticationFailed  401, 403, 407
        ├── NotFound              404, 410
        ├── Conflict              409, 412
        ├── BodyTooLarge          more than `max_bytes`
        ├── InvalidRequest        never sent: a bad address, method, header or body
        └── MissingLibrary        httpx is not installed here

A retry policy tries the first four again and none of the others. No error's text holds a body, a header, a query or a
password.
"""

from typing import Any
from urllib.parse import urlsplit

from dtf_runtime import NonRetriableError, RetryAfter


class HttpError(Exception):
    """Any failure of an HTTP call. `status` is None when there was no answer."""

    def __init__(self, message: str, *, method: str, url: str, status: int | None = None) -> None:
        self.method = method
        self.url = redact(url)
        self.status = status
        Exception.__init__(self, f"{method} {self.url}: {message}")

    def __str__(self) -> str:
        return str(self.args[0])

    def failure_properties(self) -> dict[str, Any]:
        return {"method": self.method, "url": self.url, "status": self.status}


class Transient(HttpError):
    """Worth another try, and safe to repeat."""


class Throttled(HttpError):
    """The server refused it because there were too many; nothing happened."""


class TransientAfter(Transient, RetryAfter):
    """Worth another try, but not sooner than in `delay` seconds."""

    def __init__(self, message: str, *, delay: float, method: str, url: str, status: int | None = None) -> None:
        RetryAfter.__init__(self, delay, message)
        HttpError.__init__(self, message, method=method, url=url, status=status)


class ThrottledAfter(Throttled, RetryAfter):
    """Too many, and not again sooner than in `delay` seconds."""

    def __init__(self, message: str, *, delay: float, method: str, url: str, status: int | None = None) -> None:
        RetryAfter.__init__(self, delay, message)
        HttpError.__init__(self, message, method=method, url=url, status=status)


class Ambiguous(HttpError, NonRetriableError):
    """The request went out and no whole answer came back: look whether it happened before you send it again."""


class Permanent(HttpError, NonRetriableError):
    """The same request would fail the same way."""


class AuthenticationFailed(Permanent):
    """The server doesn't know the caller, or doesn't let it do this."""


class NotFound(Permanent):
    """There is nothing at this address."""


class Conflict(Permanent):
    """The resource is not in the state that the request assumed."""


class BodyTooLarge(Permanent):
    """The answer is larger than `max_bytes`. The request itself did happen."""


class InvalidRequest(Permanent):
    """Nothing was sent, or a redirect led to something that can't be."""


class MissingLibrary(Permanent):
    """This worker can't send HTTP requests until httpx is installed."""


def redact(url: str) -> str:
    """The address without user, password, query and fragment, safe for a log."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "(an unreadable address)"
    if not parts.netloc:
        return "(an address without a host)"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
