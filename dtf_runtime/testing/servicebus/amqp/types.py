"""AMQP's own types, for the values that plain Python values would not tell apart.

`int` is an AMQP long, `str` a string, `bytes` a binary, `float` a double; what is here stands for the rest. A value that
is decoded and encoded again has the same type on the wire. Source: AMQP 1.0, part 1 (types).
"""

from dataclasses import dataclass
from typing import Literal


class Symbol(str):
    """A name in ASCII."""

    __slots__ = ()


class UByte(int):
    __slots__ = ()


class UShort(int):
    __slots__ = ()


class UInt(int):
    __slots__ = ()


class ULong(int):
    __slots__ = ()


class Byte(int):
    __slots__ = ()


class Short(int):
    __slots__ = ()


class Int(int):
    __slots__ = ()


class Timestamp(int):
    """Milliseconds since 1970 in UTC."""

    __slots__ = ()


class Float32(float):
    __slots__ = ()


class Opaque(bytes):
    """A value that is encoded already, its constructor included: decimals and characters pass through untouched."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A value and the descriptor that says what it is."""

    descriptor: object
    value: object


@dataclass(frozen=True, slots=True)
class Array:
    """Values of one type. Decoding gives a list."""

    kind: Literal["long", "timestamp", "string", "symbol"]
    items: tuple[object, ...]


class MalformedError(ValueError):
    """These bytes are not AMQP."""
