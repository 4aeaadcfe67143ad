"""What the tests of the broker share: time that is moved by hand, a receiver that keeps what it gets, messages."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from dtf_runtime.clock import RealClock
from dtf_runtime.testing.servicebus.amqp.encode import encode
from dtf_runtime.testing.servicebus.amqp.message import Content, parse
from dtf_runtime.testing.servicebus.amqp.types import Described, Symbol, Timestamp, UInt, ULong
from dtf_runtime.testing.servicebus.broker.message import Message
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.broker.sessions import Session
from dtf_runtime.testing.servicebus.clock import EmulatorClock

START = datetime(2030, 1, 1, tzinfo=UTC)


class HandMovedClock(RealClock):
    """The machine's clock, as the emulator sees it."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds)

    def monotonic(self) -> float:
        return self.seconds


def stopped_clock() -> EmulatorClock:
    clock = EmulatorClock(source=HandMovedClock())
    clock.stop()
    return clock


class KeepingReceiver:
    """Keeps what it is given."""

    def __init__(self, credit: int = 1_000, *, is_destructive: bool = False) -> None:
        self.credit = credit
        self.is_destructive = is_destructive
        self.messages: list[Message] = []
        self.tokens: list[UUID] = []
        self.counts: list[int] = []  # of deliveries, as each message came
        self.sessions: list[Session] = []
        self.losses: list[str] = []

    def deliver(self, message: Message, token: UUID) -> None:
        self.credit -= 1
        self.messages.append(message)
        self.tokens.append(token)
        self.counts.append(message.delivery_count)

    def accepted(self, session: Session) -> None:
        self.sessions.append(session)

    def lose(self, reason: Refused) -> None:
        self.losses.append(reason.condition)

    @property
    def names(self) -> list[object]:
        return [message.content.message_id for message in self.messages]


def content(
    name: str = "m",
    *,
    session: str | None = None,
    lives: float | None = None,
    scheduled: float | None = None,
    size: int = 0,
) -> Content:
    """A message as a client encodes it. Times in seconds, instants in seconds since 1970."""
    sections: list[Described] = []
    if lives is not None:
        sections.append(Described(ULong(0x70), [False, None, UInt(lives * 1000), None, UInt(0)]))
    if scheduled is not None:
        sections.append(Described(ULong(0x72), {Symbol("x-opt-scheduled-enqueue-time"): Timestamp(scheduled * 1000)}))
    sections.append(Described(ULong(0x73), [name, *[None] * 9, session]))
    sections.append(Described(ULong(0x75), b"x" * size))
    return parse(b"".join(encode(section) for section in sections))


__all__ = ["START", "HandMovedClock", "KeepingReceiver", "content", "stopped_clock"]
