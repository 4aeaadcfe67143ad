"""A session: the messages of one id, its state, and the one receiver that holds it."""

from dataclasses import dataclass, field
from uuid import UUID

from dtf_runtime.testing.servicebus.broker.line import Line
from dtf_runtime.testing.servicebus.broker.message import Lock
from dtf_runtime.testing.servicebus.broker.receiver import Receiver
from dtf_runtime.testing.servicebus.clock import Alarm


@dataclass(eq=False, slots=True)
class Session:
    """`until`: the instant up to which `receiver` holds it, and with it every message that it was given."""

    id: str
    line: Line = field(default_factory=Line)
    messages: int = 0  # of any state
    state: bytes | None = None
    state_changed_at: float | None = None
    receiver: Receiver | None = None
    until: float = 0.0
    alarm: Alarm | None = None
    locks: dict[UUID, Lock] = field(default_factory=dict)

    @property
    def is_empty(self) -> bool:
        """Nothing would be lost with it."""
        return self.receiver is None and self.messages == 0 and self.state is None

    def stop_alarm(self) -> None:
        if self.alarm is not None:
            self.alarm.cancel()
            self.alarm = None
