"""AMQP bytes to Python values. Whatever bytes come, the answer is a value or MalformedError, never a crash."""

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.types import (
    Byte,
    Described,
    Float32,
    Int,
    MalformedError,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

_u16 = struct.Struct(">H").unpack_from
_u32 = struct.Struct(">I").unpack_from
_u64 = struct.Struct(">Q").unpack_from
_i8 = struct.Struct(">b").unpack_from
_i16 = struct.Struct(">h").unpack_from
_i32 = struct.Struct(">i").unpack_from
_i64 = struct.Struct(">q").unpack_from
_f32 = struct.Struct(">f").unpack_from
_f64 = struct.Struct(">d").unpack_from

_Reader = Callable[[bytes, int], tuple[Any, int]]  # buffer, position after the constructor -> value, position after it
_FAILURES = (IndexError, KeyError, struct.error, UnicodeDecodeError, TypeError, RecursionError)


def decode(buffer: bytes) -> Any:
    """The one value that the buffer holds."""
    value, end = read(buffer, 0)
    if end != len(buffer):
        raise MalformedError(f"{len(buffer) - end} bytes follow the value")
    return value


def read(buffer: bytes, position: int) -> tuple[Any, int]:
    """The value at the position, and the position after it."""
    try:
        value, end = _read(buffer, position)
    except _FAILURES as error:
        raise MalformedError(f"no AMQP value at byte {position}: {error!r}") from error
    if end > len(buffer):
        raise MalformedError(f"the value at byte {position} is cut off")
    return value, end


def skip(buffer: bytes, position: int) -> int:
    """The position after the value at the position, without decoding it."""
    try:
        end = _skip(buffer, position)
    except _FAILURES as error:
        raise MalformedError(f"no AMQP value at byte {position}: {error!r}") from error
    if end > len(buffer):
        raise MalformedError(f"the value at byte {position} is cut off")
    return end


def read_entries(buffer: bytes, position: int) -> list[tuple[Any, bytes]]:
    """The entries of the map at the position: the key, and key and value as they are encoded."""
    constructor = buffer[position] if position < len(buffer) else None
    if constructor == 0x40:
        return []
    if constructor == 0xC1 and position + 2 < len(buffer):
        count, position = buffer[position + 2], position + 3
    elif constructor == 0xD1 and position + 9 <= len(buffer):
        count, position = _u32(buffer, position + 5)[0], position + 9
    else:
        raise MalformedError(f"no map at byte {position}")
    entries = []
    for _ in range(count // 2):
        start = position
        key, position = read(buffer, position)
        position = skip(buffer, position)
        entries.append((key, buffer[start:position]))
    return entries


def _read(buffer: bytes, position: int) -> tuple[Any, int]:
    return _READERS[buffer[position]](buffer, position + 1)


def _skip(buffer: bytes, position: int) -> int:
    constructor = buffer[position]
    position += 1
    if constructor == 0x00:
        return _skip(buffer, _skip(buffer, position))
    family = constructor >> 4
    if family in _WIDTHS:
        return position + _WIDTHS[family]
    if family in (0xA, 0xC, 0xE):
        return position + 1 + buffer[position]
    return position + 4 + int(_u32(buffer, position)[0])


_WIDTHS = {0x4: 0, 0x5: 1, 0x6: 2, 0x7: 4, 0x8: 8, 0x9: 16}


def _constant(value: object) -> _Reader:
    return lambda buffer, position: (value, position)


def _number(width: int, unpack: Callable[[bytes, int], tuple[Any, ...]], kind: Callable[[Any], Any]) -> _Reader:
    return lambda buffer, position: (kind(unpack(buffer, position)[0]), position + width)


def _octet(kind: Callable[[int], Any]) -> _Reader:
    return lambda buffer, position: (kind(buffer[position]), position + 1)


def _sized(kind: Callable[[bytes], Any], width: int) -> _Reader:
    def reader(buffer: bytes, position: int) -> tuple[Any, int]:
        size = buffer[position] if width == 1 else _u32(buffer, position)[0]
        start = position + width
        end = start + size
        if end > len(buffer):
            raise IndexError("cut off")
        return kind(buffer[start:end]), end

    return reader


def _opaque(width: int) -> _Reader:
    return lambda buffer, position: (Opaque(buffer[position - 1 : position + width]), position + width)


def _uuid(buffer: bytes, position: int) -> tuple[UUID, int]:
    if position + 16 > len(buffer):
        raise IndexError("cut off")
    return UUID(bytes=bytes(buffer[position : position + 16])), position + 16


def _items(buffer: bytes, position: int, count: int) -> tuple[list[Any], int]:
    if count > len(buffer):
        raise IndexError("more items than bytes")
    items = []
    for _ in range(count):
        value, position = _READERS[buffer[position]](buffer, position + 1)
        items.append(value)
    return items, position


def _list8(buffer: bytes, position: int) -> tuple[list[Any], int]:
    return _items(buffer, position + 2, buffer[position + 1])


def _list32(buffer: bytes, position: int) -> tuple[list[Any], int]:
    return _items(buffer, position + 8, _u32(buffer, position + 4)[0])


def _map(of: _Reader) -> _Reader:
    def reader(buffer: bytes, position: int) -> tuple[dict[Any, Any], int]:
        items, end = of(buffer, position)
        return dict(zip(items[::2], items[1::2], strict=False)), end

    return reader


def _array(buffer: bytes, position: int, count: int) -> tuple[list[Any], int]:
    if count > len(buffer):
        raise IndexError("more items than bytes")
    constructor = buffer[position]
    position += 1
    descriptor = None
    if constructor == 0x00:
        descriptor, position = _read(buffer, position)
        constructor = buffer[position]
        position += 1
    items = []
    for _ in range(count):
        value, position = _READERS[constructor](buffer, position)
        items.append(value if descriptor is None else Described(descriptor, value))
    return items, position


def _described(buffer: bytes, position: int) -> tuple[Described, int]:
    descriptor, position = _read(buffer, position)
    value, position = _read(buffer, position)
    return Described(descriptor, value), position


def _symbol(body: bytes) -> Symbol:
    return Symbol(str(body, "ascii"))


def _string(body: bytes) -> str:
    return str(body, "utf-8")


_READERS: dict[int, _Reader] = {
    0x00: _described,
    0x40: _constant(None),
    0x41: _constant(True),
    0x42: _constant(False),
    0x43: _constant(UInt(0)),
    0x44: _constant(ULong(0)),
    0x45: lambda buffer, position: ([], position),
    0x50: _octet(UByte),
    0x51: _number(1, _i8, Byte),
    0x52: _octet(UInt),
    0x53: _octet(ULong),
    0x54: _number(1, _i8, Int),
    0x55: _number(1, _i8, int),
    0x56: _octet(bool),
    0x60: _number(2, _u16, UShort),
    0x61: _number(2, _i16, Short),
    0x70: _number(4, _u32, UInt),
    0x71: _number(4, _i32, Int),
    0x72: _number(4, _f32, Float32),
    0x73: _opaque(4),
    0x74: _opaque(4),
    0x80: _number(8, _u64, ULong),
    0x81: _number(8, _i64, int),
    0x82: _number(8, _f64, float),
    0x83: _number(8, _i64, Timestamp),
    0x84: _opaque(8),
    0x94: _opaque(16),
    0x98: _uuid,
    0xA0: _sized(bytes, 1),
    0xA1: _sized(_string, 1),
    0xA3: _sized(_symbol, 1),
    0xB0: _sized(bytes, 4),
    0xB1: _sized(_string, 4),
    0xB3: _sized(_symbol, 4),
    0xC0: _list8,
    0xC1: _map(_list8),
    0xD0: _list32,
    0xD1: _map(_list32),
    0xE0: lambda buffer, position: _array(buffer, position + 2, buffer[position + 1]),
    0xF0: lambda buffer, position: _array(buffer, position + 8, _u32(buffer, position + 4)[0]),
}
