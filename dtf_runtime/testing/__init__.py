"""For tests of programs that use this library: a hub on virtual time, replay of recorded histories, the checks every provider must pass,
and a Service Bus that runs in the test.

Never needs pytest, and must not be imported by what runs in production. The Service Bus emulator is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from dtf_runtime.testing.conformance import ProviderConformance
from dtf_runtime.testing.hub import TestHub
from dtf_runtime.testing.replayer import replay

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus import ServiceBusEmulator, ServiceBusEmulatorThread

__all__ = ["ProviderConformance", "ServiceBusEmulator", "ServiceBusEmulatorThread", "TestHub", "replay"]


def __getattr__(name: str) -> Any:
    if name not in ("ServiceBusEmulator", "ServiceBusEmulatorThread"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from dtf_runtime.testing import servicebus

    return getattr(servicebus, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
