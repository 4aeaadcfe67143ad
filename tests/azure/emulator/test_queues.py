"""Messages of a queue without sessions, through the async SDK."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusMessageState, ServiceBusReceiveMode, ServiceBusSubQueue
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import MessageLockLostError, MessageNotFoundError

from dtf_runtime.testing import ServiceBusEmulator

pytestmark = pytest.mark.usefixtures("loopback_only")


async def send(client: ServiceBusClient, *messages: ServiceBusMessage, queue: str = "orders") -> None:
    async with client.get_queue_sender(queue, keep_alive=0) as sender:
        await sender.send_messages(list(messages))


def texts(messages: object) -> list[str]:
    return [str(message) for message in messages]  # type: ignore[attr-defined]


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
        assert (message.content_type, message.reply_to, message.to) == (
            "application/octet-stream",
            "elsewhere",
            "there",
        )
        assert message.application_properties == {b"text": b"\xc3\xa9", b"number": 7, b"truth": True, b"real": 1.5}
        assert (message.sequence_number, message.delivery_count) == (1, 0)
        assert message.enqueued_time_utc is not None and before < message.enqueued_time_utc
        assert message.locked_until_utc is not None
        assert timedelta(seconds=55) < message.locked_until_utc - datetime.now(UTC) <= timedelta(seconds=60)
        assert emulator.count_messages("orders") == 1
        await receiver.complete_message(message)
    assert emulator.count_messages("orders") == 0


async def test_each_way_to_settle_a_message_does_what_it_says(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders", max_delivery_count=3)
    await send(client, ServiceBusMessage("one"))
    async with client.get_queue_receiver("orders") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.abandon_message(message)
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 1
        await receiver.defer_message(message)
        assert [each.state for each in await receiver.peek_messages(5, sequence_number=1)] == [
            ServiceBusMessageState.DEFERRED
        ]
        (deferred,) = await receiver.receive_deferred_messages([message.sequence_number or 0])
        assert (str(deferred), deferred.delivery_count) == ("one", 2)
        with pytest.raises(MessageNotFoundError):
            await receiver.receive_deferred_messages([message.sequence_number or 0])
        await receiver.dead_letter_message(deferred, reason="why", error_description="because")
    assert emulator.count_messages("orders") == 0
    async with client.get_queue_receiver("orders", sub_queue=ServiceBusSubQueue.DEAD_LETTER) as dead_letters:
        (dead,) = await dead_letters.receive_messages(1, max_wait_time=5)
        assert (str(dead), dead.dead_letter_reason, dead.dead_letter_error_description) == ("one", "why", "because")
        assert dead.dead_letter_source == "orders"
        await dead_letters.complete_message(dead)
    assert emulator.count_messages("orders/$DeadLetterQueue") == 0


async def test_a_dead_letter_by_the_link_has_its_reason_too_and_the_last_delivery_is_the_last(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders", max_delivery_count=2)
    await send(client, ServiceBusMessage("by hand"), ServiceBusMessage("worn out"))
    async with client.get_queue_receiver("orders") as receiver:
        (first,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.dead_letter_message(first, reason="why")
        for count in range(2):
            (message,) = await receiver.receive_messages(1, max_wait_time=5)
            assert (str(message), message.delivery_count) == ("worn out", count)
            await receiver.abandon_message(message)
    async with client.get_queue_receiver(
        "orders",
        sub_queue=ServiceBusSubQueue.DEAD_LETTER,
        receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE,
    ) as dead_letters:
        dead = await dead_letters.receive_messages(2, max_wait_time=5)
        assert [each.dead_letter_reason for each in dead] == ["why", "MaxDeliveryCountExceeded"]
    assert emulator.count_messages("orders/$DeadLetterQueue") == 0


async def test_a_lock_that_ran_out_by_the_emulators_clock_can_neither_settle_nor_be_renewed(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders", lock_duration=timedelta(seconds=30))
    await send(client, ServiceBusMessage("one"))
    async with client.get_queue_receiver("orders") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        emulator.advance(25)
        renewed_until = await receiver.renew_message_lock(message)
        assert timedelta(seconds=50) < renewed_until - datetime.now(UTC) <= timedelta(seconds=55)
        emulator.advance(25)
        assert await receiver.receive_messages(1, max_wait_time=1) == [], "it was renewed, so it is still locked"
        emulator.advance(6)
        for settle in (receiver.complete_message, receiver.abandon_message, receiver.renew_message_lock):
            with pytest.raises(MessageLockLostError):
                await settle(message)
        (again,) = await receiver.receive_messages(1, max_wait_time=5)
        assert again.delivery_count == 1
        await receiver.complete_message(again)
    assert emulator.count_messages("orders") == 0


async def test_a_lock_runs_out_by_itself_when_real_time_passes(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders", lock_duration=1)
    await send(client, ServiceBusMessage("one"))
    async with client.get_queue_receiver("orders") as receiver:
        (first,) = await receiver.receive_messages(1, max_wait_time=5)
        (second,) = await receiver.receive_messages(1, max_wait_time=5)
        assert (second.delivery_count, second.lock_token == first.lock_token) == (1, False)


async def test_a_scheduled_message_comes_when_it_is_due_and_not_before(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    due = datetime.now(UTC) + timedelta(hours=1)
    async with (
        client.get_queue_sender("orders", keep_alive=0) as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        numbers = await sender.schedule_messages([ServiceBusMessage("kept"), ServiceBusMessage("cancelled")], due)
        assert numbers == [1, 2]
        await sender.cancel_scheduled_messages(numbers[1])
        with pytest.raises(MessageNotFoundError):
            await sender.cancel_scheduled_messages(numbers[1])
        (peeked,) = await receiver.peek_messages(5)
        assert peeked.state == ServiceBusMessageState.SCHEDULED
        emulator.advance(timedelta(minutes=59))
        assert await receiver.receive_messages(5, max_wait_time=0.5) == []
        emulator.advance(timedelta(seconds=65))
        (message,) = await receiver.receive_messages(5, max_wait_time=5)
        assert (str(message), message.enqueued_sequence_number) == ("kept", 1)


async def test_a_duplicate_is_dropped_inside_the_window_and_accepted_outside_it(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue(
        "orders", requires_duplicate_detection=True, duplicate_detection_history_time_window=timedelta(minutes=1)
    )
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        await sender.send_messages(ServiceBusMessage("first", message_id="same"))
        await sender.send_messages(ServiceBusMessage("alone", message_id="same"))
        in_a_batch = [ServiceBusMessage("batch", message_id="same"), ServiceBusMessage("other", message_id="other")]
        await sender.send_messages(in_a_batch)
        await sender.schedule_messages(ServiceBusMessage("timed", message_id="same"), datetime.now(UTC))
        assert emulator.count_messages("orders") == 2
        emulator.advance(61)
        await sender.send_messages(ServiceBusMessage("outside", message_id="same"))
    async with client.get_queue_receiver("orders") as receiver:
        assert texts(await receiver.receive_messages(5, max_wait_time=5)) == ["first", "other", "outside"]


async def test_receivers_share_a_queue_and_a_closed_one_gets_nothing(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    async with client.get_queue_receiver("orders") as other:
        closed = client.get_queue_receiver("orders", prefetch_count=10)
        async with closed:
            assert await closed.receive_messages(1, max_wait_time=0.3) == []
        await send(client, *[ServiceBusMessage(str(number)) for number in range(4)])
        assert texts(await other.receive_messages(4, max_wait_time=5)) == ["0", "1", "2", "3"]
        with pytest.raises(ValueError, match="shutdown"):
            await closed.receive_messages(1, max_wait_time=0.3)


async def test_messages_of_every_size_up_to_the_limit_go_through(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    sizes = [0, 1, 300, 65_400, 65_600, 262_000]
    async with (
        client.get_queue_sender("orders", keep_alive=0) as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        for size in sizes:
            await sender.send_messages(ServiceBusMessage(b"x" * size))
        received = [len(b"".join(each.body)) for each in await receiver.receive_messages(10, max_wait_time=5)]
    assert received == sizes


async def test_a_thousand_messages_go_through_in_order(emulator: ServiceBusEmulator, client: ServiceBusClient) -> None:
    emulator.create_queue("orders")
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        for start in range(0, 1_200, 100):
            await sender.send_messages([ServiceBusMessage(str(start + number)) for number in range(100)])
    received: list[str] = []
    async with client.get_queue_receiver(
        "orders", receive_mode=ServiceBusReceiveMode.RECEIVE_AND_DELETE, prefetch_count=300
    ) as receiver:
        while len(received) < 1_200:
            received += texts(await receiver.receive_messages(300, max_wait_time=5))
    assert received == [str(number) for number in range(1_200)]


async def test_many_clients_at_a_time_each_get_their_own(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    async def round_trip(name: str) -> list[str]:
        emulator.create_queue(name)
        await send(client, ServiceBusMessage(name), queue=name)
        async with client.get_queue_receiver(name) as receiver:
            return texts(await receiver.receive_messages(5, max_wait_time=5))

    names = [f"hub/{number}" for number in range(8)]
    assert await asyncio.gather(*map(round_trip, names)) == [[name] for name in names]


async def test_what_clients_do_is_counted(emulator: ServiceBusEmulator, client: ServiceBusClient) -> None:
    emulator.create_queue("orders")
    await send(client, ServiceBusMessage("one"), ServiceBusMessage("two"))
    async with client.get_queue_receiver("orders") as receiver:
        for message in await receiver.receive_messages(2, max_wait_time=5):
            await receiver.complete_message(message)
        await receiver.receive_messages(1, max_wait_time=0.3)
        await receiver.receive_messages(1, max_wait_time=0.3)
    counted = {name: emulator.operations[name] for name in ("send", "deliver", "complete")}
    assert counted == {"send": 1, "deliver": 2, "complete": 2}
    assert emulator.operations["empty_receive"] >= 1
