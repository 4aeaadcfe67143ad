"""S3, SQS and the thin services: each activity that changes something delivered twice, with its first answer lost, and asked for what it may do."""

import inspect
from typing import Any

import pytest

from connectors.aws import operations, s3, sqs
from connectors.aws.testing import AwsServer
from connectors.core import Ambiguous, ConnectorError, Declaration, Effect, Mutation, Transient, declaration_of
from dtf_runtime import Activity
from tests.connectors.aws.delivery import delivered
from tests.connectors.aws.once import LOCAL
from tests.connectors.aws.samples import Sample
from tests.connectors.aws.samples_storage import S3, bucket
from tests.connectors.aws.samples_thin import SQS, THIN

SAMPLES = (*S3, *SQS, *THIN)
MINE = (*s3.ACTIVITIES, *sqs.ACTIVITIES, *operations.ACTIVITIES)


def declared(activity: Activity[..., Any]) -> Declaration:
    found = declaration_of(activity)
    assert found is not None
    return found


LOST = [one for one in SAMPLES if declared(one.activity).effect is Effect.AT_LEAST_ONCE]
ONCE = [one for one in SAMPLES if one not in LOST]
MAKING = [one for one in ONCE if declared(one.activity).effect is not Effect.NATURAL]


def test_there_is_a_sample_of_each_that_changes_something() -> None:
    mutating = {
        one.name for one in MINE if issubclass(inspect.signature(one.fn, eval_str=True).return_annotation, Mutation)
    }
    assert {sample.activity.name for sample in SAMPLES} == mutating - LOCAL


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
async def test_two_deliveries_are_no_error_and_need_no_more_than_is_declared(aws: AwsServer, sample: Sample) -> None:
    call = sample.prepare(aws)
    already = len(aws.calls)
    first, second = await delivered(sample.activity, call, between=lambda: aws.clock.advance(60))
    assert not isinstance(first, ConnectorError), first
    assert not isinstance(second, ConnectorError), second
    assert not first.replayed
    seen = aws.calls[already:]
    done = sum(one.executed for one in seen if one.name == sample.operation)
    if sample in MAKING:
        assert done == 1
        assert second.replayed or declared(sample.activity).effect is Effect.TOKEN
    assert {action for one in seen for action in one.actions} <= set(declared(sample.activity).permissions)


@pytest.mark.parametrize("sample", ONCE, ids=str)
async def test_an_answer_that_was_lost_after_the_work_is_made_up_for(aws: AwsServer, sample: Sample) -> None:
    call = sample.prepare(aws)
    before = aws.count(sample.operation)
    aws.cut(sample.operation, when="after", times=2)  # the second is for botocore, where it sends again by itself
    *_, last = await delivered(sample.activity, call, 3, between=lambda: aws.clock.advance(60))
    assert not isinstance(last, ConnectorError), last
    if sample in MAKING:
        assert aws.count(sample.operation) - before == 1


@pytest.mark.parametrize("sample", LOST, ids=str)
async def test_a_lost_answer_is_ambiguous_where_nothing_tells_a_repeat(aws: AwsServer, sample: Sample) -> None:
    call = sample.prepare(aws)
    before = aws.count(sample.operation)
    aws.cut(sample.operation, when="after")
    (result,) = await delivered(sample.activity, call, 1)
    # To receive again is harmless: what was in the answer comes again.
    assert isinstance(result, Transient if sample.activity.name == "aws.sqs.receive_messages" else Ambiguous)
    assert aws.count(sample.operation) - before == 1


@pytest.mark.parametrize(
    ("activity", "call"),
    [
        (s3.head_bucket, s3.BucketName(bucket="shelf")),
        (s3.get_bucket_settings, s3.BucketName(bucket="shelf")),
        (s3.list_objects, s3.ListObjects(bucket="shelf")),
        (s3.list_object_versions, s3.ListObjectVersions(bucket="shelf")),
        (s3.list_uploads, s3.ListUploads(bucket="shelf")),
        (s3.prepare_upload, s3.PrepareUpload(bucket="shelf", key="none", path=__file__)),
        (s3.head_object, s3.ObjectName(bucket="shelf", key="none")),
        (s3.get_object, s3.GetObject(bucket="shelf", key="none", version_id="v")),
        (operations.describe_alarm, operations.AlarmName(name="none")),
        (operations.get_metric, operations.GetMetric(namespace="Shop", metric="Sold")),
        (operations.describe_secret, operations.SecretName(name="none")),
        (sqs.get_queue_url, sqs.QueueName(name="none")),
    ],
    ids=lambda one: getattr(one, "name", "") if hasattr(one, "fn") else "",
)
def test_what_only_reads_needs_no_more_than_it_declares(
    aws: AwsServer, activity: Activity[..., Any], call: Any
) -> None:
    bucket()
    already = len(aws.calls)
    try:
        activity.fn(call)
    except ConnectorError as error:
        assert not error.may_have_happened
    seen = {action for one in aws.calls[already:] for action in one.actions}
    assert seen
    assert seen <= set(declared(activity).permissions)
