"""Snapshots of volumes. CreateSnapshot takes no token, so the `dtf:key` tag of a snapshot tells a repeat: it is looked for first."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, ec2_pages, made_by, tagged
from connectors.aws.models import AwsCall, Filter, filters, tag_dict
from connectors.aws.retry import LOOKUP_RETRY
from connectors.core import DEFAULT_RETRY, Effect, Mutation, NotFound, call_key, declare
from dtf_runtime import activity


class CreateSnapshot(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    volume_id: str
    description: str = ""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class CreateSnapshotResult(Mutation, frozen=True, kw_only=True):
    snapshot_id: str
    state: str
    """pending, completed, error."""


class SnapshotId(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    snapshot_id: str


class DescribeSnapshots(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """Those of this account, unless ids are given."""

    snapshot_ids: list[str] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)


class Snapshot(msgspec.Struct, frozen=True, kw_only=True):
    snapshot_id: str
    volume_id: str
    state: str
    state_reason: str
    progress: str
    """Such as "30%"."""
    size_gib: int
    """Of its volume."""
    started_at: datetime | None
    tags: Mapping[str, str]


class DescribeSnapshotsResult(msgspec.Struct, frozen=True, kw_only=True):
    snapshots: list[Snapshot]


@declare(
    Effect.LOOKUP,
    "a snapshot with this call's dtf:key tag is adopted",
    permissions=("ec2:CreateSnapshot", "ec2:CreateTags", "ec2:DescribeSnapshots"),
)
@activity(name="aws.ec2.create_snapshot", retry=LOOKUP_RETRY)
def create_snapshot(call: CreateSnapshot) -> CreateSnapshotResult:
    """Answers while it is pending; it holds what was on the volume at that moment. Raises NotFound for the volume."""
    key = call_key(call)
    look = {"Filters": made_by(key), "OwnerIds": ["self"]}
    found = [raw for answer in ec2_pages(call, "describe_snapshots", look) for raw in answer["Snapshots"]]
    if found:
        return CreateSnapshotResult(
            snapshot_id=found[0]["SnapshotId"], state=found[0].get("State") or "", replayed=True
        )
    given = {
        "VolumeId": call.volume_id,
        "Description": call.description or None,
        "TagSpecifications": tagged("snapshot", call.tags, key),
    }
    answer = ec2(call, "create_snapshot", given, effect=Effect.LOOKUP)
    return CreateSnapshotResult(
        request_id=request_id(answer), snapshot_id=answer["SnapshotId"], state=answer.get("State") or ""
    )


@declare(Effect.NATURAL, "a missing snapshot is what was wanted", permissions=("ec2:DeleteSnapshot",))
@activity(name="aws.ec2.delete_snapshot", retry=DEFAULT_RETRY)
def delete_snapshot(call: SnapshotId) -> Mutation:
    """Raises Conflict (InvalidSnapshot.InUse) while an image is made of it."""
    try:
        answer = ec2(call, "delete_snapshot", {"SnapshotId": call.snapshot_id}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("ec2:DescribeSnapshots",))
@activity(name="aws.ec2.describe_snapshots", retry=DEFAULT_RETRY)
def describe_snapshots(call: DescribeSnapshots) -> DescribeSnapshotsResult:
    """Raises NotFound for an unknown id."""
    given = {
        "SnapshotIds": call.snapshot_ids or None,
        "Filters": filters(call.filters),
        "OwnerIds": None if call.snapshot_ids else ["self"],
    }
    answers = ec2_pages(call, "describe_snapshots", given)
    return DescribeSnapshotsResult(snapshots=[_snapshot(raw) for answer in answers for raw in answer["Snapshots"]])


def _snapshot(raw: Mapping[str, Any]) -> Snapshot:
    return Snapshot(
        snapshot_id=raw["SnapshotId"],
        volume_id=raw.get("VolumeId") or "",
        state=raw.get("State") or "",
        state_reason=raw.get("StateMessage") or "",
        progress=raw.get("Progress") or "",
        size_gib=raw.get("VolumeSize") or 0,
        started_at=raw.get("StartTime"),
        tags=tag_dict(raw.get("Tags")),
    )
