"""What the broker knows of a receiver: the other end of a link, or whatever a test puts there."""

from typing import TYPE_CHECKING, Protocol
from uuid import UUID

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.broker.message import Message
    from dtf_runtime.testing.servicebus.broker.refusals import Refused
    from dtf_runtime.testing.servicebus.broker.sessions import Session


class Receiver(Protocol):
    @property
    def credit(self) -> int:
        """How many messages it takes now."""
        ...

    @property
    def is_destructive(self) -> bool:
        """Receive-and-delete: messages are gone once they are handed over."""
        ...

    def deliver(self, message: "Message", token: UUID) -> None:
        """Takes one message, and one of its credit."""
        ...

    def accepted(self, session: "Session") -> None:
        """The session that it waited for is its own now."""
        ...

    def lose(self, reason: "Refused") -> None:
        """The broker took away what it received from. Nothing is delivered to it any more."""
        ...
