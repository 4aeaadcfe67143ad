"""How a bucket is set up. Each activity writes one whole setting, so a repeat changes nothing; an empty one takes it away.

`just_made`: the bucket was made moments ago, and S3 may not see it everywhere yet.
"""

from collections.abc import Callable
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.s3._shared import s3
from connectors.aws.s3.buckets import BucketName
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Mutation, NotFound, Transient, declare
from dtf_runtime import activity


class BucketSetting(BucketName, frozen=True, kw_only=True, omit_defaults=True):
    """Base of the inputs below."""

    just_made: bool = False
    """NoSuchBucket is Transient."""


class PutBucketVersioning(BucketSetting, frozen=True, kw_only=True, omit_defaults=True):
    enabled: bool
    """Off: suspended, for a bucket that ever had it; what versions there are stay."""


class PutBucketEncryption(BucketSetting, frozen=True, kw_only=True, omit_defaults=True):
    algorithm: Literal["AES256", "aws:kms", "aws:kms:dsse"] = "AES256"
    kms_key_id: str | None = None
    """None with aws:kms: the account's own key for S3."""
    bucket_key: bool = False
    """Fewer requests to KMS, which cost."""


class PutPublicAccessBlock(BucketSetting, frozen=True, kw_only=True, omit_defaults=True):
    """All four on, as it should be for all but a public website."""

    block_public_acls: bool = True
    ignore_public_acls: bool = True
    block_public_policy: bool = True
    restrict_public_buckets: bool = True


class PutBucketPolicy(BucketSetting, frozen=True, kw_only=True, omit_defaults=True):
    policy: dict[str, Any] | None
    """The policy document. None: no policy."""


class Transition(msgspec.Struct, frozen=True, kw_only=True):
    days: int
    storage_class: Literal["STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"]


class LifecycleRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What happens to objects under a prefix. Days count from an object's creation; None: never."""

    id: str
    prefix: str = ""
    """Empty: all."""
    enabled: bool = True
    expire_days: int | None = None
    transitions: list[Transition] = msgspec.field(default_factory=list)
    expire_old_versions_days: int | None = None
    """Since they were replaced."""
    abort_uploads_days: int | None = None
    """Uploads in parts that nobody finished, which cost as much as objects and are in no list of them."""


class PutBucketLifecycle(BucketSetting, frozen=True, kw_only=True, omit_defaults=True):
    rules: list[LifecycleRule]
    """All of them, at most 1,000: S3 keeps no others. Empty: no lifecycle."""


class PutBucketWebsite(BucketSetting, frozen=True, kw_only=True, omit_defaults=True):
    index: str | None
    """Such as "index.html", in each folder. None: no website."""
    error: str | None = None


class BucketSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is not set is None or empty."""

    versioning: Literal["", "Enabled", "Suspended"]
    """Empty: never was on."""
    encryption: str
    kms_key_id: str
    public_access_blocked: bool
    """All four."""
    policy: dict[str, Any] | None
    lifecycle: list[LifecycleRule]
    website_index: str | None
    website_error: str | None


def _put(call: BucketSetting, operation: str, **given: Any) -> Mutation:
    try:
        answer = s3(call, operation, {"Bucket": call.bucket, **given}, effect=Effect.NATURAL)
    except NotFound as error:
        if not (call.just_made and error.code == "NoSuchBucket"):
            raise
        raise Transient(f"{error} (made moments ago: not visible yet)", code=error.code, status=error.status) from None
    return Mutation(request_id=request_id(answer))


@declare(Effect.NATURAL, "the whole setting", permissions=("s3:PutBucketVersioning",))
@activity(name="aws.s3.put_bucket_versioning", retry=DEFAULT_RETRY)
def put_bucket_versioning(call: PutBucketVersioning) -> Mutation:
    """Whether replaced and deleted objects are kept."""
    return _put(
        call, "put_bucket_versioning", VersioningConfiguration={"Status": "Enabled" if call.enabled else "Suspended"}
    )


@declare(Effect.NATURAL, "the whole setting", permissions=("s3:PutEncryptionConfiguration",))
@activity(name="aws.s3.put_bucket_encryption", retry=DEFAULT_RETRY)
def put_bucket_encryption(call: PutBucketEncryption) -> Mutation:
    """How objects that don't say are encrypted."""
    if call.kms_key_id and call.algorithm == "AES256":
        raise InvalidRequest("a kms_key_id goes with aws:kms or aws:kms:dsse")
    default = {"SSEAlgorithm": call.algorithm} | ({"KMSMasterKeyID": call.kms_key_id} if call.kms_key_id else {})
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": call.bucket_key}
    return _put(call, "put_bucket_encryption", ServerSideEncryptionConfiguration={"Rules": [rule]})


@declare(Effect.NATURAL, "the whole setting", permissions=("s3:PutBucketPublicAccessBlock",))
@activity(name="aws.s3.put_public_access_block", retry=DEFAULT_RETRY)
def put_public_access_block(call: PutPublicAccessBlock) -> Mutation:
    """Keeps ACLs and policies, wherever they come from, from opening the bucket to everybody."""
    block = {
        "BlockPublicAcls": call.block_public_acls,
        "IgnorePublicAcls": call.ignore_public_acls,
        "BlockPublicPolicy": call.block_public_policy,
        "RestrictPublicBuckets": call.restrict_public_buckets,
    }
    return _put(call, "put_public_access_block", PublicAccessBlockConfiguration=block)


@declare(Effect.NATURAL, "the whole setting", permissions=("s3:PutBucketPolicy", "s3:DeleteBucketPolicy"))
@activity(name="aws.s3.put_bucket_policy", retry=DEFAULT_RETRY)
def put_bucket_policy(call: PutBucketPolicy) -> Mutation:
    """Raises Permanent (MalformedPolicy), AuthenticationFailed for a public policy while the public-access block is on."""
    if call.policy is None:
        return _put(call, "delete_bucket_policy")
    return _put(call, "put_bucket_policy", Policy=msgspec.json.encode(call.policy).decode())


@declare(Effect.NATURAL, "the whole setting", permissions=("s3:PutLifecycleConfiguration",))
@activity(name="aws.s3.put_bucket_lifecycle", retry=DEFAULT_RETRY)
def put_bucket_lifecycle(call: PutBucketLifecycle) -> Mutation:
    """Replaces all rules."""
    if not call.rules:
        return _put(call, "delete_bucket_lifecycle")
    rules = [_rule(one) for one in call.rules]
    return _put(call, "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": rules})


def _rule(one: LifecycleRule) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "ID": one.id,
        "Filter": {"Prefix": one.prefix},
        "Status": "Enabled" if one.enabled else "Disabled",
    }
    if one.expire_days is not None:
        rule["Expiration"] = {"Days": one.expire_days}
    if one.transitions:
        rule["Transitions"] = [{"Days": to.days, "StorageClass": to.storage_class} for to in one.transitions]
    if one.expire_old_versions_days is not None:
        rule["NoncurrentVersionExpiration"] = {"NoncurrentDays": one.expire_old_versions_days}
    if one.abort_uploads_days is not None:
        rule["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": one.abort_uploads_days}
    if len(rule) == 3:
        raise InvalidRequest(f"the lifecycle rule {one.id!r} says nothing")
    return rule


@declare(Effect.NATURAL, "the whole setting", permissions=("s3:PutBucketWebsite", "s3:DeleteBucketWebsite"))
@activity(name="aws.s3.put_bucket_website", retry=DEFAULT_RETRY)
def put_bucket_website(call: PutBucketWebsite) -> Mutation:
    """Serves the bucket over HTTP. Who may read it is the policy's matter."""
    if call.index is None:
        return _put(call, "delete_bucket_website")
    site: dict[str, Any] = {"IndexDocument": {"Suffix": call.index}}
    if call.error is not None:
        site["ErrorDocument"] = {"Key": call.error}
    return _put(call, "put_bucket_website", WebsiteConfiguration=site)


@declare(
    Effect.READ,
    permissions=(
        "s3:GetBucketVersioning",
        "s3:GetEncryptionConfiguration",
        "s3:GetBucketPublicAccessBlock",
        "s3:GetBucketPolicy",
        "s3:GetLifecycleConfiguration",
        "s3:GetBucketWebsite",
    ),
)
@activity(name="aws.s3.get_bucket_settings", retry=DEFAULT_RETRY)
def get_bucket_settings(call: BucketName) -> BucketSettings:
    """All that the activities here set. Six requests. Raises NotFound for a missing bucket."""

    def get(operation: str, pick: Callable[[dict[str, Any]], Any]) -> Any:
        try:
            return pick(s3(call, operation, {"Bucket": call.bucket}))
        except NotFound as error:
            if error.code == "NoSuchBucket":
                raise
            return None  # each of these has a code of its own for "not set"

    encryption = get("get_bucket_encryption", _default_encryption) or {}
    website = get("get_bucket_website", dict) or {}
    blocked = get("get_public_access_block", lambda answer: answer["PublicAccessBlockConfiguration"]) or {}
    return BucketSettings(
        versioning=get("get_bucket_versioning", lambda answer: answer.get("Status")) or "",
        encryption=encryption.get("SSEAlgorithm") or "",
        kms_key_id=encryption.get("KMSMasterKeyID") or "",
        public_access_blocked=bool(blocked) and all(blocked.values()),
        policy=get("get_bucket_policy", lambda answer: msgspec.json.decode(answer["Policy"])),
        lifecycle=get("get_bucket_lifecycle_configuration", _rules) or [],
        website_index=website.get("IndexDocument", {}).get("Suffix"),
        website_error=website.get("ErrorDocument", {}).get("Key"),
    )


def _default_encryption(answer: dict[str, Any]) -> dict[str, Any]:
    rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
    return dict(rules[0].get("ApplyServerSideEncryptionByDefault") or {}) if rules else {}


def _rules(answer: dict[str, Any]) -> list[LifecycleRule]:
    return [
        LifecycleRule(
            id=raw.get("ID") or "",
            prefix=raw.get("Filter", {}).get("Prefix") or raw.get("Prefix") or "",
            enabled=raw.get("Status") == "Enabled",
            expire_days=raw.get("Expiration", {}).get("Days"),
            transitions=[
                Transition(days=to.get("Days") or 0, storage_class=to["StorageClass"])
                for to in raw.get("Transitions") or ()
            ],
            expire_old_versions_days=raw.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays"),
            abort_uploads_days=raw.get("AbortIncompleteMultipartUpload", {}).get("DaysAfterInitiation"),
        )
        for raw in answer.get("Rules") or ()
    ]
