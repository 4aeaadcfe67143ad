"""Sessions, through the async SDK."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import NEXT_AVAILABLE_SESSION, ServiceBusMessage, ServiceBusReceivedMessage
from azure.servicebus.aio import ServiceBusClient, ServiceBusReceiver
from azure.servicebus.exceptions import OperationTimeoutError, SessionCannotBeLockedError, SessionLockLostError

from dtf_runtime.testing import ServiceBusEmulator

Action = Callable[[ServiceBusReceiver, ServiceBusReceivedMessage], Awaitable[object]]


@pytest.fixture(autouse=True)
def queue(emulator: ServiceBusEmulator) -> None:
    emulator.create_queue("turns", requires_session=True, lock_duration=timedelta(seconds=30))


async def send(client: ServiceBusClient, *messages: tuple[str, str]) -> None:
    async with client.get_queue_sender("turns", keep_alive=0) as sender:
        await sender.send_messages([ServiceBusMessage(text, session_id=session) for text, session in messages])


def texts(messages: object) -> list[str]:
    return [str(message) for message in messages]  # type: ignore[attr-defined]


async def test_a_session_has_its_messages_its_state_and_one_holder(client: ServiceBusClient) -> None:
    await send(client, ("a1", "A"), ("b1", "B"), ("a2", "A"))
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        assert receiver.session.session_id == "A"
        assert await receiver.session.get_state() is None
        messages = await receiver.receive_messages(5, max_wait_time=5)
        assert texts(messages) == ["a1", "a2"]
        assert {message.session_id for message in messages} == {"A"}
        await receiver.session.set_state(b"state of A")
        for message in messages:
            await receiver.complete_message(message)
        with pytest.raises(SessionCannotBeLockedError):
            await client.get_queue_receiver("turns", session_id="A").__aenter__()
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        assert await receiver.session.get_state() == b"state of A"
        await receiver.session.set_state(None)
        assert await receiver.session.get_state() is None


async def test_an_empty_session_can_be_held_by_name_and_wakes_when_a_message_comes(client: ServiceBusClient) -> None:
    async with client.get_queue_receiver("turns", session_id="p07") as receiver:
        receiving = asyncio.create_task(receiver.receive_messages(5, max_wait_time=10))
        await send(client, ("late", "p07"))
        assert texts(await receiving) == ["late"]


async def test_the_next_session_is_one_that_nobody_holds_and_there_may_be_none_in_time(
    client: ServiceBusClient,
) -> None:
    await send(client, ("a", "A"), ("b", "B"))
    async with (
        client.get_queue_receiver("turns", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as first,
        client.get_queue_receiver("turns", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as second,
    ):
        assert [first.session.session_id, second.session.session_id] == ["A", "B"]
        third = client.get_queue_receiver("turns", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=0.5)
        with pytest.raises(OperationTimeoutError):
            await third.__aenter__()
        fourth = client.get_queue_receiver("turns", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=10)
        accepting = asyncio.create_task(fourth.__aenter__())
        await send(client, ("c", "C"))
        assert (await accepting).session.session_id == "C"
        await fourth.close()


async def test_a_closed_holders_messages_come_back_uncounted_and_a_lost_ones_counted(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    await send(client, ("a", "A"))
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        assert texts(await receiver.receive_messages(1, max_wait_time=5)) == ["a"]
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 0
        emulator.advance(31)
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        assert message.delivery_count == 1


async def test_who_lost_a_session_can_do_nothing_with_it_any_more(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    await send(client, ("a", "A"))
    async with client.get_queue_receiver("turns", session_id="A") as old:
        (message,) = await old.receive_messages(1, max_wait_time=5)
        await old.session.set_state(b"mine")
        emulator.advance(31)
        async with client.get_queue_receiver("turns", session_id="A") as new:
            for attempt in (
                old.complete_message(message),
                old.session.set_state(b"stolen"),
                old.session.renew_lock(),
                old.receive_messages(1, max_wait_time=1),
            ):
                with pytest.raises(SessionLockLostError):
                    await attempt
            assert await new.session.get_state() == b"mine"
            (again,) = await new.receive_messages(1, max_wait_time=5)
            await new.complete_message(again)


async def test_each_thing_that_is_done_first_after_the_loss_is_refused(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    actions: dict[str, Action] = {
        "complete": lambda receiver, message: receiver.complete_message(message),
        "set_state": lambda receiver, message: receiver.session.set_state(b"stolen"),
        "get_state": lambda receiver, message: receiver.session.get_state(),
        "renew": lambda receiver, message: receiver.session.renew_lock(),
        "receive": lambda receiver, message: receiver.receive_messages(1, max_wait_time=2),
    }

    async def lose(session_id: str) -> str:
        async with client.get_queue_receiver("turns", session_id=session_id) as receiver:
            (message,) = await receiver.receive_messages(1, max_wait_time=5)
            assert emulator.expire_locks("turns", session_id=session_id) == 1
            with pytest.raises(SessionLockLostError):
                await actions[session_id](receiver, message)
        return session_id

    await send(client, *[("a message", name) for name in actions])
    assert await asyncio.gather(*map(lose, actions)) == list(actions)
    assert emulator.count_messages("turns") == len(actions)


async def test_renewing_a_session_keeps_it(emulator: ServiceBusEmulator, client: ServiceBusClient) -> None:
    await send(client, ("a", "A"))
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        for _ in range(3):
            emulator.advance(25)
            until = await receiver.session.renew_lock()
        ahead = timedelta(seconds=75)
        assert timedelta(seconds=25) < until - (datetime.now(UTC) + ahead) <= timedelta(seconds=30)
        await receiver.complete_message(message)
    assert emulator.count_messages("turns") == 0


async def test_deferred_and_scheduled_messages_and_peeking_keep_to_their_session(
    emulator: ServiceBusEmulator, client: ServiceBusClient
) -> None:
    await send(client, ("a", "A"), ("b", "B"))
    async with client.get_queue_receiver("turns", session_id="A") as receiver:
        (message,) = await receiver.receive_messages(5, max_wait_time=5)
        await receiver.defer_message(message)
        async with client.get_queue_sender("turns", keep_alive=0) as sender:
            later = ServiceBusMessage("later", session_id="A")
            await sender.schedule_messages(later, datetime.now(UTC) + timedelta(seconds=20))
        assert texts(await receiver.peek_messages(5, sequence_number=1)) == ["a", "later"]
        (deferred,) = await receiver.receive_deferred_messages(message.sequence_number or 0)
        await receiver.complete_message(deferred)
        emulator.advance(21)
        (due,) = await receiver.receive_messages(5, max_wait_time=5)
        assert str(due) == "later"
        await receiver.dead_letter_message(due)
    assert (emulator.count_messages("turns"), emulator.count_messages("turns/$DeadLetterQueue")) == (1, 1)
