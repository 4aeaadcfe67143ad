"""Refusals that have nothing to do with what is asked: too many requests, credentials that have expired."""

from typing import Any

import pytest

from connectors.aws.testing import AwsServer
from tests.connectors.aws.raw import behaviour, raw, refused

CODES = {
    "ec2": ("describe_instances", "RequestLimitExceeded"),
    "s3": ("list_buckets", "SlowDown"),
    "ssm": ("list_commands", "ThrottlingException"),
    "iam": ("list_roles", "Throttling"),
    "route53": ("list_hosted_zones", "Throttling"),
    "dynamodb": ("list_tables", "ThrottlingException"),
    "secretsmanager": ("list_secrets", "ThrottlingException"),
}


@behaviour("throttling of the next n")
def test_the_next_requests_are_throttled_in_each_services_own_words(aws: AwsServer) -> None:
    aws.throttle(times=len(CODES))
    for service, (operation, code) in CODES.items():
        refused(code, getattr(raw(aws, service), operation))
    for service, (operation, _) in CODES.items():
        getattr(raw(aws, service), operation)()


@behaviour("throttling by rate")
def test_more_than_the_rate_is_throttled(aws: AwsServer) -> None:
    aws.clock.run(tick=0)
    aws.throttle("ec2:Describe*", rate=0.5, burst=2)
    ec2 = raw(aws, "ec2")
    ec2.describe_instances()
    ec2.describe_volumes()
    refused("RequestLimitExceeded", ec2.describe_instances)
    ec2.create_security_group(GroupName="web", Description="not one of those")
    aws.clock.advance(2)
    ec2.describe_instances()
    refused("RequestLimitExceeded", ec2.describe_instances)


def test_a_throttled_request_is_not_executed(aws: AwsServer) -> None:
    aws.throttle("CreateSecurityGroup", times=1)
    create = raw(aws, "ec2").create_security_group
    refused("RequestLimitExceeded", create, GroupName="web", Description="web")
    assert aws.count("CreateSecurityGroup") == 0
    create(GroupName="web", Description="web")
    assert aws.count("CreateSecurityGroup") == 1


@behaviour("MessageDeduplicationId")
def test_a_fifo_queue_takes_a_message_once_in_five_minutes(aws: AwsServer) -> None:
    sqs = raw(aws, "sqs")
    queue = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    given = {"QueueUrl": queue, "MessageGroupId": "a", "MessageDeduplicationId": "one"}
    first = sqs.send_message(MessageBody="x", **given)["MessageId"]
    assert sqs.send_message(MessageBody="x", **given)["MessageId"] == first
    assert aws.count("SendMessage") == 1


@behaviour("RequestExpired, ExpiredToken")
def test_expired_credentials_are_refused_in_each_services_own_words(aws: AwsServer) -> None:
    asks: dict[str, tuple[str, str]] = {
        "ec2": ("describe_instances", "RequestExpired"),
        "s3": ("list_buckets", "ExpiredToken"),
        "ssm": ("list_commands", "ExpiredTokenException"),
        "iam": ("list_roles", "ExpiredToken"),
    }
    for service, (operation, _) in asks.items():
        getattr(raw(aws, service), operation)()
    aws.expire("AKIARAW")
    for service, (operation, code) in asks.items():
        refused(code, getattr(raw(aws, service), operation))


@behaviour("credentials that were renewed")
def test_credentials_of_a_new_session_are_good(aws: AwsServer) -> None:
    assumed: list[dict[str, Any]] = []
    for _ in range(2):
        role = {"RoleArn": "arn:aws:iam::123456789012:role/web", "RoleSessionName": "test"}
        assumed.append(raw(aws, "sts").assume_role(**role)["Credentials"])
    first, second = (raw(aws, "ec2", key=one["AccessKeyId"]) for one in assumed)
    first.describe_instances()
    aws.expire("ASIA*")
    refused("RequestExpired", first.describe_instances)
    second.describe_instances()


@pytest.mark.parametrize("match", ["ec2:DescribeInstances", "DescribeInstances", "ec2:*", "Describe*", "*"])
def test_a_limit_is_for_the_operations_that_match(aws: AwsServer, match: str) -> None:
    aws.throttle(match, times=1)
    raw(aws, "ec2")
    refused("RequestLimitExceeded", raw(aws, "ec2").describe_instances)
