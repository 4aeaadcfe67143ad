"""EBS volumes: make, attach, detach, delete. Sizes in GiB."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, ec2_pages, tagged
from connectors.aws.models import AwsCall, Filter, filters, tag_dict
from connectors.core import DEFAULT_RETRY, Conflict, Effect, Mutation, NotFound, call_key, declare
from dtf_runtime import activity


class CreateVolume(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """A size, a snapshot, or both."""

    zone: str
    size_gib: int | None = None
    snapshot_id: str | None = None
    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"] = "gp3"
    iops: int | None = None
    throughput: int | None = None
    """MiB a second, for gp3."""
    encrypted: bool | None = None
    """None: as the account says."""
    kms_key_id: str | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class Volume(msgspec.Struct, frozen=True, kw_only=True):
    volume_id: str
    state: str
    """creating, available, in-use, deleting, deleted, error."""
    size_gib: int
    type: str
    zone: str
    instance_id: str
    """That it is attached to; empty: none."""
    device: str
    tags: Mapping[str, str]


class CreateVolumeResult(Mutation, frozen=True, kw_only=True):
    volume_id: str
    state: str


class VolumeId(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    volume_id: str


class AttachVolume(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    volume_id: str
    instance_id: str
    device: str
    """Such as "/dev/sdf"."""
    just_made: bool = False
    """The volume was made moments ago: while EC2 doesn't see it yet, that is Transient."""


class DetachVolume(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    volume_id: str
    instance_id: str | None = None
    """Only from this one."""
    force: bool = False
    """Without unmounting: data may be lost."""


class VolumeStateResult(Mutation, frozen=True, kw_only=True):
    state: str
    """attaching, attached, busy, detaching, detached; "available" where nothing was attached."""


class DescribeVolumes(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    volume_ids: list[str] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)


class DescribeVolumesResult(msgspec.Struct, frozen=True, kw_only=True):
    volumes: list[Volume]


@declare(Effect.TOKEN, "ClientToken", permissions=("ec2:CreateVolume", "ec2:CreateTags"))
@activity(name="aws.ec2.create_volume", retry=DEFAULT_RETRY)
def create_volume(call: CreateVolume) -> CreateVolumeResult:
    """Answers while it is being made. Raises CapacityUnavailable when the zone has no room for it."""
    key = call_key(call)
    given = {
        "ClientToken": key,
        "AvailabilityZone": call.zone,
        "Size": call.size_gib,
        "SnapshotId": call.snapshot_id,
        "VolumeType": call.type,
        "Iops": call.iops,
        "Throughput": call.throughput,
        "Encrypted": call.encrypted,
        "KmsKeyId": call.kms_key_id,
        "TagSpecifications": tagged("volume", call.tags, key),
    }
    answer = ec2(call, "create_volume", given, effect=Effect.TOKEN)
    return CreateVolumeResult(
        request_id=request_id(answer),
        replayed=answer.get("State") not in ("creating", None),
        volume_id=answer["VolumeId"],
        state=answer.get("State") or "",
    )


@declare(Effect.NATURAL, "a missing volume is what was wanted", permissions=("ec2:DeleteVolume",))
@activity(name="aws.ec2.delete_volume", retry=DEFAULT_RETRY)
def delete_volume(call: VolumeId) -> Mutation:
    """Raises Conflict (VolumeInUse) while it is attached."""
    try:
        answer = ec2(call, "delete_volume", {"VolumeId": call.volume_id}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(
    Effect.NATURAL,
    "a volume that is attached there already is what was wanted",
    permissions=("ec2:AttachVolume", "ec2:DescribeVolumes"),
)
@activity(name="aws.ec2.attach_volume", retry=DEFAULT_RETRY)
def attach_volume(call: AttachVolume) -> VolumeStateResult:
    """Answers while it is attaching. Raises Conflict (VolumeInUse) when another instance has it, or it has another device's name."""
    given = {"VolumeId": call.volume_id, "InstanceId": call.instance_id, "Device": call.device}
    try:
        answer = ec2(call, "attach_volume", given, effect=Effect.NATURAL, just_made=call.just_made)
    except Conflict as error:
        if error.code != "VolumeInUse":
            raise
        there = ec2(call, "describe_volumes", {"VolumeIds": [call.volume_id]})["Volumes"][0].get("Attachments") or ()
        for one in there:
            if one.get("InstanceId") == call.instance_id and one.get("Device") == call.device:
                return VolumeStateResult(state=one.get("State") or "", replayed=True)
        raise
    return VolumeStateResult(request_id=request_id(answer), state=answer.get("State") or "")


@declare(
    Effect.NATURAL,
    "a volume that is not attached, or is missing, is what was wanted",
    permissions=("ec2:DetachVolume", "ec2:DescribeVolumes"),
)
@activity(name="aws.ec2.detach_volume", retry=DEFAULT_RETRY)
def detach_volume(call: DetachVolume) -> VolumeStateResult:
    """Answers while it is detaching."""
    given = {"VolumeId": call.volume_id, "InstanceId": call.instance_id, "Force": call.force or None}
    try:
        if _is_free(call):
            return VolumeStateResult(state="available", replayed=True)
        answer = ec2(call, "detach_volume", given, effect=Effect.NATURAL)
    except NotFound:  # the volume, the instance or the attachment
        return VolumeStateResult(state="available", replayed=True)
    except Conflict as error:
        if error.code != "IncorrectState" or not _is_free(call):
            raise
        return VolumeStateResult(state="available", replayed=True)
    return VolumeStateResult(request_id=request_id(answer), state=answer.get("State") or "")


def _is_free(call: DetachVolume) -> bool:
    found = ec2(call, "describe_volumes", {"VolumeIds": [call.volume_id]})["Volumes"][0]
    return all(call.instance_id not in (None, one.get("InstanceId")) for one in found.get("Attachments") or ())


@declare(Effect.READ, permissions=("ec2:DescribeVolumes",))
@activity(name="aws.ec2.describe_volumes", retry=DEFAULT_RETRY)
def describe_volumes(call: DescribeVolumes) -> DescribeVolumesResult:
    """Raises NotFound for an unknown id."""
    given = {"VolumeIds": call.volume_ids or None, "Filters": filters(call.filters)}
    answers = ec2_pages(call, "describe_volumes", given)
    return DescribeVolumesResult(volumes=[_volume(raw) for answer in answers for raw in answer["Volumes"]])


def _volume(raw: Mapping[str, Any]) -> Volume:
    attached = (raw.get("Attachments") or [{}])[0]
    return Volume(
        volume_id=raw["VolumeId"],
        state=raw.get("State") or "",
        size_gib=raw.get("Size") or 0,
        type=raw.get("VolumeType") or "",
        zone=raw.get("AvailabilityZone") or "",
        instance_id=attached.get("InstanceId") or "",
        device=attached.get("Device") or "",
        tags=tag_dict(raw.get("Tags")),
    )
