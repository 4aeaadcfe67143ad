"""From what X answers to the errors of the kit, by code. Every entry of the tables has a row in the README, and is tried over the wire.

Sources: docs.x.com/x-api/fundamentals/response-codes-and-errors (problem types and v1.1 codes), the API's own OpenAPI document.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from connectors.core import (
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from connectors.core.statuses import meaning_of, retry_after
from dtf_runtime.tracing import redactor

_LONGEST = 300  # characters of X's own words

Kind = type[ConnectorError]

PROBLEMS: Mapping[str, Kind] = {  # the last part of a problem's `type`
    "invalid-request": Permanent,
    "resource-not-found": NotFound,
    "not-authorized-for-resource": AuthenticationFailed,
    "not-authorized-for-field": AuthenticationFailed,
    "disallowed-resource": Permanent,
    "client-forbidden": AuthenticationFailed,
    "unsupported-authentication": AuthenticationFailed,
    "oauth1-permissions": AuthenticationFailed,
    "usage-capped": Permanent,
    "credits-depleted": Permanent,
    "resource-unavailable": NotFound,
    "conflict": Conflict,
    "noncompliant-rules": Permanent,
    "operational-disconnect": Transient,
}
CODES: Mapping[int, Kind] = {  # of v1.1, which some answers of v2 still carry
    32: AuthenticationFailed,
    34: NotFound,
    64: AuthenticationFailed,
    88: Throttled,
    89: AuthenticationFailed,
    99: AuthenticationFailed,
    130: Transient,
    131: Transient,
    135: AuthenticationFailed,
    144: NotFound,
    179: AuthenticationFailed,
    185: Throttled,
    186: Permanent,
    187: AlreadyExists,
    226: Permanent,
    261: AuthenticationFailed,
    324: Permanent,
    326: AuthenticationFailed,
    385: NotFound,
    453: AuthenticationFailed,
}
DUPLICATE = "duplicate"
"""The code of the 403 that says "duplicate content", which has no code of X's own in v2."""
_UNDONE = frozenset({130})  # over capacity: it did not take the request up


def is_duplicate(error: ConnectorError) -> bool:
    return error.code in (DUPLICATE, "187")


def error_of(status: int, headers: Mapping[str, str], content: bytes, *, what: str, repeatable: bool) -> ConnectorError:
    """`headers`: any case-insensitive mapping. `what`: the call, fit to be shown."""
    code, detail = _read(content)
    kind = _kind(status, code, detail)
    if kind is AlreadyExists:
        code = code if code == "187" else DUPLICATE
    said = f"{what}: X answered {status}{f' ({code})' if code else ''}{f', {detail}' if detail else ''}"
    facts: dict[str, Any] = {
        "code": code or str(status),
        "status": status,
        "request_id": headers.get("x-transaction-id", ""),
    }
    if kind is Throttled:
        delay = reset_in(headers)
        later = "" if delay is None else f"; its limit is reset in {delay:g} s"
        return Throttled(said + later, retry_after=delay, **facts)
    if kind is Transient:
        undone = meaning_of(status).undone or code in {str(number) for number in _UNDONE}
        if repeatable or undone:
            return Transient(said, retry_after=retry_after(headers, now=datetime.now(UTC)), **facts)
        return Ambiguous(f"{said}; it may have happened", **facts)
    return kind(said, **facts)


def _kind(status: int, code: str, detail: str) -> Kind:
    if status == 429:
        return Throttled
    if code.isdigit() and int(code) in CODES:
        return CODES[int(code)]
    if "duplicate content" in detail.lower():
        return AlreadyExists
    if code in PROBLEMS:
        return PROBLEMS[code]
    return meaning_of(status).kind


def _read(content: bytes) -> tuple[str, str]:
    """X's code (a problem's name, or a number of v1.1) and its words, masked and cut. Empty when it sent something else."""
    try:
        found = msgspec.json.decode(content[:100_000])
    except (msgspec.DecodeError, RecursionError):
        return "", ""
    if not isinstance(found, dict):
        return "", ""
    errors = found.get("errors")
    first = errors[0] if isinstance(errors, list) and errors and isinstance(errors[0], dict) else {}
    number = first.get("code")
    if not isinstance(number, int):
        number = None
    kind = str(found.get("type") or first.get("type") or "").rstrip("/").rpartition("/")[2]
    words = found.get("detail") or first.get("detail") or first.get("message") or found.get("title") or ""
    reason = found.get("reason")
    text = f"{words} ({reason})" if isinstance(reason, str) else str(words)
    return str(number) if number is not None else ("" if kind == "about:blank" else kind), redactor.text(text)[
        :_LONGEST
    ]


def reset_in(headers: Mapping[str, str]) -> float | None:
    """Seconds until the limit that was hit is reset, counted from the answer's own Date. None when it doesn't say."""
    resets = [
        headers[f"{family}-reset"]
        for family in ("x-user-limit-24hour", "x-app-limit-24hour", "x-rate-limit")
        if headers.get(f"{family}-remaining", "0") == "0" and headers.get(f"{family}-reset", "").isdigit()
    ]
    if not resets:
        return retry_after(headers, now=datetime.now(UTC))
    try:
        sent = parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        sent = datetime.now(UTC)
    return max(max(float(reset) for reset in resets) - sent.timestamp(), 0.0) + 1.0
