"""Many objects: a page of a list, a batch of deletions. One request an activity, so that a long list is many recorded steps."""

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.codes import Kind, listed
from connectors.aws.s3._shared import plain_etag, s3
from connectors.aws.s3.models import (
    DeleteObjects,
    DeleteObjectsResult,
    ListedObject,
    ListedVersion,
    ListObjects,
    ListObjectsResult,
    ListObjectVersions,
    ListObjectVersionsResult,
    NotDeleted,
)
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Transient, declare
from dtf_runtime import activity

_PASSING = frozenset({Kind.THROTTLED, Kind.TRANSIENT, Kind.UNKNOWN})


@declare(Effect.READ, permissions=("s3:ListBucket",))
@activity(name="aws.s3.list_objects", retry=DEFAULT_RETRY)
def list_objects(call: ListObjects) -> ListObjectsResult:
    """One page. Raises NotFound for a missing bucket."""
    given = {
        "Bucket": call.bucket,
        "Prefix": call.prefix or None,
        "Delimiter": call.delimiter or None,
        "MaxKeys": call.page_size,
        "StartAfter": call.start_after or None,
        "ContinuationToken": call.page or None,
    }
    answer = s3(call, "list_objects_v2", given)
    return ListObjectsResult(
        objects=[listed_object(raw) for raw in answer.get("Contents") or ()],
        prefixes=[raw["Prefix"] for raw in answer.get("CommonPrefixes") or ()],
        next_page=(answer.get("NextContinuationToken") or "") if answer.get("IsTruncated") else "",
    )


def listed_object(raw: Mapping[str, Any]) -> ListedObject:
    return ListedObject(
        key=raw["Key"],
        etag=plain_etag(raw.get("ETag")),
        size=raw.get("Size") or 0,
        modified_at=raw["LastModified"],
        storage_class=raw.get("StorageClass") or "STANDARD",
    )


@declare(Effect.READ, permissions=("s3:ListBucketVersions",))
@activity(name="aws.s3.list_object_versions", retry=DEFAULT_RETRY)
def list_object_versions(call: ListObjectVersions) -> ListObjectVersionsResult:
    """One page of versions and delete markers. Raises NotFound for a missing bucket."""
    key, version = _marker(call.page)
    given = {
        "Bucket": call.bucket,
        "Prefix": call.prefix or None,
        "MaxKeys": call.page_size,
        "KeyMarker": key,
        "VersionIdMarker": version,
    }
    answer = s3(call, "list_object_versions", given)
    found = [(raw, False) for raw in answer.get("Versions") or ()]
    found += [(raw, True) for raw in answer.get("DeleteMarkers") or ()]
    return ListObjectVersionsResult(
        versions=[
            ListedVersion(
                key=raw["Key"],
                version_id=raw.get("VersionId") or "null",
                is_latest=bool(raw.get("IsLatest")),
                delete_marker=marker,
                size=raw.get("Size") or 0,
            )
            for raw, marker in found
        ],
        next_page=_page(answer) if answer.get("IsTruncated") else "",
    )


def _page(answer: Mapping[str, Any]) -> str:
    marker = [answer.get("NextKeyMarker") or "", answer.get("NextVersionIdMarker") or ""]
    return msgspec.json.encode(marker).decode()


def _marker(page: str) -> tuple[str | None, str | None]:
    if not page:
        return None, None
    try:
        key, version = msgspec.json.decode(page, type=tuple[str, str])
    except msgspec.DecodeError:
        raise InvalidRequest(f"{page[:100]!r} is no next_page of list_object_versions") from None
    return key, version or None


@declare(
    Effect.NATURAL,
    "missing objects are what was wanted",
    permissions=("s3:DeleteObject", "s3:DeleteObjectVersion"),
)
@activity(name="aws.s3.delete_objects", retry=DEFAULT_RETRY)
def delete_objects(call: DeleteObjects) -> DeleteObjectsResult:
    """At most 1,000 in one request. Those that are refused for good are told; Transient when any failed for a passing reason."""
    if not 1 <= len(call.objects) <= 1000:
        raise InvalidRequest(f"delete_objects takes 1 to 1,000 objects, not {len(call.objects)}")
    names = [{"Key": one.key} | ({"VersionId": one.version_id} if one.version_id else {}) for one in call.objects]
    given = {"Bucket": call.bucket, "Delete": {"Objects": names, "Quiet": True}}
    answer = s3(call, "delete_objects", given, effect=Effect.NATURAL)
    errors = [raw for raw in answer.get("Errors") or () if raw.get("Code") not in ("NoSuchKey", "NoSuchVersion")]
    passing = [raw for raw in errors if listed("s3", raw.get("Code") or "") in _PASSING]
    if passing:
        raise Transient(
            f"s3://{call.bucket}: {len(passing)} of {len(names)} objects could not be deleted now, {passing[0]['Key']!r} among them",
            code=passing[0].get("Code") or "",
            request_id=request_id(answer),
        )
    failed = [
        NotDeleted(key=raw.get("Key") or "", version_id=raw.get("VersionId") or "", code=raw.get("Code") or "")
        for raw in errors
    ]
    return DeleteObjectsResult(request_id=request_id(answer), deleted=len(names) - len(failed), failed=failed)
