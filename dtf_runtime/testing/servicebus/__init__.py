"""A Service Bus that runs in a test, spoken to by the unmodified SDK. Strict: what Azure refuses, it refuses.

`broker/` is what queues do, without sockets; `amqp/` is bytes; `links/` joins them; `admin/` is the HTTP side. What it is not:
see docs/servicebus-emulator.md. Never for production: it keeps nothing.
"""

from dtf_runtime.testing.servicebus.emulator import ServiceBusEmulator
from dtf_runtime.testing.servicebus.faults import Fault, Faults, Operation
from dtf_runtime.testing.servicebus.thread import ServiceBusEmulatorThread

__all__ = ["Fault", "Faults", "Operation", "ServiceBusEmulator", "ServiceBusEmulatorThread"]
