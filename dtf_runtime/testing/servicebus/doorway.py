"""One port for all: plain AMQP, AMQP over TLS, and HTTPS, told apart by the first byte that comes.

Needed because a development connection string has one port, on which the SDK speaks plain AMQP and its administration
client HTTPS.
"""

import asyncio
import contextlib
import ssl
from collections.abc import Callable
from typing import Protocol

from dtf_runtime.testing.servicebus.admin.http import HttpConnection
from dtf_runtime.testing.servicebus.links.connection import Connection, Wire
from dtf_runtime.testing.servicebus.links.host import Host

_TLS_HANDSHAKE = b"\x16"
_CHUNK = 65_536


class Handler(Protocol):
    def data_received(self, data: bytes) -> None: ...

    def connection_lost(self) -> None: ...

    def vanish(self) -> None:
        """The other side is gone, and this one has not noticed."""
        ...


class Doorway(asyncio.Protocol):
    """A connection that has come in. `doors` holds those that are open."""

    def __init__(self, host: Host, tls: ssl.SSLContext, doors: "set[Doorway]") -> None:
        self._host = host
        self._tls = tls
        self._doors = doors
        self._handler: Handler | None = None
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._doors.add(self)

    def data_received(self, data: bytes) -> None:
        if self._handler is None:
            assert self._transport is not None, "connection_made comes first"
            if data[:1] == _TLS_HANDSHAKE:
                self._handler = TlsLayer(self._tls, self._transport, self._inside)
            else:
                self._handler = self._inside(data, self._transport)
        self._handler.data_received(data)

    def _inside(self, data: bytes, wire: Wire) -> Handler:
        return Connection(self._host, wire) if data[:1] == b"A" else HttpConnection(self._host, wire)

    def connection_lost(self, error: Exception | None) -> None:
        self._doors.discard(self)
        if self._handler is not None:
            self._handler.connection_lost()
        self.closed.set()

    def abort(self, *, unnoticed: bool = False) -> None:
        if unnoticed and self._handler is not None:
            self._handler.vanish()
            self._handler = None
        if self._transport is not None:
            self._transport.abort()


class TlsLayer:
    """Handler of what comes over the network, wire of what is inside."""

    def __init__(self, context: ssl.SSLContext, wire: Wire, choose: Callable[[bytes, Wire], Handler]) -> None:
        self._wire = wire
        self._choose = choose
        self._inside: Handler | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._is_ready = False

    def data_received(self, data: bytes) -> None:
        self._incoming.write(data)
        try:
            if not self._is_ready:
                self._tls.do_handshake()
                self._is_ready = True
            while plain := self._tls.read(_CHUNK):
                self._inside = self._inside or self._choose(plain, self)
                self._inside.data_received(plain)
            self.close()
        except ssl.SSLWantReadError:
            self._send()
        except ssl.SSLError:  # no handshake, or one that the client has ended: it does not trust us, say
            self._send()
            self._wire.close()

    def connection_lost(self) -> None:
        if self._inside is not None:
            self._inside.connection_lost()

    def vanish(self) -> None:
        if self._inside is not None:
            self._inside.vanish()

    def write(self, data: bytes) -> None:
        self._tls.write(data)
        self._send()

    def close(self) -> None:
        with contextlib.suppress(ssl.SSLError):  # the client's answer is still to come, and nobody waits for it
            self._tls.unwrap()
        self._send()
        self._wire.close()

    def abort(self) -> None:
        self._wire.abort()

    def _send(self) -> None:
        if self._outgoing.pending:
            self._wire.write(self._outgoing.read())
