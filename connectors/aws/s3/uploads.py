"""`aws.s3.upload_file`: a file of any size to S3, in parts, some at a time. What was sent is never sent again.

Steps: look at the file; one that fits one request is put. Else: note which uploads are under way, begin one, send the parts, complete it. On
failure, cancel or AlreadyExists at the end the upload is aborted, so that nothing is left that costs.
"""

import asyncio
import hashlib
import os
from typing import Any, Literal

import msgspec

from connectors.aws.models import AwsCall
from connectors.aws.s3._shared import PIECE, head, opened
from connectors.aws.s3.files import alive
from connectors.aws.s3.models import NewObject, PutObject, PutObjectResult
from connectors.aws.s3.multipart import (
    MOST_PARTS,
    SMALLEST_PART,
    CompleteUpload,
    CreateUpload,
    ListUploads,
    Part,
    Upload,
    UploadPart,
    abort_upload,
    complete_upload,
    create_upload,
    list_uploads,
    upload_part,
)
from connectors.aws.s3.objects import put_object
from connectors.core import DEFAULT_RETRY, AlreadyExists, Effect, InvalidRequest, declare
from dtf_runtime import OrchestrationContext, Saga, activity, orchestration

_NEW_OBJECT = NewObject.__struct_fields__
_BEAT_EVERY = 256 * 1024 * 1024  # bytes


class UploadFile(NewObject, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    """A file on the worker, at most 5 TiB. Every worker that may run a step must see it, and nobody may change it meanwhile."""
    part_size: int = 16 * 1024 * 1024
    """Bytes, at least 5 MiB; larger when the file would have more than 10,000 parts. A file that is no larger is put in one request."""
    at_once: int = 4
    """Parts in flight, each in memory."""


class UploadFileResult(PutObjectResult, frozen=True, kw_only=True):
    parts: int
    """0: put in one request."""


class PrepareUpload(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    bucket: str
    key: str
    path: str
    existing: Literal["refuse", "replace"] = "refuse"
    """Looked at here too, so that nobody sends a large file for nothing."""


class UploadFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The file as it is, and the bucket before the upload."""

    size: int
    """Bytes."""
    modified_ns: int
    """Nanoseconds since 1970."""
    sha256: str
    """Hex digits."""
    known: list[str]
    """Ids of the uploads of this key that are under way."""


@declare(Effect.READ, permissions=("s3:ListBucketMultipartUploads", "s3:GetObject", "s3:ListBucket"))
@activity(name="aws.s3.prepare_upload", retry=DEFAULT_RETRY, heartbeat_timeout=300)
def prepare_upload(call: PrepareUpload) -> UploadFacts:
    """Size and SHA-256 of a file on the worker, and what is under way already. Raises InvalidRequest (`file`), AlreadyExists, NotFound."""
    if call.existing == "refuse" and head(call, call.bucket, call.key) is not None:
        raise AlreadyExists(f's3://{call.bucket}/{call.key} is there already; existing="replace" would replace it')
    where = ListUploads(connection=call.connection, region=call.region, bucket=call.bucket, key=call.key)
    known = [one.upload_id for one in list_uploads.fn(where).uploads]
    with opened(call.path) as file:
        state = os.fstat(file.fileno())
        digest, done = hashlib.sha256(), 0
        while piece := file.read(PIECE):
            digest.update(piece)
            done += len(piece)
            if done % _BEAT_EVERY == 0:
                alive({"bytes": done, "total": state.st_size})
    return UploadFacts(size=state.st_size, modified_ns=state.st_mtime_ns, sha256=digest.hexdigest(), known=known)


@orchestration(name="aws.s3.upload_file")
async def upload_file(ctx: OrchestrationContext, call: UploadFile) -> UploadFileResult:
    """The object, once. Its metadata has the SHA-256 of the whole, which `download_object` verifies.

    Raises what the activities raise: TaskFailedError, with AlreadyExists, Conflict (the file was changed), ... underneath.
    """
    if call.part_size < SMALLEST_PART or call.at_once < 1:
        raise InvalidRequest(f"part_size is at least {SMALLEST_PART} bytes, and at_once at least 1")
    where: dict[str, Any] = {
        "connection": call.connection,
        "region": call.region,
        "bucket": call.bucket,
        "key": call.key,
    }
    file = await prepare_upload(PrepareUpload(**where, path=call.path, existing=call.existing))
    size = part_size(file.size, call.part_size)
    said = {name: getattr(call, name) for name in _NEW_OBJECT}
    if file.size <= size:
        put = await put_object(PutObject(**said, path=call.path))
        return UploadFileResult(**msgspec.structs.asdict(put), parts=0)
    async with Saga() as saga:
        begun = await saga.do(
            create_upload(CreateUpload(**said, known=file.known, sha256=file.sha256)),
            undo=lambda made: abort_upload(Upload(**where, upload_id=made.upload_id)),
        )
        upload = Upload(**where, upload_id=begun.upload_id)
        parts = await _send(ctx, call, file, size, upload)
        done = await complete_upload(
            CompleteUpload(**where, upload_id=begun.upload_id, parts=parts, mark=begun.mark, existing=call.existing)
        )
    return UploadFileResult(**msgspec.structs.asdict(done) | {"sha256": file.sha256}, parts=len(parts))


def part_size(file_size: int, wanted: int) -> int:
    """What keeps the file within 10,000 parts, in whole MiB."""
    least = -(-file_size // MOST_PARTS)
    return wanted if wanted >= least else -(-least // PIECE) * PIECE


async def _send(
    ctx: OrchestrationContext, call: UploadFile, file: UploadFacts, size: int, upload: Upload
) -> list[Part]:
    limit = asyncio.Semaphore(call.at_once)
    count = -(-file.size // size)
    done = 0

    async def one(number: int) -> Part:
        nonlocal done
        offset = (number - 1) * size
        part = UploadPart(
            connection=upload.connection,
            region=upload.region,
            bucket=upload.bucket,
            key=upload.key,
            upload_id=upload.upload_id,
            number=number,
            path=call.path,
            offset=offset,
            size=min(size, file.size - offset),
            file_size=file.size,
            modified_ns=file.modified_ns,
        )
        async with limit:
            sent = await upload_part(part)
        done += 1
        ctx.set_custom_status({"parts": done, "of": count})
        return sent.part

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(number)) for number in range(1, count + 1)]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from None
    return [task.result() for task in tasks]
