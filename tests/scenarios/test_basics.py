"""Hello, sequences, calls by name, and what the context tells."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    OutsideOrchestrationError,
    Registry,
    activity,
    orchestration,
    run,
)
from tests.conftest import MakeService
from tests.scenarios.support import WAIT, Hub, utc_now


@dataclass
class Order:
    sku: str
    quantity: int = 1


async def test_hello(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def greet(name: str) -> str:
        return f"Hello {name}!"

    @orchestration(registry=registry)
    async def hello(ctx: OrchestrationContext, name: str) -> str:
        return await greet(name)

    async with hub.worker(registry):
        handle = await hub.client.start(hello, "Seattle", instance_id="hello-1")
        assert await handle.result(WAIT) == "Hello Seattle!"

    state = await hub.state("hello-1")
    assert (state.status, state.input, state.output) == (OrchestrationStatus.COMPLETED, "Seattle", "Hello Seattle!")
    assert state.failure is None and state.completed_at is not None
    assert state.created_at <= state.updated_at <= state.completed_at
    assert await hub.kinds("hello-1") == ["ExecutionStarted", "TaskScheduled", "TaskCompleted", "ExecutionCompleted"]


async def test_orchestration_without_input_result_or_activity_completes(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nothing(ctx: OrchestrationContext) -> None: ...

    async with hub.worker(registry):
        state = await hub.finished(nothing)
    assert state.status == OrchestrationStatus.COMPLETED
    assert state.input is None and state.output is None
    assert await hub.kinds(state.instance_id) == ["ExecutionStarted", "ExecutionCompleted"]


async def test_activities_in_sequence_run_once_each_and_in_order(hub: Hub, registry: Registry) -> None:
    ran: list[int] = []

    @activity(registry=registry)
    async def step(n: int) -> int:
        ran.append(n)
        return n * 10

    @orchestration(registry=registry)
    async def sequence(ctx: OrchestrationContext, steps: int) -> list[int]:
        return [await step(n) for n in range(steps)]

    async with hub.worker(registry):
        state = await hub.finished(sequence, 5)
    assert state.output == [0, 10, 20, 30, 40]
    assert ran == [0, 1, 2, 3, 4]
    assert await hub.kinds(state.instance_id) == [
        "ExecutionStarted", *["TaskScheduled", "TaskCompleted"] * 5, "ExecutionCompleted"
    ]  # fmt: skip


async def test_an_activity_is_scheduled_when_it_is_called_not_when_it_is_awaited(hub: Hub, registry: Registry) -> None:
    ran: list[str] = []
    second_began = asyncio.Event()

    @activity(registry=registry)
    async def first() -> None:
        await second_began.wait()
        ran.append("first")

    @activity(registry=registry)
    async def second() -> None:
        ran.append("second")
        second_began.set()

    @orchestration(registry=registry)
    async def hot(ctx: OrchestrationContext) -> None:
        later = second()
        await first()  # would wait for ever if `second` began at its await
        await later

    async with hub.worker(registry):
        await hub.run(hot)
    assert ran == ["second", "first"]


async def test_a_dataclass_crosses_in_both_directions(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def double(order: Order) -> Order:
        return Order(order.sku, order.quantity * 2)

    @orchestration(registry=registry)
    async def doubling(ctx: OrchestrationContext, order: Order) -> Order:
        return await double(order)

    async with hub.worker(registry):
        assert await hub.run(doubling, Order("apple", 3)) == Order("apple", 6)


async def test_calls_by_name_with_arguments_keywords_and_a_result_type(hub: Hub, registry: Registry) -> None:
    @activity(name="shop.pick", registry=registry)
    async def pick(sku: str, *, quantity: int) -> Order:
        return Order(sku, quantity)

    @orchestration(name="shop.twice", registry=registry)
    async def twice(ctx: OrchestrationContext, n: int) -> int:
        return n * 2

    @orchestration(name="shop.by_name", registry=registry)
    async def by_name(ctx: OrchestrationContext, sku: str) -> Order:
        quantity = await ctx.call_sub_orchestration("shop.twice", 4, result_type=int)
        order = await ctx.call_activity("shop.pick", sku, kwargs={"quantity": quantity}, result_type=Order)
        assert isinstance(order, Order)
        return order

    async with hub.worker(registry):
        handle = await hub.client.start("shop.by_name", "pear", instance_id="by-name")
        assert await handle.result(WAIT) == {"sku": "pear", "quantity": 8}
        assert await hub.client.handle("by-name", Order).result(WAIT) == Order("pear", 8)


async def test_the_context_names_its_instance(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry, name="whoami", version="3")
    async def whoami(ctx: OrchestrationContext) -> dict[str, Any]:
        assert ctx.parent is None
        return {
            "instance": ctx.instance_id,
            "execution": ctx.execution_id,
            "name": ctx.name,
            "version": ctx.version,
            "tags": dict(ctx.tags),
        }

    async with hub.worker(registry):
        handle = await hub.client.start(whoami, instance_id="me", tags={"team": "blue"})
        answer = await handle.result(WAIT)
    state = await hub.state("me")
    assert answer == {
        "instance": "me", "execution": state.execution_id, "name": "whoami", "version": "3", "tags": {"team": "blue"}
    }  # fmt: skip
    assert (state.name, state.version, dict(state.tags), state.parent_id) == ("whoami", "3", {"team": "blue"}, None)


async def test_time_identifiers_and_random_numbers_repeat_on_another_worker(hub: Hub, registry: Registry) -> None:
    recorded: list[list[str]] = []

    @activity(registry=registry)
    async def record(values: list[str]) -> None:
        recorded.append(values)

    @orchestration(registry=registry)
    async def impure(ctx: OrchestrationContext) -> list[str]:
        def draw() -> list[str]:
            return [ctx.now().isoformat(), str(ctx.uuid4()), str(ctx.random.random()), str(ctx.history_length)]

        before = draw()
        await record(before)
        ctx.set_custom_status("recorded")
        await ctx.wait_for_event("go")
        return before + draw()

    async with hub.worker(registry):
        handle = await hub.client.start(impure)
        await hub.until_custom_status(handle, "recorded")
    async with hub.worker(registry):  # holds nothing in memory: it must replay
        await hub.client.raise_event(handle.instance_id, "go")
        values = await handle.result(WAIT)

    assert recorded == [values[:4]]
    now, uuid, random, length = values[4:]
    assert datetime.fromisoformat(now) >= datetime.fromisoformat(values[0])
    assert datetime.fromisoformat(now).utcoffset() == timedelta(0)
    assert UUID(uuid) != UUID(values[1]) and random != values[2]
    assert int(length) > int(values[3])


async def test_two_instances_draw_different_identifiers(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def draw(ctx: OrchestrationContext) -> str:
        return f"{ctx.uuid4()} {ctx.random.random()}"

    async with hub.worker(registry):
        assert await hub.run(draw) != await hub.run(draw)


async def test_is_replaying_is_true_only_while_history_is_fed_again(hub: Hub, registry: Registry) -> None:
    seen: list[tuple[str, bool]] = []

    @orchestration(registry=registry)
    async def watcher(ctx: OrchestrationContext) -> None:
        seen.append(("start", ctx.is_replaying))
        ctx.set_custom_status("waiting")
        await ctx.wait_for_event("go")
        seen.append(("end", ctx.is_replaying))

    async with hub.worker(registry):
        handle = await hub.client.start(watcher)
        await hub.until_custom_status(handle, "waiting")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go")
        await handle.result(WAIT)
    assert seen == [("start", False), ("start", True), ("end", False)]


async def test_the_logger_is_silent_while_replaying(
    hub: Hub, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    @orchestration(registry=registry)
    async def talker(ctx: OrchestrationContext) -> None:
        ctx.logger.warning("before the event")
        ctx.set_custom_status("waiting")
        await ctx.wait_for_event("go")
        ctx.logger.warning("after the event")

    async with hub.worker(registry):
        handle = await hub.client.start(talker)
        await hub.until_custom_status(handle, "waiting")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go")
        await handle.result(WAIT)
    said = [record.getMessage() for record in caplog.records if "the event" in record.getMessage()]
    assert said == ["before the event", "after the event"]


async def test_time_in_an_orchestration_begins_when_a_worker_first_feeds_it(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def clock(ctx: OrchestrationContext) -> datetime:
        return ctx.now()

    handle = await hub.client.start(clock)
    nobody_worked_yet = utc_now()
    async with hub.worker(registry):
        began = await handle.result(WAIT)
    assert began.replace(tzinfo=UTC) == began
    assert began >= nobody_worked_yet - timedelta(milliseconds=1)


async def test_an_instance_started_before_any_worker_runs_when_one_comes(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def early(ctx: OrchestrationContext) -> str:
        return "ran"

    handle = await hub.client.start(early)
    assert (await handle.state()).status == OrchestrationStatus.PENDING
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "ran"


async def test_result_times_out_and_the_instance_goes_on(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def patient(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(patient)
        with pytest.raises(TimeoutError):
            await handle.result(0.02)
        with pytest.raises(TimeoutError):
            await handle.wait(timedelta(milliseconds=20))
        await hub.client.raise_event(handle.instance_id, "go", "gone")
        assert await handle.result(WAIT) == "gone"
        assert await handle.result() == "gone"  # of a finished one, as often as one likes


async def test_a_service_serves_workers_one_after_another(make_service: MakeService, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def twice(ctx: OrchestrationContext, n: int) -> int:
        return n * 2

    service = make_service()
    assert await run(twice, 1, service=service, registry=registry) == 2
    assert await run(twice, 2, service=service, registry=registry) == 4


async def test_run_takes_up_an_instance_that_exists(hub: Hub, registry: Registry) -> None:
    ran: list[str] = []

    @activity(registry=registry)
    async def step() -> None:
        ran.append("step")

    @orchestration(registry=registry)
    async def script(ctx: OrchestrationContext, n: int) -> int:
        await step()
        return n + 1

    assert await run(script, 1, service=hub.service, registry=registry, instance_id="script") == 2
    assert await run(script, 1, service=hub.service, registry=registry, instance_id="script") == 2
    assert ran == ["step"]


async def test_outside_an_orchestration_an_activity_is_its_plain_function() -> None:
    @activity(registry=Registry())
    async def double(n: int) -> int:
        return n * 2

    @activity(registry=Registry())
    def triple(n: int) -> int:
        return n * 3

    assert await double(4) == 8
    assert await triple(4) == 12
    assert await double.fn(4) == 8 and triple.fn(4) == 12


async def test_outside_an_orchestration_a_call_of_one_says_what_to_do() -> None:
    @orchestration(registry=Registry())
    async def lonely(ctx: OrchestrationContext) -> None: ...

    with pytest.raises(OutsideOrchestrationError, match=r"client\.start"):
        lonely()
