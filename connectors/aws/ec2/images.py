"""Machine images: make one of an instance, copy, find, deregister.

CreateImage takes no token, but an image's name is unique in its account and region: a repeat is refused, and the `dtf:key` tag of the image
that is in the way tells whether this call made it.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, ec2_pages, tagged
from connectors.aws.models import KEY_TAG, AwsCall, Filter, filters, tag_dict
from connectors.core import DEFAULT_RETRY, AlreadyExists, Conflict, Effect, Mutation, NotFound, call_key, declare
from dtf_runtime import activity


class CreateImage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    instance_id: str
    name: str
    """3 to 128 characters."""
    description: str = ""
    reboot: bool = True
    """For a consistent file system; without, the instance goes on while its volumes are read."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    tag_snapshots: bool = False
    """The tags of the snapshots too, which it is made of."""


class CopyImage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """Into `region`, or the connection's."""

    source_image_id: str
    source_region: str
    name: str
    description: str = ""
    encrypted: bool | None = None
    kms_key_id: str | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class ImageResult(Mutation, frozen=True, kw_only=True):
    image_id: str


class DeregisterImage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    image_id: str
    delete_snapshots: bool = False
    """Also those that it was made of, when nothing else uses them."""


class DescribeImages(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """By id, owner ("self", "amazon", an account's number) or filter."""

    image_ids: list[str] = msgspec.field(default_factory=list)
    owners: list[str] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)


class Image(msgspec.Struct, frozen=True, kw_only=True):
    image_id: str
    name: str
    state: str
    """pending, available, invalid, deregistered, transient, failed, error, disabled."""
    state_reason: str
    architecture: str
    root_device: str
    created: str
    """ISO 8601, UTC: "2026-01-31T12:00:00.000Z"; it sorts as text."""
    snapshot_ids: list[str]
    tags: Mapping[str, str]


class DescribeImagesResult(msgspec.Struct, frozen=True, kw_only=True):
    images: list[Image]
    """Newest first."""


@declare(
    Effect.LOOKUP,
    "the name is unique; an image in the way is adopted when its dtf:key tag is this call's",
    permissions=("ec2:CreateImage", "ec2:CreateTags", "ec2:DescribeImages"),
)
@activity(name="aws.ec2.create_image", retry=DEFAULT_RETRY)
def create_image(call: CreateImage) -> ImageResult:
    """Answers while it is pending. Raises AlreadyExists when another call made an image of that name, Conflict for a wrong state."""
    key = call_key(call)
    kinds = ("image", "snapshot") if call.tag_snapshots else ("image",)
    given = {
        "InstanceId": call.instance_id,
        "Name": call.name,
        "Description": call.description or None,
        "NoReboot": not call.reboot,
        "TagSpecifications": [one for kind in kinds for one in tagged(kind, call.tags, key)],
    }
    earlier = _made(
        call, key
    )  # a name may be given again once its image is deregistered, and emulators don't mind it twice
    if earlier is not None:
        return ImageResult(image_id=earlier, replayed=True)
    try:
        answer = ec2(call, "create_image", given, effect=Effect.LOOKUP)
    except AlreadyExists:
        earlier = _made(call, key)
        if earlier is None:
            raise
        return ImageResult(image_id=earlier, replayed=True)
    return ImageResult(request_id=request_id(answer), image_id=answer["ImageId"])


def _made(call: CreateImage, key: str) -> str | None:
    look = {"Owners": ["self"], "Filters": [{"Name": "name", "Values": [call.name]}]}
    for answer in ec2_pages(call, "describe_images", look):
        for raw in answer["Images"]:
            if tag_dict(raw.get("Tags")).get(KEY_TAG) == key:
                return str(raw["ImageId"])
    return None


@declare(Effect.TOKEN, "ClientToken", permissions=("ec2:CopyImage", "ec2:CreateTags"))
@activity(name="aws.ec2.copy_image", retry=DEFAULT_RETRY)
def copy_image(call: CopyImage) -> ImageResult:
    """Answers while it is pending. A repeat has the same token, and gets the same image's id."""
    key = call_key(call)
    given = {
        "ClientToken": key,
        "SourceImageId": call.source_image_id,
        "SourceRegion": call.source_region,
        "Name": call.name,
        "Description": call.description or None,
        "Encrypted": call.encrypted,
        "KmsKeyId": call.kms_key_id,
        "TagSpecifications": tagged("image", call.tags, key),
    }
    answer = ec2(call, "copy_image", given, effect=Effect.TOKEN)
    return ImageResult(request_id=request_id(answer), image_id=answer["ImageId"])


@declare(
    Effect.NATURAL,
    "a missing image is what was wanted",
    permissions=("ec2:DeregisterImage", "ec2:DeleteSnapshot", "ec2:DescribeImages"),
)
@activity(name="aws.ec2.deregister_image", retry=DEFAULT_RETRY)
def deregister_image(call: DeregisterImage) -> Mutation:
    """Instances go on. ec2:DeleteSnapshot and ec2:DescribeImages are for `delete_snapshots`, which EC2 does in the same request."""
    given = {"ImageId": call.image_id, "DeleteAssociatedSnapshots": call.delete_snapshots or None}
    try:
        answer = ec2(call, "deregister_image", given, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    except Conflict as error:
        if error.code != "InvalidAMIID.Unavailable":  # what EC2 says of one that was deregistered
            raise
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("ec2:DescribeImages",))
@activity(name="aws.ec2.describe_images", retry=DEFAULT_RETRY)
def describe_images(call: DescribeImages) -> DescribeImagesResult:
    """Raises NotFound for an unknown id. Narrow it: without owner or filter EC2 has hundreds of thousands."""
    given = {
        "ImageIds": call.image_ids or None,
        "Owners": call.owners or None,
        "Filters": filters(call.filters),
    }
    found = [_image(raw) for answer in ec2_pages(call, "describe_images", given) for raw in answer["Images"]]
    return DescribeImagesResult(images=sorted(found, key=lambda one: (one.created, one.image_id), reverse=True))


def _image(raw: Mapping[str, Any]) -> Image:
    devices = [device.get("Ebs") or {} for device in raw.get("BlockDeviceMappings") or ()]
    return Image(
        image_id=raw["ImageId"],
        name=raw.get("Name") or "",
        state=raw.get("State") or "",
        state_reason=(raw.get("StateReason") or {}).get("Message") or "",
        architecture=raw.get("Architecture") or "",
        root_device=raw.get("RootDeviceName") or "",
        created=raw.get("CreationDate") or "",
        snapshot_ids=[ebs["SnapshotId"] for ebs in devices if ebs.get("SnapshotId")],
        tags=tag_dict(raw.get("Tags")),
    )
