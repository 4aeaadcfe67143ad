"""EventBridge: one event a call, so that none is sent twice because its neighbour failed."""

from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.codes import Kind, listed
from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import Mutation, Permanent, Throttled, Transient


class PutEvent(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    source: str
    """Such as "com.example.shop"; "aws." is Amazon's own."""
    detail_type: str
    detail: dict[str, Any] = msgspec.field(default_factory=dict)
    """JSON, at most 256 kB all in all. An id of yours in it lets receivers tell a repeat."""
    bus: str = "default"
    """Name or ARN."""
    resources: list[str] = msgspec.field(default_factory=list)
    """ARNs that it is about."""


class PutEventResult(Mutation, frozen=True, kw_only=True):
    event_id: str


def send(call: PutEvent, key: str) -> dict[str, Any]:
    entry = {
        "EventBusName": call.bus,
        "Source": call.source,
        "DetailType": call.detail_type,
        "Detail": msgspec.json.encode(call.detail).decode(),
        "Resources": call.resources,
    }
    return {"Entries": [entry]}


def read(call: PutEvent, key: str, answer: Answer) -> PutEventResult:
    entry = answer["Entries"][0]
    code = entry.get("ErrorCode")
    if code:
        kinds = {Kind.THROTTLED: Throttled, Kind.TRANSIENT: Transient, Kind.UNKNOWN: Transient}
        cls = kinds.get(listed("events", code) or Kind.PERMANENT, Permanent)  # an entry that is refused was not taken
        raise cls(f"events:put_events refused the event with {code}", code=code, request_id=request_id(answer))
    return PutEventResult(request_id=request_id(answer), event_id=entry.get("EventId") or "")
