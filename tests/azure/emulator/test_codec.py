"""AMQP's bytes: what is written is read, and nothing that comes from outside can do more than be refused."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtf_runtime.testing.servicebus.amqp.decode import decode, read, read_entries, skip
from dtf_runtime.testing.servicebus.amqp.encode import encode
from dtf_runtime.testing.servicebus.amqp.frames import AMQP_HEADER, Frame, FrameReader, write_frame
from dtf_runtime.testing.servicebus.amqp.message import BATCH_FORMAT, Content, compose, parse, parse_transfer
from dtf_runtime.testing.servicebus.amqp.performatives import (
    Attach,
    Disposition,
    Flow,
    Open,
    Performative,
    Transfer,
    rejected,
)
from dtf_runtime.testing.servicebus.amqp.types import (
    Array,
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
from tests.azure.emulator.support import content


def integers(bits: int, *, signed: bool) -> st.SearchStrategy[int]:
    return st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else st.integers(0, 2**bits - 1)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    integers(8, signed=False).map(UByte),
    integers(16, signed=False).map(UShort),
    integers(32, signed=False).map(UInt),
    integers(64, signed=False).map(ULong),
    integers(8, signed=True).map(Byte),
    integers(16, signed=True).map(Short),
    integers(32, signed=True).map(Int),
    integers(64, signed=True),
    integers(64, signed=True).map(Timestamp),
    st.floats(width=32, allow_nan=False).map(Float32),
    st.floats(allow_nan=False),
    st.uuids(),
    st.binary(max_size=300),
    st.text(max_size=300),
    st.text(st.characters(codec="ascii"), max_size=300).map(Symbol),
    st.binary(min_size=16, max_size=16).map(lambda body: Opaque(b"\x94" + body)),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=300),
        st.dictionaries(st.text(max_size=5), inner, max_size=5),
        st.builds(Described, st.integers(0, 2**64 - 1).map(ULong), inner),
    ),
    max_leaves=20,
)


def shape(value: object) -> object:
    """The value with its types, all the way down."""
    if isinstance(value, list):
        return [shape(item) for item in value]
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, Described):
        return (shape(value.descriptor), shape(value.value))
    return (type(value).__name__, value)


@given(values)
def test_a_value_comes_back_with_its_types(value: object) -> None:
    buffer = encode(value)
    assert shape(decode(buffer)) == shape(value)
    assert encode(decode(buffer)) == buffer
    assert skip(buffer, 0) == len(buffer)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(buffer: bytes) -> None:
    for reader in (read, read_entries, skip):
        try:
            reader(buffer, 0)
        except MalformedError:
            continue


@given(values, st.data())
def test_a_value_that_is_cut_off_is_malformed(value: object, data: st.DataObject) -> None:
    buffer = encode(value)
    cut = data.draw(st.integers(0, len(buffer) - 1))
    with pytest.raises(MalformedError):
        decode(buffer[:cut])


@pytest.mark.parametrize(
    ("array", "items"),
    [
        (Array("long", (1, -(2**40))), [1, -(2**40)]),
        (Array("timestamp", (5,)), [Timestamp(5)]),
        (Array("string", ("a", "é" * 200)), ["a", "é" * 200]),
        (Array("symbol", ("PLAIN", "ANONYMOUS")), [Symbol("PLAIN"), Symbol("ANONYMOUS")]),
        (Array("long", ()), []),
    ],
)
def test_an_array_is_read_as_a_list(array: Array, items: list[object]) -> None:
    assert decode(encode(array)) == items


def test_what_amqp_has_no_type_for_can_not_be_written() -> None:
    with pytest.raises(TypeError, match="no type for set"):
        encode({1: set()})


@pytest.mark.parametrize(
    "performative",
    [
        Open("me", "host", 65_536, 10, 30_000),
        Attach("link", 3, True, 1, 0, Described(ULong(0x28), ["q"]), None, properties={Symbol("k"): ULong(7)}),
        Flow(1, 2, 3, 4, handle=5, link_credit=0, drain=True),
        Transfer(0, 0, b"tag", 0, False, True),
        Disposition(True, 4, 9, True, rejected("amqp:not-found", "nothing there")),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_a_frame_is_read_however_its_bytes_come(performative: Performative, step: int) -> None:
    data = AMQP_HEADER + write_frame(9, performative, b"payload") + b"\x00\x00\x00\x08\x02\x00\x00\x00"
    data += write_frame(9, performative)
    reader = FrameReader()
    header: bytes | None = None
    frames: list[Frame] = []
    for start in range(0, len(data), step):
        reader.feed(data[start : start + step])
        header = header or reader.header()
        if header is not None:
            frames.extend(reader.frames())
    assert header == AMQP_HEADER
    assert [(frame.channel, frame.performative, frame.payload) for frame in frames] == [
        (9, performative, b"payload"),
        (9, performative, b""),
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\x7f\xff\xff\xff\x02\x00\x00\x00",  # far too long
        b"\x00\x00\x00\x04\x02\x00\x00\x00",  # shorter than its own prefix
        b"\x00\x00\x00\x09\x02\x00\x00\x00\x40",  # holds null
        write_frame(0, Open("me"))[:-4].replace(b"\x53\x10", b"\x53\x99"),  # no performative has that number
    ],
)
def test_what_is_no_frame_is_malformed(data: bytes) -> None:
    reader = FrameReader()
    reader.feed(data + b"\x00" * 16)
    with pytest.raises(MalformedError):
        list(reader.frames())


# == Messages =====================================================================================================


def composed(message: Content) -> Content:
    token = UUID(int=5)
    return parse(compose(message, delivery_count=3, annotations={"x-opt-sequence-number": 9}, lock_token=token))


def test_a_message_comes_out_with_all_that_was_put_in() -> None:
    sections = [
        Described(ULong(0x70), [True, UByte(4), UInt(90_000)]),
        Described(ULong(0x72), {Symbol("x-opt-partition-key"): "p", Symbol("x-opt-sequence-number"): 1}),
        Described(ULong(0x73), ["id", None, "to", "subject", None, "correlation", *[None] * 4, "session"]),
        Described(ULong(0x74), {"decimal": Opaque(b"\x74\x01\x02\x03\x04"), "small": Byte(-1)}),
        Described(ULong(0x75), b"one"),
        Described(ULong(0x75), b"two"),
        Described(ULong(0x78), {Symbol("footer"): True}),
    ]
    sent = parse(b"".join(encode(section) for section in sections))
    received = composed(sent)
    assert (sent.message_id, sent.correlation_id, sent.session_id) == ("id", "correlation", "session")
    assert (sent.time_to_live, sent.scheduled_for) == (90.0, None)
    assert received.body == sent.body == b"".join(encode(section) for section in sections[4:])
    assert (received.properties, received.application_properties) == (sent.properties, sent.application_properties)
    assert received.header == (True, 4, 90_000, None, 3)
    assert dict(received.annotations) == {
        "x-opt-partition-key": encode(Symbol("x-opt-partition-key")) + encode("p"),
        "x-opt-sequence-number": encode(Symbol("x-opt-sequence-number")) + encode(9),
    }
    assert received.delivery_annotations[0][1].endswith(encode(UUID(int=5)))


def test_the_reason_of_a_dead_letter_replaces_an_older_one() -> None:
    dead = content().with_properties({"DeadLetterReason": "old", "kept": "yes"})
    again = composed(dead.with_properties({"DeadLetterReason": "new"}))
    assert (again.property("DeadLetterReason"), again.property("kept"), again.property("none")) == ("new", "yes", None)


def test_a_batch_is_as_many_messages_as_it_holds() -> None:
    bodies = [encode(Described(ULong(0x73), [name])) for name in ("a", "b", "c")]
    batch = b"".join(encode(Described(ULong(0x75), body)) for body in bodies)
    assert [message.message_id for message in parse_transfer(batch, BATCH_FORMAT)] == ["a", "b", "c"]


@pytest.mark.parametrize(
    "buffer",
    [
        b"\x53\x70\x45",  # no descriptor
        encode(Described(ULong(0x99), [])),
        encode(Described(ULong(0x73), "no list")),
        encode(Described(ULong(0x72), [])),
        encode(Described(ULong(0x73), ["id", *[None] * 9, 5])),  # a session id that is no text
    ],
)
def test_what_is_no_message_is_malformed(buffer: bytes) -> None:
    with pytest.raises(MalformedError):
        parse(buffer)
