"""Queues: a FIFO message is sent once, a standard one at least once and says so; what was received comes again unless it is deleted."""

from typing import Any

import msgspec
import pytest

from connectors.aws import sqs
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import Ambiguous, InvalidRequest, NotFound, Permanent, Transient
from tests.connectors.aws.delivery import delivered


def queue(name: str = "orders", **attributes: str) -> str:
    return str(aws_call("sqs", "create_queue", {"QueueName": name, "Attributes": attributes})["QueueUrl"])


def fifo() -> str:
    return queue("orders.fifo", FifoQueue="true")


def receive(url: str, **more: Any) -> list[sqs.Message]:
    call = sqs.ReceiveMessages(queue_url=url, wait=0, **more)
    found: list[sqs.Message] = sqs.receive_messages.fn(call).messages
    return found


def receipt(url: str, message: sqs.Message) -> sqs.MessageReceipt:
    return sqs.MessageReceipt(queue_url=url, receipt_handle=message.receipt_handle)


@pytest.mark.parametrize("lost", [False, True])
async def test_a_fifo_message_that_is_sent_again_is_in_the_queue_once(aws: AwsServer, lost: bool) -> None:
    url = fifo()
    if lost:
        aws.cut("SendMessage", when="after", times=2)  # botocore sends it a second time by itself, with the same id
    call = sqs.SendFifoMessage(queue_url=url, body="seven", group_id="g", attributes={"kind": "order"})
    first, second = await delivered(sqs.send_fifo_message, call)
    assert isinstance(first, Transient) is lost
    (message,) = receive(url)
    assert (message.body, message.attributes, message.group_id) == ("seven", {"kind": "order"}, "g")
    assert message.key == second.key


async def test_another_call_with_the_same_text_is_another_message(aws: AwsServer) -> None:
    url = fifo()
    call = sqs.SendFifoMessage(queue_url=url, body="seven", group_id="g")
    await delivered(sqs.send_fifo_message, call, 1)
    await delivered(sqs.send_fifo_message, call, 1)
    assert sqs.describe_queue.fn(sqs.QueueUrl(queue_url=url)).waiting == 2


async def test_a_standard_message_comes_with_a_key_that_tells_a_repeat(aws: AwsServer) -> None:
    url = queue()
    first, second = await delivered(sqs.send_message, sqs.SendMessage(queue_url=url, body="seven"))
    messages = receive(url)
    assert [one.body for one in messages] == ["seven", "seven"]
    assert {one.key for one in messages} == {first.key} == {second.key}
    assert first.message_id != second.message_id


async def test_a_standard_message_without_an_answer_is_ambiguous_unless_a_repeat_is_welcome(aws: AwsServer) -> None:
    call = sqs.SendMessage(queue_url=queue(), body="seven")
    aws.cut("SendMessage", when="after", times=2)
    (lost,) = await delivered(sqs.send_message, call, 1)
    assert isinstance(lost, Ambiguous)
    assert aws.count("SendMessage") == 1
    (lost,) = await delivered(sqs.send_message, msgspec.structs.replace(call, on_ambiguous="resend"), 1)
    assert isinstance(lost, Transient)


def test_each_kind_of_queue_has_its_activity() -> None:
    with pytest.raises(InvalidRequest, match="send_fifo_message"):
        sqs.send_message.fn(sqs.SendMessage(queue_url="http://q/orders.fifo", body=""))
    with pytest.raises(InvalidRequest, match="no FIFO queue"):
        sqs.send_fifo_message.fn(sqs.SendFifoMessage(queue_url="http://q/orders", body="", group_id="g"))
    with pytest.raises(InvalidRequest, match="dtf-key"):
        sqs.send_message.fn(sqs.SendMessage(queue_url="http://q/orders", body="", attributes={"dtf-key": "x"}))


def test_what_is_received_is_hidden_given_back_and_deleted(aws: AwsServer) -> None:
    url = queue()
    sqs.send_message.fn(sqs.SendMessage(queue_url=url, body="seven"))
    (first,) = receive(url)
    assert receive(url) == []
    back = sqs.ChangeVisibility(queue_url=url, receipt_handle=first.receipt_handle, timeout=0)
    sqs.change_visibility.fn(back)
    (again,) = receive(url)
    assert (again.message_id, again.key, again.receive_count) == (first.message_id, first.key, 2)
    for _delivery in range(2):
        sqs.delete_message.fn(receipt(url, again))
    facts = sqs.describe_queue.fn(sqs.QueueUrl(queue_url=url))
    assert (facts.waiting, facts.in_flight, facts.fifo) == (0, 0, False)


def test_an_answer_with_messages_that_was_lost_is_asked_for_again(aws: AwsServer) -> None:
    url = queue(VisibilityTimeout="0")
    sqs.send_message.fn(sqs.SendMessage(queue_url=url, body="seven"))
    aws.cut("ReceiveMessage", when="after")
    with pytest.raises(Transient):
        receive(url)
    (message,) = receive(url)
    assert message.receive_count == 2


def test_a_message_of_somebody_else_has_a_key_too(aws: AwsServer) -> None:
    url = queue()
    sent = aws_call("sqs", "send_message", {"QueueUrl": url, "MessageBody": "x"})
    (message,) = receive(url)
    assert message.key == sent["MessageId"]
    assert message.sent_at is not None
    assert message.sent_at.tzinfo is not None


def test_a_queue_is_found_by_its_name(aws: AwsServer) -> None:
    url = queue()
    assert sqs.get_queue_url.fn(sqs.QueueName(name="orders")).queue_url == url
    with pytest.raises(NotFound):
        sqs.get_queue_url.fn(sqs.QueueName(name="missing"))
    with pytest.raises(NotFound):
        receive(url.replace("orders", "missing"))
    with pytest.raises(Permanent):
        sqs.delete_message.fn(sqs.MessageReceipt(queue_url=url, receipt_handle="made up"))
