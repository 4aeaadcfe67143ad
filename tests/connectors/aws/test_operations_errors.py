"""The README's second table of errors, row by row, through the real client from the wire."""

from typing import Any

import pytest

import connectors.core
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import DEFAULT_RETRY, CapacityUnavailable, ConnectorError, Effect
from dtf_runtime import NonRetriableError
from tests.connectors.aws.test_errors import Row, rows

CALLS: dict[str, tuple[str, str, dict[str, Any]]] = {  # one operation a service: how boto3 and how IAM calls it
    "dynamodb": ("get_item", "dynamodb:GetItem", {"TableName": "orders", "Key": {"id": {"S": "seven"}}}),
    "events": ("put_events", "events:PutEvents", {"Entries": [{"Source": "shop", "DetailType": "sold"}]}),
    "lambda": ("invoke", "lambda:Invoke", {"FunctionName": "answer"}),
    "secretsmanager": ("describe_secret", "secretsmanager:DescribeSecret", {"SecretId": "db"}),
    "sesv2": ("send_email", "ses:SendEmail", {"Content": {"Template": {"TemplateName": "hello"}}}),
    "sns": ("publish", "sns:Publish", {"TopicArn": "arn:aws:sns:eu-central-1:123456789012:news", "Message": "hi"}),
    "sqs": ("receive_message", "sqs:ReceiveMessage", {"QueueUrl": "http://127.0.0.1/123456789012/orders"}),
    "stepfunctions": (
        "describe_execution",
        "states:DescribeExecution",
        {"executionArn": "arn:aws:states:x:1:execution:a:b"},
    ),
}
ROWS = [Row(*row) for row in rows("More errors")]


def failure(row: Row, effect: Effect) -> ConnectorError:
    operation, _, given = CALLS[row.of]
    with pytest.raises(ConnectorError) as raised:
        aws_call(row.of, operation, given, effect=effect)
    return raised.value


@pytest.mark.parametrize("row", ROWS, ids=[f"{row.of}-{row.code}" for row in ROWS])
def test_a_code_of_the_table_is_what_the_table_says(aws: AwsServer, row: Row) -> None:
    aws.fail(CALLS[row.of][1], status=int(row.status), code=row.code, message="what it is about", times=2)
    safe, unsafe = failure(row, Effect.LOOKUP), failure(row, Effect.AT_LEAST_ONCE)
    first, _, second = row.kind.partition(" / ")
    assert type(safe) is getattr(connectors.core, first)
    assert type(unsafe) is getattr(connectors.core, second or first)
    assert (safe.code, safe.status, unsafe.code) == (row.code, int(row.status), row.code)
    assert unsafe.may_have_happened is (row.happened == "maybe")
    assert is_retried(safe) is row.retry.startswith("yes")
    assert is_retried(unsafe) is (row.retry == "yes")


def is_retried(error: ConnectorError) -> bool:
    assert DEFAULT_RETRY.non_retriable == (CapacityUnavailable,)
    return not isinstance(error, (NonRetriableError, CapacityUnavailable))


def test_every_service_of_the_table_is_tried_and_no_row_stands_there_twice() -> None:
    assert {row.of for row in ROWS} == set(CALLS)
    assert len({(row.code, row.of) for row in ROWS}) == len(ROWS) >= 50
