"""AWS's errors, by code, as the kit's. The tables in `codes.py` are the matter; here is how they are read.

A code that is in no table: 5xx and broken connections may have happened, so they are Transient where a repeat is safe and Ambiguous where it
isn't; any other answer is Permanent, and is logged once, since it belongs in a table.

Never in a text: a header, a body, a signature, the value of a parameter. AWS's own message is, shortened and masked, since it says which
resource it was; those that quote the request are left out.
"""

import logging
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from connectors.aws.codes import QUOTING, Kind, listed
from connectors.core import (
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    CapacityUnavailable,
    Conflict,
    ConnectorError,
    Effect,
    InvalidRequest,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from dtf_runtime.tracing import redactor

_logger = logging.getLogger("connectors.aws")
_LONGEST_MESSAGE = 400  # characters
_ENCODED = re.compile(r"\s*Encoded authorization failure message:.*", re.DOTALL)
_VALUES = re.compile(r"value: .*?, (?=type: |valid )", re.DOTALL)

_CLASSES: dict[Kind, type[ConnectorError]] = {
    Kind.THROTTLED: Throttled,
    Kind.TRANSIENT: Transient,
    Kind.CAPACITY: CapacityUnavailable,
    Kind.AUTHENTICATION: AuthenticationFailed,
    Kind.NOT_FOUND: NotFound,
    Kind.CONFLICT: Conflict,
    Kind.EXISTS: AlreadyExists,
    Kind.PERMANENT: Permanent,
}
_REPEATABLE = frozenset({Effect.READ, Effect.TOKEN, Effect.NATURAL, Effect.CONDITIONAL, Effect.LOOKUP})


def may_repeat(effect: Effect) -> bool:
    """Whether the activity may run again when nobody knows how the call ended: not when nothing tells a repeat from a second one."""
    return effect in _REPEATABLE


def mapped(error: Exception, *, service: str, operation: str, effect: Effect) -> ConnectorError:
    """The kit's error for whatever a call of botocore's client raised."""
    from botocore.exceptions import ClientError

    what = f"{service}:{operation}"
    if isinstance(error, ClientError):
        if error.operation_name.lower() != operation.replace("_", "").lower():  # AssumeRole, before the call itself
            what, effect = f"{what} was not sent: sts:{error.operation_name}", Effect.READ
        return _answered(error.response, what, service, effect)
    return _unanswered(error, what, effect)


def unmade(error: Exception, service: str) -> ConnectorError:
    """The same where no client could be made, so that nothing was sent."""
    from botocore.exceptions import BotoCoreError

    if isinstance(error, BotoCoreError):
        return _unanswered(error, service, Effect.READ)
    return InvalidRequest(f"no client of {service} can be made: {_readable(str(error))}", code=type(error).__name__)


def _answered(response: Mapping[str, Any], what: str, service: str, effect: Effect) -> ConnectorError:
    detail, meta = response.get("Error", {}), response.get("ResponseMetadata", {})
    status = int(meta.get("HTTPStatusCode") or 0)
    messages = response.get("Messages") or {}  # Route 53 may answer with those alone, and boto3 finds no code in them
    code = str(detail.get("Code") or ("InvalidChangeBatch" if messages else status) or "Unknown")
    kind = listed(service, code)
    if kind is None:
        kind = Kind.UNKNOWN if status >= 500 or status < 400 else Kind.PERMANENT
        _tell_once(service, code, status, kind)
    cls = _class(kind, effect)
    said = "" if code in QUOTING else _readable(str(detail.get("Message") or messages.get("Message") or ""))
    text = f"{what} was refused with {code}" + (f": {said}" if said else "")
    if cls is Ambiguous:
        text = f"{text}. It may have happened all the same: look before it is sent again"
    wait = _retry_after(meta.get("HTTPHeaders") or {}) if cls in (Transient, Throttled) else None
    return cls(text, code=code, status=status or None, request_id=str(meta.get("RequestId") or ""), retry_after=wait)


def _unanswered(error: Exception, what: str, effect: Effect) -> ConnectorError:
    from botocore import exceptions as boto

    name = type(error).__name__
    if isinstance(error, boto.ParamValidationError):
        return InvalidRequest(f"{what} can't be sent: {_without_values(str(error))}", code=name)
    if isinstance(error, boto.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return Permanent(f"{what} was not sent: the server's certificate is not trusted; see ca_bundle", code=name)
    not_sent = (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError)
    if isinstance(error, not_sent):
        return Transient(f"{what} was not sent: no connection ({name})", code=name)
    credentials = (
        boto.NoCredentialsError,
        boto.PartialCredentialsError,
        boto.NoAuthTokenError,
        boto.ProfileNotFound,
        boto.SSOError,
        boto.LoginError,
        boto.RefreshWithMFAUnsupportedError,
    )
    if isinstance(error, credentials):
        return AuthenticationFailed(f"{what} was not sent: {_readable(str(error))}", code=name)
    if isinstance(error, boto.CredentialRetrievalError | boto.TokenRetrievalError | boto.MetadataRetrievalError):
        return Transient(f"{what} was not sent: the credentials could not be fetched ({name})", code=name)
    lost = (boto.HTTPClientError, boto.ConnectionError, boto.IncompleteReadError, boto.ChecksumError)
    if isinstance(error, lost) or not isinstance(
        error, boto.BotoCoreError
    ):  # such as the parser's, KeyErrors among them
        cls = _class(Kind.UNKNOWN, effect)
        return cls(f"{what} was sent and no whole answer came back ({name}): it may have happened", code=name)
    return InvalidRequest(f"{what} can't be sent: {_readable(str(error))}", code=name)


def _class(kind: Kind, effect: Effect) -> type[ConnectorError]:
    if kind is Kind.UNKNOWN:
        return Transient if may_repeat(effect) else Ambiguous
    return _CLASSES[kind]


def _readable(message: str) -> str:
    message = " ".join(_ENCODED.sub("", redactor.text(message)).split())
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."


def _without_values(message: str) -> str:
    return _readable(_VALUES.sub("", message))


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds. AWS's own header counts in milliseconds, the common one in seconds; a date or garbage is no number and is left out."""
    for name, unit in (("x-amz-retry-after", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name, "")
        if text.isascii() and text.isdigit():
            return int(text[:12]) / unit
    return None


@lru_cache(maxsize=1024)
def _tell_once(service: str, code: str, status: int, kind: Kind) -> None:
    taken = "one that may have happened" if kind is Kind.UNKNOWN else "a permanent one"
    _logger.warning("%s answered %s with the unlisted code %s: taken for %s", service, status, code, taken)
