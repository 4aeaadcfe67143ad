"""A message in a queue."""

from dataclasses import dataclass, field
from enum import IntEnum
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.message import Content
from dtf_runtime.testing.servicebus.broker.receiver import Receiver
from dtf_runtime.testing.servicebus.clock import Alarm


class State(IntEnum):
    """As `x-opt-message-state` says it. A locked message is active or deferred."""

    ACTIVE = 0
    DEFERRED = 1
    SCHEDULED = 2


@dataclass(eq=False, slots=True)
class Lock:
    """A receiver's hold on a message until an instant. The locks of a session's messages end with the session's."""

    token: UUID
    message: "Message"
    receiver: Receiver | None  # None: taken through $management
    until: float
    alarm: Alarm | None = None


@dataclass(eq=False, slots=True)
class Message:
    """Instants in seconds since 1970. `delivery_count` counts the deliveries that came to nothing."""

    content: Content
    sequence_number: int
    enqueued_at: float
    state: State = State.ACTIVE
    enqueued_sequence_number: int = 0  # of the message before it was activated; 0: it never had another
    expires_at: float | None = None
    delivery_count: int = 0
    dead_letter_source: str | None = None
    lock: Lock | None = None
    is_gone: bool = False  # no longer in its queue
    alarms: list[Alarm] = field(default_factory=list)

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now and self.lock is None

    def cancel_alarms(self) -> None:
        for alarm in self.alarms:
            alarm.cancel()
        self.alarms.clear()
