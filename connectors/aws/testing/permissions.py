"""From an operation to the IAM actions it needs: mostly of the same name, and here is where not.

Source: the Service Authorization Reference.
"""

from collections.abc import Mapping
from typing import Any

_ACTIONS: dict[str, tuple[str, ...]] = {
    "lambda:Invoke": ("lambda:InvokeFunction",),
    "s3:AbortMultipartUpload": ("s3:AbortMultipartUpload",),
    "s3:CompleteMultipartUpload": ("s3:PutObject",),
    "s3:CopyObject": ("s3:GetObject", "s3:PutObject"),
    "s3:CreateMultipartUpload": ("s3:PutObject",),
    "s3:DeleteBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:DeleteBucketLifecycle": ("s3:PutLifecycleConfiguration",),
    "s3:DeleteObjects": ("s3:DeleteObject",),
    "s3:DeletePublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3:GetBucketEncryption": ("s3:GetEncryptionConfiguration",),
    "s3:GetBucketLifecycleConfiguration": ("s3:GetLifecycleConfiguration",),
    "s3:GetPublicAccessBlock": ("s3:GetBucketPublicAccessBlock",),
    "s3:HeadBucket": ("s3:ListBucket",),
    "s3:HeadObject": ("s3:GetObject",),
    "s3:ListBuckets": ("s3:ListAllMyBuckets",),
    "s3:ListMultipartUploads": ("s3:ListBucketMultipartUploads",),
    "s3:ListObjectVersions": ("s3:ListBucketVersions",),
    "s3:ListObjects": ("s3:ListBucket",),
    "s3:ListObjectsV2": ("s3:ListBucket",),
    "s3:ListParts": ("s3:ListMultipartUploadParts",),
    "s3:PutBucketEncryption": ("s3:PutEncryptionConfiguration",),
    "s3:PutBucketLifecycleConfiguration": ("s3:PutLifecycleConfiguration",),
    "s3:PutPublicAccessBlock": ("s3:PutBucketPublicAccessBlock",),
    "s3:UploadPart": ("s3:PutObject",),
    "s3:UploadPartCopy": ("s3:GetObject", "s3:PutObject"),
    "sns:PublishBatch": ("sns:Publish",),
    "sqs:ChangeMessageVisibilityBatch": ("sqs:ChangeMessageVisibility",),
    "sqs:DeleteMessageBatch": ("sqs:DeleteMessage",),
    "sqs:SendMessageBatch": ("sqs:SendMessage",),
    "sts:GetCallerIdentity": (),
}
_TRANSACTED = {
    "Put": "dynamodb:PutItem",
    "Update": "dynamodb:UpdateItem",
    "Delete": "dynamodb:DeleteItem",
    "ConditionCheck": "dynamodb:ConditionCheckItem",
    "Get": "dynamodb:GetItem",
}


def actions_of(
    service: str, operation: str, parameters: Mapping[str, Any], headers: Mapping[str, str], body: bytes
) -> tuple[str, ...]:
    """The actions, with those that follow from what is asked: tags in a creation, a role that is passed on, a version."""
    name = f"{service}:{operation}"
    if name in ("dynamodb:TransactWriteItems", "dynamodb:TransactGetItems"):
        items = parameters.get("TransactItems") or []
        return tuple(sorted({_TRANSACTED[kind] for item in items for kind in item if kind in _TRANSACTED}))
    found = list(_ACTIONS.get(name, (name,)))
    if service == "ec2" and parameters.get("TagSpecification"):
        found.append("ec2:CreateTags")
    if service == "ec2" and parameters.get("IamInstanceProfile"):
        found.append("iam:PassRole")
    if name == "iam:AddRoleToInstanceProfile":
        found.append("iam:PassRole")
    if service == "iam" and operation.startswith("Create") and parameters.get("Tags"):
        found.append(f"iam:Tag{operation.removeprefix('Create')}")
    if name == "ssm:PutParameter" and parameters.get("Tags"):
        found.append("ssm:AddTagsToResource")
    if name == "s3:CreateBucket":
        found += [action for mark, action in _OF_BUCKETS.items() if mark in body]
        found += ["s3:PutBucketObjectLockConfiguration"] if "x-amz-bucket-object-lock-enabled" in headers else []
    if service == "s3" and headers.get("x-amz-tagging"):
        found.append("s3:PutObjectTagging")
    if service == "s3" and "versionId" in parameters:
        found = [f"{action}Version" if action in _VERSIONED else action for action in found]
    return tuple(found)


_OF_BUCKETS = {b"<Tags>": "s3:TagResource"}
_VERSIONED = frozenset({"s3:GetObject", "s3:DeleteObject", "s3:GetObjectTagging", "s3:PutObjectTagging"})
