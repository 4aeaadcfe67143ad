"""What crosses as JSON guided by annotations, and what is refused, where, and in which words."""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict
from uuid import UUID

import msgspec
import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    SerializationError,
    TaskFailedError,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


class Point(msgspec.Struct, frozen=True):
    x: int
    y: int


class Row(TypedDict):
    id: int
    name: str


@dataclass
class Everything:
    when: datetime
    day: date
    span: timedelta
    key: UUID
    price: Decimal
    colour: Colour
    raw: bytes
    point: Point
    row: Row
    maybe: int | None
    either: int | str
    pairs: dict[str, tuple[int, float]]
    tags: set[str] = field(default_factory=set)


EVERYTHING = Everything(
    when=datetime(2024, 2, 29, 12, 30, 0, 123456, tzinfo=UTC),
    day=date(1999, 12, 31),
    span=timedelta(days=3, microseconds=5),
    key=UUID(int=7),
    price=Decimal("12.30"),
    colour=Colour.BLUE,
    raw=bytes(range(256)),
    point=Point(1, -2),
    row={"id": 1, "name": "ä\N{PILE OF POO}\x00\n"},
    maybe=None,
    either="5",
    pairs={"a": (1, 0.1)},
    tags={"x", "y"},
)


class Opaque:
    """Nothing knows how to write this."""


@dataclass
class Holder:
    items: list[Any]


async def test_values_of_all_kinds_come_through_unchanged(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def same(value: Everything) -> Everything:
        assert value == EVERYTHING
        return value

    @activity(registry=registry)
    def same_in_a_thread(value: Everything) -> Everything:
        return value

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, value: Everything) -> Everything:
        return value

    @orchestration(registry=registry)
    async def mirror(ctx: OrchestrationContext, value: Everything) -> Everything:
        return await child(await same_in_a_thread(await same(value)))

    async with hub.worker(registry):
        assert await hub.run(mirror, EVERYTHING) == EVERYTHING


async def test_without_annotations_plain_json_values_cross(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def same(value):  # type: ignore[no-untyped-def]
        return value

    @orchestration(registry=registry)
    async def mirror(ctx: OrchestrationContext, value: Any) -> Any:
        return await same(value)

    plain = {"list": [1, 2.5, None, True, "ü"], "nested": {"empty": {}}, "big": 2**53}
    async with hub.worker(registry):
        assert await hub.run(mirror, plain) == plain


async def test_an_activity_gets_a_copy_even_in_the_same_process(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def spoil(items: list[int]) -> list[int]:
        items.append(99)
        return items

    @orchestration(registry=registry)
    async def owner(ctx: OrchestrationContext) -> tuple[list[int], list[int]]:
        items = [1]
        answer = await spoil(items)
        items.append(2)
        return items, answer

    async with hub.worker(registry):
        assert await hub.run(owner) == ([1, 2], [1, 99])


async def test_arguments_are_those_of_the_moment_of_the_call(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def length(items: list[int]) -> int:
        return len(items)

    @orchestration(registry=registry)
    async def hasty(ctx: OrchestrationContext) -> int:
        items = [1]
        call = length(items)
        items.append(2)
        return await call

    async with hub.worker(registry):
        assert await hub.run(hasty) == 1


async def test_results_are_decoded_to_the_annotated_type_on_the_live_path(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def loose() -> tuple[int, ...]:
        answer: Any = [1, 2]
        return answer  # type: ignore[no-any-return]

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        return type(await loose()).__name__

    async with hub.worker(registry):
        assert await hub.run(caller) == "tuple"


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (Opaque(), "Opaque"),
        (Holder([1, {"deep": Opaque()}]), "Opaque"),
        (float("nan"), "nan"),
        ([1.0, float("inf")], "inf"),
        (lambda: None, "function"),
    ],
    ids=["object", "nested object", "nan", "infinity", "function"],
)
async def test_an_input_that_cannot_be_stored_is_refused_by_start(
    hub: Hub, registry: Registry, value: object, told: str
) -> None:
    @orchestration(registry=registry)
    async def taker(ctx: OrchestrationContext, value: Any) -> None: ...

    with pytest.raises(SerializationError, match=f"(?i){told}"):
        await hub.client.start(taker, value, instance_id="refused")
    assert await hub.client.get_state("refused") is None


async def test_the_refusal_names_the_path_to_the_value(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def taker(ctx: OrchestrationContext, value: Any) -> None: ...

    with pytest.raises(SerializationError, match="deep"):
        await hub.client.start(taker, {"items": [1, {"deep": Opaque()}]})


async def test_an_argument_that_cannot_be_stored_is_refused_where_the_call_is_made(
    hub: Hub, registry: Registry
) -> None:
    @activity(registry=registry)
    async def step(value: Any) -> str:
        return "ran"

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, value: Any) -> None: ...

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        with pytest.raises(SerializationError, match="Opaque"):
            step(Opaque())  # not awaited: the call itself refuses
        with pytest.raises(SerializationError, match="Opaque"):
            child(Opaque())
        with pytest.raises(SerializationError, match="Opaque"):
            ctx.send_event(ctx.instance_id, "event", Opaque())
        with pytest.raises(SerializationError, match="Opaque"):
            ctx.set_custom_status(Opaque())
        with pytest.raises(SerializationError, match="Opaque"):
            ctx.continue_as_new(Opaque())
        with pytest.raises(SerializationError):
            step(float("nan"))
        return await step("fine")

    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert state.output == "ran"
    assert await hub.kinds(state.instance_id) == [
        "ExecutionStarted", "TaskScheduled", "TaskCompleted", "ExecutionCompleted"
    ]  # fmt: skip


async def test_an_event_payload_that_cannot_be_stored_is_refused_by_the_client(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> int:
        return await ctx.wait_for_event("event", int)

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        with pytest.raises(SerializationError, match="Opaque"):
            await hub.client.raise_event(handle.instance_id, "event", Opaque())
        await hub.client.raise_event(handle.instance_id, "event", 1)
        assert await handle.result(WAIT) == 1


@pytest.mark.parametrize("value", [Opaque(), float("nan")], ids=["object", "nan"])
async def test_a_result_that_cannot_be_stored_fails_its_activity(hub: Hub, registry: Registry, value: object) -> None:
    @activity(registry=registry)
    async def bad() -> Any:
        return value

    @activity(registry=registry)
    def bad_in_a_thread() -> Any:
        return value

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> list[bool]:
        answers: list[bool] = []
        for call in (bad, bad_in_a_thread):
            with pytest.raises(TaskFailedError) as caught:
                await call()
            answers.append(caught.value.failure.is_caused_by(SerializationError))
        return answers

    async with hub.worker(registry):
        assert await hub.run(caller) == [True, True]


@pytest.mark.parametrize("value", [Opaque(), float("-inf")], ids=["object", "infinity"])
async def test_a_result_that_cannot_be_stored_fails_its_orchestration(
    hub: Hub, registry: Registry, value: object
) -> None:
    @orchestration(registry=registry)
    async def bad(ctx: OrchestrationContext) -> Any:
        return value

    async with hub.worker(registry):
        state = await hub.finished(bad)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(SerializationError)


async def test_an_input_of_another_type_fails_the_instance_clearly(hub: Hub, registry: Registry) -> None:
    @orchestration(name="typed", registry=registry)
    async def typed(ctx: OrchestrationContext, point: Point) -> int:
        return point.x

    async with hub.worker(registry):
        state = await hub.finished("typed", {"x": "one", "y": 2})
        assert (await hub.finished("typed", {"x": 1, "y": 2})).output == 1
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(SerializationError)
    assert "x" in state.failure.message


async def test_an_argument_of_another_type_fails_the_activity_clearly(hub: Hub, registry: Registry) -> None:
    ran: list[Point] = []

    @activity(name="typed", registry=registry)
    async def typed(point: Point) -> None:
        ran.append(point)

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> bool:
        with pytest.raises(TaskFailedError) as caught:
            await ctx.call_activity("typed", {"x": "one"})
        return caught.value.failure.is_caused_by(SerializationError)

    async with hub.worker(registry):
        assert await hub.run(caller) is True
    assert ran == []


async def test_a_result_of_another_type_than_asked_for_is_an_error_in_the_caller(hub: Hub, registry: Registry) -> None:
    @activity(name="words", registry=registry)
    async def words() -> str:
        return "words"

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        with pytest.raises(SerializationError):
            await ctx.call_activity("words", result_type=int)
        return "handled"

    async with hub.worker(registry):
        assert await hub.run(caller) == "handled"
