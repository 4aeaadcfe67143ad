"""From what a Workflows webhook answers to the errors of the kit, by code. Every entry has a row in the README, and is tried over the wire.

Sources: learn.microsoft.com, "Troubleshoot and diagnose workflow failures in Azure Logic Apps" and "Create incoming webhooks with Workflows";
the codes are those of the Request trigger, which a Workflows webhook is.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from connectors.core import Ambiguous, AuthenticationFailed, ConnectorError, NotFound, Permanent, Throttled, Transient
from connectors.core.statuses import meaning_of, retry_after
from dtf_runtime.tracing import redactor

_LONGEST = 300

Kind = type[ConnectorError]

CODES: Mapping[str, Kind] = {
    "DirectApiAuthorizationRequired": AuthenticationFailed,
    "DirectApiInvalidAuthorizationScheme": AuthenticationFailed,
    "DirectApiRequestHasMoreThanOneAuthorization": AuthenticationFailed,
    "AuthorizationFailed": AuthenticationFailed,
    "InvalidSharedAccessSignature": AuthenticationFailed,
    "TriggerInputSchemaMismatch": Permanent,
    "InvalidRequestContent": Permanent,
    "RequestEntityTooLarge": Permanent,
    "WorkflowNotFound": NotFound,
    "WorkflowTriggerNotFound": NotFound,
    "WorkflowDisabled": Permanent,
    "WorkflowTriggerIsNotEnabled": Permanent,
    "WorkflowSuspended": Permanent,
    "WorkflowRunsThrottled": Throttled,
    "TooManyRequests": Throttled,
    "NoResponse": Transient,
    "BadGateway": Transient,
    "GatewayTimeout": Transient,
    "ServiceUnavailable": Transient,
    "InternalServerError": Transient,
}
DELIVERY_FAILED = "delivery-failed"
"""The code of a 200 that says in its text that the message was not delivered, as the retired connectors of Office 365 did."""


def error_of(status: int, headers: Mapping[str, str], content: bytes, *, repeatable: bool) -> ConnectorError:
    code, words = _read(content)
    kind = CODES.get(code) or meaning_of(status).kind
    said = f"Teams: the webhook answered {status}{f' ({code})' if code else ''}{f', {words}' if words else ''}"
    request_id = headers.get("x-ms-workflow-run-id") or headers.get("x-ms-request-id", "")
    facts: dict[str, Any] = {"code": code or str(status), "status": status, "request_id": request_id}
    wait = retry_after(headers, now=datetime.now(UTC))
    if kind is Throttled:
        return Throttled(said, retry_after=wait, **facts)
    if kind is Transient:
        if repeatable or meaning_of(status).undone:
            return Transient(said, retry_after=wait, **facts)
        return Ambiguous(f"{said}; it may have happened", **facts)
    return kind(said, **facts)


def hidden_failure(status: int, content: bytes) -> ConnectorError | None:
    """What a success says in its text that is none."""
    if b"delivery failed" not in content[:1_000].lower():
        return None
    if b"429" in content[:1_000]:
        return Throttled(
            "Teams: the message was not delivered, there were too many", code=DELIVERY_FAILED, status=status
        )
    return Permanent("Teams: the webhook took the message and did not deliver it", code=DELIVERY_FAILED, status=status)


def _read(content: bytes) -> tuple[str, str]:
    try:
        found = msgspec.json.decode(content[:100_000])
    except (msgspec.DecodeError, RecursionError):
        return "", ""
    error = found.get("error") if isinstance(found, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code = error.get("code")
    return code[:80] if isinstance(code, str) else "", redactor.text(str(error.get("message") or ""))[:_LONGEST]
