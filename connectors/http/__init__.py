"""The HTTP connector: one activity, `http.request`, and the errors it ends with.

Importing it loads no HTTP library; the first request does.
"""

from connectors.http.activities import request
from connectors.http.errors import (
    Ambiguous,
    AuthenticationFailed,
    BodyTooLarge,
    Conflict,
    HttpError,
    InvalidRequest,
    MissingLibrary,
    NotFound,
    Permanent,
    Throttled,
    ThrottledAfter,
    Transient,
    TransientAfter,
)
from connectors.http.models import HttpRequest, HttpResponse
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "Ambiguous",
    "AuthenticationFailed",
    "BodyTooLarge",
    "Conflict",
    "HttpError",
    "HttpRequest",
    "HttpResponse",
    "InvalidRequest",
    "MissingLibrary",
    "NotFound",
    "Permanent",
    "Throttled",
    "ThrottledAfter",
    "Transient",
    "TransientAfter",
    "request",
]

CONNECTOR = ConnectorInfo(name="http", version="1", activities=(request,))
