"""Sub-orchestrations: nested, recursive, failing, with explicit ids, and detached ones."""

import asyncio

import pytest

from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    SubOrchestrationFailedError,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


async def test_a_child_gives_its_result_and_knows_its_parent(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, n: int) -> list[str]:
        assert ctx.parent is not None
        return [str(n), ctx.parent.instance_id, ctx.parent.execution_id, ctx.parent.name, ctx.parent.version]

    @orchestration(registry=registry, name="the parent", version="7")
    async def parent(ctx: OrchestrationContext) -> list[str]:
        return await child(1)

    async with hub.worker(registry):
        state = await hub.finished(parent)
    assert state.output == ["1", state.instance_id, state.execution_id, "the parent", "7"]
    assert await hub.kinds(state.instance_id) == [
        "ExecutionStarted", "SubOrchestrationCreated", "SubOrchestrationCompleted", "ExecutionCompleted"
    ]  # fmt: skip
    children = [found async for found in hub.client.query(OrchestrationQuery(parent_id=state.instance_id))]
    assert [(c.status, c.parent_id) for c in children] == [(OrchestrationStatus.COMPLETED, state.instance_id)]


async def test_children_in_parallel_get_ids_of_their_own(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def step(n: int) -> int:
        return n * 2

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, n: int) -> tuple[str, int]:
        return ctx.instance_id, await step(n)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[tuple[str, int]]:
        return list(await asyncio.gather(*(child(n) for n in range(20))))

    async with hub.worker(registry):
        answers = await hub.run(parent)
    assert [n for _, n in answers] == [n * 2 for n in range(20)]
    assert len({instance_id for instance_id, _ in answers}) == 20


async def test_children_nest(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def grandchild(ctx: OrchestrationContext, n: int) -> int:
        return n + 1

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, n: int) -> int:
        return await grandchild(n) * 10

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext, n: int) -> int:
        return await child(n) + await child(n + 1)

    async with hub.worker(registry):
        assert await hub.run(parent, 1) == 50


async def test_an_orchestration_calls_itself(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def factorial(ctx: OrchestrationContext, n: int) -> int:
        if n == 0:
            return 1
        below: int = await ctx.call_sub_orchestration(ctx.name, n - 1, result_type=int)
        return n * below

    async with hub.worker(registry):
        assert await hub.run(factorial, 12) == 479_001_600
    assert sum((await hub.client.count(OrchestrationQuery(name=factorial.name))).values()) == 13


async def test_a_child_with_an_explicit_id_version_and_tags(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry, name="child", version="1")
    async def old(ctx: OrchestrationContext) -> str:
        return f"old {ctx.tags['colour']}"

    @orchestration(registry=registry, name="child", version="2")
    async def new(ctx: OrchestrationContext) -> str:
        return "new"

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        return await new.options(instance_id="the-child", version="1", tags={"colour": "red"})()

    async with hub.worker(registry):
        state = await hub.finished(parent)
    assert state.output == "old red"
    child = await hub.state("the-child")
    assert (child.version, child.tags, child.parent_id) == ("1", {"colour": "red"}, state.instance_id)


async def test_a_failing_child_raises_in_its_parent_which_may_handle_it(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> None:
        raise ValueError("the child is unwell")

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        try:
            await child.options(instance_id="child")()
        except SubOrchestrationFailedError as error:
            return f"{error.failure.type}: {error.failure.message}"
        return "no error"

    async with hub.worker(registry):
        state = await hub.finished(parent)
    assert state.output == "builtins.ValueError: the child is unwell"
    assert (await hub.state("child")).status == OrchestrationStatus.FAILED
    assert (await hub.counts(state.instance_id))["SubOrchestrationFailed"] == 1


async def test_an_unhandled_child_failure_fails_the_parent(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> None:
        raise ValueError("the child is unwell")

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> None:
        await child()

    async with hub.worker(registry):
        state = await hub.finished(parent)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.type == "dtf_runtime.SubOrchestrationFailedError"
    assert state.failure.inner_failure is not None
    assert state.failure.inner_failure.type == "builtins.ValueError"
    assert state.failure.is_caused_by(ValueError)


async def test_an_id_that_is_taken_fails_the_call_and_leaves_its_holder_alone(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def holder(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> bool:
        with pytest.raises(SubOrchestrationFailedError) as caught:
            await holder.options(instance_id="taken")()
        return caught.value.failure.is_caused_by(OrchestrationAlreadyExistsError)

    async with hub.worker(registry):
        handle = await hub.client.start(holder, instance_id="taken")
        assert await hub.run(parent) is True
        await hub.client.raise_event("taken", "go", "undisturbed")
        assert await handle.result(WAIT) == "undisturbed"
        assert await hub.run(parent) is True  # a finished one, not started by this parent, is taken too
    assert (await hub.state("taken")).output == "undisturbed"


async def test_a_parent_may_use_the_id_of_its_own_ended_child_again(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, n: int) -> tuple[int, str]:
        return n, ctx.execution_id

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[tuple[int, str]]:
        again = child.options(instance_id="again")
        return [await again(1), await again(2)]

    async with hub.worker(registry):
        (first, first_execution), (second, second_execution) = await hub.run(parent)
    assert (first, second) == (1, 2)
    assert first_execution != second_execution
    assert (await hub.state("again")).execution_id == second_execution


async def test_a_child_that_nobody_awaited_runs_on_after_its_parent_completed(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> None:
        child.options(instance_id="left")()

    async with hub.worker(registry):
        await hub.run(parent)
        await hub.until_status("left", OrchestrationStatus.RUNNING)
        await hub.client.raise_event("left", "go", "ran on")
        assert await hub.client.handle("left", str).result(WAIT) == "ran on"


async def test_a_detached_start_has_no_parent_and_outlives_its_starter(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def free(ctx: OrchestrationContext, word: str) -> str:
        assert ctx.parent is None
        return word + await ctx.wait_for_event("go", str) + ctx.tags["mark"]

    @orchestration(registry=registry)
    async def starter(ctx: OrchestrationContext) -> list[str]:
        chosen = ctx.start(free, "a", instance_id="chosen", tags={"mark": "!"})
        derived = ctx.start(free, "b", tags={"mark": "?"})
        return [chosen, derived]

    async with hub.worker(registry):
        state = await hub.finished(starter)
        chosen, derived = state.output
        assert chosen == "chosen" and derived != "chosen"
        for instance_id in (chosen, derived):
            await hub.until_status(instance_id, OrchestrationStatus.RUNNING)
            assert (await hub.state(instance_id)).parent_id is None
            await hub.client.raise_event(instance_id, "go", "-go-")
        assert await hub.client.handle(chosen, str).result(WAIT) == "a-go-!"
        assert await hub.client.handle(derived, str).result(WAIT) == "b-go-?"
    assert (await hub.counts(state.instance_id))["SubOrchestrationCreated"] == 2


async def test_the_failure_of_a_detached_instance_is_its_own(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def failing(ctx: OrchestrationContext) -> None:
        raise ValueError("mine")

    @orchestration(registry=registry)
    async def starter(ctx: OrchestrationContext) -> str:
        ctx.start(failing, instance_id="failing")
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(starter)
        await hub.until_status("failing", OrchestrationStatus.FAILED)
        await hub.client.raise_event(handle.instance_id, "go", "fine")
        assert await handle.result(WAIT) == "fine"
    assert (await hub.counts(handle.instance_id))["SubOrchestrationFailed"] == 0


async def test_a_detached_start_leaves_an_id_that_is_taken_alone(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def holder(ctx: OrchestrationContext, word: str) -> str:
        return word + await ctx.wait_for_event("go", str)

    @orchestration(registry=registry)
    async def starter(ctx: OrchestrationContext) -> str:
        return ctx.start(holder, "second", instance_id="taken")

    async with hub.worker(registry):
        handle = await hub.client.start(holder, "first", instance_id="taken")
        assert await hub.run(starter) == "taken"
        await hub.bystander_runs()
        await hub.client.raise_event("taken", "go", " only")
        assert await handle.result(WAIT) == "first only"
    assert (await hub.state("taken")).input == "first"


async def test_children_of_later_generations_do_not_collide_with_earlier_ones(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> str:
        return ctx.instance_id

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext, seen: list[str]) -> list[str]:
        seen = [*seen, await child()]
        if len(seen) < 5:
            ctx.continue_as_new(seen)
        return seen

    async with hub.worker(registry):
        ids = await hub.run(parent, list[str]())
    assert len(set(ids)) == 5
