"""`empty_and_delete_bucket` against a server that behaves as S3 does, in virtual time."""

import asyncio
from typing import Any

from msgspec.structs import replace

from connectors.aws.testing import AwsServer
from connectors.core import using
from dtf_runtime.testing import TestHub
from suborchestrations.s3 import EmptyBucketSpec, empty_and_delete_bucket
from tests.suborchestrations.s3.world import BUCKET, WAIT, Account, registry, requests_of


def filled(aws: AwsServer, objects: int = 7, uploads: int = 2) -> Account:
    """Two versions of each object, a delete marker on each second one, and uploads that nobody finished."""
    there = Account(aws)
    there.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    there.s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for number in range(objects):
        for text in (b"first", b"second"):
            there.s3.put_object(Bucket=BUCKET, Key=f"object-{number}", Body=text)
        if number % 2 == 0:
            there.s3.delete_object(Bucket=BUCKET, Key=f"object-{number}")
    for number in range(uploads):
        there.s3.create_multipart_upload(Bucket=BUCKET, Key=f"upload-{number}")
    return there


def spec(**changes: Any) -> EmptyBucketSpec:
    return replace(EmptyBucketSpec(bucket=BUCKET, confirm=BUCKET, page_size=5, poll_interval=0.1), **changes)


async def test_everything_goes_versions_markers_and_uploads_and_then_the_bucket(aws: AwsServer) -> None:
    there = filled(aws)
    emptied = (await there.run(empty_and_delete_bucket, spec())).outcome
    assert (emptied.existed, emptied.objects, emptied.uploads) == (True, 7 * 2 + 4, 2)
    assert there.buckets() == []


async def test_without_the_typed_name_it_does_not_even_look(aws: AwsServer) -> None:
    there = filled(aws, 1, 0)
    ended = await there.run(empty_and_delete_bucket, spec(confirm="a-bucket"))
    assert ended.failure and ended.failure["type"] == "InvalidRequest"
    assert (ended.calls, there.buckets()) == ([], [BUCKET])


async def test_a_plan_changes_nothing_and_names_exactly_what_the_real_run_does(aws: AwsServer) -> None:
    there = filled(aws)
    plan = (await there.run(empty_and_delete_bucket, spec(plan=True, pages=1))).outcome
    assert (there.mutating(), there.buckets()) == ([], [BUCKET])
    emptied = (await there.run(empty_and_delete_bucket, spec(pages=1))).outcome
    assert requests_of(plan) == there.mutating()
    assert requests_of(plan).count("DeleteObjects") == 4
    assert (plan.objects, plan.uploads) == (emptied.objects, emptied.uploads)


async def test_a_large_bucket_is_emptied_by_many_executions_with_a_short_history_each(aws: AwsServer) -> None:
    there = filled(aws, 40, 0)
    with using(aws.connection()):
        async with TestHub(registry=registry()) as hub:
            handle = await hub.client.start(empty_and_delete_bucket, spec(pages=2))
            first = (await handle.state()).execution_id
            assert (await handle.result(WAIT)).objects == 100
            state = await handle.state()
    assert (state.execution_id != first, state.history_length < 60) == (True, True)
    assert aws.count("DeleteObjects") == 20
    assert there.buckets() == []


async def test_a_missing_bucket_is_what_was_wanted(aws: AwsServer) -> None:
    there = Account(aws)
    emptied = (await there.run(empty_and_delete_bucket, spec())).outcome
    assert (emptied.existed, emptied.objects, there.mutating()) == (False, 0, [])


async def test_what_is_written_meanwhile_is_deleted_in_another_round(aws: AwsServer) -> None:
    there = filled(aws, 2, 0)
    aws.hold("s3:DeleteBucket", when="before")
    running = asyncio.create_task(there.run(empty_and_delete_bucket, spec()))
    await asyncio.to_thread(aws.wait_held)
    there.s3.put_object(Bucket=BUCKET, Key="late", Body=b"late")
    aws.release()
    emptied = (await running).outcome
    assert (emptied.objects, there.buckets()) == (2 * 2 + 1 + 1, [])


async def test_an_object_that_may_not_be_deleted_ends_the_run_and_is_named(aws: AwsServer) -> None:
    there = filled(aws, 2, 0)
    aws.fail("s3:DeleteObjects", status=403, code="AccessDenied", times=None)
    ended = await there.run(empty_and_delete_bucket, spec())
    assert ended.failure and ended.failure["step"] == "objects" and "AccessDenied" in ended.failure["message"]
    assert there.buckets() == [BUCKET]


async def test_each_request_throttled_or_its_answer_lost_it_still_ends_with_an_empty_account(aws: AwsServer) -> None:
    there = filled(aws, 2, 1)
    requests = len((await there.run(empty_and_delete_bucket, spec())).calls)
    assert requests > 5
    for skip in range(requests):
        for lost in (True, False):
            aws.reset()
            filled(aws, 2, 1)
            if lost:
                aws.cut("*", when="after", skip=skip)
            else:
                aws.fail("*", status=503, code="SlowDown", times=3, skip=skip)
            ended = await there.run(empty_and_delete_bucket, spec())
            assert (skip, lost, ended.failure, there.buckets()) == (skip, lost, None, [])
