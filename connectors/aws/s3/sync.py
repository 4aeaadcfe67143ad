"""`aws.s3.sync_directory`: a folder on the worker to a bucket. What differs is sent, what is the same is not.

In turns: a plan (a slice of the folder against a page of the bucket, by content), then a batch that does it. Both are activities; a long
sync continues as new. The batch says of each object what the plan saw in its place, so that what others wrote meanwhile is told, not lost.
"""

import fnmatch
import hashlib
import mimetypes
import os
from collections.abc import Iterator
from typing import Any

import msgspec

from connectors.aws.client import pages
from connectors.aws.models import AwsCall
from connectors.aws.s3._shared import base64_of, head, opened, plain_etag, s3
from connectors.aws.s3.conditions import Place, write
from connectors.aws.s3.files import alive
from connectors.aws.s3.listing import delete_objects
from connectors.aws.s3.models import DeleteObjects, NewObject, ObjectVersion
from connectors.aws.s3.objects import new_object, whole_sha256
from connectors.aws.s3.uploads import UploadFile, upload_file
from connectors.core import DEFAULT_RETRY, Conflict, Effect, InvalidRequest, Mutation, call_key, declare
from dtf_runtime import OrchestrationContext, activity, orchestration

_LARGE = 32 * 1024 * 1024  # bytes: from there on in parts
_LONGEST_HISTORY = 2_000  # events
_END = b"\xff\xff\xff\xff"  # behind every key


class SyncConflict(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    why: str


class SyncDirectory(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    """A folder on the worker. Symbolic links in it are left out."""
    bucket: str
    prefix: str = ""
    """Before each name, such as "site/"."""
    delete: bool = False
    """Also delete the objects under the prefix that the folder doesn't have."""
    exclude: list[str] = msgspec.field(default_factory=list)
    """Patterns of names that are neither sent nor deleted: "*.tmp", "drafts/*"."""
    cache_control: str | None = None
    batch: int = 100
    """Files and deletions a batch, 1 to 1,000."""
    after: str = ""
    """A key: begin behind it. Set by the sync itself when it continues as new, as are the numbers below."""
    uploaded: int = 0
    deleted: int = 0
    unchanged: int = 0
    conflicts: list[SyncConflict] = msgspec.field(default_factory=list)


class SyncResult(msgspec.Struct, frozen=True, kw_only=True):
    uploaded: int
    deleted: int
    unchanged: int
    conflicts: list[SyncConflict]
    """Left as they are: written by others, or changed on disk, between the plan and its execution."""


class PlannedFile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    """Below the folder, with slashes."""
    size: int
    """Bytes."""
    modified_ns: int
    """Nanoseconds since 1970."""
    content_type: str | None
    """By its name; None: unknown."""
    replaces: str | None
    """ETag of the object in its place; None: there is none."""


class SyncPlan(msgspec.Struct, frozen=True, kw_only=True):
    uploads: list[PlannedFile]
    deletes: list[str]
    """Keys."""
    unchanged: int
    next: str
    """The key behind which the next plan begins; empty: this was the last."""


class SyncBatch(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    bucket: str
    prefix: str
    uploads: list[PlannedFile]
    deletes: list[str]
    cache_control: str | None = None


class SyncBatchResult(Mutation, frozen=True, kw_only=True):
    uploaded: int
    deleted: int
    conflicts: list[SyncConflict]


# -- The plan -----------------------------------------------------------------------------------------------------


@declare(Effect.READ, permissions=("s3:ListBucket", "s3:GetObject"))
@activity(name="aws.s3.plan_sync", retry=DEFAULT_RETRY, heartbeat_timeout=300)
def plan_sync(call: SyncDirectory) -> SyncPlan:
    """At most `batch` differences behind the key `after`. Contents are compared: by MD5 where the ETag is one, else by the noted SHA-256."""
    if not 1 <= call.batch <= 1000:
        raise InvalidRequest(f"batch is 1 to 1,000, not {call.batch}")
    here, there = _local(call), _remote(call)
    uploads: list[PlannedFile] = []
    deletes: list[str] = []
    unchanged, key = 0, call.after
    mine, theirs = next(here, None), next(there, None)
    while mine is not None or theirs is not None:
        if len(uploads) + len(deletes) >= call.batch:
            return SyncPlan(uploads=uploads, deletes=deletes, unchanged=unchanged, next=key)
        left = mine[0].encode() if mine else _END
        right = theirs["Key"].encode() if theirs else _END
        key = min(left, right).decode()
        if mine is not None and left <= right:
            found = theirs if left == right else None
            if found is not None and _is_same(call, mine, found):
                unchanged += 1
            else:
                uploads.append(_planned(mine, found, call.prefix))
        elif call.delete:
            deletes.append(key)
        mine = next(here, None) if left <= right else mine
        theirs = next(there, None) if right <= left else theirs
        alive({"key": key})
    return SyncPlan(uploads=uploads, deletes=deletes, unchanged=unchanged, next="")


_File = tuple[str, str, os.stat_result]  # key, path, what the disk says


def _local(call: SyncDirectory) -> Iterator[_File]:
    """In the order of S3: that of the keys' UTF-8 bytes."""
    if not os.path.isdir(call.path):
        raise InvalidRequest(f"{call.path} is not a folder on this worker", code="file")
    found: list[tuple[bytes, str]] = []
    for folder, _, names in os.walk(call.path):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, call.path).replace(os.sep, "/")
            key = (call.prefix + relative).encode()
            if key > call.after.encode() and not os.path.islink(path) and not _is_excluded(call, relative):
                found.append((key, path))
    for key, path in sorted(found):
        yield key.decode(), path, os.stat(path)


def _remote(call: SyncDirectory) -> Iterator[dict[str, Any]]:
    given = {"Bucket": call.bucket, "Prefix": call.prefix}
    if call.after:
        given["StartAfter"] = call.after
    listed = pages(
        "s3",
        "list_objects_v2",
        given,
        connection=call.connection,
        region=call.region,
        token="ContinuationToken",
        answered="NextContinuationToken",
    )
    for page in listed:
        for raw in page.get("Contents") or ():
            if not _is_excluded(call, raw["Key"].removeprefix(call.prefix)):
                yield raw


def _is_excluded(call: SyncDirectory, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in call.exclude)


def _is_same(call: SyncDirectory, mine: _File, found: dict[str, Any]) -> bool:
    key, path, state = mine
    if state.st_size != found["Size"]:
        return False
    with opened(path) as file:
        if hashlib.file_digest(file, _md5).hexdigest() == plain_etag(found["ETag"]):
            return True
        file.seek(0)
        there = head(call, call.bucket, key)
        return there is not None and whole_sha256(there) == hashlib.file_digest(file, "sha256").hexdigest()


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _planned(mine: _File, found: dict[str, Any] | None, prefix: str) -> PlannedFile:
    key, _, state = mine
    kind, encoding = mimetypes.guess_type(key)
    return PlannedFile(
        name=key.removeprefix(prefix),
        content_type=kind if encoding is None else None,
        size=state.st_size,
        modified_ns=state.st_mtime_ns,
        replaces=None if found is None else plain_etag(found["ETag"]),
    )


# -- Doing it -----------------------------------------------------------------------------------------------------


@declare(
    Effect.CONDITIONAL,
    "If-None-Match or If-Match with what the plan saw; an object that carries this call's key was sent by an earlier delivery",
    permissions=("s3:PutObject", "s3:GetObject", "s3:ListBucket", "s3:DeleteObject"),
)
@activity(name="aws.s3.sync_batch", retry=DEFAULT_RETRY, heartbeat_timeout=600)
def sync_batch(call: SyncBatch) -> SyncBatchResult:
    """Sends files and deletes objects as planned. A repeat goes through all of them again and sends what is missing."""
    conflicts, replayed = [], 0
    for number, file in enumerate(call.uploads):
        alive({"sent": number, "of": len(call.uploads)})
        try:
            replayed += _send(call, file)
        except (Conflict, InvalidRequest) as error:
            conflicts.append(SyncConflict(key=call.prefix + file.name, why=str(error)))
    deleted = 0
    if call.deletes:
        objects = [ObjectVersion(key=key) for key in call.deletes]
        done = delete_objects.fn(
            DeleteObjects(connection=call.connection, region=call.region, bucket=call.bucket, objects=objects)
        )
        deleted = done.deleted
        conflicts += [SyncConflict(key=one.key, why=f"not deleted: {one.code}") for one in done.failed]
    return SyncBatchResult(
        uploaded=len(call.uploads) - sum(not one.why.startswith("not deleted") for one in conflicts),
        deleted=deleted,
        conflicts=conflicts,
        replayed=replayed > 0,
    )


def _send(call: SyncBatch, file: PlannedFile) -> bool:
    """Whether an earlier delivery had sent it."""
    mark = call_key([call.bucket, call.prefix, file])
    new = NewObject(
        bucket=call.bucket,
        key=call.prefix + file.name,
        cache_control=call.cache_control,
        content_type=file.content_type,
    )
    with opened(os.path.join(call.path, file.name)) as body:
        state = os.fstat(body.fileno())
        if (state.st_size, state.st_mtime_ns) != (file.size, file.modified_ns):
            raise Conflict("the file was changed meanwhile")
        digest = hashlib.file_digest(body, "sha256").digest()
        given = new_object(new, mark, digest.hex()) | {"ChecksumSHA256": base64_of(digest)}

        def send(condition: Any) -> dict[str, Any]:
            body.seek(0)
            return s3(call, "put_object", {**given, **condition, "Body": body}, effect=Effect.CONDITIONAL)

        place = Place(call, call.bucket, new.key, mark, if_match=file.replaces)
        return write(place, send)[1]


@orchestration(name="aws.s3.sync_directory")
async def sync_directory(ctx: OrchestrationContext, call: SyncDirectory) -> SyncResult:
    """The bucket has what the folder has. Files of 32 MiB and more go in parts. Custom status: how many so far."""
    while True:
        plan = await plan_sync(call)
        call = await _do(call, plan)
        ctx.set_custom_status({"uploaded": call.uploaded, "deleted": call.deleted, "unchanged": call.unchanged})
        if not plan.next:
            return SyncResult(
                uploaded=call.uploaded, deleted=call.deleted, unchanged=call.unchanged, conflicts=call.conflicts
            )
        if ctx.history_length > _LONGEST_HISTORY:
            ctx.continue_as_new(call)


async def _do(call: SyncDirectory, plan: SyncPlan) -> SyncDirectory:
    small = [file for file in plan.uploads if file.size < _LARGE]
    large = [file for file in plan.uploads if file.size >= _LARGE]
    uploaded, deleted, conflicts = 0, 0, list(call.conflicts)
    if small or plan.deletes:
        done = await sync_batch(
            SyncBatch(
                connection=call.connection,
                region=call.region,
                path=call.path,
                bucket=call.bucket,
                prefix=call.prefix,
                uploads=small,
                deletes=plan.deletes,
                cache_control=call.cache_control,
            )
        )
        uploaded, deleted = done.uploaded, done.deleted
        conflicts += done.conflicts
    for file in large:
        await upload_file(
            UploadFile(
                connection=call.connection,
                region=call.region,
                bucket=call.bucket,
                key=call.prefix + file.name,
                path=os.path.join(call.path, file.name),
                existing="replace",
                cache_control=call.cache_control,
                content_type=file.content_type,
            )
        )
        uploaded += 1
    return msgspec.structs.replace(
        call,
        after=plan.next,
        uploaded=call.uploaded + uploaded,
        deleted=call.deleted + deleted,
        unchanged=call.unchanged + plan.unchanged,
        conflicts=conflicts,
    )
