"""Python values to AMQP bytes, each in its shortest form."""

import struct
from collections.abc import Callable
from typing import Any
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.types import (
    Array,
    Byte,
    Described,
    Float32,
    Int,
    Opaque,
    Short,
    Symbol,
    Timestamp,
    UByte,
    UInt,
    ULong,
    UShort,
)

_u16 = struct.Struct(">H").pack
_u32 = struct.Struct(">I").pack
_u64 = struct.Struct(">Q").pack
_i8 = struct.Struct(">b").pack
_i16 = struct.Struct(">h").pack
_i32 = struct.Struct(">i").pack
_i64 = struct.Struct(">q").pack
_f32 = struct.Struct(">f").pack
_f64 = struct.Struct(">d").pack


def encode(value: object) -> bytes:
    """TypeError for what AMQP has no type for."""
    out = bytearray()
    write(value, out)
    return bytes(out)


def write(value: object, out: bytearray) -> None:
    """Appends the encoded value."""
    writer = _WRITERS.get(type(value))
    if writer is None:
        raise TypeError(f"AMQP has no type for {type(value).__name__}")
    writer(value, out)


def write_map(entries: list[bytes], out: bytearray) -> None:
    """Appends a map; each entry is an encoded key with its encoded value."""
    _compound(b"".join(entries), 2 * len(entries), 0xC1, 0xD1, out)


def _compound(body: bytes, count: int, small: int, large: int, out: bytearray) -> None:
    if len(body) < 255 and count < 256:
        out += bytes((small, len(body) + 1, count))
    else:
        out.append(large)
        out += _u32(len(body) + 4) + _u32(count)
    out += body


def _sized(body: bytes, small: int, large: int, out: bytearray) -> None:
    if len(body) < 256:
        out += bytes((small, len(body)))
    else:
        out.append(large)
        out += _u32(len(body))
    out += body


def _bool(value: bool, out: bytearray) -> None:
    out.append(0x41 if value else 0x42)


def _uint(value: int, out: bytearray) -> None:
    if value == 0:
        out.append(0x43)
    elif value < 256:
        out += bytes((0x52, value))
    else:
        out += b"\x70" + _u32(value)


def _ulong(value: int, out: bytearray) -> None:
    if value == 0:
        out.append(0x44)
    elif value < 256:
        out += bytes((0x53, value))
    else:
        out += b"\x80" + _u64(value)


def _int(value: int, out: bytearray) -> None:
    out += b"\x54" + _i8(value) if -128 <= value < 128 else b"\x71" + _i32(value)


def _long(value: int, out: bytearray) -> None:
    out += b"\x55" + _i8(value) if -128 <= value < 128 else b"\x81" + _i64(value)


def _list(value: list[object] | tuple[object, ...], out: bytearray) -> None:
    if not value:
        out.append(0x45)
        return
    body = bytearray()
    for item in value:
        write(item, body)
    _compound(bytes(body), len(value), 0xC0, 0xD0, out)


def _map(value: dict[object, object], out: bytearray) -> None:
    body = bytearray()
    for key, item in value.items():
        write(key, body)
        write(item, body)
    _compound(bytes(body), 2 * len(value), 0xC1, 0xD1, out)


def _described(value: Described, out: bytearray) -> None:
    out.append(0x00)
    write(value.descriptor, out)
    write(value.value, out)


def _text(item: str) -> bytes:
    body = item.encode()
    return _u32(len(body)) + body


_ITEMS: dict[str, tuple[int, Callable[[Any], bytes]]] = {
    "long": (0x81, _i64),
    "timestamp": (0x83, _i64),
    "string": (0xB1, _text),
    "symbol": (0xB3, _text),
}


def _array(value: Array, out: bytearray) -> None:
    constructor, write_item = _ITEMS[value.kind]
    body = bytes((constructor,)) + b"".join(map(write_item, value.items))
    out += b"\xf0" + _u32(len(body) + 4) + _u32(len(value.items)) + body


_WRITERS: dict[type, Callable[[Any, bytearray], None]] = {
    type(None): lambda value, out: out.append(0x40),
    bool: _bool,
    UByte: lambda value, out: out.extend((0x50, value)),
    UShort: lambda value, out: out.extend(b"\x60" + _u16(value)),
    UInt: _uint,
    ULong: _ulong,
    Byte: lambda value, out: out.extend(b"\x51" + _i8(value)),
    Short: lambda value, out: out.extend(b"\x61" + _i16(value)),
    Int: _int,
    int: _long,
    Float32: lambda value, out: out.extend(b"\x72" + _f32(value)),
    float: lambda value, out: out.extend(b"\x82" + _f64(value)),
    Timestamp: lambda value, out: out.extend(b"\x83" + _i64(value)),
    UUID: lambda value, out: out.extend(b"\x98" + value.bytes),
    bytes: lambda value, out: _sized(value, 0xA0, 0xB0, out),
    str: lambda value, out: _sized(value.encode(), 0xA1, 0xB1, out),
    Symbol: lambda value, out: _sized(value.encode("ascii"), 0xA3, 0xB3, out),
    list: _list,
    tuple: _list,
    dict: _map,
    Described: _described,
    Array: _array,
    Opaque: lambda value, out: out.extend(value),
}
