"""The sync SDK, on an emulator in a thread."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from azure.servicebus import (
    NEXT_AVAILABLE_SESSION,
    ServiceBusClient,
    ServiceBusMessage,
)
from azure.servicebus.exceptions import MessageLockLostError

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.testing import ServiceBusEmulatorThread


def test_messages_sessions_and_schedules_through_the_sync_sdk(emulator_thread: ServiceBusEmulatorThread) -> None:
    emulator_thread.create_queue("orders", lock_duration=30)
    emulator_thread.create_queue("turns", requires_session=True)
    with ServiceBusClient.from_connection_string(
        emulator_thread.connection_string, retry_total=0, keep_alive=0
    ) as client:
        with client.get_queue_sender("orders", keep_alive=0) as sender, client.get_queue_receiver("orders") as receiver:
            sender.send_messages([ServiceBusMessage("one"), ServiceBusMessage("two")])
            one, two = receiver.receive_messages(2, max_wait_time=5)
            receiver.complete_message(one)
            emulator_thread.advance(31)
            with pytest.raises(MessageLockLostError):
                receiver.complete_message(two)
            sender.schedule_messages(ServiceBusMessage("later"), datetime.now(UTC) + timedelta(minutes=5))
            (two,) = receiver.receive_messages(5, max_wait_time=1)
            receiver.complete_message(two)
            emulator_thread.advance(300)
            assert [str(message) for message in receiver.receive_messages(1, max_wait_time=5)] == ["later"]
        with client.get_queue_sender("turns", keep_alive=0) as sender:
            sender.send_messages(ServiceBusMessage("a", session_id="A"))
        with client.get_queue_receiver("turns", session_id=NEXT_AVAILABLE_SESSION, max_wait_time=5) as holder:
            (message,) = holder.receive_messages(1, max_wait_time=5)
            holder.session.set_state(b"state")
            assert (holder.session.session_id, holder.session.get_state()) == ("A", b"state")
            holder.complete_message(message)
    assert emulator_thread.count_messages("turns") == 0


def test_time_stands_still_while_the_clock_is_stopped(emulator_thread: ServiceBusEmulatorThread) -> None:
    emulator_thread.create_queue("orders", default_message_time_to_live=1)
    emulator_thread.stop_clock()
    with (
        ServiceBusClient.from_connection_string(emulator_thread.connection_string) as client,
        client.get_queue_sender("orders", keep_alive=0) as sender,
    ):
        sender.send_messages(ServiceBusMessage("one"))
    emulator_thread.advance(0.9)
    assert emulator_thread.count_messages("orders") == 1
    emulator_thread.advance(0.1)
    assert emulator_thread.count_messages("orders") == 0


def test_a_thread_that_has_ended_leaves_nothing_and_does_not_start_again() -> None:
    emulator = ServiceBusEmulatorThread()
    with pytest.raises(InvalidArgumentError, match="does not run"):
        emulator.create_queue("orders")
    with emulator:
        first = emulator.connection_string
        with ServiceBusEmulatorThread() as other:
            assert other.connection_string != first
    assert not [thread for thread in threading.enumerate() if thread.name == "servicebus-emulator"]
    with pytest.raises(InvalidArgumentError, match="runs once"), emulator:
        pass


def test_a_port_that_is_taken_is_an_error_where_it_is_asked_for(emulator_thread: ServiceBusEmulatorThread) -> None:
    with pytest.raises(OSError, match="in use"), ServiceBusEmulatorThread(port=emulator_thread.port):
        pass
