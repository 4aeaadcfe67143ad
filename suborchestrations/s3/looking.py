"""Two looks that the S3 family takes: at a bucket's tags, which tell whose it is, and at the files of a folder. Must change nothing."""

import asyncio
import fnmatch
import mimetypes
import os
from collections.abc import Iterator

import msgspec

from connectors.aws.client import aws_call
from connectors.aws.models import tag_dict
from connectors.aws.s3 import BucketName, PlannedFile
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, NotFound, declare
from dtf_runtime import activity

RUN_TAG = "dtf:run"
_LOOKS = 2  # for a bucket that may have been made moments ago


@declare(Effect.READ, permissions=("s3:GetBucketTagging",))
@activity(name="suborchestrations.s3.bucket_tags", retry=DEFAULT_RETRY)
def bucket_tags(call: BucketName) -> dict[str, str]:
    """Empty for a bucket that is missing or has none. Raises AuthenticationFailed for somebody else's."""
    try:
        answer = aws_call(
            "s3",
            "get_bucket_tagging",
            {"Bucket": call.bucket},
            connection=call.connection,
            region=call.region,
            effect=Effect.READ,
        )
    except NotFound:
        return {}
    return tag_dict(answer["TagSet"])


async def is_made_by(run: str, call: BucketName, poll_interval: float) -> bool:
    """Whether the run of that tag made the bucket. Looks again before it says no."""
    for look in range(_LOOKS):
        tags = await bucket_tags(call)
        if tags or look + 1 == _LOOKS:
            return tags.get(RUN_TAG) == run
        await asyncio.sleep(poll_interval)
    return False


class Folder(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    exclude: list[str] = msgspec.field(default_factory=list)


class FolderFiles(msgspec.Struct, frozen=True, kw_only=True):
    files: list[PlannedFile]
    """In the order of their names' UTF-8 bytes; all of them new to the bucket."""


@declare(Effect.READ)
@activity(name="suborchestrations.s3.folder_files", retry=DEFAULT_RETRY)
def folder_files(call: Folder) -> FolderFiles:
    """Raises InvalidRequest for what is no folder on this worker, or has no files."""
    files = sorted(_files(call), key=lambda one: one.name.encode())
    if not files:
        raise InvalidRequest(f"{call.path} is no folder with files on this worker", code="file")
    return FolderFiles(files=files)


def _files(call: Folder) -> Iterator[PlannedFile]:
    for folder, _, names in os.walk(call.path):
        for each in names:
            path = os.path.join(folder, each)
            name = os.path.relpath(path, call.path).replace(os.sep, "/")
            if os.path.islink(path) or any(fnmatch.fnmatchcase(name, pattern) for pattern in call.exclude):
                continue
            state = os.stat(path)
            kind, encoding = mimetypes.guess_type(name)
            yield PlannedFile(
                name=name,
                size=state.st_size,
                modified_ns=state.st_mtime_ns,
                content_type=kind if encoding is None else None,
                replaces=None,
            )
