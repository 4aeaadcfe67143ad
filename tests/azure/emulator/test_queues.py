"""Messages of a queue, through the async SDK."""

from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageLockLostError

from dtf_runtime.testing import ServiceBusEmulator


async def send(client: ServiceBusClient, *messages: ServiceBusMessage, queue: str = "orders") -> None:
    async with client.get_queue_sender(queue) as sender:
        await sender.send_messages(list(messages))


async def test_what_is_sent_is_received_as_it_was_and_gone_when_it_is_completed(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    before = datetime.now(UTC) - timedelta(seconds=1)
    sent = ServiceBusMessage(
        b"\x00body\xff",
        message_id="m1",
        correlation_id="c1",
        subject="greeting",
        content_type="application/octet-stream",
        reply_to="elsewhere",
        to="there",
        application_properties={"text": "é", "number": 7, "truth": True, "real": 1.5},
    )
    await send(client, sent)
    async with client.get_queue_receiver("orders") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert b"".join(message.body) == b"\x00body\xff"
        assert (message.message_id, message.correlation_id, message.subject) == ("m1", "c1", "greeting")
        assert (message.content_type, message.reply_to, message.to) == ("application/octet-stream", "elsewhere", "there")
        assert message.application_properties == {b"text": b"\xc3\xa9", b"number": 7, b"truth": True, b"real": 1.5}
        assert (message.sequence_number, message.delivery_count) == (1, 0)
        assert message.enqueued_time_utc is not None and before < message.enqueued_time_utc
        assert message.locked_until_utc is not None
        assert timedelta(seconds=55) < message.locked_until_utc - datetime.now(UTC) <= timedelta(seconds=60)
        assert emulator.count_messages("orders") == 1
        await receiver.complete_message(message)
    assert emulator.count_messages("orders") == 0
