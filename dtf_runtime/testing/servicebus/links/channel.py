"""A channel: what AMQP calls a session (a word that Service Bus needs for something else). Windows, links, deliveries."""

from collections import deque
from typing import TYPE_CHECKING
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.performatives import (
    Attach,
    Begin,
    Detach,
    Disposition,
    End,
    Flow,
    Performative,
    Transfer,
    error,
)
from dtf_runtime.testing.servicebus.links.attaching import attach_link
from dtf_runtime.testing.servicebus.links.link import Link
from dtf_runtime.testing.servicebus.links.outgoing import OutgoingLink, ReceiverLink
from dtf_runtime.testing.servicebus.links.settling import settle

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.connection import Connection

_WINDOW = 1 << 20  # transfer frames, either way
_LARGEST_HANDLE = 4_999
_TRANSFER_OVERHEAD = 64  # bytes of a transfer frame before its payload, at most
_MODULUS = 1 << 32


class Channel:
    def __init__(self, connection: "Connection", number: int, begin: Begin) -> None:
        self.connection = connection
        self.host = connection.host
        self.number = number
        self.is_open = True
        self.links: dict[int, Link] = {}  # by the client's handle, which is ours too
        self._detaching: set[int] = set()  # handles that we have detached and the client has not yet
        self._next_incoming = begin.next_outgoing_id
        self._next_outgoing = 1
        self._client_window = begin.incoming_window
        self._waiting: deque[tuple[Transfer, bytes]] = deque()  # for the client's window
        self._next_delivery = 1
        self._deliveries: dict[int, tuple[ReceiverLink, UUID]] = {}  # unsettled
        self.send(Begin(number, self._next_outgoing, _WINDOW, _WINDOW, _LARGEST_HANDLE))

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        if self.is_open:
            self.connection.send(self.number, performative, payload)

    def abort(self) -> None:
        self.connection.abort()

    def end(self) -> None:
        """The channel is gone; so are its links."""
        self.is_open = False
        links, self.links = list(self.links.values()), {}
        self._deliveries.clear()
        for link in links:
            link.ended()

    def _fail(self, condition: str, description: str) -> None:
        self.send(End(error(condition, description)))
        self.end()

    # == Frames that come in ======================================================================================

    def received(self, frame: Performative, payload: bytes) -> None:
        match frame:
            case Transfer():
                self._next_incoming = (self._next_incoming + 1) % _MODULUS
                if (link := self._link(frame.handle)) is not None:
                    link.transferred(frame, payload)
            case Disposition():
                self._settled(frame)
            case Flow():
                self._flowed(frame)
            case Attach():
                self._attached(frame)
            case Detach():
                if frame.handle in self._detaching:
                    self._detaching.remove(frame.handle)
                elif (link := self._link(frame.handle)) is not None:
                    link.detached(frame)
            case _:
                self._fail("amqp:not-allowed", f"{type(frame).__name__} on a channel")

    def _link(self, handle: int) -> Link | None:
        """None, and the channel ends, when nothing is attached there; None alone when we have just detached it."""
        link = self.links.get(handle)
        if link is None and handle not in self._detaching:
            self._fail("amqp:session:unattached-handle", f"Nothing is attached to handle {handle}.")
        return link

    def _attached(self, frame: Attach) -> None:
        if frame.handle in self.links:
            self._fail("amqp:session:handle-in-use", f"Handle {frame.handle} is in use.")
            return
        self._detaching.discard(frame.handle)
        attach_link(self, frame)

    def _flowed(self, frame: Flow) -> None:
        expected = 1 if frame.next_incoming_id is None else frame.next_incoming_id
        self._client_window = expected + frame.incoming_window - self._next_outgoing
        self._send_waiting()
        if frame.handle is not None and (link := self._link(frame.handle)) is not None:
            link.flowed(frame)

    def _settled(self, frame: Disposition) -> None:
        last = frame.first if frame.last is None else frame.last
        if not frame.role:
            return
        for number in [each for each in self._deliveries if frame.first <= each <= last]:
            link, token = self._deliveries[number]
            if settle(link, token, number, frame):
                self._deliveries.pop(number, None)

    # == Frames that go out =======================================================================================

    def forget(self, link: Link, *, awaits_detach: bool = False) -> None:
        """The link is no longer attached, and its deliveries can't be settled on it."""
        self.links.pop(link.handle, None)
        if awaits_detach:
            self.expect_detach(link.handle)
        for number in [number for number, (owner, _) in self._deliveries.items() if owner is link]:
            del self._deliveries[number]

    def expect_detach(self, handle: int) -> None:
        """The client will answer our detach; until then its frames for that handle are late, not wrong."""
        self._detaching.add(handle)

    def send_flow(self, handle: int, *, delivery_count: int, credit: int, drain: bool = False) -> None:
        self.send(
            Flow(
                next_incoming_id=self._next_incoming,
                incoming_window=_WINDOW,
                next_outgoing_id=self._next_outgoing,
                outgoing_window=_WINDOW,
                handle=handle,
                delivery_count=delivery_count,
                link_credit=credit,
                drain=drain,
            )
        )

    def transfer(self, link: OutgoingLink, data: bytes, tag: bytes, token: UUID | None) -> None:
        """One delivery, in as many frames as it takes."""
        number = self._next_delivery
        self._next_delivery += 1
        if isinstance(link, ReceiverLink) and token is not None and not link.is_settled:
            self._deliveries[number] = (link, token)
        most = self.connection.largest_frame - _TRANSFER_OVERHEAD
        for start in range(0, max(len(data), 1), most):
            frame = Transfer(
                handle=link.handle,
                delivery_id=number if start == 0 else None,
                delivery_tag=tag if start == 0 else None,
                message_format=0 if start == 0 else None,
                settled=link.is_settled,
                more=start + most < len(data),
            )
            self._waiting.append((frame, data[start : start + most]))
        self._send_waiting()

    def _send_waiting(self) -> None:
        while self._waiting and self._client_window > 0:
            self._client_window -= 1
            self._next_outgoing += 1
            self.send(*self._waiting.popleft())
