"""Frames: performatives on the wire, with their payload behind them."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from dtf_runtime.testing.servicebus.amqp.decode import read
from dtf_runtime.testing.servicebus.amqp.performatives import Performative, performative_of, write_performative
from dtf_runtime.testing.servicebus.amqp.types import MalformedError

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME = 0
SASL_FRAME = 1
EMPTY_FRAME = b"\x00\x00\x00\x08\x02\x00\x00\x00"  # says only: I am here
LARGEST_FRAME = 65_536  # bytes, in either direction

_PREFIX = struct.Struct(">IBBH")  # size, data offset in words, type, channel


@dataclass(frozen=True, slots=True)
class Frame:
    kind: int
    channel: int
    performative: Performative
    payload: bytes


def write_frame(channel: int, performative: Performative, payload: bytes = b"", kind: int = AMQP_FRAME) -> bytes:
    out = bytearray(_PREFIX.size)
    write_performative(performative, out)
    _PREFIX.pack_into(out, 0, len(out) + len(payload), 2, kind, channel)
    return bytes(out + payload)


class FrameReader:
    """Takes bytes as they come, gives protocol headers and frames when they are complete."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def header(self) -> bytes | None:
        """The next eight bytes, once they are there: a protocol header."""
        if len(self._buffer) < _PREFIX.size:
            return None
        header = bytes(self._buffer[: _PREFIX.size])
        del self._buffer[: _PREFIX.size]
        return header

    def frame(self) -> Frame | None:
        """The next frame, once it is there; empty ones are passed over. MalformedError, and the rest is unreadable."""
        while len(self._buffer) >= _PREFIX.size:
            size, offset, kind, channel = _PREFIX.unpack_from(self._buffer)
            start = offset * 4
            if not _PREFIX.size <= start <= size <= LARGEST_FRAME:
                raise MalformedError(f"a frame of {size} bytes with its body at {start}")
            if len(self._buffer) < size:
                return None
            body = bytes(self._buffer[start:size])
            del self._buffer[:size]
            if body:
                value, end = read(body, 0)
                return Frame(kind, channel, performative_of(value), body[end:])
        return None

    def frames(self) -> Iterator[Frame]:
        while (frame := self.frame()) is not None:
            yield frame
