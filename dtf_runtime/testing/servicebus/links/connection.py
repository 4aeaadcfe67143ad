"""One AMQP connection, from its first eight bytes on: headers, SASL, open and close, channels, tokens."""

import logging
from collections.abc import Iterator
from typing import Protocol

from dtf_runtime.testing.servicebus.access import Grant, Right, missing_right
from dtf_runtime.testing.servicebus.amqp.frames import (
    AMQP_FRAME,
    AMQP_HEADER,
    EMPTY_FRAME,
    LARGEST_FRAME,
    SASL_FRAME,
    SASL_HEADER,
    Frame,
    FrameReader,
    write_frame,
)
from dtf_runtime.testing.servicebus.amqp.performatives import (
    Begin,
    Close,
    End,
    Open,
    Performative,
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    error,
)
from dtf_runtime.testing.servicebus.amqp.types import Array, MalformedError
from dtf_runtime.testing.servicebus.links.channel import Channel
from dtf_runtime.testing.servicebus.links.host import Host
from dtf_runtime.testing.servicebus.links.outgoing import ReceiverLink

_log = logging.getLogger("dtf_runtime.testing.servicebus")
_MOST_CHANNELS = 4_999
_IDLE_TIME_OUT = 240_000  # milliseconds: the client lets us hear from it more often than that
_SMALLEST_FRAME = 512
_NOTICED_AFTER = 240.0  # seconds on the emulator's clock
_MECHANISMS = Array("symbol", ("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"))


class Wire(Protocol):
    """Where the bytes go: a TCP connection, or TLS on one."""

    def write(self, data: bytes) -> None: ...

    def close(self) -> None:
        """After what was written has been sent."""
        ...

    def abort(self) -> None:
        """At once."""
        ...


class Connection:
    def __init__(self, host: Host, wire: Wire) -> None:
        self.host = host
        self.largest_frame = _SMALLEST_FRAME
        self._wire: Wire | None = wire
        self._reader = FrameReader()
        self._awaits_header = True
        self._channels: dict[int, Channel] = {}
        self._grants: list[Grant] = []
        self._unsent: list[bytes] = []

    # == Bytes ====================================================================================================

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        try:
            while self._wire is not None:
                if self._awaits_header:
                    if (header := self._reader.header()) is None:
                        return
                    self._header(header)
                elif (frame := self._reader.frame()) is not None:
                    self._frame(frame)
                else:
                    return
        except MalformedError as malformed:
            self.close("amqp:decode-error", str(malformed))
        except Exception:
            _log.exception("the Service Bus emulator failed on a frame; this is a defect of the emulator")
            self.close("amqp:internal-error", "The emulator failed on a frame; see its log.")

    def connection_lost(self) -> None:
        self._wire = None
        channels, self._channels = list(self._channels.values()), {}
        for channel in channels:
            channel.end()

    def vanish(self) -> None:
        """The client is gone and nobody has noticed: its links stay attached, its locks last, until `_NOTICED_AFTER`."""
        self._wire = None
        self.host.clock.at(self.host.clock.now() + _NOTICED_AFTER, self.connection_lost)

    def send(self, channel: int, performative: Performative, payload: bytes = b"", kind: int = AMQP_FRAME) -> None:
        self._write(write_frame(channel, performative, payload, kind))

    def _write(self, data: bytes) -> None:
        if self._wire is None:
            return
        if not self._unsent:
            self.host.loop.call_soon(self._flush)
        self._unsent.append(data)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        if self._wire is not None and unsent:
            self._wire.write(b"".join(unsent))

    def close(self, condition: str, description: str) -> None:
        """Says why, then closes."""
        self.send(0, Close(error(condition, description)))
        self._hang_up()

    def _hang_up(self) -> None:
        self._flush()
        if self._wire is not None:
            self._wire.close()

    def abort(self) -> None:
        """Drops the connection without a word. What was not yet sent never is."""
        self._unsent.clear()
        if self._wire is not None:
            self._wire.abort()

    # == Frames ===================================================================================================

    def _header(self, header: bytes) -> None:
        if header not in (AMQP_HEADER, SASL_HEADER):
            self._write(AMQP_HEADER)
            self._hang_up()
            return
        self._awaits_header = False
        self._write(header)
        if header == SASL_HEADER:
            self.send(0, SaslMechanisms(_MECHANISMS), kind=SASL_FRAME)

    def _frame(self, frame: Frame) -> None:
        performative, number = frame.performative, frame.channel
        match performative:
            case SaslInit():  # whoever comes is let in; what it may do is said by its tokens
                self.send(0, SaslOutcome(0), kind=SASL_FRAME)
                self._awaits_header = True
            case Open():
                self._opened(performative)
            case Begin():
                self._channels[number] = Channel(self, number, performative)
            case End():
                if (ended := self._channels.pop(number, None)) is not None:
                    ended.end()
                    self.send(number, End())
            case Close():
                self.send(0, Close())
                self._hang_up()
            case _:
                channel = self._channels.get(number)
                if channel is None:
                    raise MalformedError(f"{type(performative).__name__} on channel {number}, which was not begun")
                if channel.is_open:
                    channel.received(performative, frame.payload)

    def _opened(self, opened: Open) -> None:
        self.largest_frame = max(_SMALLEST_FRAME, min(opened.max_frame_size or LARGEST_FRAME, LARGEST_FRAME))
        self.send(0, Open("dtf-servicebus-emulator", None, LARGEST_FRAME, _MOST_CHANNELS, _IDLE_TIME_OUT))
        if opened.idle_time_out:
            self._keep_alive(opened.idle_time_out / 2000)

    def _keep_alive(self, period: float) -> None:
        if self._wire is not None:
            self._write(EMPTY_FRAME)
            self.host.loop.call_later(period, self._keep_alive, period)

    # == What the client may do ===================================================================================

    def admit(self, grant: Grant) -> None:
        self._grants = [grant, *(each for each in self._grants if each.path != grant.path)]

    def require(self, right: Right, address: str) -> None:
        """Refused unless a token of this connection allows it."""
        if not any(grant.allows(right, address) for grant in self._grants):
            raise missing_right(right)

    def require_any(self, address: str) -> None:
        if not any(grant.allows(right, address) for grant in self._grants for right in Right):
            raise missing_right(Right.LISTEN)

    def receivers(self) -> Iterator[ReceiverLink]:
        for channel in self._channels.values():
            yield from (link for link in channel.links.values() if isinstance(link, ReceiverLink))
