"""What crosses as JSON, how it comes back, and what a refusal says."""

import sys
from collections import namedtuple
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NoReturn, TypedDict
from uuid import UUID

import attrs
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dtf_runtime.converter import decode, encode
from dtf_runtime.errors import InvalidArgumentError, SerializationError
from dtf_runtime.parameters import Parameters


class Colour(Enum):
    RED = "red"


class Size(StrEnum):
    SMALL = "s"


@dataclass
class Item:
    sku: str
    price: float = 1.0
    note: str | None = None


@dataclass
class Order:
    items: list[Item] = field(default_factory=list)


class Point(msgspec.Struct):
    x: float
    y: float = 0.0


class Cat(msgspec.Struct, tag=True):
    lives: int


class Dog(msgspec.Struct, tag=True):
    tricks: list[str]


class Address(TypedDict):
    city: str


class Pair(NamedTuple):
    left: int
    right: str


class Opaque:
    pass


class BrokenAttribute:
    __dataclass_fields__ = 3


class Money(float):
    pass


VALUES = [
    (None, type(None)),
    (True, bool),
    (10**30, int),
    (-1.5, float),
    ("null", str),
    (b"\x00\xff", bytes),
    (Decimal("1.10"), Decimal),
    (UUID(int=7), UUID),
    (datetime(2030, 1, 2, tzinfo=UTC), datetime),
    (date(2030, 1, 2), date),
    (timedelta(days=3, milliseconds=5), timedelta),
    (Colour.RED, Colour),
    (Size.SMALL, Size),
    ({"b"}, set[str]),
    (frozenset({1}), frozenset[int]),
    ((1, "a"), tuple[int, str]),
    ({1: "one"}, dict[int, str]),
    ({"z": 1, "a": None}, dict[str, int | None]),
    (Order([Item("a"), Item("b", 2.5, "null")]), Order),
    (Point(1.0), Point),
    ([Cat(9), Dog(["sit"])], list[Cat | Dog]),
    ({"city": "Bonn"}, Address),
    (Pair(1, "x"), Pair),
    (Money(2.5), Money),
    ("b", Literal["a", "b"]),
    (3, Annotated[int, {"unhashable": "metadata"}]),
    ([1, {"a": [None, 2.5]}], Any),
    ({"a": 1}, object),
]


@pytest.mark.parametrize(("value", "hint"), VALUES, ids=lambda part: getattr(part, "__name__", str(part))[:40])
def test_a_value_comes_back_as_its_hint_says(value: Any, hint: Any) -> None:
    back = decode(encode(value, "input"), hint, "input")
    assert back == value
    assert type(back) is type(value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_plain_json_values_come_back_as_they_were(value: Any) -> None:
    assert decode(encode(value, "input"), Any, "input") == value


@given(JSON, st.sampled_from([float("nan"), float("inf"), float("-inf")]), st.lists(st.integers(0, 2), max_size=4))
def test_a_number_that_is_not_finite_is_refused_however_deep_it_lies(value: Any, odd: float, way: list[int]) -> None:
    hidden: Any = odd
    for step in way:
        hidden = [[value, hidden], {"a": hidden, "b": value}, Order([Item("x", hidden)])][step]
    with pytest.raises(SerializationError):
        encode(hidden, "input")


def test_attrs_classes_cross() -> None:
    @attrs.define
    class Crate:
        size: float

    assert decode(encode(Crate(3.0), "input"), Crate, "input") == Crate(3.0)
    with pytest.raises(SerializationError, match=r"input\.size is inf"):
        encode(Crate(float("inf")), "input")


class Customer(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(strict=True)
    name: str = pydantic.Field(alias="fullName")
    since: date
    score: float = 0.0


class Company(pydantic.BaseModel):
    taxId: str


ANN = Customer(fullName="Ann", since=date(2020, 1, 2))


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (ANN, Customer),
        ([ANN], list[Customer]),
        ({"a": ANN}, dict[str, Customer | None]),
        (Company(taxId="7"), Customer | Company),
        ([ANN, Company(taxId="7")], list[Customer | Company]),
    ],
    ids=["model", "list", "optional", "union", "list of a union"],
)
def test_pydantic_models_cross(value: Any, hint: Any) -> None:
    assert decode(encode(value, "input"), hint, "input") == value


def test_pydantic_models_are_checked_on_both_ways() -> None:
    with pytest.raises(SerializationError, match=r"input\.score is nan"):
        encode(ANN.model_copy(update={"score": float("nan")}), "input")
    with pytest.raises(SerializationError, match=r"fullName.*\n?.*at input\[0\]|fullName"):
        decode(b'[{"since":"2020-01-02"}]', list[Customer], "input")
    with pytest.raises(SerializationError, match="taxId"):
        decode(b"{}", Customer | Company, "input")


CULPRITS: list[tuple[Any, str]] = [
    (Opaque(), "input is of type tests.runtime.test_converter.Opaque"),
    ({"items": [1, {"price": Opaque()}]}, r"input\.items\[1\]\.price is of type .*Opaque"),
    (Order([Item("a"), Item("b", Opaque())]), r"input\.items\[1\]\.price is of type .*Opaque"),  # type: ignore[arg-type]
    (Order([Item("a", float("nan"))]), r"input\.items\[0\]\.price is nan"),
    (Point(float("inf")), r"input\.x is inf"),
    ({"two words": float("-inf")}, r"input\['two words'\] is -inf"),
    ([1, (2, 3j)], r"input\[1\]\[1\] is of type builtins.complex"),
    ({"a": {(1, 2): 3}}, r"input\.a \(builtins.dict\) has a key that JSON can't hold"),
    (["fine", "\ud800"], r"input\[1\] \(builtins.str\) has a lone surrogate"),
    ({"where": Path("a.txt")}, r"input\.where is of type pathlib\."),
    (BrokenAttribute(), r"input is of type .*BrokenAttribute"),
]


@pytest.mark.parametrize(("value", "says"), CULPRITS)
def test_a_refusal_names_the_path_and_the_type(value: Any, says: str) -> None:
    with pytest.raises(SerializationError, match=says) as refusal:
        encode(value, "input")
    assert str(refusal.value).startswith("input can't be stored: ")


def test_a_value_that_contains_itself_is_refused() -> None:
    loop: dict[str, Any] = {"name": "loop"}
    loop["children"] = [loop]
    with pytest.raises(SerializationError, match=r"input\.children\[0\] .* contains itself"):
        encode(loop, "input")


def test_a_value_that_is_nested_too_deeply_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(SerializationError, match="nested too deeply"):
        encode(deep, "input")
    with pytest.raises(SerializationError):
        decode(b"[" * 100_000 + b"]" * 100_000, Any, "input")


MISMATCHES: list[tuple[bytes, Any, str]] = [
    (b'{"items":[{"sku":1}]}', Order, r"Expected `str`, got `int` - at input\.items\[0\]\.sku"),
    (b'"x"', int, "input is not what the type hint says: Expected `int`, got `str`"),
    (b"{", Any, "input is no JSON"),
    (b"", int, "input is no JSON"),
    (b"\xff\xfe", str, "input is no JSON"),
    (b"1", Opaque, "values of type .*Opaque can't be made from JSON"),
    (b"1", Item | Order, "no value can be decoded as"),
    (b"1", Callable[[], int], "input is not what the type hint says|can't be made"),
    (b"1", "a text", "no value can be decoded as 'a text'"),
    (b"1", Annotated[Item | Order, {}], "no value can be decoded as"),
]


@pytest.mark.parametrize(("data", "hint", "says"), MISMATCHES)
def test_bytes_that_do_not_fit_are_refused_with_the_place(data: bytes, hint: Any, says: str) -> None:
    with pytest.raises(SerializationError, match=says):
        decode(data, hint, "input")


# == Parameters =======================================================================================================


async def price(sku: str, *rest: int, currency: str = "EUR", **more: float) -> Decimal:
    raise NotImplementedError


async def ship(order: Order, days: int) -> None:
    raise NotImplementedError


async def greet(name: str = "you", times: int = 1) -> str:
    raise NotImplementedError


def plain(a, b=2): ...  # type: ignore[no-untyped-def]
def nothing() -> NoReturn:
    raise NotImplementedError


def gives_coroutine() -> Coroutine[Any, Any, Item]:
    raise NotImplementedError


def gives_awaitable() -> Awaitable[Item]:
    raise NotImplementedError


def parameters(fn: Callable[..., Any]) -> Parameters:
    return Parameters(fn, fn.__name__)


CALLS: list[tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any], bytes]] = [
    (ship, (Order([Item("a")]), 3), {}, b'[{"items":[{"sku":"a","price":1.0,"note":null}]},3]'),
    (ship, (Order(),), {"days": 3}, b'{"args":[{"items":[]}],"kwargs":{"days":3}}'),
    (price, ("a", 1, 2), {"currency": "USD", "tax": 0.2}, b'{"args":["a",1,2],"kwargs":{"currency":"USD","tax":0.2}}'),
    (price, ("a", 1, 2), {}, b'["a",1,2]'),
    (greet, (), {}, b"[]"),
    (greet, ("me",), {}, b'["me"]'),
    (greet, (), {"times": 2}, b'{"args":[],"kwargs":{"times":2}}'),
    (plain, (None, [1]), {}, b"[null,[1]]"),
    (nothing, (), {}, b"[]"),
]


@pytest.mark.parametrize(("fn", "args", "kwargs", "data"), CALLS)
def test_a_call_is_stored_compactly_and_comes_back_typed(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], data: bytes
) -> None:
    assert parameters(fn).encode_call(args, kwargs, "the call") == data
    assert parameters(fn).decode_call(data, "the call") == (args, kwargs)


@pytest.mark.parametrize(
    ("fn", "args", "kwargs", "says"),
    [
        (ship, (Order(),), {}, "missing a required argument: 'days'"),
        (ship, (Order(), 1, 2), {}, "too many positional arguments"),
        (ship, (Order(), 1), {"speed": 2}, "unexpected keyword argument 'speed'"),
        (ship, (Order(), 1), {"days": 2}, "multiple values for argument 'days'"),
        (nothing, (1,), {}, "too many positional arguments"),
    ],
)
def test_a_call_that_does_not_fit_the_signature_is_refused(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any], says: str
) -> None:
    for _ in ("before it is compiled", "and after"):
        with pytest.raises(InvalidArgumentError, match=f"{fn.__name__}.* can't be called so: .*{says}"):
            parameters(fn).encode_call(args, kwargs, "the call")


def test_an_argument_that_can_not_be_stored_is_named() -> None:
    with pytest.raises(SerializationError, match=r"the call can't be stored: order\.items\[0\]\.price is nan"):
        parameters(ship).encode_call((Order([Item("a", float("nan"))]), 3), {}, "the call")
    with pytest.raises(SerializationError, match=r"the call can't be stored: days is of type .*Opaque"):
        parameters(ship).encode_call((Order(),), {"days": Opaque()}, "the call")
    with pytest.raises(SerializationError, match=r"the call can't be stored: rest is inf"):
        parameters(price).encode_call(("a", 1, float("inf")), {}, "the call")


def test_a_stored_argument_of_another_type_is_named() -> None:
    with pytest.raises(SerializationError, match=r"the call: days is not what the type hint says: Expected `int`"):
        parameters(ship).decode_call(b'[{"items":[]},"three"]', "the call")
    with pytest.raises(SerializationError, match=r"the call: order .* at order\.items\[0\]\.sku"):
        parameters(ship).decode_call(b'{"args":[{"items":[{"sku":1}]}],"kwargs":{"days":1}}', "the call")
    with pytest.raises(SerializationError, match=r"the call: tax .*Expected `float`"):
        parameters(price).decode_call(b'{"args":["a"],"kwargs":{"tax":"much"}}', "the call")
    for broken in (b"", b"nonsense", b'"text"', b"{}"):
        with pytest.raises(SerializationError, match="the call"):
            parameters(ship).decode_call(broken, "the call")


def test_a_call_stored_by_older_code_with_fewer_arguments_still_decodes() -> None:
    assert parameters(ship).decode_call(b'[{"items":[]}]', "the call") == ((Order(),), {})
    assert parameters(ship).decode_call(b'[{"items":[]},1,"more"]', "the call") == ((Order(), 1, "more"), {})


def test_calls_with_varying_numbers_of_arguments_decode_alike_in_any_order() -> None:
    taken = parameters(price)
    for args in [("a",), ("a", 1), ("b",), ("a", 1, 2), ("a", 1), ("c", *range(50)), ("a",)] * 2:
        assert taken.decode_call(taken.encode_call(args, {}, "the call"), "the call") == (args, {})
        with pytest.raises(SerializationError, match="the call: sku is not what the type hint says"):
            taken.decode_call(b"[1]", "the call")


def test_a_result_comes_back_as_the_return_hint_says() -> None:
    assert parameters(price).decode_result(parameters(price).encode_result(Decimal("1.5"))) == Decimal("1.5")
    assert parameters(price).result_type.hint is Decimal
    assert parameters(plain).result_type.hint is Any
    assert parameters(nothing).result_type.hint is Any
    assert parameters(gives_coroutine).result_type.hint is Item
    assert parameters(gives_awaitable).result_type.hint is Item
    with pytest.raises(SerializationError, match="the result of price"):
        parameters(price).decode_result(b"[]", "the result of price")


async def checkout(ctx: "NotImportedHere", order: Order) -> None: ...  # type: ignore[name-defined]  # noqa: F821
async def tick(ctx: Any) -> None: ...
async def maybe(ctx: Any, order: Order | None = None) -> None: ...


def orchestration_parameters(fn: Callable[..., Any]) -> Parameters:
    return Parameters(fn, fn.__name__, skip_first=True)


def test_an_input_stands_alone_and_none_is_no_bytes() -> None:
    taken = orchestration_parameters(checkout)
    assert taken.encode_input((Order(),)) == b'{"items":[]}'
    assert taken.decode_input(b'{"items":[]}') == (Order(),)
    assert taken.encode_input_call((), {"order": Order()}) == b'{"items":[]}'
    assert orchestration_parameters(tick).encode_input(()) == b""
    assert orchestration_parameters(tick).decode_input(b"") == ()
    assert orchestration_parameters(tick).decode_input(b"null") == ()
    assert orchestration_parameters(maybe).encode_input(()) == b""
    assert orchestration_parameters(maybe).encode_input((None,)) == b"null"
    assert orchestration_parameters(maybe).decode_input(b"null") == (None,)


def test_an_input_that_does_not_fit_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="missing a required argument: 'order'"):
        orchestration_parameters(checkout).encode_input(())
    with pytest.raises(InvalidArgumentError, match="too many positional arguments"):
        orchestration_parameters(tick).encode_input((1,))
    with pytest.raises(SerializationError, match="tick takes no input"):
        orchestration_parameters(tick).decode_input(b"3")
    with pytest.raises(SerializationError, match="Expected `object`, got `int`"):
        orchestration_parameters(checkout).decode_input(b"3")


def test_a_hint_that_can_not_be_resolved_is_an_error_at_its_first_use_only() -> None:
    def late(good: int, bad: "Missing") -> "Missing":  # type: ignore[name-defined]  # noqa: F821
        return bad

    taken = parameters(late)
    assert taken.encode_call((1, 2), {}, "the call") == b"[1,2]"
    with pytest.raises(SerializationError, match=r"the type hint of 'bad' in late can't be resolved .*Missing"):
        taken.decode_call(b"[1,2]", "the call")
    with pytest.raises(SerializationError, match="the type hint of 'return' in late"):
        taken.decode_result(b"1")


def test_hints_written_as_text_are_resolved_when_they_are_used() -> None:
    def later(item: "Item", when: "datetime") -> "list[Item]":
        raise NotImplementedError

    data = parameters(later).encode_call((Item("a"), datetime(2030, 1, 1, tzinfo=UTC)), {}, "the call")
    assert parameters(later).decode_call(data, "the call")[0] == (Item("a"), datetime(2030, 1, 1, tzinfo=UTC))


def test_a_plain_named_tuple_and_numbers_of_other_libraries_are_stored_by_value() -> None:
    kind = namedtuple("kind", "a b")
    assert encode(kind(1, Money(2.5)), "input") == b"[1,2.5]"


def test_pydantic_is_not_imported_for_the_sake_of_it() -> None:
    import subprocess

    code = "import sys, dtf_runtime.converter as c; c.encode({'a': 1}, 'x'); print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"
