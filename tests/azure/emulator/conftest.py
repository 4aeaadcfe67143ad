"""An emulator a test, and the real SDK on it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from azure.servicebus.aio import ServiceBusClient

from dtf_runtime.testing import ServiceBusEmulator, ServiceBusEmulatorThread


@pytest.fixture
async def emulator() -> AsyncIterator[ServiceBusEmulator]:
    async with ServiceBusEmulator() as emulator:
        yield emulator


@pytest.fixture
async def client(emulator: ServiceBusEmulator) -> AsyncIterator[ServiceBusClient]:
    """One that does not try again, so that a refusal is seen at once. (Its senders are told to have no heartbeat, else they
    take up to a second to close.)"""
    async with ServiceBusClient.from_connection_string(emulator.connection_string, retry_total=0) as client:
        yield client


@pytest.fixture
def emulator_thread() -> Iterator[ServiceBusEmulatorThread]:
    with ServiceBusEmulatorThread() as emulator:
        yield emulator
