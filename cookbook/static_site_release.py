"""Static site release: a folder becomes a website on S3, and later versions of it replace it, assets before pages. Kill it anywhere: it goes on.

Shows   a ready orchestration as a child (bucket, policy, website, files: whole or not at all), sync that sends only what differs, a check at the end
Needs   pip install 'dtf-runtime[aws]'; for the trial without AWS 'dtf-runtime[testing]'
Run     python static_site_release.py                               a trial: two releases of a small site to an S3 on this machine
        python static_site_release.py public --bucket www.example.org --region eu-west-1
        python static_site_release.py public --bucket www.example.org --id monday      after a crash, the same line goes on where it stood
Watch   dtf show ID --hub sqlite:///static_site_release.db

With AWS it uses the credentials that the AWS command line would. A bucket that is there already must be yours, and becomes what the folder is.
"""

import argparse
import asyncio
import logging
import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from connectors.aws import AwsConnection
from connectors.aws.s3 import (
    BucketName,
    SyncDirectory,
    SyncResult,
    head_bucket,
    plan_sync,
    sync_directory,
)
from connectors.core import NotFound
from dtf_runtime import (
    NonRetriableError,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationFailedError,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)
from suborchestrations.s3 import SiteSpec, static_site

# == The workflow =================================================================================================


@dataclass(frozen=True)
class Job:
    folder: str
    bucket: str


@dataclass(frozen=True)
class Released:
    where: str
    sent: int
    deleted: int
    unchanged: int


@orchestration
async def release(ctx: OrchestrationContext, job: Job) -> Released:
    if await is_there(job.bucket):
        done = await update(ctx, job)
    else:
        ctx.set_custom_status("making the site")
        site = await static_site(SiteSpec(bucket=job.bucket, folder=job.folder))  # a child, with a checklist of its own
        done = Released(site.url, sent=site.files, deleted=0, unchanged=0)

    ctx.set_custom_status("checking")
    rest = await plan_sync(SyncDirectory(path=job.folder, bucket=job.bucket, delete=True))  # compares the contents
    if rest.uploads or rest.deletes:
        names = [*(file.name for file in rest.uploads), *rest.deletes]
        raise NonRetriableError(f"{job.bucket} is not what {job.folder} is, in {names[0]} at least: release it again")
    ctx.set_custom_status("released")
    return done


async def is_there(bucket: str) -> bool:
    try:
        await head_bucket(BucketName(bucket=bucket))
    except TaskFailedError as error:
        if error.failure.is_caused_by(NotFound):
            return False
        raise
    return True


async def update(ctx: OrchestrationContext, job: Job) -> Released:
    """Assets first, so that no page asks for one that isn't there yet; what is not needed any more goes last, with the pages."""
    ctx.set_custom_status("sending assets")
    assets = whole(await sync_directory(SyncDirectory(path=job.folder, bucket=job.bucket, exclude=["*.html"])))
    ctx.set_custom_status("sending pages")
    pages = whole(await sync_directory(SyncDirectory(path=job.folder, bucket=job.bucket, delete=True)))
    return Released(
        where=f"s3://{job.bucket}",
        sent=assets.uploaded + pages.uploaded,
        deleted=pages.deleted,
        unchanged=pages.unchanged - assets.uploaded,  # the pages' turn has seen the new assets
    )


def whole(done: SyncResult) -> SyncResult:
    if done.conflicts:
        first = done.conflicts[0]
        raise NonRetriableError(f"{first.key}: {first.why}; nothing of others is replaced: look, and release it again")
    return done


# == The program ==================================================================================================

HUB = "sqlite:///static_site_release.db"
LOG = "static_site_release.log"  # what the worker has to say, such as why an attempt failed


async def publish(job: Job, instance_id: str | None, hub: str, aws: AwsConnection | None) -> int:
    service = connect(hub)
    async with TaskHubWorker(service, connections=[aws] if aws else []), TaskHubClient(service) as client:
        try:
            handle = await client.start(release, job, instance_id=instance_id)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            assert instance_id
            handle = client.handle(instance_id, Released)
        print(f"Instance {handle.instance_id} in {hub}", flush=True)
        try:
            done = await handle.result()
        except OrchestrationFailedError as error:
            print(f"Failed: {error}")
            return 1
    print(f"Released: {done.where}, {done.sent} sent, {done.deleted} deleted, {done.unchanged} unchanged", flush=True)
    return 0


RELEASES = [
    {"index.html": "<h1>Hello</h1>", "news.html": "<h1>Soon</h1>", "style.css": "h1 { color: teal }"},
    {"index.html": "<h1>Hello again</h1>", "about.html": "<h1>About</h1>", "style.css": "h1 { color: teal }"},
]


def write(folder: Path, files: dict[str, str]) -> None:
    folder.mkdir(exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    for name, text in files.items():
        (folder / name).write_text(text)


def trial(hub: str) -> int:
    from connectors.aws.testing import AwsServer

    print("A trial: S3 is on this machine, and forgets everything at the end.")
    folder = Path("static_site_release_trial").absolute()
    with ExitStack() as stack:
        aws = stack.enter_context(AwsServer())
        for files in RELEASES:
            write(folder, files)
            if code := asyncio.run(publish(Job(str(folder), "trial-site"), None, hub, aws.connection())):
                return code
    return 0


def program() -> int:
    parser = argparse.ArgumentParser(description="Release a folder as a website on S3.")
    parser.add_argument("folder", nargs="?", type=os.path.abspath, help="default: a trial on this machine")
    parser.add_argument("--bucket", metavar="NAME", help="needed with a folder")
    parser.add_argument("--region", metavar="NAME", help="default: as the AWS command line has it")
    parser.add_argument("--id", metavar="NAME", help="the instance; one that exists goes on where it stood")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    options = parser.parse_args()
    if options.folder and not options.bucket:
        parser.error("name a --bucket")
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    if not options.folder:
        return trial(options.hub)
    aws = AwsConnection(region=options.region) if options.region else None
    return asyncio.run(publish(Job(options.folder, options.bucket), options.id, options.hub, aws))


if __name__ == "__main__":
    sys.exit(program())
