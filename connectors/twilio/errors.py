"""From what the SDK raises to the kit's errors, by Twilio's code and not by HTTP status alone: 20429 is safe to send again, 60203 is a 429
that is not.

A text never holds a phone number, an account or a message's body: Twilio's own texts quote them, so numbers and SIDs in those are masked.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

from connectors.core import (
    Ambiguous,
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    InvalidRequest,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from connectors.core.statuses import meaning_of, retry_after
from connectors.twilio.codes import CODES, Kind
from dtf_runtime.plugins import require

_QUOTED = re.compile(r"\+?\d[\d ()-]{5,}\d|\b[A-Z]{2}[0-9a-f]{32}\b|https?://\S+")
_LONGEST = 200  # characters of Twilio's own text


class OptedOut(Permanent):
    """The recipient answered STOP (21610): no message may be sent to them until they answer START."""


class Unsettled(Transient):
    """It went out and no answer came back. The call's next attempt looks for it before it sends anything."""

    may_have_happened: ClassVar[bool] = True


class Undelivered(Permanent):
    """It was accepted and did not arrive. `code` is Twilio's error code of the message; `properties` has its `sid`, its `delivery` status and
    whether another one `may_pass` later."""


class DeadlinePassed(Permanent):
    """No final status in time. `properties` has the `sid` and the `status` seen last."""


for _error in (OptedOut, Unsettled, Undelivered, DeadlinePassed):
    _error.__module__ = "connectors.twilio"

_CLASSES: Mapping[Kind, type[ConnectorError]] = {
    Kind.THROTTLED: Throttled,
    Kind.AUTHENTICATION: AuthenticationFailed,
    Kind.NOT_FOUND: NotFound,
    Kind.CONFLICT: Conflict,
    Kind.OPTED_OUT: OptedOut,
    Kind.PERMANENT: Permanent,
}


def is_known(error: Exception) -> bool:
    """Whether it comes from the SDK or from below it."""
    sdk = require("twilio.base.exceptions", "twilio")
    return isinstance(
        error, (sdk.TwilioException, OSError, ValueError)
    )  # requests' errors are OSErrors, bad JSON is a ValueError


def mapped(error: Exception, *, what: str, repeatable: bool, headers: Mapping[str, str]) -> ConnectorError:
    """The kit's error for what `is_known`.

    `repeatable`: sending it twice does no harm. `headers`: of the answer, if there was one, names in lower case.
    """
    sdk = require("twilio.base.exceptions", "twilio")
    if isinstance(error, sdk.TwilioRestException):
        return _answered(what, error.status, error.code, str(error.msg or ""), repeatable, headers)
    if isinstance(error, sdk.TwilioServiceException):
        return _answered(what, error.status, error.code, f"{error.title} {error.detail or ''}", repeatable, headers)
    if isinstance(error, sdk.TwilioException):
        if (answer := _page_of(error)) is not None:
            return _answered(what, answer.status_code, *_read(answer.text), repeatable, headers)
        return InvalidRequest(f"{what} can't be sent: {readable(str(error))}", code=type(error).__name__)
    return _unanswered(error, what, repeatable)


def _page_of(error: Exception) -> Any | None:
    """The answer that should have been a page of a list: the SDK puts it whole into the exception's arguments."""
    answer = error.args[1] if len(error.args) == 2 else None
    return answer if isinstance(getattr(answer, "status_code", None), int) else None


def _read(text: str) -> tuple[Any, str]:
    try:
        body = json.loads(text)
    except ValueError:
        return None, ""
    return (body.get("code"), str(body.get("message") or "")) if isinstance(body, dict) else (None, "")


def readable(text: str) -> str:
    """Twilio's text without numbers, SIDs and addresses."""
    return _QUOTED.sub("***", text.partition("error: ")[2] or text)[:_LONGEST].strip()


def _answered(
    what: str, status: int, code: Any, said: str, repeatable: bool, headers: Mapping[str, str]
) -> ConnectorError:
    listed = CODES.get(code) if isinstance(code, int) else None
    facts: dict[str, Any] = {"status": status, "request_id": headers.get("twilio-request-id", "")}
    if code is not None and code != status:  # the SDK gives the status where Twilio gave no code
        facts["code"] = str(code)
    text = f"{what} was refused with {code or status}: {listed.says if listed else readable(said) or 'no reason given'}"
    if listed is not None and listed.kind is not Kind.UNKNOWN:
        cls = _CLASSES[listed.kind]
        return cls(text, retry_after=_wait(headers) if cls is Throttled else None, **facts)
    if listed is None and status < 500:
        if status < 400:  # a redirect, or an answer that isn't Twilio's
            return unknown(text, repeatable, **facts)
        cls = meaning_of(status).kind
        return cls(text, retry_after=_wait(headers) if cls in (Throttled, Transient) else None, **facts)
    return unknown(text, repeatable, retry_after=_wait(headers), **facts)


def _unanswered(error: Exception, what: str, repeatable: bool) -> ConnectorError:
    import requests

    name = type(error).__name__
    if isinstance(error, requests.exceptions.SSLError):
        return Permanent(f"{what} was not sent: no trusted TLS connection", code=name)
    if isinstance(error, requests.exceptions.ProxyError):
        return Transient(f"{what} was not sent: the proxy made no connection", code=name)
    if isinstance(error, requests.exceptions.ConnectTimeout) or is_unconnected(error):
        return Transient(f"{what} was not sent: no connection ({name})", code=name)
    if isinstance(error, (requests.exceptions.InvalidURL, requests.exceptions.MissingSchema)):
        return InvalidRequest(f"{what} can't be sent: the address is invalid", code=name)
    return unknown(f"{what} got no whole answer ({name})", repeatable, code=name)


def is_unconnected(error: BaseException) -> bool:
    """requests has one class for a connection that was never made and for one that broke; urllib3, underneath, has two."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    inner = error.args[0] if error.args else None
    return isinstance(inner, MaxRetryError) and isinstance(inner.reason, NewConnectionError)


def unknown(text: str, repeatable: bool, *, retry_after: float | None = None, **facts: Any) -> ConnectorError:
    """For what may have happened."""
    if repeatable:
        return Transient(text, retry_after=retry_after, **facts)
    return Ambiguous(f"{text}. It may have happened all the same: look before it is sent again", **facts)


def _wait(headers: Mapping[str, str]) -> float | None:
    return retry_after(headers, now=datetime.now(UTC))
