"""The one taxonomy of errors. Each connector maps its service's codes to these; what a retry policy does follows from the class.

    ConnectorError
    ├── Transient             nothing wrong with the request, and safe to repeat       tried again
    ├── Throttled             refused because there were too many; nothing happened    tried again
    ├── CapacityUnavailable   no room there now: another zone or size may have some    for the caller to decide
    ├── Ambiguous             it may have happened: look before sending it again       never tried again
    └── Permanent             the same request would fail the same way                 never tried again
        ├── AuthenticationFailed
        ├── NotFound
        ├── Conflict
        │   └── AlreadyExists
        ├── InvalidRequest    refused before anything was sent
        └── ConnectionMissing no connection of that name on this worker

`Transient` and `Throttled` that carry a `retry_after` are RetryAfter too, so the wait becomes a durable timer. `Permanent` and `Ambiguous` are
NonRetriableErrors, so no policy resends them. An error's text never holds a body, a query, a header or a secret.

What history stores is the name `connectors.core.NotFound`, wherever the class lives: `error.failure.is_caused_by(NotFound)`.
"""

from functools import lru_cache
from math import isnan
from typing import Any, ClassVar, Self

from dtf_runtime import NonRetriableError, RetryAfter

LONGEST_RETRY_AFTER = 24 * 3600.0
"""Seconds: a server that asks for more is believed this far."""


class ConnectorError(Exception):
    """Any failure of a call to an outside service. `code` is the service's own, `status` the HTTP status; both may be missing."""

    may_have_happened: ClassVar[bool] = False

    def __new__(cls, *args: Any, retry_after: float | None = None, **kwargs: Any) -> Self:
        if _believed(retry_after) is not None and cls._can_wait and not issubclass(cls, RetryAfter):
            cls = _waiting(cls)  # type: ignore[arg-type]
        return super().__new__(cls, *args)

    _can_wait: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str = "",
        status: int | None = None,
        request_id: str = "",
        retry_after: float | None = None,
        **properties: Any,
    ) -> None:
        """`retry_after` in seconds. `properties`: JSON values that the failure carries, never a secret."""
        Exception.__init__(self, message)
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after = _believed(retry_after)
        if self.retry_after is not None:
            self.delay = self.retry_after
        self.properties = properties

    def __str__(self) -> str:
        return str(self.args[0])

    def failure_properties(self) -> dict[str, Any]:
        """What an orchestration finds in `error.failure.properties`."""
        named = {"code": self.code, "status": self.status, "request_id": self.request_id}
        return {name: value for name, value in named.items() if value not in ("", None)} | self.properties


def _believed(retry_after: float | None) -> float | None:
    if retry_after is None or isnan(retry_after):
        return None
    return min(max(float(retry_after), 0.0), LONGEST_RETRY_AFTER)


@lru_cache
def _waiting(cls: Any) -> Any:
    """The same error, as far as anybody can tell, that is a RetryAfter too."""
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, RetryAfter), names)


class Transient(ConnectorError):
    """Worth another try, and safe to repeat."""

    _can_wait = True


class Throttled(ConnectorError):
    """Refused because there were too many requests; nothing happened."""

    _can_wait = True


class CapacityUnavailable(ConnectorError):
    """The service has no room for this there, now. Another zone, size or time may do."""


class Ambiguous(ConnectorError, NonRetriableError):
    """It went out and no answer came back: it may have happened."""

    may_have_happened = True


class Permanent(ConnectorError, NonRetriableError):
    """The same request would fail the same way."""


class AuthenticationFailed(Permanent):
    """The service doesn't know the caller, or doesn't let it do this."""


class NotFound(Permanent):
    """What the request names is not there. A delete never ends with this: missing is what it wanted."""


class Conflict(Permanent):
    """What the request names is not in the state that it assumed."""


class AlreadyExists(Conflict):
    """Something with this name is there already, and this call did not make it."""


class InvalidRequest(Permanent):
    """Nothing was sent: an argument can't be right."""


class ConnectionMissing(Permanent):
    """This worker has no connection of that name; the text says how to give it one."""


for _error in (
    ConnectorError,
    Transient,
    Throttled,
    CapacityUnavailable,
    Ambiguous,
    Permanent,
    AuthenticationFailed,
    NotFound,
    Conflict,
    AlreadyExists,
    InvalidRequest,
    ConnectionMissing,
):
    _error.__module__ = "connectors.core"
