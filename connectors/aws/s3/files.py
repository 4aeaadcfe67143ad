"""S3's objects as files on the worker. A file is written whole or not at all; a fetch that was broken off goes on where it stopped."""

import glob
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from filelock import FileLock, Timeout

from connectors.aws.s3._shared import PIECE, base64_of, head, receiving, s3
from connectors.aws.s3.models import DownloadObject, DownloadResult, ObjectInfo
from connectors.aws.s3.objects import facts
from connectors.core import DEFAULT_RETRY, BodyTooLarge, Conflict, Effect, NotFound, Permanent, Transient, declare
from dtf_runtime import OutsideActivityError, activity, activity_context

_BEAT_EVERY = 16 * 1024 * 1024  # bytes


def alive(details: object) -> None:
    """A heartbeat, and an end to work that nobody wants any more. Outside a worker: nothing."""
    try:
        context = activity_context()
    except OutsideActivityError:
        return
    context.raise_if_cancelled()
    context.heartbeat(details)


@declare(Effect.NATURAL, "the file's path, written whole or not at all", permissions=("s3:GetObject", "s3:ListBucket"))
@activity(name="aws.s3.download_object", retry=DEFAULT_RETRY, heartbeat_timeout=300)
def download_object(call: DownloadObject) -> DownloadResult:
    """An object to a file. Heartbeats say how far it is: `{"bytes": ..., "total": ...}`.

    What was fetched before is gone on with while the object is still the same one. Raises NotFound; Permanent (`checksum`, `file`);
    Transient when another delivery is at it, or the object changed meanwhile.
    """
    found = head(call, call.bucket, call.key, call.version_id)
    if found is None:
        raise NotFound(f"there is no s3://{call.bucket}/{call.key}", code="NoSuchKey", status=404)
    if found["ContentLength"] > call.max_bytes:
        raise BodyTooLarge(
            f"s3://{call.bucket}/{call.key}: {found['ContentLength']} bytes, and max_bytes is {call.max_bytes}"
        )
    info = facts(call.key, found)
    part = f"{call.path}.{hashlib.sha256((info['etag'] + info['version_id']).encode()).hexdigest()[:16]}.part"
    with _locked(call), _writing(call.path):
        start = os.path.getsize(part) if os.path.exists(part) else 0
        if start > info["size"]:
            os.unlink(part)
            start = 0
        if start < info["size"] or not os.path.exists(part):
            _fetch(call, found, part, start)
        verified = _finish(call, part, call.sha256 or info["sha256"])
    return DownloadResult(
        path=call.path,
        object=ObjectInfo(**info),
        resumed_at=start,
        verified=verified,
        replayed=0 < start == info["size"],
    )


@contextmanager
def _locked(call: DownloadObject) -> Iterator[None]:
    """One at a time: a delivery that was given up may still be writing."""
    name = hashlib.sha256(os.path.realpath(call.path).encode()).hexdigest()[:32]
    lock = FileLock(os.path.join(tempfile.gettempdir(), f"dtf-s3-{name}.lock"), timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise Transient(f"another delivery is writing {call.path}", code="file", retry_after=5.0) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Permanent(f"{path} can't be written: {os.strerror(error.errno or 0)}", code="file") from None


def _fetch(call: DownloadObject, found: dict[str, Any], part: str, start: int) -> None:
    size = found["ContentLength"]
    given = {
        "Bucket": call.bucket,
        "Key": call.key,
        "VersionId": call.version_id,
        "IfMatch": found["ETag"],
        "Range": f"bytes={start}-" if start else None,
    }
    try:
        answer = s3(call, "get_object", given)
    except Conflict as error:
        raise Transient(f"s3://{call.bucket}/{call.key} changed while it was fetched", code=error.code) from None
    body, done, told = answer["Body"], start, start
    try:
        with open(part, "ab") as file:
            while True:
                with receiving():
                    piece = body.read(PIECE)
                if not piece:
                    break
                file.write(piece)
                done += len(piece)
                if done - told >= _BEAT_EVERY:
                    told = done
                    alive({"bytes": done, "total": size})
            file.flush()
            os.fsync(file.fileno())
    finally:
        body.close()


def _finish(call: DownloadObject, part: str, expected: str) -> bool:
    if expected:
        with open(part, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        if digest.hex() != expected.lower():
            os.unlink(part)
            raise Permanent(
                f"s3://{call.bucket}/{call.key}: what arrived has another SHA-256 ({base64_of(digest)}) than expected",
                code="checksum",
            )
    os.replace(part, call.path)
    older = re.compile(re.escape(os.path.basename(call.path)) + r"\.[0-9a-f]{16}\.part")
    for left in glob.glob(f"{glob.escape(call.path)}.*.part"):  # of versions that are no more
        if older.fullmatch(os.path.basename(left)):
            os.unlink(left)
    return bool(expected)
