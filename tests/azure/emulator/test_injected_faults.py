"""Faults, as a client sees them."""

import asyncio
import gc
from collections.abc import Iterator
from random import Random

import pytest
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio import ServiceBusClient
from azure.servicebus.exceptions import (
    MessageLockLostError,
    ServiceBusError,
    ServiceBusServerBusyError,
    SessionCannotBeLockedError,
    SessionLockLostError,
)

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.testing import ServiceBusEmulator
from dtf_runtime.testing.servicebus import Fault, Faults, Operation

# The SDK leaves the socket of a connection that the server dropped to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning")


@pytest.fixture(autouse=True)
def collect_what_the_sdk_left() -> Iterator[None]:
    """Here, and not in a test that knows nothing of it."""
    yield
    gc.collect()


async def test_a_send_whose_acknowledgement_is_lost_is_stored_twice_by_a_client_that_tries_again(
    emulator: ServiceBusEmulator,
) -> None:
    emulator.create_queue("orders")
    emulator.create_queue("watched", requires_duplicate_detection=True)
    for queue in ("orders", "watched"):
        emulator.faults.add("lose_acknowledgement", "send", queue=queue)
    async with ServiceBusClient.from_connection_string(
        emulator.connection_string, retry_backoff_factor=0.01, keep_alive=0
    ) as client:
        for queue in ("orders", "watched"):
            async with client.get_queue_sender(queue, keep_alive=0) as sender:
                await sender.send_messages(ServiceBusMessage("one", message_id="m"))
    assert (emulator.count_messages("orders"), emulator.count_messages("watched")) == (2, 1)
    assert emulator.faults.injected == {(Fault.LOSE_ACKNOWLEDGEMENT, Operation.SEND): 2}


async def test_a_connection_that_drops_before_a_send_stores_nothing(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    emulator.faults.add("drop_connection", "send", queue="Orders", skip=1)
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        await sender.send_messages(ServiceBusMessage("skipped"))
        with pytest.raises(ServiceBusError):
            await sender.send_messages(ServiceBusMessage("dropped"))
        await sender.send_messages(ServiceBusMessage("after"))
    async with client.get_queue_receiver("orders") as receiver:
        received = await receiver.receive_messages(5, max_wait_time=5)
        assert [str(message) for message in received] == ["skipped", "after"]


async def test_a_busy_server_refuses_links_sends_settlements_and_management(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    emulator.faults.add("throttle", "send", "complete", "renew_lock", "peek", times=4)
    async with (
        client.get_queue_sender("orders", keep_alive=0) as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        with pytest.raises(ServiceBusServerBusyError):
            await sender.send_messages(ServiceBusMessage("one"))
        emulator.faults.clear()
        await sender.send_messages(ServiceBusMessage("two"))
        emulator.faults.add("throttle", "complete", "renew_lock", "peek", times=3)
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        for refused in (
            receiver.complete_message(message),
            receiver.renew_message_lock(message),
            receiver.peek_messages(1),
        ):
            with pytest.raises(ServiceBusServerBusyError):
                await refused
        await receiver.complete_message(message)
    emulator.faults.add("throttle", "attach")
    with pytest.raises(ServiceBusServerBusyError):
        await client.get_queue_sender("orders", keep_alive=0).__aenter__()


async def test_a_lock_that_expires_just_before_is_lost_and_the_message_comes_again(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    async with (
        client.get_queue_sender("orders", keep_alive=0) as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        await sender.send_messages(ServiceBusMessage("one"))
        for operation in ("complete", "deliver"):
            emulator.faults.add("expire_lock", operation)
            (message,) = await receiver.receive_messages(1, max_wait_time=5)
            with pytest.raises(MessageLockLostError):
                await receiver.complete_message(message)
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 2
        await receiver.complete_message(message)
    assert emulator.count_messages("orders") == 0


async def test_a_session_that_is_lost_at_any_operation_leaves_state_and_messages_as_they_were(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("turns", requires_session=True)

    async def lose(operation: str) -> None:
        async with client.get_queue_receiver("turns", session_id=operation) as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=5)
            work = {
                "complete": lambda: receiver.complete_message(message),
                "set_state": lambda: receiver.session.set_state(b"new"),
                "renew_session": receiver.session.renew_lock,
            }[operation]
            emulator.faults.add("expire_lock", operation)
            with pytest.raises(SessionLockLostError):
                await work()  # type: ignore[operator]

    operations = ("complete", "set_state", "renew_session")
    async with client.get_queue_sender("turns", keep_alive=0) as sender:
        await sender.send_messages([ServiceBusMessage("one", session_id=operation) for operation in operations])
    await asyncio.gather(*map(lose, operations))
    async with client.get_queue_receiver("turns", session_id="set_state") as receiver:
        assert await receiver.session.get_state() is None
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 1
    assert emulator.count_messages("turns") == 3


async def test_a_delayed_send_arrives_when_the_clock_says_even_if_its_sender_is_gone(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders")
    emulator.faults.add("delay", "send", delay=60)
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        sending = asyncio.create_task(sender.send_messages(ServiceBusMessage("slow")))
        while not emulator.operations["send"]:
            await asyncio.sleep(0.01)
        sending.cancel()
    assert emulator.count_messages("orders") == 0
    emulator.advance(60)
    assert emulator.count_messages("orders") == 1


async def test_a_duplicate_is_stored_twice_though_the_queue_looks_for_them(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("orders", requires_duplicate_detection=True)
    emulator.faults.add("duplicate", "send")
    async with client.get_queue_sender("orders", keep_alive=0) as sender:
        await sender.send_messages(ServiceBusMessage("one", message_id="m"))
    async with client.get_queue_receiver("orders") as receiver:
        received = await receiver.receive_messages(5, max_wait_time=5)
    assert [(str(message), message.message_id) for message in received] == [("one", "m"), ("one", "m")]


async def test_a_connection_that_drops_takes_its_session_with_it_and_loses_nothing(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("turns", requires_session=True)
    async with client.get_queue_sender("turns", keep_alive=0) as sender:
        await sender.send_messages(ServiceBusMessage("one", session_id="A"))
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert emulator.drop_connections() == 1
        with pytest.raises(ServiceBusError):
            await receiver.complete_message(message)
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.complete_message(message)
    assert emulator.count_messages("turns") == 0


async def test_a_connection_that_is_cut_unnoticed_holds_its_session_until_the_lock_ends(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    emulator.create_queue("turns", requires_session=True, lock_duration=30)
    async with client.get_queue_sender("turns", keep_alive=0) as sender:
        await sender.send_messages(ServiceBusMessage("one", session_id="A"))
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert emulator.drop_connections(unnoticed=True) == 1
        with pytest.raises(ServiceBusError):
            await receiver.complete_message(message)
    with pytest.raises(SessionCannotBeLockedError):
        await client.get_queue_receiver("turns", session_id="A").__aenter__()
    emulator.advance(30)
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 1


# == Rules ========================================================================================================


def test_a_rule_that_could_never_happen_is_an_error() -> None:
    faults = Faults()
    for fault, operations, reason in (
        ("duplicate", ["complete"], "duplicate can't befall complete; it befalls: send"),
        ("drop_connection", [], "can't befall nothing"),
        ("explode", ["send"], "'explode' is none of"),
        ("delay", ["dance"], "'dance' is none of"),
    ):
        with pytest.raises(InvalidArgumentError, match=reason):
            faults.add(fault, *operations)


def test_rules_are_used_up_in_turn_and_may_be_drawn_by_lot() -> None:
    faults = Faults()
    faults.add("throttle", "send", times=2)
    faults.add("drop_connection", "send", times=None, queue="orders")
    taken = [faults.take(Operation.SEND, "ORDERS") for _ in range(4)]
    assert [rule.fault for rule in taken if rule is not None] == ["throttle"] * 2 + ["drop_connection"] * 2
    assert faults.take(Operation.SEND, "others") is None and faults.take(Operation.PEEK, "orders") is None
    faults.clear()
    random = Random(7)
    faults.add("throttle", "send", times=None, when=lambda: random.random() < 0.25)
    hits = sum(faults.take(Operation.SEND, "orders") is not None for _ in range(1_000))
    assert 200 < hits < 300
