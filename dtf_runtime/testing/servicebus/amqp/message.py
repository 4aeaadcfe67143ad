"""Messages as they travel: sections, read only as far as the broker must, and given back byte for byte.

Bodies, properties and application properties are never decoded and encoded again, so whatever a client puts in comes out.
Source: AMQP 1.0, part 3; the batch format is Service Bus's own.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.decode import decode, read, read_entries, skip
from dtf_runtime.testing.servicebus.amqp.encode import encode, write, write_map
from dtf_runtime.testing.servicebus.amqp.types import MalformedError, Symbol, UInt

BATCH_FORMAT = 0x80013700  # message-format of a transfer whose Data sections each hold a whole message

_HEADER = 0x70
_DELIVERY_ANNOTATIONS = 0x71
_ANNOTATIONS = 0x72
_PROPERTIES = 0x73
_APPLICATION_PROPERTIES = 0x74
_DATA = 0x75
_VALUE = 0x77
_FOOTER = 0x78
_SCHEDULED = "x-opt-scheduled-enqueue-time"
_LOCK_TOKEN = "x-opt-lock-token"
_FOREVER = 0xFFFFFFFF

Entries = tuple[tuple[Any, bytes], ...]  # key, and key with value as encoded


@dataclass(frozen=True, slots=True)
class Content:
    """What a client sent. Times in seconds, instants in seconds since 1970."""

    size: int
    header: tuple[Any, ...]
    delivery_annotations: Entries
    annotations: Entries
    properties: bytes
    application_properties: Entries
    body: bytes
    message_id: Any
    correlation_id: Any
    session_id: str | None
    time_to_live: float | None
    scheduled_for: float | None

    def with_properties(self, values: Mapping[str, str]) -> "Content":
        """With these application properties, in place of those of the same name."""
        kept = [entry for entry in self.application_properties if entry[0] not in values]
        added = [(name, encode(name) + encode(value)) for name, value in values.items()]
        return replace(self, application_properties=(*kept, *added))

    def property(self, name: str) -> Any:
        """An application property, decoded; None when there is none."""
        for key, entry in self.application_properties:
            if key == name:
                return decode(entry[skip(entry, 0) :])
        return None

    def value(self) -> Any:
        """The body, when it is an AMQP value; None for any other."""
        return decode(self.body[3:]) if self.body[:3] == _section(_VALUE) else None


def parse(buffer: bytes) -> Content:
    """MalformedError when it is no message."""
    sections: dict[int, Any] = {}
    properties = b""
    body = bytearray()
    for code, start, value, end in _sections(buffer):
        if code in (_DELIVERY_ANNOTATIONS, _ANNOTATIONS, _APPLICATION_PROPERTIES):
            sections[code] = tuple(read_entries(buffer, value))
        elif code == _HEADER:
            sections[code] = tuple(_list(read(buffer, value)[0]))
        elif code == _PROPERTIES:
            sections[code] = _list(read(buffer, value)[0])
            properties = buffer[start:end]
        else:
            body += buffer[start:end]
    header = _padded(sections.get(_HEADER, ()), 5)
    fields = _padded(sections.get(_PROPERTIES, ()), 13)
    annotations = sections.get(_ANNOTATIONS, ())
    session_id = fields[10]
    if session_id is not None and not isinstance(session_id, str):
        raise MalformedError("a session id must be a string")
    return Content(
        size=len(buffer),
        header=header,
        delivery_annotations=sections.get(_DELIVERY_ANNOTATIONS, ()),
        annotations=annotations,
        properties=properties,
        application_properties=sections.get(_APPLICATION_PROPERTIES, ()),
        body=bytes(body),
        message_id=fields[0],
        correlation_id=fields[5],
        session_id=session_id,
        time_to_live=None if header[2] is None or header[2] == _FOREVER else header[2] / 1000,
        scheduled_for=_scheduled_for(annotations),
    )


def parse_transfer(buffer: bytes, message_format: int) -> list[Content]:
    """The messages of one transfer: one, or those of a batch."""
    if message_format != BATCH_FORMAT:
        return [parse(buffer)]
    bodies = (read(buffer, value)[0] for code, _, value, _ in _sections(buffer) if code == _DATA)
    return [parse(body) for body in bodies]


def compose(
    content: Content, *, delivery_count: int, annotations: Mapping[str, object], lock_token: UUID | None
) -> bytes:
    """The message for a receiver: what was sent, with the broker's own annotations."""
    out = bytearray(_section(_HEADER))
    durable, priority, ttl, first_acquirer, _ = content.header
    write([False if durable is None else durable, priority, ttl, first_acquirer, UInt(delivery_count)], out)
    delivery = [entry for key, entry in content.delivery_annotations if key != _LOCK_TOKEN]
    if lock_token is not None:
        delivery.append(encode(Symbol(_LOCK_TOKEN)) + encode(lock_token))
    if delivery:
        out += _section(_DELIVERY_ANNOTATIONS)
        write_map(delivery, out)
    own = [entry for key, entry in content.annotations if key not in annotations]
    own += [encode(Symbol(key)) + encode(value) for key, value in annotations.items()]
    out += _section(_ANNOTATIONS)
    write_map(own, out)
    out += content.properties
    if content.application_properties:
        out += _section(_APPLICATION_PROPERTIES)
        write_map([entry for _, entry in content.application_properties], out)
    return bytes(out + content.body)


def compose_answer(correlation_id: object, properties: Mapping[str, object], value: object) -> bytes:
    """The answer of a request-response node."""
    out = bytearray(_section(_PROPERTIES))
    write([None, None, None, None, None, correlation_id], out)
    out += _section(_APPLICATION_PROPERTIES)
    write(dict(properties), out)
    out += _section(_VALUE)
    write(value, out)
    return bytes(out)


def _section(code: int) -> bytes:
    return bytes((0x00, 0x53, code))


def _sections(buffer: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Code, start, start of the value, end."""
    position = 0
    while position < len(buffer):
        if buffer[position] != 0x00:
            raise MalformedError(f"no section at byte {position} of a message")
        code, value = read(buffer, position + 1)
        if not isinstance(code, int) or not _HEADER <= code <= _FOOTER:
            raise MalformedError(f"no section of a message has the descriptor {code!r}")
        end = skip(buffer, value)
        yield code, position, value, end
        position = end


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise MalformedError("header and properties must be lists")
    return value


def _padded(fields: Any, length: int) -> tuple[Any, ...]:
    return (*fields, *[None] * (length - len(fields)))[:length]


def _scheduled_for(annotations: Entries) -> float | None:
    for key, entry in annotations:
        if key == _SCHEDULED:
            instant = decode(entry[skip(entry, 0) :])
            return float(instant) / 1000 if isinstance(instant, int) else None
    return None
