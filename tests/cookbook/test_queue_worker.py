"""The queue worker, copied out of the project: tried without AWS, killed at every kind of step. What is in the table and at the subscriber counts."""

import asyncio
import json

import pytest

from connectors.aws import sqs
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from cookbook.queue_worker import TRIAL, furnish, send
from tests.cookbook.conftest import Kitchen


def subscriber(topic: str) -> str:
    """The URL of a queue that gets what the topic tells."""
    given = {"QueueName": "told.fifo", "Attributes": {"FifoQueue": "true"}}
    url = str(aws_call("sqs", "create_queue", given)["QueueUrl"])
    arn = sqs.describe_queue.fn(sqs.QueueUrl(queue_url=url)).arn
    raw = {"TopicArn": topic, "Protocol": "sqs", "Endpoint": arn, "Attributes": {"RawMessageDelivery": "true"}}
    aws_call("sns", "subscribe", raw)
    return url


def told(url: str) -> list[str]:
    found: list[str] = []
    while messages := sqs.receive_messages.fn(sqs.ReceiveMessages(queue_url=url, wait=0)).messages:
        found += [json.loads(one.body)["order"] for one in messages]
        for one in messages:
            sqs.delete_message.fn(sqs.MessageReceipt(queue_url=url, receipt_handle=one.receipt_handle))
    return found


def test_tried_without_aws_it_books_each_order_once_and_leaves_the_machine_alone(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("queue_worker")
    assert code == 0, printed
    assert f"{len(TRIAL)} orders booked and told, 1 came again, 1 could not be read" in printed
    assert not kitchen.refused


@pytest.mark.parametrize("moment", ["PutItem", "Publish", "DeleteMessage"])
async def test_killed_in_the_middle_of_a_request_it_goes_on_and_nothing_is_done_twice(
    kitchen_with_aws: Kitchen, aws: AwsServer, moment: str
) -> None:
    queue, table, topic = furnish()
    listening = subscriber(topic)
    send(queue, [*TRIAL[:4], TRIAL[0]])
    line = ("--id", "orders", "--queue", queue, "--table", table, "--topic", topic, "--wait", "0", "--patience", "2")
    aws.hold(moment, when="after", skip=1)
    with kitchen_with_aws.start("queue_worker", *line) as recipe:
        try:
            await asyncio.to_thread(aws.wait_held)
        finally:
            recipe.kill()
    aws.release()
    code, printed = await asyncio.to_thread(kitchen_with_aws.run, "queue_worker", *line)
    assert code == 0, printed
    assert "4 orders booked and told, 1 came again, 0 could not be read" in printed
    assert aws.count("PutItem") == 4
    assert sorted(told(listening)) == ["A-1", "A-2", "A-3", "A-4"]
    facts = sqs.describe_queue.fn(sqs.QueueUrl(queue_url=queue))
    assert (facts.waiting, facts.in_flight) == (0, 0)
    assert not kitchen_with_aws.refused
