"""Links on which transfers come in: a client's sender, and the request half of a request-response node."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from dtf_runtime.testing.servicebus.amqp.message import Content, parse, parse_transfer
from dtf_runtime.testing.servicebus.amqp.performatives import ACCEPTED_STATE, Attach, Disposition, Transfer, rejected
from dtf_runtime.testing.servicebus.broker.options import LARGEST_MESSAGE
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import Refused, too_large
from dtf_runtime.testing.servicebus.faults import Operation
from dtf_runtime.testing.servicebus.links.host import Call
from dtf_runtime.testing.servicebus.links.link import Link

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.channel import Channel

_CREDIT = 1_000  # transfers
_LOW_CREDIT = 500


class IncomingLink(Link):
    """Puts the frames of a transfer together, and grants credit so that it never runs out."""

    def __init__(self, channel: "Channel", attach: Attach, address: str) -> None:
        super().__init__(channel, attach, address)
        self._first: Transfer | None = None
        self._buffer = bytearray()
        self._taken = attach.initial_delivery_count or 0
        self._credit = 0

    def grant_credit(self) -> None:
        self._credit = _CREDIT
        self.channel.send_flow(self.handle, delivery_count=self._taken, credit=_CREDIT)

    def transferred(self, frame: Transfer, payload: bytes) -> None:
        if self._first is None:
            self._first = frame
        self._buffer += payload
        if frame.more:
            return
        first, data = self._first, bytes(self._buffer)
        self._first, self._buffer = None, bytearray()
        self._taken += 1
        self._credit -= 1
        if self._credit < _LOW_CREDIT:
            self.grant_credit()
        self.take(first, data)

    def take(self, first: Transfer, data: bytes) -> None:
        """A whole transfer has come."""
        raise NotImplementedError

    def acknowledge(self, first: Transfer, refused: Refused | None) -> None:
        if first.settled or not self.is_open or first.delivery_id is None:
            return
        state = ACCEPTED_STATE if refused is None else rejected(refused.condition, refused.description)
        self.channel.send(Disposition(role=True, first=first.delivery_id, settled=True, state=state))


class SenderLink(IncomingLink):
    def __init__(self, channel: "Channel", attach: Attach, address: str, queue: Queue) -> None:
        super().__init__(channel, attach, address)
        self._queue = queue

    def take(self, first: Transfer, data: bytes) -> None:
        def contents() -> list[Content]:
            if len(data) > LARGEST_MESSAGE:
                raise too_large(len(data), LARGEST_MESSAGE)
            return parse_transfer(data, first.message_format or 0)

        self.channel.host.perform(
            Call(
                operation=Operation.SEND,
                queue=self._queue.name,
                work=lambda: self._queue.send(contents()),
                duplicate=lambda: self._queue.send(contents(), detect_duplicates=False),
                answer=lambda result: self.acknowledge(first, result if isinstance(result, Refused) else None),
                abort=self.channel.abort,
            )
        )


class RequestLink(IncomingLink):
    """The half of a node that takes requests; `handle_request` answers on the other half."""

    def __init__(
        self, channel: "Channel", attach: Attach, address: str, handle_request: Callable[[Content], None]
    ) -> None:
        super().__init__(channel, attach, address)
        self._handle_request = handle_request

    def take(self, first: Transfer, data: bytes) -> None:
        self.acknowledge(first, None)
        self._handle_request(parse(data))
