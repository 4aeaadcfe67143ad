"""From what the Graph API answers to the errors of the kit, by code and subcode. Every entry has a row in the README, tried over the wire.

Sources: developers.facebook.com/docs/graph-api/guides/error-handling, /docs/graph-api/overview/rate-limiting, /docs/pages-api.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.core import (
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    ConnectorError,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from connectors.core.statuses import meaning_of
from dtf_runtime.tracing import redactor

_LONGEST = 300  # characters of Facebook's own words
DEFAULT_WAIT = 300.0
"""Seconds after a limit that doesn't say when it ends: Facebook counts by the hour, and calls meanwhile make it longer."""

Kind = type[ConnectorError]

CODES: Mapping[str, Kind] = {  # "code" or "code/subcode"
    "1": Transient,
    "2": Transient,
    "3": Permanent,
    "4": Throttled,
    "10": AuthenticationFailed,
    "12": Permanent,
    "17": Throttled,
    "21": NotFound,
    "32": Throttled,
    "100": Permanent,
    "100/33": NotFound,
    "102": AuthenticationFailed,
    "104": AuthenticationFailed,
    "190": AuthenticationFailed,
    "190/458": AuthenticationFailed,
    "190/460": AuthenticationFailed,
    "190/463": AuthenticationFailed,
    "190/467": AuthenticationFailed,
    "200": AuthenticationFailed,
    "210": AuthenticationFailed,
    "283": AuthenticationFailed,
    "299": AuthenticationFailed,
    "324": Permanent,
    "341": Throttled,
    "368": Permanent,
    "506": AlreadyExists,
    "613": Throttled,
    "803": NotFound,
    "2500": Permanent,
    "2635": Permanent,
    "6000": Transient,
    "80001": Throttled,
    "1363030": Transient,
    "1609005": Permanent,
}


class VersionExpired(Permanent):
    """Facebook answered in another version of the Graph API than was asked for: the one asked for has expired. The request did happen."""

    may_have_happened = True


VersionExpired.__module__ = "connectors.facebook"


def error_of(status: int, headers: Mapping[str, str], content: bytes, *, what: str, repeatable: bool) -> ConnectorError:
    told = _read(content)
    code, kind = _kind(status, told)
    words = redactor.text(str(told.get("message") or ""))[:_LONGEST]
    said = f"{what}: Facebook answered {status}{f' ({code})' if code else ''}{f', {words}' if words else ''}"
    request_id = str(told.get("fbtrace_id") or headers.get("x-fb-trace-id", ""))
    facts: dict[str, Any] = {"code": code or str(status), "status": status, "request_id": request_id}
    if kind is Throttled:
        wait = regained_in(headers)
        return Throttled(f"{said}; it is tried again in {wait:g} s", retry_after=wait, **facts)
    if kind is Transient:
        if repeatable or (not code and meaning_of(status).undone):
            return Transient(said, **facts)
        return Ambiguous(f"{said}; it may have happened", **facts)
    return kind(said, **facts)


def _kind(status: int, told: Mapping[str, Any]) -> tuple[str, Kind]:
    number, sub = told.get("code"), told.get("error_subcode")
    if not isinstance(number, int):
        return "", meaning_of(status).kind
    for code in (f"{number}/{sub}", str(number)):
        if code in CODES:
            return code, CODES[code]
    if told.get("is_transient") is True:
        return str(number), Transient
    if 200 <= number <= 299:  # permissions, all of them
        return str(number), AuthenticationFailed
    return str(number), meaning_of(status).kind


def _read(content: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(content[:100_000])
    except (msgspec.DecodeError, RecursionError):
        return {}
    error = found.get("error") if isinstance(found, dict) else None
    return error if isinstance(error, dict) else {}


def regained_in(headers: Mapping[str, str]) -> float:
    """Seconds until calls are taken again: the longest that X-Business-Use-Case-Usage estimates (in minutes), else DEFAULT_WAIT."""
    try:
        usage = msgspec.json.decode(
            headers.get("x-business-use-case-usage", "{}"), type=dict[str, list[dict[str, Any]]]
        )
        minutes = [
            float(entry.get("estimated_time_to_regain_access") or 0) for part in usage.values() for entry in part
        ]
    except (msgspec.MsgspecError, RecursionError, TypeError, ValueError):
        return DEFAULT_WAIT
    return max(minutes, default=0.0) * 60.0 or DEFAULT_WAIT
