"""Links on which messages go out: a client's receiver, and the reply half of a request-response node."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from dtf_runtime.testing.servicebus.amqp.message import compose
from dtf_runtime.testing.servicebus.amqp.performatives import Attach, Flow
from dtf_runtime.testing.servicebus.amqp.types import Int, Timestamp
from dtf_runtime.testing.servicebus.broker.message import Message
from dtf_runtime.testing.servicebus.broker.options import LARGEST_MESSAGE
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import Refused, no_session_in_time
from dtf_runtime.testing.servicebus.broker.session_queue import SessionQueue
from dtf_runtime.testing.servicebus.broker.sessions import Session
from dtf_runtime.testing.servicebus.faults import Fault, Operation
from dtf_runtime.testing.servicebus.links.link import Link, refuse_attach

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.channel import Channel

SESSION_FILTER = "com.microsoft:session-filter"
_LOCKED_UNTIL = "com.microsoft:locked-until-utc"
_ACCEPT_TIMEOUT = "com.microsoft:timeout"  # milliseconds
_DEFAULT_ACCEPT_TIMEOUT = 65_000
_SETTLED = 1  # snd-settle-mode: receive-and-delete
_TICKS_PER_SECOND = 10_000_000  # of .NET
_TICKS_AT_EPOCH = 621_355_968_000_000_000


def compose_delivery(message: Message, token: UUID | None) -> bytes:
    """The message as a receiver or a peek gets it."""
    annotations: dict[str, object] = {
        "x-opt-sequence-number": message.sequence_number,
        "x-opt-enqueued-time": Timestamp(message.enqueued_at * 1000),
        "x-opt-message-state": Int(message.state),
    }
    if message.enqueued_sequence_number:
        annotations["x-opt-enqueue-sequence-number"] = message.enqueued_sequence_number
    if message.lock is not None:
        annotations["x-opt-locked-until"] = Timestamp(message.lock.until * 1000)
    if message.dead_letter_source is not None:
        annotations["x-opt-deadletter-source"] = message.dead_letter_source
    return compose(message.content, delivery_count=message.delivery_count, annotations=annotations, lock_token=token)


class OutgoingLink(Link):
    """Keeps the client's credit."""

    def __init__(self, channel: "Channel", attach: Attach, address: str) -> None:
        super().__init__(channel, attach, address)
        self.credit = 0
        self.is_settled = attach.snd_settle_mode == _SETTLED
        self.sent = 0  # deliveries

    def flowed(self, frame: Flow) -> None:
        self.credit = (frame.delivery_count or 0) + (frame.link_credit or 0) - self.sent
        self.credit_changed()
        if frame.drain:
            self.sent += max(self.credit, 0)
            self.credit = 0
            self.channel.send_flow(self.handle, delivery_count=self.sent, credit=0, drain=True)

    def credit_changed(self) -> None: ...

    def send_delivery(self, data: bytes, tag: bytes, token: UUID | None) -> None:
        self.channel.transfer(self, data, tag, token)

    def use_credit(self) -> None:
        self.credit -= 1
        self.sent += 1


class ReplyLink(OutgoingLink):
    def reply(self, data: bytes) -> None:
        self.use_credit()
        self.send_delivery(data, uuid4().bytes, None)


class ReceiverLink(OutgoingLink):
    """A client's receiver: the broker's `Receiver`."""

    def __init__(self, channel: "Channel", attach: Attach, address: str, queue: Queue) -> None:
        super().__init__(channel, attach, address)
        self.queue = queue
        self.session_id: str | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._sent_when_asked: int | None = None

    @property
    def is_destructive(self) -> bool:
        return self.is_settled

    def start(self, filters: dict[str, Any]) -> None:
        """Attaches to the queue, or accepts a session. Refused when that can't be."""
        if SESSION_FILTER not in filters:
            self.queue.attach(self)
            self.confirm(max_message_size=LARGEST_MESSAGE)
            return
        if not isinstance(self.queue, SessionQueue):
            raise Refused(
                "amqp:not-allowed",
                "A sessionful message receiver cannot be created on an entity that does not require sessions.",
                400,
            )
        session_id = filters[SESSION_FILTER]
        if session_id is not None:
            self.queue.accept(self, str(session_id))
            return
        self.queue.accept_next(self)
        if self.session_id is None:
            properties = self.request.properties or {}
            wait = properties.get(_ACCEPT_TIMEOUT) or _DEFAULT_ACCEPT_TIMEOUT
            self._patience = self.channel.host.loop.call_later(wait / 1000, self._give_up)

    def _give_up(self) -> None:
        self.channel.forget(self)
        self.ended()
        refuse_attach(self.channel, self.request, no_session_in_time())

    def accepted(self, session: Session) -> None:
        self._stop_waiting()
        self.session_id = session.id
        properties = {str(name): value for name, value in (self.request.properties or {}).items()}
        properties[_LOCKED_UNTIL] = int(session.until * _TICKS_PER_SECOND) + _TICKS_AT_EPOCH
        self.confirm(max_message_size=LARGEST_MESSAGE, filters={SESSION_FILTER: session.id}, properties=properties)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def lose(self, reason: Refused) -> None:
        self.detach(reason)

    def ended(self) -> None:
        super().ended()
        self._stop_waiting()
        self.queue.detach(self)

    def credit_changed(self) -> None:
        if self.credit > 0:
            if self._sent_when_asked == self.sent:
                self.channel.host.operations["empty_receive"] += 1
            self._sent_when_asked = self.sent
            self.queue.flowed(self)

    def deliver(self, message: Message, token: UUID) -> None:
        self.use_credit()
        host = self.channel.host
        host.operations[Operation.DELIVER] += 1
        send = partial(self.send_delivery, compose_delivery(message, token), token.bytes_le, token)
        rule = host.faults.take(Operation.DELIVER, self.queue.name)
        if rule is None:
            send()
        elif rule.fault is Fault.DROP_CONNECTION:
            self.channel.abort()
        elif rule.fault is Fault.DELAY:
            host.clock.at(host.clock.now() + rule.delay, lambda: send() if self.is_open else None)
        else:
            send()
            host.loop.call_soon(self.queue.expire_locks, [token])
