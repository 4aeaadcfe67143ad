"""What frames say: AMQP's performatives and SASL's, delivery states and errors. Fields come in the order of the wire.

Source: AMQP 1.0, parts 2 (transport), 3 (messaging), 5 (security).
"""

from typing import Any, NamedTuple

from dtf_runtime.testing.servicebus.amqp.encode import write
from dtf_runtime.testing.servicebus.amqp.types import (
    Described,
    MalformedError,
    Symbol,
    UByte,
    UInt,
    ULong,
    UShort,
)


class Open(NamedTuple):
    container_id: str
    hostname: str | None = None
    max_frame_size: int | None = None
    channel_max: int | None = None
    idle_time_out: int | None = None  # milliseconds
    outgoing_locales: object = None
    incoming_locales: object = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Begin(NamedTuple):
    remote_channel: int | None
    next_outgoing_id: int
    incoming_window: int
    outgoing_window: int
    handle_max: int | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: object = None


class Attach(NamedTuple):
    name: str
    handle: int
    role: bool  # True: the receiver's end
    snd_settle_mode: int | None = None
    rcv_settle_mode: int | None = None
    source: object = None
    target: object = None
    unsettled: object = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: object = None
    desired_capabilities: object = None
    properties: Any = None


class Flow(NamedTuple):
    next_incoming_id: int | None
    incoming_window: int
    next_outgoing_id: int
    outgoing_window: int
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool | None = None
    echo: bool | None = None
    properties: object = None


class Transfer(NamedTuple):
    handle: int
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: int | None = None
    state: object = None
    resume: bool | None = None
    aborted: bool | None = None
    batchable: bool | None = None


class Disposition(NamedTuple):
    role: bool  # True: said by the receiver
    first: int
    last: int | None = None
    settled: bool | None = None
    state: Any = None
    batchable: bool | None = None


class Detach(NamedTuple):
    handle: int
    closed: bool | None = None
    error: object = None


class End(NamedTuple):
    error: object = None


class Close(NamedTuple):
    error: object = None


class SaslMechanisms(NamedTuple):
    mechanisms: object


class SaslInit(NamedTuple):
    mechanism: str
    initial_response: bytes | None = None
    hostname: str | None = None


class SaslOutcome(NamedTuple):
    code: int
    additional_data: bytes | None = None


Performative = (
    Open
    | Begin
    | Attach
    | Flow
    | Transfer
    | Disposition
    | Detach
    | End
    | Close
    | SaslMechanisms
    | SaslInit
    | SaslOutcome
)

_CODES: dict[int, type[Any]] = {
    0x10: Open,
    0x11: Begin,
    0x12: Attach,
    0x13: Flow,
    0x14: Transfer,
    0x15: Disposition,
    0x16: Detach,
    0x17: End,
    0x18: Close,
    0x40: SaslMechanisms,
    0x41: SaslInit,
    0x44: SaslOutcome,
}

# The numbers' types on the wire; a field that is not here is encoded as the value that it is.
_NUMBERS: dict[type[Any], dict[str, type[int]]] = {
    Open: {"max_frame_size": UInt, "channel_max": UShort, "idle_time_out": UInt},
    Begin: {
        "remote_channel": UShort,
        "next_outgoing_id": UInt,
        "incoming_window": UInt,
        "outgoing_window": UInt,
        "handle_max": UInt,
    },
    Attach: {
        "handle": UInt,
        "snd_settle_mode": UByte,
        "rcv_settle_mode": UByte,
        "initial_delivery_count": UInt,
        "max_message_size": ULong,
    },
    Flow: {
        "next_incoming_id": UInt,
        "incoming_window": UInt,
        "next_outgoing_id": UInt,
        "outgoing_window": UInt,
        "handle": UInt,
        "delivery_count": UInt,
        "link_credit": UInt,
        "available": UInt,
    },
    Transfer: {"handle": UInt, "delivery_id": UInt, "message_format": UInt, "rcv_settle_mode": UByte},
    Disposition: {"first": UInt, "last": UInt},
    Detach: {"handle": UInt},
    SaslOutcome: {"code": UByte},
}
_FORMS = {
    kind: (code, tuple(_NUMBERS.get(kind, {}).get(name) for name in kind._fields)) for code, kind in _CODES.items()
}


def write_performative(performative: Performative, out: bytearray) -> None:
    """Appends it with all its fields: those at the end that say nothing could be left out, but SDK 7.14 reads by place."""
    code, numbers = _FORMS[type(performative)]
    fields: list[object] = [
        value if number is None or value is None else number(value)
        for value, number in zip(performative, numbers, strict=True)
    ]
    write(Described(ULong(code), fields), out)


def performative_of(value: object) -> Performative:
    """MalformedError when the value is none that AMQP knows, or lacks a field that must be there."""
    if not isinstance(value, Described) or not isinstance(value.value, list):
        raise MalformedError("a frame must hold a performative")
    kind = _CODES.get(value.descriptor) if isinstance(value.descriptor, int) else None
    if kind is None:
        raise MalformedError(f"no performative has the descriptor {value.descriptor!r}")
    try:
        performative: Performative = kind(*value.value)
    except TypeError as error:
        raise MalformedError(f"{kind.__name__}: {error}") from error
    return performative


# == Delivery states ==============================================================================================

RECEIVED = 0x23
ACCEPTED = 0x24
REJECTED = 0x25
RELEASED = 0x26
MODIFIED = 0x27

ACCEPTED_STATE = Described(ULong(ACCEPTED), [])
REJECTED_STATE = Described(ULong(REJECTED), [])


def error(condition: str, description: str | None = None) -> Described:
    """All three fields, though the last says nothing: the SDK reads it, and forgets the send when it is not there."""
    return Described(ULong(0x1D), [Symbol(condition), description, None])


def rejected(condition: str, description: str | None = None) -> Described:
    return Described(ULong(REJECTED), [error(condition, description)])
