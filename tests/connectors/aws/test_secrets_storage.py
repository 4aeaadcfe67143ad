"""Credentials, presigned addresses and values of secrets are in nothing that a workflow with them leaves behind."""

import logging
from io import StringIO
from pathlib import Path

import pytest

from connectors.aws import AwsConnection, operations, s3, sqs
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core.testing import Run, planted, secret_scan
from dtf_runtime import (
    OrchestrationContext,
    OrchestrationFailedError,
    Registry,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from dtf_runtime.tracing import redactor

B = "shelf-of-books"
VALUE = "correct-horse-battery-staple"
registry = Registry(*s3.ACTIVITIES, *s3.ORCHESTRATIONS, *sqs.ACTIVITIES, *operations.ACTIVITIES)
sent: list[str] = []
_logger = logging.getLogger("dtf_runtime.activity.user")


@activity(name="tests.aws.tell", registry=registry)
def tell(address: s3.PresignedUrl, reference: operations.SecretReference) -> int:
    """An activity of a user: it sends an address, signs in with a value, and is careless with its log."""
    url, value = s3.presigned_url(address), operations.secret_value(reference)
    _logger.warning("sending %s with %s", url.reveal(), value.reveal())
    sent.extend((url.reveal(), value.reveal()))
    return len(sent)


@activity(name="tests.aws.return_it", registry=registry)
def return_it(address: s3.PresignedUrl) -> object:
    return s3.presigned_url(address)


@orchestration(name="tests.aws.secretive", registry=registry)
async def secretive(ctx: OrchestrationContext, path: str) -> int:
    await s3.create_bucket(s3.CreateBucket(bucket=B))
    await s3.put_object(s3.PutObject(bucket=B, key="a", text="hello"))
    address = s3.PresignedUrl(bucket=B, key="a")
    await s3.write_presigned_url(s3.WritePresignedUrl(bucket=B, key="a", path=path))
    return await tell(address, await operations.describe_secret(operations.SecretName(name="db")))


@orchestration(name="tests.aws.leaking", registry=registry)
async def leaking(ctx: OrchestrationContext, bucket: str) -> object:
    return await return_it(s3.PresignedUrl(bucket=bucket, key="a"))


async def test_nothing_secret_is_left_behind(aws: AwsServer, tmp_path: Path) -> None:
    aws_call("secretsmanager", "create_secret", {"Name": "db", "SecretString": VALUE})
    good = aws.connection()
    plant = planted(AwsConnection, endpoint_url=good.endpoint_url, region=good.region, proxy_url=None, external_id=None)
    stored: list[bytes] = []
    logged = StringIO()
    handler = logging.StreamHandler(logged)
    handler.addFilter(redactor)  # as every handler of ours has it
    _logger.addHandler(handler)

    async def exercise(run: Run) -> None:
        worker = TaskHubWorker(connect(run.hub), registry=registry, connections=run.connections)
        async with worker, TaskHubClient(run.hub) as client:
            await (await client.start(secretive, str(tmp_path / "address.txt"))).result(30)
            with pytest.raises(OrchestrationFailedError) as failed:
                await (await client.start(leaking, B)).result(30)
            run.note(failed.value)
        hub = Path(run.hub.removeprefix("sqlite:///"))
        stored.extend(found.read_bytes() for found in hub.parent.rglob("*") if found.is_file())

    try:
        assert [str(leak) for leak in await secret_scan(plant, exercise)] == []
    finally:
        _logger.removeHandler(handler)
    url, value = sent
    signature = url.partition("X-Amz-Signature=")[2].partition("&")[0]
    assert value == VALUE
    assert len(signature) == 64
    for text in (VALUE, signature):
        assert not any(text.encode() in content for content in stored)
        assert text not in logged.getvalue()
    assert any(b"tests.aws.secretive" in content for content in stored)
    assert "sending" in logged.getvalue()


async def test_a_presigned_address_can_not_be_a_result(aws: AwsServer) -> None:
    service = connect("memory://")
    worker = TaskHubWorker(service, registry=registry, connections=[aws.connection()])
    async with worker, TaskHubClient(service) as client:
        with pytest.raises(OrchestrationFailedError, match="Secret"):
            await (await client.start(leaking, B)).result(30)
