"""Objects: put, get, head, copy, delete. A body in the call is kept in history; one in a file on the worker is not."""

import base64
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from typing import Any, BinaryIO
from urllib.parse import urlencode

from connectors.aws.client import request_id
from connectors.aws.s3._shared import (
    GIBIBYTE,
    KEY_METADATA,
    PIECE,
    SHA256_METADATA,
    base64_of,
    head,
    is_refused_condition,
    made_by,
    opened,
    plain_etag,
    receiving,
    s3,
)
from connectors.aws.s3.conditions import Place, write
from connectors.aws.s3.models import (
    CopyObject,
    DeleteObject,
    DeleteObjectResult,
    GetObject,
    GetObjectResult,
    NewObject,
    ObjectInfo,
    ObjectName,
    PutObject,
    PutObjectResult,
)
from connectors.core import (
    DEFAULT_RETRY,
    AlreadyExists,
    BodyTooLarge,
    Conflict,
    Effect,
    InvalidRequest,
    NotFound,
    call_key,
    declare,
)
from dtf_runtime import activity

_MOST = 5 * GIBIBYTE  # in one request


@declare(
    Effect.CONDITIONAL,
    "If-None-Match or If-Match; an object in the way that carries this call's key in its metadata is adopted",
    permissions=("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:PutObjectTagging"),
)
@activity(name="aws.s3.put_object", retry=DEFAULT_RETRY)
def put_object(call: PutObject) -> PutObjectResult:
    """One object in one request, its SHA-256 checked by S3 before it is stored.

    Raises AlreadyExists, unless `existing="replace"`; Conflict when it isn't the one of `if_match`. s3:GetObject and s3:ListBucket are for
    the look at what is in the way. Source: S3 API reference, PutObject.
    """
    key = call_key(call)
    with _content(call) as (body, size, digest):
        given = new_object(call, key, digest.hex()) | {"ChecksumSHA256": base64_of(digest)}

        def send(condition: Mapping[str, str]) -> dict[str, Any]:
            body.seek(0)
            return s3(call, "put_object", {**given, **condition, "Body": body}, effect=Effect.CONDITIONAL)

        place = Place(call, call.bucket, call.key, key, call.existing, call.if_match)
        answer, replayed = write(place, send)
    return PutObjectResult(
        request_id=request_id(answer),
        replayed=replayed,
        etag=plain_etag(answer.get("ETag")),
        version_id=version_of(answer),
        size=answer["ContentLength"] if replayed else size,
        sha256=whole_sha256(answer) if replayed else digest.hex(),
    )


@contextmanager
def _content(call: PutObject) -> Iterator[tuple[BinaryIO, int, bytes]]:
    """What is sent, its size and its SHA-256."""
    given = [one for one in (call.body, call.text, call.path) if one is not None]
    if len(given) != 1:
        raise InvalidRequest("put_object takes exactly one of body, text and path")
    if call.path is None:
        data = call.body if call.body is not None else (call.text or "").encode()
        yield BytesIO(data), len(data), hashlib.sha256(data).digest()
        return
    with opened(call.path) as file:
        digest, size = hashlib.sha256(), 0
        while piece := file.read(PIECE):
            digest.update(piece)
            size += len(piece)
        if size > _MOST:
            raise InvalidRequest(f"{call.path} has {size} bytes, and one request takes {_MOST}: use upload_file")
        yield file, size, digest.digest()


def new_object(call: NewObject, mark: str, sha256: str = "") -> dict[str, Any]:
    """Parameters that put_object and create_multipart_upload have in common."""
    ours = {KEY_METADATA: mark} | ({SHA256_METADATA: sha256} if sha256 else {})
    if taken := sorted({name.lower() for name in call.metadata} & {KEY_METADATA, SHA256_METADATA}):
        raise InvalidRequest(f"the metadata name {taken[0]} is this connector's own")
    return {
        "Bucket": call.bucket,
        "Key": call.key,
        "ContentType": call.content_type,
        "CacheControl": call.cache_control,
        "ContentDisposition": call.content_disposition,
        "ContentEncoding": call.content_encoding,
        "Metadata": {**call.metadata, **ours},
        "Tagging": urlencode(call.tags) or None,
        "StorageClass": call.storage_class,
        "ServerSideEncryption": call.encryption,
        "SSEKMSKeyId": call.kms_key_id,
    }


@declare(Effect.READ, permissions=("s3:GetObject", "s3:GetObjectVersion"))
@activity(name="aws.s3.get_object", retry=DEFAULT_RETRY)
def get_object(call: GetObject) -> GetObjectResult:
    """A small object, or a range of one. Raises NotFound, Conflict (`if_match`), BodyTooLarge."""
    given = {
        "Bucket": call.bucket,
        "Key": call.key,
        "VersionId": call.version_id,
        "Range": _range(call),
        "IfMatch": None if call.if_match is None else f'"{call.if_match}"',
        "ChecksumMode": "ENABLED",
    }
    answer = s3(call, "get_object", given)
    body = answer["Body"]
    try:
        if answer["ContentLength"] > call.max_bytes:
            raise BodyTooLarge(
                f"s3://{call.bucket}/{call.key}: {answer['ContentLength']} bytes, and max_bytes is {call.max_bytes}; see download_object"
            )
        with receiving():
            data = body.read()
    finally:
        body.close()
    whole = answer.get("ContentRange", "").rpartition("/")[2]
    return GetObjectResult(**facts(call.key, answer) | {"size": int(whole or answer["ContentLength"])}, body=data)


def _range(call: GetObject) -> str | None:
    if call.first is None and call.last is None:
        return None
    return f"bytes={call.first or 0}-{'' if call.last is None else call.last}"


@declare(Effect.READ, permissions=("s3:GetObject", "s3:GetObjectVersion"))
@activity(name="aws.s3.head_object", retry=DEFAULT_RETRY)
def head_object(call: ObjectName) -> ObjectInfo:
    """Raises NotFound; without s3:ListBucket S3 says AuthenticationFailed of a missing one."""
    found = head(call, call.bucket, call.key, call.version_id)
    if found is None:
        raise NotFound(f"there is no s3://{call.bucket}/{call.key}", code="NoSuchKey", status=404)
    return ObjectInfo(**facts(call.key, found))


def facts(key: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Fields of ObjectInfo."""
    return {
        "key": key,
        "etag": plain_etag(answer.get("ETag")),
        "size": answer["ContentLength"],
        "modified_at": answer["LastModified"],
        "version_id": version_of(answer),
        "content_type": answer.get("ContentType") or "",
        "storage_class": answer.get("StorageClass") or "STANDARD",
        "encryption": answer.get("ServerSideEncryption") or "",
        "sha256": whole_sha256(answer),
        "metadata": dict(answer.get("Metadata") or {}),
    }


def version_of(answer: Mapping[str, Any]) -> str:
    version = answer.get("VersionId") or ""
    return "" if version == "null" else str(version)


def whole_sha256(answer: Mapping[str, Any]) -> str:
    """Hex digits, of the whole object, when anybody said."""
    noted = (answer.get("Metadata") or {}).get(SHA256_METADATA)
    if noted:
        return str(noted)
    known = answer.get("ChecksumSHA256") or ""
    is_whole = answer.get("ChecksumType") != "COMPOSITE" and "-" not in known and not answer.get("ContentRange")
    return base64.b64decode(known).hex() if known and is_whole else ""


@declare(
    Effect.LOOKUP,
    "the copy carries this call's key in its metadata; a repeat that finds it adopts it",
    permissions=(
        "s3:GetObject",
        "s3:GetObjectVersion",
        "s3:GetObjectTagging",
        "s3:PutObject",
        "s3:PutObjectTagging",
        "s3:ListBucket",
    ),
)
@activity(name="aws.s3.copy_object", retry=DEFAULT_RETRY)
def copy_object(call: CopyObject) -> PutObjectResult:
    """Raises NotFound, AlreadyExists unless `existing="replace"`, Conflict when the source changes meanwhile.

    It looks at the destination before it copies, so that a repeat needs the source no more.
    """
    key = call_key(call)
    place = Place(call, call.bucket, call.key, key, call.existing)
    there = place.head()
    if there is not None and made_by(there, key):
        return _copied(there, there, replayed=True)
    source = head(call, call.source_bucket, call.source_key, call.source_version_id)
    if source is None:
        raise NotFound(f"there is no s3://{call.source_bucket}/{call.source_key}", code="NoSuchKey", status=404)
    if source["ContentLength"] > _MOST:
        raise InvalidRequest(
            f"s3://{call.source_bucket}/{call.source_key} is larger than the 5 GiB that one copy takes"
        )
    given = _copy(call, source, key)

    def send(condition: Mapping[str, str]) -> dict[str, Any]:
        return s3(call, "copy_object", {**given, **condition}, effect=Effect.CONDITIONAL)

    if there is not None and call.existing == "refuse":  # stores that ignore the condition of a copy
        raise AlreadyExists(f'{place} is there already; existing="replace" would replace it', code="PreconditionFailed")
    answer, replayed = write(place, send)
    return _copied(answer if replayed else answer["CopyObjectResult"] | _outer(answer), source, replayed=replayed)


def _outer(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {name: answer.get(name) for name in ("VersionId", "ResponseMetadata")}


def _copied(answer: Mapping[str, Any], source: Mapping[str, Any], *, replayed: bool) -> PutObjectResult:
    return PutObjectResult(
        request_id=request_id(answer),
        replayed=replayed,
        etag=plain_etag(answer.get("ETag")),
        version_id=version_of(answer),
        size=source["ContentLength"],
        sha256=whole_sha256(source),
    )


def _copy(call: CopyObject, source: Mapping[str, Any], key: str) -> dict[str, Any]:
    origin = {"Bucket": call.source_bucket, "Key": call.source_key}
    if call.source_version_id:
        origin["VersionId"] = call.source_version_id
    same = ("ContentType", "CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage")
    return {
        "Bucket": call.bucket,
        "Key": call.key,
        "CopySource": origin,
        "CopySourceIfMatch": source["ETag"],
        "MetadataDirective": "REPLACE",  # with the source's own, and our key: COPY would keep the source's key
        "Metadata": {**(source.get("Metadata") or {}), **call.metadata, KEY_METADATA: key},
        "TaggingDirective": "COPY",
        "StorageClass": call.storage_class,
        "ServerSideEncryption": call.encryption,
        "SSEKMSKeyId": call.kms_key_id,
        **{name: source.get(name) for name in same},
    }


@declare(
    Effect.NATURAL,
    "a missing object is what was wanted",
    permissions=("s3:DeleteObject", "s3:DeleteObjectVersion"),
)
@activity(name="aws.s3.delete_object", retry=DEFAULT_RETRY)
def delete_object(call: DeleteObject) -> DeleteObjectResult:
    """Raises Conflict (`if_match`)."""
    given = {
        "Bucket": call.bucket,
        "Key": call.key,
        "VersionId": call.version_id,
        "IfMatch": None if call.if_match is None else f'"{call.if_match}"',
    }
    try:
        answer = s3(call, "delete_object", given, effect=Effect.NATURAL)
    except NotFound as error:
        if error.code not in ("NoSuchKey", "404", "NoSuchVersion"):
            raise  # no such bucket: rather a wrong name than a wish come true
        return DeleteObjectResult(replayed=True, version_id="", delete_marker=False)
    except Conflict as error:
        if not is_refused_condition(error) or head(call, call.bucket, call.key) is not None:
            raise
        return DeleteObjectResult(replayed=True, version_id="", delete_marker=False)
    return DeleteObjectResult(
        request_id=request_id(answer),
        version_id=version_of(answer),
        delete_marker=bool(answer.get("DeleteMarker")),
    )
