"""Long-running operations, as servers announce them and as their polls read. Pure.

Sources: RFC 9110, 15.3.3 (202); Microsoft's REST API guidelines (Operation-Location), Azure Resource Manager (Azure-AsyncOperation, Location).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from urllib.parse import urljoin

import msgspec

from connectors.core.statuses import retry_after
from connectors.http.checks import at
from connectors.http.models import HttpRequest, HttpResponse


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    status_url: str
    """What to poll."""
    reports: bool
    """Its answers say the status in their JSON; otherwise their HTTP status is all: 202 while it runs."""
    result_url: str | None = None
    """Where the result is when it has succeeded."""
    retry_after: float | None = None
    """Seconds before the first poll."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """What one poll says."""

    state: Literal["running", "succeeded", "failed", "cancelled"]
    status: str
    """In the server's words."""
    retry_after: float | None = None
    result_url: str | None = None
    code: str = ""
    """Of the error it failed with."""


_SUCCEEDED = frozenset({"succeeded", "success", "successful", "completed", "complete", "done", "finished", "ok"})
_FAILED = frozenset({"failed", "failure", "error", "errored", "validationfailed", "timedout"})
_CANCELLED = frozenset({"canceled", "cancelled", "aborted"})


def operation_of(accepted: HttpResponse, request: HttpRequest, *, now: datetime) -> Operation | None:
    """The operation that an answer announces; None when it announces none, since it is done already."""
    headers = accepted.headers
    location = _absolute(accepted.url, headers.get("location"))
    delay = retry_after(headers, now=now)
    status_url = _absolute(accepted.url, headers.get("operation-location") or headers.get("azure-asyncoperation"))
    if status_url is not None:
        result = accepted.url if request.method.upper() in ("PUT", "PATCH") else location
        return Operation(status_url=status_url, reports=True, result_url=result, retry_after=delay)
    if accepted.status == 202 and location is not None:
        return Operation(status_url=location, reports=False, retry_after=delay)
    return None


def read(operation: Operation, answer: HttpResponse, *, now: datetime) -> Reading:
    delay = retry_after(answer.headers, now=now)
    if not operation.reports:
        if answer.status == 202:
            return Reading(state="running", status="202", retry_after=delay)
        return Reading(state="succeeded", status=str(answer.status))
    document = _document(answer)
    said = _status(document)
    word = said.lower().replace(" ", "").replace("_", "").replace("-", "")
    if word in _SUCCEEDED:
        found = at(document, "/resourceLocation", None)
        return Reading(state="succeeded", status=said, result_url=_absolute(answer.url, found))
    if word in _FAILED or word in _CANCELLED:
        state: Literal["failed", "cancelled"] = "failed" if word in _FAILED else "cancelled"
        return Reading(state=state, status=said, code=str(at(document, "/error/code", ""))[:100])
    return Reading(state="running", status=said, retry_after=delay)


def _status(document: Any) -> str:
    for pointer in ("/status", "/properties/provisioningState", "/state"):
        found = at(document, pointer, None)
        if isinstance(found, str):
            return found
    return ""


def _document(answer: HttpResponse) -> Any:
    try:
        return answer.json()
    except msgspec.DecodeError:
        return None


def _absolute(base: str, url: object) -> str | None:
    return urljoin(base, url) if isinstance(url, str) and url else None


def harmless(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers of the submitting request that its polls send too: those that describe no body and carry no condition."""
    dropped = ("content-", "if-", "idempotency", "prefer", "range", "transfer-")
    return {name: value for name, value in headers.items() if not name.lower().startswith(dropped)}
