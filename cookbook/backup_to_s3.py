"""Backup to S3: fetch a large file, store it in parts, prove that it arrived whole. Kill it anywhere: it goes on, and sends nothing twice.

Shows   a download that resumes, a bucket with secure settings and a lifecycle, an upload in parts as a child, a checksum from end to end
Needs   pip install 'dtf-runtime[http,aws]'; for the trial without AWS also [testing]
Run     python backup_to_s3.py                                          a trial: a flaky website and an S3 of its own, on this machine
        python backup_to_s3.py https://example.org/dump.tar --bucket my-backups --region eu-west-1
        python backup_to_s3.py --id monday URL --bucket my-backups       after a crash, the same line goes on where it stood
Watch   dtf show ID --hub sqlite:///backup_to_s3.db                      from another terminal

With AWS it uses the credentials that the AWS command line would. The bucket is made when it is missing, and must be yours when it isn't.
"""

import argparse
import asyncio
import json
import logging
import os
import posixpath
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectors.aws import AwsConnection
from connectors.aws.s3 import (
    CreateBucket,
    LifecycleRule,
    ObjectName,
    PutBucketLifecycle,
    PutPublicAccessBlock,
    UploadFile,
    create_bucket,
    head_object,
    put_bucket_lifecycle,
    put_public_access_block,
    upload_file,
)
from connectors.http import Download, HttpConnection, download
from dtf_runtime import (
    InstanceState,
    NonRetriableError,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationFailedError,
    OrchestrationHandle,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

PART = 8 * 1024 * 1024  # bytes
KEEP = 90  # days
STEPS = ["download", "bucket", "upload", "verify", "tidy"]


@dataclass(frozen=True)
class Job:
    url: str
    bucket: str
    key: str
    path: str  # where the file is kept meanwhile
    part_size: int = PART
    keep: int = KEEP


@dataclass(frozen=True)
class Backup:
    where: str
    size: int
    sha256: str
    parts: int


@orchestration
async def backup(ctx: OrchestrationContext, job: Job) -> Backup:
    steps = Steps(ctx, STEPS)

    steps.mark("download", "running", job.url)
    file = await download(Download(url=job.url, path=job.path))  # broken off, it goes on from the bytes that it has
    steps.mark("download", "done", f"{file.size:,} bytes")

    steps.mark("bucket", "running", job.bucket)
    await prepare(job)
    steps.mark("bucket", "done", f"private, kept for {job.keep} days")

    steps.mark("upload", "running", job.key)
    sent = await upload_file(  # a child: its parts are recorded one by one, and it cleans up after itself if it fails
        UploadFile(bucket=job.bucket, key=job.key, path=job.path, part_size=job.part_size, existing="replace")
    )
    steps.mark("upload", "done", f"{sent.parts or 1} parts")

    steps.mark("verify", "running")
    stored = await head_object(ObjectName(bucket=job.bucket, key=job.key))
    if (stored.size, stored.sha256) != (file.size, file.sha256):
        steps.mark("verify", "failed", "S3 has something else")
        raise NonRetriableError(f"s3://{job.bucket}/{job.key} is not what {job.url} gave: see `dtf history`")
    steps.mark("verify", "done", f"sha256 {file.sha256[:16]}...")

    steps.mark("tidy", "running")
    await remove(job.path)
    steps.mark("tidy", "done")
    return Backup(f"s3://{job.bucket}/{job.key}", file.size, file.sha256, sent.parts or 1)


async def prepare(job: Job) -> None:
    """Each of these may be repeated: it says how things shall be."""
    made = await create_bucket(CreateBucket(bucket=job.bucket, existing="use"))
    if made.created:  # the settings of a bucket that was there are its owner's matter
        rule = LifecycleRule(id="backups", expire_days=job.keep, abort_uploads_days=2)
        await asyncio.gather(
            put_public_access_block(PutPublicAccessBlock(bucket=job.bucket, just_made=True)),
            put_bucket_lifecycle(PutBucketLifecycle(bucket=job.bucket, rules=[rule], just_made=True)),
        )


@activity
def remove(path: str) -> None:
    """The local copy. Missing is what is wanted, so a second time is no error."""
    if os.path.exists(path):
        os.unlink(path)


class Steps:
    """The progress, as a custom status that `dtf show` draws as a checklist."""

    def __init__(self, ctx: OrchestrationContext, names: list[str]) -> None:
        self._ctx = ctx
        self._steps = {name: {"name": name, "state": "pending", "detail": ""} for name in names}
        ctx.set_custom_status({"steps": list(self._steps.values())})

    def mark(self, name: str, state: str, detail: str = "") -> None:
        self._steps[name].update(state=state, detail=detail)
        self._ctx.set_custom_status({"steps": list(self._steps.values())})


# == The program ==================================================================================================

HUB = "sqlite:///backup_to_s3.db"
LOG = "backup_to_s3.log"  # what the worker has to say, such as why an attempt failed
WEB = HttpConnection(allow_private=True)  # the address comes from you, so it may lead to this machine and its network
console = Console()


async def main(options: argparse.Namespace, aws: AwsConnection | None) -> int:
    job = job_of(options)
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=[WEB, *([aws] if aws else [])]), TaskHubClient(service) as client:
        try:
            handle = await client.start(backup, job, instance_id=options.id)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(options.id, Backup)
        console.print(f"Instance [bold]{handle.instance_id}[/] in {options.hub}", soft_wrap=True)
        await follow(handle)
        try:
            done = await handle.result()
        except OrchestrationFailedError as error:
            console.print(f"[red]Failed:[/] {error}", soft_wrap=True)
            return 1
    console.print(f"[green]Stored:[/] {done.where}, {done.size:,} bytes, sha256 {done.sha256}", soft_wrap=True)
    return 0


def job_of(options: argparse.Namespace) -> Job:
    key = options.key or posixpath.basename(urlsplit(options.url).path) or "backup"
    path = os.path.abspath(f"{key.replace('/', '_')}.fetched")
    return Job(options.url, options.bucket, key, path, options.part_size)


async def follow(handle: OrchestrationHandle[Backup]) -> None:
    """Draws the checklist until the instance has finished."""
    with Live(console=console, refresh_per_second=10) as live:
        while True:
            state = await handle.state()
            live.update(checklist(state))
            if state.completed_at:
                return
            await asyncio.sleep(0.1)


def checklist(state: InstanceState) -> Table:
    marks = {"running": "[yellow]▸[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]"}
    table = Table(box=None, show_header=False, padding=(0, 1))
    for step in (state.custom_status or {}).get("steps", ()):
        table.add_row(marks.get(step["state"], "[dim]·[/]"), Text(step["name"]), Text(step["detail"], style="dim"))
    return table


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fetch a file and keep it in S3.")
    parser.add_argument("url", nargs="?", metavar="URL", help="default: a trial on this machine")
    parser.add_argument("--bucket", metavar="NAME", help="needed with a URL")
    parser.add_argument("--key", metavar="NAME", help="default: the last part of the URL")
    parser.add_argument("--region", metavar="NAME", help="default: as the AWS command line has it")
    parser.add_argument("--id", metavar="NAME", help="the instance; one that exists goes on where it stood")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--part-size", type=int, default=PART, metavar="BYTES", help="default: %(default)s")
    parser.add_argument("--serve", metavar="LOG", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.url and not options.bucket:
        parser.error("name a --bucket")
    return options


def program() -> int:
    options = command_line()
    if options.serve:
        return serve(options.serve)
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    if options.url:
        return asyncio.run(main(options, AwsConnection(region=options.region) if options.region else None))
    from connectors.aws.testing import AwsServer

    with ExitStack() as stack:
        console.print("A trial: the website and S3 are on this machine, and forget everything at the end.")
        options.url = stack.enter_context(website(os.devnull))
        options.bucket = options.bucket or "trial-backups"
        aws = stack.enter_context(AwsServer())
        return asyncio.run(main(options, aws.connection()))


# == A small website with one large file, in a process of its own. It breaks off in the middle, once ==============

FILE = b"".join(bytes([n]) * 65536 for n in range(256)) + b"the end"  # 16 MiB and a bit


class Website(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, log: str) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.log = log
        self.broke_off = False

    def note(self, **what: Any) -> None:
        with open(self.log, "a", encoding="utf-8") as file:
            file.write(json.dumps(what) + "\n")


class Visitor(BaseHTTPRequestHandler):
    server: Website

    def do_GET(self) -> None:
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        self.server.note(start=start)
        body = FILE[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", '"one"')
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(FILE) - 1}/{len(FILE)}")
        self.end_headers()
        if not self.server.broke_off:
            self.server.broke_off = True
            self.wfile.write(body[: len(body) // 2])
            self.close_connection = True
            return
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(log: str) -> int:
    server = Website(log)
    print(f"http://127.0.0.1:{server.server_port}/dump.bin", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the program that started it ends, however it ends
    return 0


@contextmanager
def website(log: str) -> Iterator[str]:
    """Runs it and gives the file's address. `log`: what it was asked for, a JSON object a line."""
    command = [sys.executable, os.path.abspath(__file__), "--serve", log]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(program())
