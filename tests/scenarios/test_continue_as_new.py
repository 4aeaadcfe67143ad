"""Continue-as-new: state carried, a new version, how it unwinds, and ten thousand generations."""

import asyncio
import gc
import tracemalloc

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    Saga,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, Sizes


async def test_state_is_carried_from_generation_to_generation(hub: Hub, registry: Registry) -> None:
    ran: list[int] = []

    @activity(registry=registry)
    async def step(n: int) -> str:
        ran.append(n)
        return "x"

    @orchestration(registry=registry)
    async def counter(ctx: OrchestrationContext, so_far: tuple[int, str]) -> tuple[int, str]:
        n, text = so_far
        if n == 5:
            return n, text
        ctx.continue_as_new((n + 1, text + await step(n)))

    async with hub.worker(registry):
        handle = await hub.client.start(counter, (0, ""), tags={"kept": "yes"})
        assert await handle.result(WAIT) == (5, "xxxxx")
    assert ran == [0, 1, 2, 3, 4]
    state = await hub.state(handle)
    assert (state.status, state.input, state.tags) == (OrchestrationStatus.COMPLETED, [5, "xxxxx"], {"kept": "yes"})
    assert await hub.kinds(handle) == ["ExecutionStarted", "ExecutionCompleted"]  # of the last execution only
    assert sum((await hub.client.count()).values()) == 1


async def test_each_generation_is_an_execution_that_can_be_looked_at(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def two(ctx: OrchestrationContext, executions: list[str]) -> list[str]:
        executions = [*executions, ctx.execution_id]
        if len(executions) < 2:
            ctx.continue_as_new(executions)
        return executions

    async with hub.worker(registry):
        handle = await hub.client.start(two, list[str]())
        first, second = await handle.result(WAIT)
    assert first != second
    assert (await hub.state(handle)).execution_id == second
    earlier = await hub.client.get_state(handle.instance_id, first)
    assert earlier is not None
    assert earlier.status == OrchestrationStatus.CONTINUED_AS_NEW
    assert await hub.kinds(handle, first) == ["ExecutionStarted", "ContinuedAsNew"]


async def test_a_generation_may_move_to_another_version(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry, name="moving", version="1")
    async def old(ctx: OrchestrationContext, seen: list[str]) -> list[str]:
        ctx.continue_as_new([*seen, ctx.version], version="2")

    @orchestration(registry=registry, name="moving", version="2")
    async def new(ctx: OrchestrationContext, seen: list[str]) -> list[str]:
        if len(seen) < 2:
            ctx.continue_as_new([*seen, ctx.version])  # no version given: unchanged
        return [*seen, ctx.version]

    async with hub.worker(registry):
        handle = await hub.client.start(old, list[str]())
        assert await handle.result(WAIT) == ["1", "2", "2"]
    assert (await hub.state(handle)).version == "2"


async def test_without_an_input_the_next_generation_has_none(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def emptied(ctx: OrchestrationContext, word: str | None = None) -> str:
        if word is not None:
            ctx.continue_as_new()
        return "nothing came"

    async with hub.worker(registry):
        handle = await hub.client.start(emptied, "something")
        assert await handle.result(WAIT) == "nothing came"
    assert (await hub.state(handle)).input is None


async def test_a_child_that_continues_as_new_still_answers_its_parent(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, n: int) -> str:
        if n:
            ctx.continue_as_new(n - 1)
        assert ctx.parent is not None
        return f"for {ctx.parent.instance_id}"

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        return await child(4)

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        assert await handle.result(WAIT) == f"for {handle.instance_id}"
    found = [state async for state in hub.client.query(OrchestrationQuery(parent_id=handle.instance_id))]
    assert len(found) == 1


async def test_it_unwinds_like_return_and_finally_is_durable_code(hub: Hub, registry: Registry) -> None:
    cleaned: list[int] = []
    compensated: list[int] = []

    @activity(registry=registry)
    async def clean(generation: int) -> None:
        cleaned.append(generation)

    @activity(registry=registry)
    async def compensate(generation: int) -> None:
        compensated.append(generation)

    @orchestration(registry=registry)
    async def tidy(ctx: OrchestrationContext, generation: int) -> int:
        async with Saga() as saga, asyncio.TaskGroup():
            saga.compensate(compensate, generation)
            try:
                if generation < 3:
                    ctx.continue_as_new(generation + 1)
            finally:
                await clean(generation)
        return generation

    async with hub.worker(registry):
        assert await hub.run(tidy, 0) == 3
    assert cleaned == [0, 1, 2, 3]
    assert compensated == []


async def test_code_that_swallows_it_continues_all_the_same(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def greedy(ctx: OrchestrationContext, generation: int) -> str:
        try:
            if generation == 0:
                ctx.continue_as_new(1)
        except BaseException:
            return "swallowed"
        return "second generation"

    async with hub.worker(registry):
        assert await hub.run(greedy, 0) == "second generation"


async def test_an_error_on_the_way_out_fails_the_instance(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def clumsy(ctx: OrchestrationContext, generation: int) -> None:
        try:
            ctx.continue_as_new(generation + 1)
        finally:
            raise ValueError("tripped")

    async with hub.worker(registry):
        state = await hub.finished(clumsy, 0)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert (state.failure.type, state.failure.message) == ("builtins.ValueError", "tripped")
    assert state.input == 0


async def test_only_the_main_task_may_continue_as_new(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def side(ctx: OrchestrationContext, generation: int) -> str:
        async def task() -> None:
            ctx.continue_as_new(generation + 1)

        with pytest.raises(RuntimeError):
            await asyncio.create_task(task())
        return f"generation {generation}"

    async with hub.worker(registry):
        assert await hub.run(side, 0) == "generation 0"


async def test_results_for_an_earlier_generation_are_ignored(hub: Hub, registry: Registry) -> None:
    second_generation_asked = asyncio.Event()
    first_answered = asyncio.Event()

    @activity(registry=registry)
    async def answer(generation: int) -> str:
        if generation == 0:
            await second_generation_asked.wait()
            first_answered.set()
        else:
            second_generation_asked.set()
            await first_answered.wait()
        return f"for generation {generation}"

    @orchestration(registry=registry)
    async def asker(ctx: OrchestrationContext, generation: int) -> str:
        call = answer(generation)
        if generation == 0:
            ctx.continue_as_new(1)
        return await call

    async with hub.worker(registry):
        handle = await hub.client.start(asker, 0)
        assert await handle.result(WAIT) == "for generation 1"
    assert (await hub.counts(handle))["TaskCompleted"] == 1


async def test_the_custom_status_is_kept(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def labelled(ctx: OrchestrationContext, generation: int) -> int:
        if generation == 0:
            ctx.set_custom_status({"set by": 0})
            ctx.continue_as_new(1)
        return generation

    async with hub.worker(registry):
        state = await hub.finished(labelled, 0)
    assert (state.output, state.custom_status) == (1, {"set by": 0})


async def test_ten_thousand_generations_in_flat_memory(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    half = sizes.generations // 2
    held: list[int] = []

    @activity(registry=registry)
    async def measure() -> None:
        if not tracemalloc.is_tracing():
            tracemalloc.start()
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])

    @orchestration(registry=registry)
    async def generations(ctx: OrchestrationContext, n: int) -> int:
        if n in (half, sizes.generations):
            await measure()
        if n < sizes.generations:
            ctx.continue_as_new(n + 1)
        return n

    try:
        async with hub.worker(registry):
            handle = await hub.client.start(generations, 0)
            assert await handle.result(sizes.patience) == sizes.generations
    finally:
        tracemalloc.stop()
    at_half, at_the_end = held
    assert (at_the_end - at_half) / half <= sizes.kept_bytes_a_generation
    assert await hub.kinds(handle) == ["ExecutionStarted", "TaskScheduled", "TaskCompleted", "ExecutionCompleted"]
