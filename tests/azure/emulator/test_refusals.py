"""What Azure refuses, the emulator refuses, as the SDK tells it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from azure.servicebus import ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import (
    MessageLockLostError,
    MessageSizeExceededError,
    MessagingEntityDisabledError,
    MessagingEntityNotFoundError,
    ServiceBusAuthenticationError,
    ServiceBusAuthorizationError,
    ServiceBusError,
)

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.testing import ServiceBusEmulator


async def test_a_message_over_the_limit_is_refused_and_the_sender_goes_on(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(ServiceBusMessage(b"x" * 262_144))
        await sender.send_messages(ServiceBusMessage(b"x" * 261_000))
    assert emulator.count_messages("orders") == 1


async def test_a_batch_over_the_limit_is_refused_by_the_emulator_itself(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        with pytest.raises(ValueError, match="acceptable max batch size is: 262144"):
            await sender.create_message_batch(max_size_in_bytes=262_145)
        sender._max_batch_size_on_link = 1_000_000  # the SDK would not let it out
        batch = await sender.create_message_batch()
        for _ in range(3):
            batch.add_message(ServiceBusMessage(b"x" * 100_000))
        with pytest.raises(MessageSizeExceededError):
            await sender.send_messages(batch)
        await sender.send_messages([ServiceBusMessage(b"x" * 100_000)] * 2)
    assert emulator.count_messages("orders") == 2


async def test_an_entity_that_is_not_there_is_refused_to_senders_and_receivers(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    for handler in (client.get_queue_sender("nowhere", keep_alive=0), client.get_queue_receiver("nowhere")):
        with pytest.raises(MessagingEntityNotFoundError):
            await handler.__aenter__()


async def test_a_wrong_key_and_an_unknown_one_open_nothing(emulator: ServiceBusEmulator) -> None:
    emulator.create_queue("orders")
    other_key = "SharedAccessKey=d3Jvbmc="
    right = emulator.connection_string
    secret = next(part for part in right.split(";") if part.startswith("SharedAccessKey="))
    for wrong in (right.replace(secret, other_key), right.replace("RootManage", "NoSuch")):
        async with ServiceBusClient.from_connection_string(wrong, retry_total=0) as client:
            with pytest.raises(ServiceBusAuthenticationError):
                await client.get_queue_sender("orders", keep_alive=0).__aenter__()


async def test_a_key_opens_what_it_has_the_right_for_and_nothing_else(emulator: ServiceBusEmulator) -> None:
    emulator.create_queue("orders")
    senders_key, listeners_key = emulator.add_key("senders", "Send"), emulator.add_key("listeners", "Listen")
    async with (
        ServiceBusClient.from_connection_string(senders_key, retry_total=0) as sending,
        ServiceBusClient.from_connection_string(listeners_key, retry_total=0) as listening,
    ):
        async with sending.get_queue_sender("orders", keep_alive=0) as sender:
            await sender.send_messages(ServiceBusMessage("one"))
        with pytest.raises(ServiceBusAuthorizationError, match="'Listen' claim"):
            await sending.get_queue_receiver("orders").__aenter__()
        with pytest.raises(ServiceBusAuthorizationError, match="'Send' claim"):
            await listening.get_queue_sender("orders", keep_alive=0).__aenter__()
        async with listening.get_queue_receiver("orders") as receiver:
            assert [str(each) for each in await receiver.receive_messages(1, max_wait_time=5)] == ["one"]


Settle = Callable[[ServiceBusReceiver, ServiceBusReceivedMessage], Awaitable[None]]


async def test_each_way_to_settle_is_refused_after_the_lock_has_run_out(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    ways: dict[str, Settle] = {
        "complete": lambda receiver, message: receiver.complete_message(message),
        "abandon": lambda receiver, message: receiver.abandon_message(message),
        "defer": lambda receiver, message: receiver.defer_message(message),
        "dead-letter": lambda receiver, message: receiver.dead_letter_message(message),
    }
    emulator.create_queue("orders", lock_duration=300)
    async with (
        client.get_queue_sender("orders", keep_alive=0) as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        for way in ways.values():
            await sender.send_messages(ServiceBusMessage("one"))
            (message,) = await receiver.receive_messages(1, max_wait_time=5)
            emulator.advance(301)
            with pytest.raises(MessageLockLostError):
                await way(receiver, message)
            (again,) = await receiver.receive_messages(1, max_wait_time=5)
            await receiver.complete_message(again)


async def test_a_receiver_whose_queue_is_deleted_is_told_and_gets_nothing_more(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    async with client.get_queue_receiver("orders") as receiver:
        receiving = asyncio.create_task(receiver.receive_messages(1, max_wait_time=5))
        while emulator.operations["attach"] < 1:
            await asyncio.sleep(0.01)
        emulator.delete_queue("orders")
        emulator.create_queue("orders")
        with pytest.raises(MessagingEntityNotFoundError):
            await receiving


async def test_sessions_and_queues_without_them_refuse_each_others_receivers_and_messages(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("plain")
    emulator.create_queue("turns", requires_session=True)
    with pytest.raises(ServiceBusError, match="non-sessionful"):
        await client.get_queue_receiver("turns").__aenter__()
    with pytest.raises(ServiceBusError, match="sessionful message receiver cannot be created"):
        await client.get_queue_receiver("plain", session_id="A").__aenter__()
    async with client.get_queue_sender("turns", keep_alive=0) as sender:
        with pytest.raises(ServiceBusError, match="SessionId was not set"):
            await sender.send_messages(ServiceBusMessage("no session"))


async def test_a_disabled_queue_is_refused(emulator: ServiceBusEmulator, client: ServiceBusClient) -> None:
    emulator.create_queue("orders", status="ReceiveDisabled")
    with pytest.raises(MessagingEntityDisabledError):
        await client.get_queue_receiver("orders").__aenter__()


async def test_a_session_state_over_the_limit_is_refused(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("turns", requires_session=True)
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        await receiver.session.set_state(b"x" * 262_144)
        with pytest.raises(ServiceBusError, match="exceeds 262144 bytes"):
            await receiver.session.set_state(b"x" * 262_145)


# == Mistakes of whoever runs the emulator ========================================================================


async def test_a_queue_that_can_not_be_is_an_error_that_says_why(emulator: ServiceBusEmulator) -> None:
    emulator.create_queue("orders")
    for name, options, reason in (
        ("ORDERS", {}, "already exists"),
        ("or ders", {}, "not a valid entity name"),
        ("late", {"lock_duration": 301}, "at most 5 minutes"),
        ("odd", {"lock": 5}, "'lock'"),
    ):
        with pytest.raises(InvalidArgumentError, match=reason):
            emulator.create_queue(name, **options)
    for act in (emulator.delete_queue, emulator.count_messages, emulator.expire_locks):
        with pytest.raises(InvalidArgumentError, match="'nowhere' could not be found"):
            act("nowhere")


def test_an_emulator_that_does_not_run_has_no_address() -> None:
    with pytest.raises(InvalidArgumentError, match="does not run"):
        _ = ServiceBusEmulator().connection_string
