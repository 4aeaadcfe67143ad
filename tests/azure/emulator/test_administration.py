"""Queues by the administration client, over HTTPS on the same port; keys, and hands that are not the SDK's."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
)
from azure.servicebus import ServiceBusMessage
from azure.servicebus.aio.management import ServiceBusAdministrationClient as AsyncAdministrationClient
from azure.servicebus.management import ServiceBusAdministrationClient

from dtf_runtime.testing import ServiceBusEmulator, ServiceBusEmulatorThread
from dtf_runtime.testing.servicebus.amqp.frames import SASL_HEADER

FOR_EVER = timedelta(days=10_675_199, seconds=10_085, microseconds=477_581)  # .NET's longest span


@pytest.fixture
def administration(emulator_thread: ServiceBusEmulatorThread) -> Iterator[ServiceBusAdministrationClient]:
    with ServiceBusAdministrationClient.from_connection_string(
        emulator_thread.connection_string, connection_verify=emulator_thread.certificate_file, retry_total=0
    ) as administration:
        yield administration


@pytest.fixture
async def async_administration(emulator: ServiceBusEmulator) -> AsyncIterator[AsyncAdministrationClient]:
    async with AsyncAdministrationClient.from_connection_string(
        emulator.connection_string, connection_verify=emulator.certificate_file, retry_total=0
    ) as administration:
        yield administration


def test_a_queue_has_the_options_that_it_was_created_with(administration: ServiceBusAdministrationClient) -> None:
    options = {
        "lock_duration": timedelta(seconds=45),
        "requires_session": True,
        "requires_duplicate_detection": True,
        "duplicate_detection_history_time_window": timedelta(hours=1),
        "default_message_time_to_live": timedelta(days=14),
        "dead_lettering_on_message_expiration": True,
        "max_delivery_count": 2_000,
        "max_size_in_megabytes": 2_048,
        "user_metadata": '{"hub": "<1> & 2"}',
    }
    created = administration.create_queue("hub/orchestrator", **options)  # type: ignore[arg-type]
    got = administration.get_queue("hub/orchestrator")
    for queue in (created, got):
        assert {name: getattr(queue, name) for name in options} == options
        assert (queue.name, queue.status, queue.enable_partitioning) == ("hub/orchestrator", "Active", False)


def test_a_queue_without_options_has_the_defaults_of_service_bus(
    administration: ServiceBusAdministrationClient,
) -> None:
    queue = administration.create_queue("plain")
    assert (queue.lock_duration, queue.max_delivery_count) == (timedelta(minutes=1), 10)
    assert queue.duplicate_detection_history_time_window == timedelta(minutes=10)
    assert not (queue.requires_session or queue.requires_duplicate_detection)
    assert not queue.dead_lettering_on_message_expiration
    assert queue.default_message_time_to_live == queue.auto_delete_on_idle == FOR_EVER
    assert queue.max_message_size_in_kilobytes == 256


def test_a_queue_can_be_changed_but_not_in_what_is_fixed_at_creation(
    administration: ServiceBusAdministrationClient,
) -> None:
    queue = administration.create_queue("orders")
    queue.max_delivery_count = 3
    queue.lock_duration = timedelta(seconds=10)
    administration.update_queue(queue)
    changed = administration.get_queue("orders")
    assert (changed.max_delivery_count, changed.lock_duration) == (3, timedelta(seconds=10))
    queue.requires_session = True
    with pytest.raises(HttpResponseError, match="cannot be changed"):
        administration.update_queue(queue)
    queue.name = "nowhere"
    with pytest.raises(ResourceNotFoundError):
        administration.update_queue(queue)


def test_queues_are_listed_in_pages_found_and_deleted(administration: ServiceBusAdministrationClient) -> None:
    names = [f"q{number:03}" for number in range(205)]
    emptied = "dropped"
    for name in [*names, emptied]:
        administration.create_queue(name)
    administration.delete_queue(emptied)
    assert [queue.name for queue in administration.list_queues()] == names
    with pytest.raises(ResourceExistsError):
        administration.create_queue("Q000")
    for act in (administration.get_queue, administration.get_queue_runtime_properties, administration.delete_queue):
        with pytest.raises(ResourceNotFoundError):
            act(emptied)
    assert administration.get_namespace_properties().messaging_sku == "Standard"


async def test_the_async_client_sees_what_is_in_a_queue(
    emulator: ServiceBusEmulator, async_administration: AsyncAdministrationClient
) -> None:
    from azure.servicebus.aio import ServiceBusClient

    await async_administration.create_queue("orders")
    async with (
        ServiceBusClient.from_connection_string(emulator.connection_string) as client,
        client.get_queue_sender("orders", keep_alive=0) as sender,
        client.get_queue_receiver("orders") as receiver,
    ):
        await sender.send_messages([ServiceBusMessage("a"), ServiceBusMessage("b"), ServiceBusMessage("c")])
        later = await async_administration.get_queue("orders")
        assert later.name == "orders"
        (message,) = await receiver.receive_messages(1, max_wait_time=5)
        await receiver.dead_letter_message(message)
    counts = await async_administration.get_queue_runtime_properties("orders")
    assert (counts.active_message_count, counts.dead_letter_message_count, counts.total_message_count) == (2, 1, 3)
    assert [queue.name async for queue in async_administration.list_queues()] == ["orders"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"lock_duration": timedelta(minutes=6)}, "at most 5 minutes"),
        ({"max_delivery_count": 0}, "MaxDeliveryCount"),
        ({"duplicate_detection_history_time_window": timedelta(seconds=5)}, "20 seconds to 7 days"),
        ({"max_message_size_in_kilobytes": 1_024}, "MaxMessageSizeInKilobytes"),
        ({"forward_to": "elsewhere"}, "ForwardTo"),
        ({"enable_partitioning": True}, "EnablePartitioning"),
        ({"auto_delete_on_idle": timedelta(minutes=10)}, "AutoDeleteOnIdle"),
    ],
    ids=str,
)
def test_what_can_not_be_had_is_refused_not_ignored(
    administration: ServiceBusAdministrationClient, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(HttpResponseError, match=reason):
        administration.create_queue("orders", **options)  # type: ignore[arg-type]
    with pytest.raises(ResourceNotFoundError):
        administration.get_queue("orders")


def test_topics_are_refused_with_what_the_emulator_has_instead(administration: ServiceBusAdministrationClient) -> None:
    with pytest.raises(HttpResponseError, match="describes no queue"):
        administration.create_topic("news")


def test_a_wrong_key_or_one_without_the_right_administers_nothing(emulator_thread: ServiceBusEmulatorThread) -> None:
    right = emulator_thread.connection_string
    secret = next(part for part in right.split(";") if part.startswith("SharedAccessKey="))
    for wrong in (right.replace(secret, "SharedAccessKey=d3Jvbmc="), emulator_thread.add_key("senders", "Send")):
        with (
            ServiceBusAdministrationClient.from_connection_string(
                wrong, connection_verify=emulator_thread.certificate_file, retry_total=0
            ) as administration,
            pytest.raises(ClientAuthenticationError),
        ):
            administration.create_queue("orders")


def test_a_client_that_does_not_trust_the_certificate_gets_no_answer(
    emulator_thread: ServiceBusEmulatorThread,
) -> None:
    with (
        ServiceBusAdministrationClient.from_connection_string(
            emulator_thread.connection_string, retry_total=0
        ) as administration,
        pytest.raises(Exception, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        administration.get_queue("orders")


def test_a_busy_server_and_a_dropped_connection_reach_the_administration_client(
    emulator_thread: ServiceBusEmulatorThread, administration: ServiceBusAdministrationClient
) -> None:
    emulator_thread.faults.add("throttle", "administer")
    with pytest.raises(HttpResponseError, match="throttled"):
        administration.create_queue("orders")
    emulator_thread.faults.add("lose_acknowledgement", "administer")
    with pytest.raises(Exception, match=r"(?i)connection"):
        administration.create_queue("orders")
    assert administration.get_queue("orders").name == "orders"


# == Bytes that no SDK sends ======================================================================================


async def answer_to(emulator: ServiceBusEmulator, data: bytes) -> bytes:
    """All that comes back until the emulator hangs up."""
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port)
    writer.write(data)
    answer = await asyncio.wait_for(reader.read(), timeout=5)
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"AMQP\x00\x01\x00\x00" + b"\x00\x00\x00\x09\x02\x00\x00\x00\xff", b"amqp:decode-error"),
        (b"AMQP\x00\x01\x00\x00" + b"\xff" * 64, b"amqp:decode-error"),
        (b"AMQP\x00\x09\x09\x09", b"AMQP\x00\x01\x00\x00"),
        (b"GET / WITHOUT HTTP\r\n\r\n", b"400 Bad Request"),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400 Bad Request"),
        (b"\x16\x03\x01\x00\x05hello", b""),
    ],
    ids=["value", "frame", "version", "request line", "length", "handshake"],
)
async def test_bytes_that_make_no_sense_end_their_connection_and_no_other(
    emulator: ServiceBusEmulator, data: bytes, reason: bytes
) -> None:
    assert reason in await answer_to(emulator, data)
    assert b"400 Bad Request" in await answer_to(emulator, b"NONSENSE\r\n\r\n"), "it goes on"


async def test_amqp_is_spoken_inside_tls_too(emulator: ServiceBusEmulator) -> None:
    context = ssl.create_default_context(cafile=emulator.certificate_file)
    reader, writer = await asyncio.open_connection("127.0.0.1", emulator.port, ssl=context)
    writer.write(SASL_HEADER)
    async with asyncio.timeout(5):
        assert await reader.readexactly(len(SASL_HEADER)) == SASL_HEADER
        assert b"ANONYMOUS" in await reader.readuntil(b"EXTERNAL")
    writer.close()
    await writer.wait_closed()
