"""The custom status: seen while it runs, kept over its end, any JSON value."""

from typing import Any

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, activity, orchestration
from tests.scenarios.support import WAIT, Hub


async def test_it_is_seen_while_the_orchestration_runs_and_after_its_end(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def stages(ctx: OrchestrationContext) -> None:
        for stage in ("first", "second"):
            ctx.set_custom_status({"stage": stage, "done": 0.5})
            await ctx.wait_for_event("next")

    async with hub.worker(registry):
        handle = await hub.client.start(stages)
        for stage in ("first", "second"):
            await hub.until_custom_status(handle, {"stage": stage, "done": 0.5})
            assert (await handle.state()).status == OrchestrationStatus.RUNNING
            await hub.client.raise_event(handle.instance_id, "next")
        state = await handle.wait(WAIT)
    assert state.custom_status == {"stage": "second", "done": 0.5}


async def test_the_last_one_of_a_turn_stands(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def chatty(ctx: OrchestrationContext) -> None:
        for n in range(100):
            ctx.set_custom_status(n)

    async with hub.worker(registry):
        state = await hub.finished(chatty)
    assert state.custom_status == 99
    assert await hub.kinds(state.instance_id) == ["ExecutionStarted", "ExecutionCompleted"]


async def test_none_clears_it_and_none_is_what_it_begins_with(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def quiet(ctx: OrchestrationContext) -> None: ...

    @orchestration(registry=registry)
    async def cleared(ctx: OrchestrationContext) -> None:
        ctx.set_custom_status("busy")
        ctx.set_custom_status(None)

    async with hub.worker(registry):
        assert (await hub.finished(quiet)).custom_status is None
        assert (await hub.finished(cleared)).custom_status is None


async def test_what_was_set_is_the_value_of_that_moment(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def mutable(ctx: OrchestrationContext) -> None:
        steps: list[dict[str, Any]] = [{"name": "build", "state": "running"}]
        ctx.set_custom_status({"steps": steps})
        steps[0]["state"] = "done"
        await ctx.wait_for_event("go")

    async with hub.worker(registry):
        handle = await hub.client.start(mutable)
        await hub.until_custom_status(handle, {"steps": [{"name": "build", "state": "running"}]})
        await hub.client.raise_event(handle.instance_id, "go")
        await handle.result(WAIT)


async def test_it_survives_a_change_of_worker(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def step() -> str:
        return "done"

    @orchestration(registry=registry)
    async def stages(ctx: OrchestrationContext) -> None:
        ctx.set_custom_status("set before")
        await ctx.wait_for_event("next")
        await step()

    async with hub.worker(registry):
        handle = await hub.client.start(stages)
        await hub.until_custom_status(handle, "set before")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "next")
        state = await handle.wait(WAIT)
    assert (state.status, state.custom_status) == (OrchestrationStatus.COMPLETED, "set before")
