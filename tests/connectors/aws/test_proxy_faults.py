"""Faults on the wire, and how the server counts: what was executed, whatever the client got to hear."""

import subprocess
import sys
import threading
import time
from typing import Any

import pytest
from botocore import exceptions as boto
from botocore.exceptions import ClientError

from connectors.aws.testing import AwsServer
from tests.connectors.aws.raw import launch, raw

GROUP = {"GroupName": "web", "Description": "web"}


def test_an_answer_lost_after_the_server_accepted(aws: AwsServer) -> None:
    aws.cut("CreateSecurityGroup")
    with pytest.raises(boto.ConnectionClosedError):
        raw(aws, "ec2").create_security_group(**GROUP)
    assert aws.count("CreateSecurityGroup") == 1
    assert [call.status for call in aws.calls] == [0]


def test_a_connection_cut_before_the_server_accepted(aws: AwsServer) -> None:
    aws.cut("CreateSecurityGroup", when="before")
    create = raw(aws, "ec2").create_security_group
    with pytest.raises(boto.ConnectionClosedError):
        create(**GROUP)
    assert aws.count("CreateSecurityGroup") == 0
    create(**GROUP)


def test_half_an_answer(aws: AwsServer) -> None:
    raw(aws, "s3").create_bucket(Bucket="b-1", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    raw(aws, "s3").put_object(Bucket="b-1", Key="k", Body=b"0123456789")
    aws.halve("s3:GetObject")
    with pytest.raises((boto.IncompleteReadError, boto.ResponseStreamingError)):
        raw(aws, "s3").get_object(Bucket="b-1", Key="k")["Body"].read()
    assert raw(aws, "s3").get_object(Bucket="b-1", Key="k")["Body"].read() == b"0123456789"


@pytest.mark.parametrize(("when", "executed"), [("before", 0), ("after", 1)])
@pytest.mark.parametrize("status", [500, 503])
def test_an_error_before_or_after_the_server_accepted(aws: AwsServer, when: Any, executed: int, status: int) -> None:
    aws.fail("CreateSecurityGroup", status=status, code="Unavailable", when=when)
    with pytest.raises(ClientError) as caught:
        raw(aws, "ec2").create_security_group(**GROUP)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert caught.value.response["Error"]["Code"] == "Unavailable"
    assert aws.count("CreateSecurityGroup") == executed


def test_an_answer_that_comes_late(aws: AwsServer) -> None:
    aws.delay("DescribeInstances", 0.3)
    began = time.monotonic()
    raw(aws, "ec2").describe_instances()
    assert time.monotonic() - began >= 0.3


def test_an_answer_held_back_keeps_nobody_else_waiting(aws: AwsServer) -> None:
    aws.hold("CreateSecurityGroup")
    ec2 = raw(aws, "ec2")
    waiting = threading.Thread(target=ec2.create_security_group, kwargs=GROUP)
    waiting.start()
    aws.wait_held()
    assert aws.count("CreateSecurityGroup") == 1
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": ["web"]}])["SecurityGroups"]
    assert len(found) == 1
    assert waiting.is_alive()
    aws.release()
    waiting.join(10)
    assert not waiting.is_alive()


def test_faults_come_so_often_and_after_so_many(aws: AwsServer) -> None:
    aws.fail("ec2:Describe*", times=2, skip=1)
    ec2 = raw(aws, "ec2")
    ec2.describe_instances()
    for _ in range(2):
        with pytest.raises(ClientError):
            ec2.describe_volumes()
    ec2.describe_instances()


def test_a_replay_counts_for_nothing_though_its_request_was_seen(aws: AwsServer) -> None:
    launch(aws, ClientToken="one")
    launch(aws, ClientToken="one")
    assert aws.count("ec2:RunInstances") == aws.count("RunInstances") == aws.count("ec2:*") == 1
    assert [(call.name, call.executed) for call in aws.calls] == [
        ("ec2:RunInstances", True),
        ("ec2:RunInstances", False),
    ]


def test_a_call_says_what_it_needs_and_had(aws: AwsServer) -> None:
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "a", "Value": "b"}]}]
    launch(aws, TagSpecifications=tags)
    (call,) = aws.calls
    assert (call.service, call.operation, call.region, call.status) == ("ec2", "RunInstances", "eu-central-1", 200)
    assert call.actions == ["ec2:RunInstances", "ec2:CreateTags"]
    assert call.action == "ec2:RunInstances"
    assert call.parameters["TagSpecification"] == [{"ResourceType": "instance", "Tag": [{"Key": "a", "Value": "b"}]}]


def test_every_protocol_is_understood(aws: AwsServer) -> None:
    bucket = {"Bucket": "b-1", "CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}}
    raw(aws, "s3").create_bucket(**bucket)
    raw(aws, "s3").put_object(Bucket="b-1", Key="a/ö b", Body=b"x" * 100_000)
    raw(aws, "s3").copy_object(Bucket="b-1", Key="copy", CopySource={"Bucket": "b-1", "Key": "a/ö b"})
    upload = raw(aws, "s3").create_multipart_upload(Bucket="b-1", Key="m")["UploadId"]
    raw(aws, "s3").upload_part(Bucket="b-1", Key="m", UploadId=upload, PartNumber=1, Body=b"x")
    raw(aws, "s3").list_objects_v2(Bucket="b-1")
    queue = raw(aws, "sqs").create_queue(QueueName="q")["QueueUrl"]
    raw(aws, "sqs").send_message(QueueUrl=queue, MessageBody="x")
    raw(aws, "sns").create_topic(Name="t")
    raw(aws, "route53").list_hosted_zones()
    raw(aws, "lambda").list_functions()
    raw(aws, "cloudwatch").list_metrics()
    assert [call.name for call in aws.calls] == [
        *("s3:CreateBucket", "s3:PutObject", "s3:CopyObject", "s3:CreateMultipartUpload", "s3:UploadPart"),
        *("s3:ListObjectsV2", "sqs:CreateQueue", "sqs:SendMessage", "sns:CreateTopic", "route53:ListHostedZones"),
        *("lambda:ListFunctions", "cloudwatch:ListMetrics"),
    ]
    assert aws.calls[1].parameters == {"Bucket": "b-1", "Key": "a/ö b"}
    assert aws.calls[2].actions == ["s3:GetObject", "s3:PutObject"]
    assert all(call.executed for call in aws.calls)


def test_a_reset_leaves_an_empty_account(aws: AwsServer) -> None:
    launch(aws)
    aws.throttle()
    aws.fail("*", times=None)
    aws.set(pending=100)
    aws.reset()
    assert aws.calls == []
    assert aws.clock.now() == 0
    assert raw(aws, "ec2").describe_instances()["Reservations"] == []


def test_another_process_may_steer_it(aws: AwsServer) -> None:
    program = (
        "import sys; from connectors.aws.testing import AwsServer; "
        "aws = AwsServer.at(sys.argv[1]); aws.clock.advance(30); aws.throttle('DescribeInstances', times=1)"
    )
    subprocess.run([sys.executable, "-c", program, aws.endpoint_url], check=True, timeout=30)
    assert aws.clock.now() == 30
    with pytest.raises(ClientError):
        raw(aws, "ec2").describe_instances()


def test_a_wrong_order_says_what_is_wrong(aws: AwsServer) -> None:
    with pytest.raises(ValueError, match=r"there is no dance; there are advance, calls"):
        aws.control("dance")
    with pytest.raises(ValueError, match="does not go back"):
        aws.clock.advance(-1)
    with pytest.raises(ValueError, match="unknown field"):
        aws.set(breakfast=1.0)
    with pytest.raises(TimeoutError):
        aws.wait_held(timeout=0.01)


async def test_it_starts_within_a_moment_and_ends_with_its_block() -> None:
    async with AwsServer() as aws:
        assert aws.endpoint_url.startswith("http://127.0.0.1:")
        assert aws.control("ping") == "pong"
    with pytest.raises(ConnectionRefusedError):
        aws.control("ping")


def test_it_ends_when_whoever_started_it_is_killed() -> None:
    program = (
        "import sys, time; from connectors.aws.testing import AwsServer\n"
        "with AwsServer() as aws: print(aws.endpoint_url, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        url = starter.stdout.readline().strip()
        assert AwsServer.at(url).control("ping") == "pong"
        starter.kill()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            AwsServer.at(url).control("ping")
        except OSError:
            return
        time.sleep(0.02)
    raise AssertionError("it still runs")
