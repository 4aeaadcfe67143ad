"""Buckets: make, look at, delete. A bucket's name is unique in all of AWS, so a repeat is told by the tag of the bucket that is in the way."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import client, request_id
from connectors.aws.connection import AwsConnection
from connectors.aws.models import KEY_TAG, AwsCall, tag_dict, tag_list
from connectors.aws.s3._shared import s3
from connectors.core import (
    DEFAULT_RETRY,
    AlreadyExists,
    AuthenticationFailed,
    Effect,
    Mutation,
    NotFound,
    call_key,
    declare,
    resolve,
)
from dtf_runtime import activity

_NO_CONSTRAINT = "us-east-1"  # the one region that must not be named


class CreateBucket(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """In the call's region. Since 2023 a new bucket is private, without ACLs and encrypted; see `put_bucket_*` for the rest."""

    bucket: str
    """3 to 63 lower-case letters, digits, dots and hyphens."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    existing: Literal["refuse", "use"] = "refuse"
    """What to do with a bucket of that name which another call made. "use": if this account owns it."""
    object_lock: bool = False
    """Can't be switched on later."""


class CreateBucketResult(Mutation, frozen=True, kw_only=True):
    bucket: str
    created: bool
    """Made by this call, in this delivery or an earlier one: what a compensation may delete."""


class BucketName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    region: str
    """Empty: the answer didn't say."""


@declare(
    Effect.LOOKUP,
    "the name is unique, and the dtf:key tag, set in the same request, tells who made the bucket that is in the way",
    permissions=(
        "s3:CreateBucket",
        "s3:TagResource",
        "s3:ListBucket",
        "s3:GetBucketTagging",
        "s3:ListAllMyBuckets",
        "s3:PutBucketObjectLockConfiguration",
        "s3:PutBucketVersioning",
    ),
)
@activity(name="aws.s3.create_bucket", retry=DEFAULT_RETRY)
def create_bucket(call: CreateBucket) -> CreateBucketResult:
    """Raises AlreadyExists when another call, or somebody else, has a bucket of that name.

    It looks before it creates: in us-east-1 S3 answers a second request as if it were the first. The last two permissions are for
    `object_lock`, s3:ListAllMyBuckets for `existing="use"`. Source: S3 API reference, CreateBucket.
    """
    key = call_key(call)
    if _is_taken(call):
        return _adopted(call, key)
    place = call.region or resolve(AwsConnection, call.connection).region or _default_region(call)
    config: dict[str, Any] = {"Tags": tag_list(call.tags, key)}
    if place != _NO_CONSTRAINT:
        config["LocationConstraint"] = place
    given = {
        "Bucket": call.bucket,
        "CreateBucketConfiguration": config,
        "ObjectLockEnabledForBucket": True if call.object_lock else None,
    }
    try:
        answer = s3(call, "create_bucket", given, effect=Effect.LOOKUP)
    except AlreadyExists as error:
        return _adopted(call, key, error)
    return CreateBucketResult(request_id=request_id(answer), bucket=call.bucket, created=True)


def _is_taken(call: CreateBucket) -> bool:
    try:
        s3(call, "head_bucket", {"Bucket": call.bucket})
    except NotFound:
        return False
    except AuthenticationFailed as error:
        if error.status != 403:
            raise
        return False  # somebody else's, or no permission to look: CreateBucket will tell
    return True


def _adopted(call: CreateBucket, key: str, error: AlreadyExists | None = None) -> CreateBucketResult:
    if _tags(call).get(KEY_TAG) == key:
        return CreateBucketResult(bucket=call.bucket, created=True, replayed=True)
    if call.existing == "use" and _is_ours(call):
        return CreateBucketResult(bucket=call.bucket, created=False)
    raise error or AlreadyExists(
        f'there is a bucket {call.bucket} already, which another call made; existing="use" takes one that this account owns',
        code="BucketAlreadyOwnedByYou",
    )


def _tags(call: CreateBucket) -> dict[str, str]:
    try:
        return tag_dict(s3(call, "get_bucket_tagging", {"Bucket": call.bucket})["TagSet"])
    except (NotFound, AuthenticationFailed):  # none, or somebody else's
        return {}


def _is_ours(call: CreateBucket) -> bool:
    """A bucket that can be reached may still be another account's."""
    found = s3(call, "list_buckets", {"Prefix": call.bucket}).get("Buckets") or ()
    return any(one["Name"] == call.bucket for one in found)


def _default_region(call: AwsCall) -> str:
    return str(client("s3", call.connection, region=call.region).meta.region_name)


@declare(Effect.READ, permissions=("s3:ListBucket",))
@activity(name="aws.s3.head_bucket", retry=DEFAULT_RETRY)
def head_bucket(call: BucketName) -> Bucket:
    """Raises NotFound, and AuthenticationFailed for somebody else's bucket."""
    answer = s3(call, "head_bucket", {"Bucket": call.bucket})
    return Bucket(bucket=call.bucket, region=answer.get("BucketRegion") or "")


@declare(Effect.NATURAL, "a missing bucket is what was wanted", permissions=("s3:DeleteBucket",))
@activity(name="aws.s3.delete_bucket", retry=DEFAULT_RETRY)
def delete_bucket(call: BucketName) -> Mutation:
    """Raises Conflict (BucketNotEmpty) while anything is in it, old versions and delete markers included."""
    try:
        answer = s3(call, "delete_bucket", {"Bucket": call.bucket}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))
