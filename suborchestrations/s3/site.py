"""`static_site`: a folder on the worker becomes a website on S3, or nothing is left of the attempt.

files -> bucket with its settings -> policy -> website -> upload -> address. The files are listed first, so that a plan names each of them. What the
run sent is what undoing deletes, all versions of it; a bucket into which others wrote meanwhile stays, with what they wrote.
"""

from typing import Any

from connectors.aws.s3 import (
    DeleteObjects,
    ListObjectVersions,
    ObjectVersion,
    PlannedFile,
    PutBucketWebsite,
    SyncBatch,
    SyncBatchResult,
    delete_objects,
    head_bucket,
    list_object_versions,
    put_bucket_website,
    sync_batch,
)
from connectors.core import Conflict, InvalidRequest, Permanent
from dtf_runtime import OrchestrationContext, orchestration
from suborchestrations.s3.looking import Folder, folder_files, is_made_by
from suborchestrations.s3.models import Site, SiteSpec
from suborchestrations.s3.provision import COST, Making
from suborchestrations.s3.provision import STEPS as BUCKET_STEPS
from suborchestrations.steps import Leftover, Steps

STEPS = ("files", *BUCKET_STEPS, "website", "upload", "address")
# Elsewhere the region stands behind a dot.
_WITH_A_HYPHEN = frozenset(
    {
        "us-east-1",
        "us-west-1",
        "us-west-2",
        "ap-southeast-1",
        "ap-southeast-2",
        "ap-northeast-1",
        "eu-west-1",
        "sa-east-1",
        "us-gov-west-1",
    }
)


@orchestration(name="suborchestrations.s3.static_site", version="1")
async def static_site(ctx: OrchestrationContext, spec: SiteSpec) -> Site:
    """Makes a website. Fails with StepFailedError, by default after deleting what it had sent and made."""
    if not 1 <= spec.batch <= 1000:
        raise InvalidRequest(f"batch is 1 to 1,000, not {spec.batch}")
    async with Steps(ctx, spec, STEPS) as steps:
        return await _Site(ctx, spec, steps).site()


class _Site(Making):
    def __init__(self, ctx: OrchestrationContext, spec: SiteSpec, steps: Steps) -> None:
        super().__init__(ctx, spec, steps)
        self.site_spec = spec
        self.sent: list[str] = []  # keys, from before they are sent
        self.theirs: set[str] = set()  # keys that somebody else wrote first

    async def site(self) -> Site:
        spec = self.site_spec
        folder = Folder(path=spec.folder, exclude=spec.exclude)
        listed = await self.steps.look("files", lambda: folder_files(folder), detail=lambda it: str(len(it.files)))
        await self.bucket()
        await self.settings(public=spec.policy is None, policy=spec.policy or _readable_by_all(spec.bucket))
        website = PutBucketWebsite(just_made=True, index=spec.index, error=spec.error, **self.where)
        await self.put("website", put_bucket_website, website)
        for first in range(0, len(listed.files), spec.batch):
            await self.upload(listed.files[first : first + spec.batch], first, len(listed.files))
        return Site(
            planned=self.steps.planned,
            bucket=spec.bucket,
            arn=f"arn:aws:s3:::{spec.bucket}",
            run=self.run,
            cost=f"{COST}; what is sent out by the GiB",
            url=await self.address(),
            files=len(listed.files),
        )

    async def upload(self, files: list[PlannedFile], before: int, of: int) -> None:
        spec = self.site_spec
        self.sent += [one.name for one in files]
        done = await self.steps.make(
            "upload",
            sync_batch,
            SyncBatch(
                path=spec.folder, prefix="", uploads=files, deletes=[], cache_control=spec.cache_control, **self.where
            ),
            assumed=SyncBatchResult(uploaded=len(files), deleted=0, conflicts=[]),
            undo=self.remove_files if before == 0 else None,
            left=self.left_files,
            detail=lambda done: f"{before + done.uploaded} of {of}",
        )
        if done.conflicts:
            self.theirs |= {one.key for one in done.conflicts}
            raise Conflict("; ".join(f"{one.key}: {one.why}" for one in done.conflicts[:5]))

    async def address(self) -> str:
        async def look() -> str:
            region = self.spec.region or (await head_bucket(self.name)).region
            between = "-" if region in _WITH_A_HYPHEN else "."
            return f"http://{self.spec.bucket}.s3-website{between}{region}.amazonaws.com" if region else ""

        return await self.steps.wait("address", look, assumed="", detail=str)

    async def remove_files(self) -> None:
        if not await is_made_by(self.run, self.name, self.spec.poll_interval):
            return
        mine = set(self.sent) - self.theirs
        page = ""
        while True:
            found = await list_object_versions(ListObjectVersions(page=page, **self.where))
            versions = [
                ObjectVersion(key=one.key, version_id=one.version_id) for one in found.versions if one.key in mine
            ]
            if versions:
                done = await delete_objects(DeleteObjects(objects=versions, **self.where))
                if done.failed:
                    raise Permanent(f"{done.failed[0].key}: {done.failed[0].code}", code=done.failed[0].code)
            if not found.next_page:
                return
            page = found.next_page

    def left_files(self) -> list[Leftover]:
        command = f"aws s3 rm --recursive s3://{self.spec.bucket}/"
        return [self.left("files", f"s3://{self.spec.bucket}/ ({len(self.sent)} of them)", command)]


def _readable_by_all(bucket: str) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Website",
                "Effect": "Allow",
                "Principal": "*",
                "Action": "s3:GetObject",
                "Resource": f"arn:aws:s3:::{bucket}/*",
            }
        ],
    }
