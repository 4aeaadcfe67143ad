"""An S3 account and a folder to publish; what of a run is there is read from the server and never from the run."""

import asyncio
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from msgspec.structs import replace

from connectors.aws import CONNECTOR
from connectors.aws.testing import REGION, AwsServer
from connectors.core import using
from dtf_runtime import Orchestration, OrchestrationCancelledError, OrchestrationFailedError, Registry
from dtf_runtime.testing import TestHub
from suborchestrations.s3 import ACTIVITIES, ORCHESTRATIONS, BucketSpec, SiteSpec
from suborchestrations.steps import Outcome

BUCKET, WAIT = "a-bucket-of-the-tests", 120.0
PAGES = {"index.html": "<h1>Hello</h1>", "about/index.html": "<h1>About</h1>", "style.css": "h1 { color: teal }"}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {
            "Sid": "TlsOnly",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ],
}
READER = "AKIAIOSFODNN7READER"


@cache
def _reader(endpoint_url: str) -> Any:
    return boto3.client(
        "s3",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id=READER,
        aws_secret_access_key="reader",
    )


class Ended(NamedTuple):
    outcome: Any
    failure: dict[str, Any] | None
    """None: it completed."""
    calls: list[str]
    """Its requests, in order."""


class Account:
    def __init__(self, aws: AwsServer) -> None:
        self.aws = aws
        self.s3 = _reader(aws.endpoint_url)

    def buckets(self) -> list[str]:
        return [one["Name"] for one in self.s3.list_buckets()["Buckets"]]

    def objects(self, bucket: str = BUCKET) -> list[str]:
        return sorted(one["Key"] for one in self.s3.list_objects_v2(Bucket=bucket).get("Contents", ()))

    def mutating(self) -> list[str]:
        """Operations that changed something, as the server did them. The reader's own don't count."""
        return [
            call.operation
            for call in self.aws.calls
            if call.executed
            and call.access_key != READER
            and not call.operation.startswith(("Describe", "Get", "List", "Head"))
        ]

    async def run(self, orchestration: Orchestration[Any, Any], spec: Any, *, cancelled: bool = False) -> Ended:
        """`cancelled`: while the request is held that `aws.hold` was told to hold."""
        before = len(self.aws.calls)
        with using(self.aws.connection()):
            async with TestHub(registry=registry()) as hub:
                handle = await hub.client.start(orchestration, spec, instance_id="one")
                outcome = failure = None
                if cancelled:
                    await asyncio.to_thread(self.aws.wait_held)
                    await hub.client.cancel("one")
                    self.aws.release()
                try:
                    outcome = await handle.result(WAIT)
                except OrchestrationCancelledError as error:
                    failure = {"type": "cancelled", "message": str(error), "left": []}
                except OrchestrationFailedError as error:
                    failure = dict(error.failure.properties) | {
                        "message": error.failure.message,
                        "type": error.failure.type.rpartition(".")[2],
                    }
        calls = [call.name for call in self.aws.calls[before:] if call.access_key != READER]
        return Ended(outcome, failure, calls)


def registry() -> Registry:
    return Registry().add(*CONNECTOR.activities, *CONNECTOR.orchestrations, *ACTIVITIES, *ORCHESTRATIONS)


def bucket_spec(**changes: Any) -> BucketSpec:
    return replace(BucketSpec(bucket=BUCKET, policy=POLICY, poll_interval=0.1), **changes)


def site_spec(folder: Path, **changes: Any) -> SiteSpec:
    return replace(SiteSpec(bucket=BUCKET, folder=str(folder), poll_interval=0.1, batch=2), **changes)


def write_pages(folder: Path) -> Path:
    for name, text in PAGES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def requests_of(outcome: Outcome) -> list[str]:
    """What a plan says that the real run will send, in S3's names."""
    found = []
    for call in outcome.planned:
        name = call.activity.rpartition(".")[2]
        found += ["PutObject"] * len(call.input["uploads"]) if name == "sync_batch" else [_NAMES[name]]
    return found


_NAMES = {
    "create_bucket": "CreateBucket",
    "put_public_access_block": "PutPublicAccessBlock",
    "put_bucket_encryption": "PutBucketEncryption",
    "put_bucket_versioning": "PutBucketVersioning",
    "put_bucket_lifecycle": "PutBucketLifecycleConfiguration",
    "put_bucket_policy": "PutBucketPolicy",
    "put_bucket_website": "PutBucketWebsite",
    "abort_upload": "AbortMultipartUpload",
    "delete_objects": "DeleteObjects",
    "delete_bucket": "DeleteBucket",
}
