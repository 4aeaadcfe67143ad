"""What every connection shares: the queues, the keys, the clock, the faults. All on one event loop."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dtf_runtime.testing.servicebus.access import Access
from dtf_runtime.testing.servicebus.broker.namespace import Namespace
from dtf_runtime.testing.servicebus.broker.refusals import Refused, server_busy
from dtf_runtime.testing.servicebus.clock import EmulatorClock
from dtf_runtime.testing.servicebus.faults import Fault, Faults, Operation


@dataclass(frozen=True, kw_only=True)
class Call:
    """One operation of a client: what it does, and whom to answer."""

    operation: Operation
    queue: str
    work: Callable[[], Any]  # does it; raises Refused
    answer: Callable[[Any], None]  # takes the result, or the Refused
    abort: Callable[[], None]  # drops the connection
    duplicate: Callable[[], Any] | None = None
    expire_lock: Callable[[], Any] | None = None


@dataclass(frozen=True)
class Host:
    loop: asyncio.AbstractEventLoop
    clock: EmulatorClock
    namespace: Namespace
    access: Access
    faults: Faults
    operations: Counter[str] = field(default_factory=Counter)

    def perform(self, call: Call) -> None:
        """Does what a client asked for and answers, unless a fault befalls it."""
        self.operations[call.operation] += 1
        rule = self.faults.take(call.operation, call.queue)
        match rule.fault if rule is not None else None:
            case None:
                call.answer(_outcome(call.work))
            case Fault.DROP_CONNECTION:
                call.abort()
            case Fault.LOSE_ACKNOWLEDGEMENT:
                _outcome(call.work)
                call.abort()
            case Fault.THROTTLE:
                call.answer(server_busy())
            case Fault.DELAY:
                assert rule is not None
                self.clock.at(self.clock.now() + rule.delay, lambda: call.answer(_outcome(call.work)))
            case Fault.DUPLICATE:
                result = _outcome(call.work)
                if call.duplicate is not None and not isinstance(result, Refused):
                    call.duplicate()
                call.answer(result)
            case Fault.EXPIRE_LOCK:
                if call.expire_lock is not None:
                    call.expire_lock()
                call.answer(_outcome(call.work))


def _outcome(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Refused as refused:
        return refused
