"""Uploads in parts: begin, send a part, look, complete, abort. `connectors.aws.s3.uploads` puts them together.

CreateMultipartUpload takes no token, and an upload that is under way shows neither metadata nor tags. So a caller says which uploads of the key
were `known` before, and a repeat adopts the one that is not among them. Should two calls meet there, S3 refuses the parts of one of them
at completion, since each part is named with its checksum: nothing is ever mixed.
"""

import hashlib
import os
from datetime import datetime
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.models import AwsCall
from connectors.aws.s3._shared import base64_of, made_by, opened, plain_etag, s3
from connectors.aws.s3.conditions import Place, write
from connectors.aws.s3.models import NewObject, PutObjectResult
from connectors.aws.s3.objects import new_object, version_of, whole_sha256
from connectors.core import (
    DEFAULT_RETRY,
    Conflict,
    Effect,
    InvalidRequest,
    Mutation,
    NotFound,
    Permanent,
    call_key,
    declare,
)
from dtf_runtime import activity

_PAGES = 10  # of 1,000
MOST_PARTS = 10_000
SMALLEST_PART = 5 * 1024 * 1024
"""Bytes; the last part may be smaller."""


class ListUploads(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    key: str = ""
    """Only uploads of exactly this key; empty: all."""


class UploadUnderWay(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    upload_id: str
    started_at: datetime


class ListUploadsResult(msgspec.Struct, frozen=True, kw_only=True):
    uploads: list[UploadUnderWay]


class CreateUpload(NewObject, frozen=True, kw_only=True, omit_defaults=True):
    """`existing` is for the completion, where S3 looks at it; it is not sent here."""

    known: list[str]
    """Ids of all uploads of this key that were under way before: what `list_uploads` said. Anything else there is taken for this call's."""
    sha256: str = ""
    """Hex digits, of the whole: noted in the object's metadata."""


class CreateUploadResult(Mutation, frozen=True, kw_only=True):
    upload_id: str
    mark: str
    """What the object will carry as `dtf-key`."""


class Upload(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    key: str
    upload_id: str


class UploadPart(Upload, frozen=True, kw_only=True, omit_defaults=True):
    """A slice of a file on the worker."""

    number: int
    """1 to 10,000."""
    path: str
    offset: int
    """Bytes from the file's beginning."""
    size: int
    """Bytes of the slice."""
    file_size: int
    """Bytes of the whole file: another one is a Conflict, since the file was changed."""
    modified_ns: int
    """The file's modification time, in nanoseconds since 1970, for the same reason."""


class Part(msgspec.Struct, frozen=True, kw_only=True):
    number: int
    etag: str
    size: int
    """Bytes."""
    sha256: str = ""
    """Base64; empty: the store doesn't say."""


class UploadPartResult(Mutation, frozen=True, kw_only=True):
    part: Part


class ListPartsResult(msgspec.Struct, frozen=True, kw_only=True):
    parts: list[Part]


class CompleteUpload(Upload, frozen=True, kw_only=True, omit_defaults=True):
    parts: list[Part]
    """In the order of their numbers."""
    mark: str
    """Of CreateUploadResult."""
    existing: str = "refuse"
    """Or "replace"."""


@declare(Effect.READ, permissions=("s3:ListBucketMultipartUploads",))
@activity(name="aws.s3.list_uploads", retry=DEFAULT_RETRY)
def list_uploads(call: ListUploads) -> ListUploadsResult:
    """Uploads in parts that are under way: the first 10,000 of the bucket, or all of one key."""
    found: list[UploadUnderWay] = []
    given: dict[str, Any] = {"Bucket": call.bucket, "Prefix": call.key or None}
    for _ in range(_PAGES):
        answer = s3(call, "list_multipart_uploads", given)
        raws = answer.get("Uploads") or []
        found += [
            UploadUnderWay(key=raw["Key"], upload_id=raw["UploadId"], started_at=raw["Initiated"])
            for raw in raws
            if call.key in ("", raw["Key"])
        ]
        # In the order of their keys: longer ones that begin like this key come behind it.
        if not answer.get("IsTruncated") or (call.key and raws[-1]["Key"] != call.key):
            break
        given |= {"KeyMarker": answer["NextKeyMarker"], "UploadIdMarker": answer["NextUploadIdMarker"]}
    return ListUploadsResult(uploads=found)


@declare(
    Effect.LOOKUP,
    "an upload of this key that is not among `known` is one that an earlier delivery began",
    permissions=("s3:PutObject", "s3:PutObjectTagging", "s3:ListBucketMultipartUploads"),
)
@activity(name="aws.s3.create_upload", retry=DEFAULT_RETRY)
def create_upload(call: CreateUpload) -> CreateUploadResult:
    """Begins one. S3 keeps what is never completed, and charges for it: abort it, and have a lifecycle rule for the rest."""
    mark = call_key(call)
    listed = list_uploads.fn(
        ListUploads(connection=call.connection, region=call.region, bucket=call.bucket, key=call.key)
    )
    for one in listed.uploads:
        if one.upload_id not in call.known:
            return CreateUploadResult(upload_id=one.upload_id, mark=mark, replayed=True)
    given = new_object(call, mark, call.sha256) | {"ChecksumAlgorithm": "SHA256"}
    answer = s3(call, "create_multipart_upload", given, effect=Effect.LOOKUP)
    return CreateUploadResult(request_id=request_id(answer), upload_id=answer["UploadId"], mark=mark)


@declare(
    Effect.LOOKUP,
    "the same bytes under the same number; a part that is there already is adopted, so that it is not sent again",
    permissions=("s3:PutObject", "s3:ListMultipartUploadParts"),
)
@activity(name="aws.s3.upload_part", retry=DEFAULT_RETRY, heartbeat_timeout=None)
def upload_part(call: UploadPart) -> UploadPartResult:
    """One part, in memory while it is sent. Raises Conflict when the file is no longer the one it was, NotFound when the upload is over."""
    data = _slice(call)
    there = _part(call)
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    digest = base64_of(hashlib.sha256(data).digest())
    if there is not None and there.size == len(data) and (there.sha256 == digest or there.etag == md5):
        return UploadPartResult(part=msgspec.structs.replace(there, sha256=digest), replayed=True)
    given = {
        "Bucket": call.bucket,
        "Key": call.key,
        "UploadId": call.upload_id,
        "PartNumber": call.number,
        "Body": data,
        "ChecksumSHA256": digest,
    }
    answer = s3(call, "upload_part", given, effect=Effect.LOOKUP)
    part = Part(number=call.number, etag=plain_etag(answer["ETag"]), size=len(data), sha256=digest)
    return UploadPartResult(request_id=request_id(answer), part=part)


def _slice(call: UploadPart) -> bytes:
    with opened(call.path) as file:
        state = os.fstat(file.fileno())
        if (state.st_size, state.st_mtime_ns) != (call.file_size, call.modified_ns):
            raise Conflict(f"{call.path} was changed while it was uploaded", code="file")
        file.seek(call.offset)
        return file.read(call.size)


def _part(call: UploadPart) -> Part | None:
    given = {
        "Bucket": call.bucket,
        "Key": call.key,
        "UploadId": call.upload_id,
        "PartNumberMarker": call.number - 1,
        "MaxParts": 1,
    }
    found = [_listed(raw) for raw in s3(call, "list_parts", given).get("Parts") or ()]
    return next((part for part in found if part.number == call.number), None)


def _listed(raw: dict[str, Any]) -> Part:
    return Part(
        number=raw["PartNumber"],
        etag=plain_etag(raw["ETag"]),
        size=raw.get("Size") or 0,
        sha256=raw.get("ChecksumSHA256") or "",
    )


@declare(Effect.READ, permissions=("s3:ListMultipartUploadParts",))
@activity(name="aws.s3.list_parts", retry=DEFAULT_RETRY)
def list_parts(call: Upload) -> ListPartsResult:
    """What S3 has of an upload. Raises NotFound when it is over."""
    parts: list[Part] = []
    given: dict[str, Any] = {"Bucket": call.bucket, "Key": call.key, "UploadId": call.upload_id}
    for _ in range(MOST_PARTS // 1000 + 1):
        answer = s3(call, "list_parts", given)
        parts += [_listed(raw) for raw in answer.get("Parts") or ()]
        if not answer.get("IsTruncated"):
            break
        given["PartNumberMarker"] = answer["NextPartNumberMarker"]
    return ListPartsResult(parts=parts)


@declare(
    Effect.CONDITIONAL,
    "If-None-Match or If-Match; when the upload is over, an object that carries its mark is what was wanted",
    permissions=("s3:PutObject", "s3:GetObject", "s3:ListBucket"),
)
@activity(name="aws.s3.complete_upload", retry=DEFAULT_RETRY)
def complete_upload(call: CompleteUpload) -> PutObjectResult:
    """Makes the object out of its parts, each named with the checksum that it was sent with.

    Raises AlreadyExists unless `existing="replace"`, NotFound when the upload was aborted, Permanent (`InvalidPart`, `checksum`).
    """
    if call.existing not in ("refuse", "replace"):
        raise InvalidRequest(f'existing is "refuse" or "replace", not {call.existing!r}')
    named = [
        {"PartNumber": part.number, "ETag": f'"{part.etag}"'} | ({"ChecksumSHA256": part.sha256} if part.sha256 else {})
        for part in call.parts
    ]
    given = {"Bucket": call.bucket, "Key": call.key, "UploadId": call.upload_id, "MultipartUpload": {"Parts": named}}
    place = Place(call, call.bucket, call.key, call.mark, "replace" if call.existing == "replace" else "refuse")
    answer, replayed = _completed(place, given)
    _verify(call, answer)
    return PutObjectResult(
        request_id=request_id(answer),
        replayed=replayed,
        etag=plain_etag(answer.get("ETag")),
        version_id=version_of(answer),
        size=sum(part.size for part in call.parts),
        sha256=whole_sha256(answer) if replayed else "",
    )


def _completed(place: Place, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """It looks before, since S3 may answer a second completion like the first, and after, since it may not know the upload any more."""
    there = place.head()
    if there is not None and made_by(there, place.mark):
        return there, True
    try:
        return write(
            place, lambda to: s3(place.call, "complete_multipart_upload", {**given, **to}, effect=Effect.CONDITIONAL)
        )
    except NotFound as error:
        found = place.head() if error.code == "NoSuchUpload" else None
        if found is None or not made_by(found, place.mark):
            raise
        return found, True


def _verify(call: CompleteUpload, answer: dict[str, Any]) -> None:
    """S3's checksum of the object is the one of its parts' checksums."""
    import base64

    told = (answer.get("ChecksumSHA256") or "").partition("-")[0]
    if not told or not all(part.sha256 for part in call.parts):
        return
    ours = hashlib.sha256(b"".join(base64.b64decode(part.sha256) for part in call.parts)).digest()
    if told != base64_of(ours):
        raise Permanent(f"s3://{call.bucket}/{call.key} has another checksum than its parts", code="checksum")


@declare(Effect.NATURAL, "an upload that is over is what was wanted", permissions=("s3:AbortMultipartUpload",))
@activity(name="aws.s3.abort_upload", retry=DEFAULT_RETRY)
def abort_upload(call: Upload) -> Mutation:
    """Its parts are deleted. One that is completed stays completed."""
    given = {"Bucket": call.bucket, "Key": call.key, "UploadId": call.upload_id}
    try:
        answer = s3(call, "abort_multipart_upload", given, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))
