"""`empty_and_delete_bucket`: everything in a bucket, old versions, delete markers and unfinished uploads included, then the bucket.

bucket -> uploads -> objects, a page of 1,000 after the other -> deletion. Nothing of it can be undone, so the name has to be typed twice. A bucket of
any size: after some pages it continues as new, so that neither memory nor history grows.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.aws.s3 import (
    Bucket,
    BucketName,
    DeleteObjects,
    DeleteObjectsResult,
    ListedVersion,
    ListObjectVersions,
    ListUploads,
    ObjectVersion,
    Upload,
    abort_upload,
    delete_bucket,
    delete_objects,
    head_bucket,
    list_object_versions,
    list_uploads,
)
from connectors.core import Conflict, InvalidRequest, Mutation, NotFound, Permanent
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration
from suborchestrations.s3.models import S3Spec
from suborchestrations.steps import Outcome, PlannedCall, Steps

STEPS = ("bucket", "uploads", "objects", "delete")
_ROUNDS = 5  # while others go on writing


class _Progress(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Of the executions before this one."""

    ends_at: datetime
    objects: int = 0
    uploads: int = 0
    page: str = ""
    uploads_done: bool = False
    rounds: int = 1
    planned: list[PlannedCall] = msgspec.field(default_factory=list)


class EmptyBucketSpec(S3Spec, frozen=True, kw_only=True, omit_defaults=True):
    """`on_failure` says nothing here: what is deleted stays deleted, and the next run goes on with the rest."""

    bucket: str
    confirm: str
    """The bucket's name again; anything else is refused."""
    page_size: int = 1000
    """Objects that one request deletes, 1 to 1,000."""
    pages: int = 20
    """And uploads, by fifties: so many, then it continues as new."""
    deadline: float = 86400.0
    progress: _Progress | None = None
    """Set by the run itself when it continues as new."""


class Emptied(Outcome, frozen=True, kw_only=True):
    bucket: str
    existed: bool
    objects: int
    """Versions and delete markers that were deleted, or would be."""
    uploads: int
    """Unfinished ones that were ended, or would be."""


@orchestration(name="suborchestrations.s3.empty_and_delete_bucket", version="1")
async def empty_and_delete_bucket(ctx: OrchestrationContext, spec: EmptyBucketSpec) -> Emptied:
    """Raises InvalidRequest, before it has looked at anything, unless `confirm` is the name. Fails with StepFailedError.

    A missing bucket is what was wanted."""
    if spec.confirm != spec.bucket:
        raise InvalidRequest(f"{spec.bucket} is not emptied: `confirm` has to be its name, not {spec.confirm!r}")
    if not 1 <= spec.page_size <= 1000 or spec.pages < 1:
        raise InvalidRequest(f"page_size is 1 to 1,000 and pages at least 1, not {spec.page_size} and {spec.pages}")
    progress = spec.progress or _Progress(ends_at=ctx.now() + timedelta(seconds=spec.deadline))
    left = max((progress.ends_at - ctx.now()).total_seconds(), 0.0)
    async with Steps(ctx, msgspec.structs.replace(spec, deadline=left), STEPS) as steps:
        steps.planned += progress.planned
        return await _Emptying(ctx, spec, steps, progress).end()


class _Emptying:
    def __init__(self, ctx: OrchestrationContext, spec: EmptyBucketSpec, steps: Steps, progress: _Progress) -> None:
        self.ctx, self.spec, self.steps, self.progress = ctx, spec, steps, progress
        self.where: dict[str, Any] = {"connection": spec.connection, "region": spec.region, "bucket": spec.bucket}

    async def end(self) -> Emptied:
        found = await self.steps.look("bucket", self.look, detail=lambda one: one.region if one else "not there")
        if found is None:
            for name in STEPS[1:]:
                self.steps.skip(name, "there is no bucket")
        else:
            await self.uploads()
            await self.objects()
            await self.delete()
        return Emptied(
            planned=self.steps.planned,
            bucket=self.spec.bucket,
            existed=found is not None,
            objects=self.progress.objects,
            uploads=self.progress.uploads,
        )

    async def look(self) -> Bucket | None:
        try:
            return await head_bucket(BucketName(**self.where))
        except TaskFailedError as error:
            if error.failure.is_caused_by(NotFound):
                return None
            raise

    async def uploads(self) -> None:
        """The first 10,000 that a look shows; then the next ones."""
        if self.progress.uploads_done:
            self.steps.skip("uploads", f"{self.progress.uploads} ended")
            return
        at_once = 50 * self.spec.pages
        found = await self.steps.look("uploads", lambda: list_uploads(ListUploads(**self.where)))
        begun = found.uploads if self.spec.plan else found.uploads[:at_once]
        for one in begun:
            await self.steps.make(
                "uploads",
                abort_upload,
                Upload(key=one.key, upload_id=one.upload_id, **self.where),
                assumed=Mutation(),
            )
        self.note(uploads=self.progress.uploads + len(begun))
        if len(begun) < len(found.uploads):
            self.go_on()
        self.note(uploads_done=True)

    async def objects(self) -> None:
        for number in range(1, self.spec.pages + 1):
            wanted = ListObjectVersions(page_size=self.spec.page_size, page=self.progress.page, **self.where)
            found = await self.steps.look("objects", lambda wanted=wanted: list_object_versions(wanted))  # type: ignore[misc]
            if found.versions:
                await self.delete_page(found.versions)
            # What is deleted is in no list any more, so the next look begins in front; a plan has to go on behind it.
            self.note(page=found.next_page if self.spec.plan else "")
            if not found.next_page:
                return
            if number == self.spec.pages:
                self.go_on()

    async def delete_page(self, versions: list[ListedVersion]) -> None:
        names = [ObjectVersion(key=one.key, version_id=one.version_id) for one in versions]
        done = await self.steps.make(
            "objects",
            delete_objects,
            DeleteObjects(objects=names, **self.where),
            assumed=DeleteObjectsResult(deleted=len(names), failed=[]),
            detail=lambda result: f"{self.progress.objects + result.deleted:,}",
        )
        self.note(objects=self.progress.objects + done.deleted)
        if done.failed:
            first = done.failed[0]
            raise Permanent(
                f"{len(done.failed)} objects in {self.spec.bucket} are not to be deleted, {first.key!r} among them: {first.code}",
                code=first.code,
            )

    async def delete(self) -> None:
        try:
            await self.steps.make("delete", delete_bucket, BucketName(**self.where), assumed=Mutation())
        except TaskFailedError as error:
            if not error.failure.is_caused_by(Conflict) or self.progress.rounds >= _ROUNDS:
                raise
            self.steps.fell_back("delete", "something new is in it")
            await asyncio.sleep(self.spec.poll_interval)
            self.note(rounds=self.progress.rounds + 1, uploads_done=False)
            self.go_on()

    def note(self, **what: Any) -> None:
        self.progress = msgspec.structs.replace(self.progress, **what)

    def go_on(self) -> None:
        self.note(planned=list(self.steps.planned))
        self.ctx.continue_as_new(msgspec.structs.replace(self.spec, progress=self.progress))
