"""Terminate: at once, whatever the state, without running any code of the instance; children only when asked."""

import asyncio

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    OrchestrationContext,
    OrchestrationStatus,
    OrchestrationTerminatedError,
    Registry,
    Saga,
    SubOrchestrationFailedError,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, utc_now

TERMINATED = OrchestrationStatus.TERMINATED


async def test_a_running_instance_ends_at_once_and_runs_no_code(hub: Hub, registry: Registry) -> None:
    undone: list[str] = []

    @activity(registry=registry)
    async def undo(what: str) -> None:
        undone.append(what)

    @orchestration(registry=registry)
    async def careful(ctx: OrchestrationContext) -> None:
        async with Saga() as saga:
            saga.compensate(undo, "saga")
            try:
                ctx.set_custom_status("waiting")
                await ctx.wait_for_event("never")
            finally:
                await undo("finally")

    async with hub.worker(registry):
        handle = await hub.client.start(careful)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.terminate(handle.instance_id, "fire in the hall")
        with pytest.raises(OrchestrationTerminatedError, match="fire in the hall"):
            await handle.result(WAIT)
        await hub.bystander_runs()
    assert undone == []  # nor when the worker let go of the instance
    state = await hub.state(handle)
    assert state.status == TERMINATED and state.completed_at is not None and state.failure is not None
    assert state.failure.message == "fire in the hall"
    assert (await hub.kinds(handle))[-1] == "ExecutionTerminated"


async def test_a_pending_instance_never_begins(hub: Hub, registry: Registry) -> None:
    ran: list[str] = []

    @activity(registry=registry)
    async def step() -> None:
        ran.append("step")

    @orchestration(registry=registry)
    async def unlucky(ctx: OrchestrationContext) -> None:
        await step()

    handle = await hub.client.start(unlucky)
    await hub.client.terminate(handle.instance_id, "not needed")
    async with hub.worker(registry):
        assert (await handle.wait(WAIT)).status == TERMINATED
        await hub.bystander_runs()
    assert ran == []


async def test_a_scheduled_instance_is_terminated_before_its_time(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def tomorrow(ctx: OrchestrationContext) -> None: ...

    async with hub.worker(registry):
        handle = await hub.client.start(tomorrow, start_at=utc_now().replace(year=utc_now().year + 1, day=1))
        await hub.client.terminate(handle.instance_id)
        assert (await handle.wait(WAIT)).status == TERMINATED


async def test_a_suspended_instance_is_terminated(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_event("never")

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await hub.client.suspend(handle.instance_id)
        await hub.until_status(handle, OrchestrationStatus.SUSPENDED)
        await hub.client.terminate(handle.instance_id)
        assert (await handle.wait(WAIT)).status == TERMINATED


async def test_a_result_that_comes_after_the_end_changes_nothing(hub: Hub, registry: Registry) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()

    @activity(registry=registry)
    async def slow() -> str:
        began.set()
        await may_end.wait()
        return "too late"

    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await slow()

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await asyncio.wait_for(began.wait(), WAIT)
        await hub.client.terminate(handle.instance_id)
        before = await handle.wait(WAIT)
        may_end.set()
        await hub.bystander_runs()
        after = await handle.state()
    assert (after.status, after.output, after.history_length) == (TERMINATED, None, before.history_length)
    assert (await hub.counts(handle))["TaskCompleted"] == 0


@pytest.mark.parametrize("recursive", [True, False])
async def test_children_are_reached_only_when_asked_for(hub: Hub, registry: Registry, recursive: bool) -> None:
    @orchestration(registry=registry)
    async def grandchild(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> str:
        return await grandchild.options(instance_id="grandchild")()

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        return await child.options(instance_id="child")()

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("grandchild", OrchestrationStatus.RUNNING)
        await hub.client.terminate(handle.instance_id, "all of it", recursive=recursive)
        assert (await handle.wait(WAIT)).status == TERMINATED
        if recursive:
            for instance_id in ("child", "grandchild"):
                assert (await hub.client.handle(instance_id).wait(WAIT)).status == TERMINATED
        else:
            await hub.client.raise_event("grandchild", "go", "on")
            assert await hub.client.handle("child").result(WAIT) == "on"


async def test_a_parent_learns_that_its_child_was_terminated(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_event("never")

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[str]:
        with pytest.raises(SubOrchestrationFailedError) as caught:
            await child.options(instance_id="child")()
        return [caught.value.failure.type, caught.value.failure.message]

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("child", OrchestrationStatus.RUNNING)
        await hub.client.terminate("child", "out of time")
        kind, message = await handle.result(WAIT)
    assert kind == "dtf_runtime.OrchestrationTerminatedError"
    assert "out of time" in message


async def test_a_finished_instance_stays_as_it_is(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> str:
        return "done"

    async with hub.worker(registry):
        before = await hub.finished(short)
        await hub.client.terminate(before.instance_id, "too late")
        await hub.bystander_runs()
        after = await hub.state(before.instance_id)
    assert (after.status, after.output, after.history_length, after.updated_at) == (
        before.status, before.output, before.history_length, before.updated_at
    )  # fmt: skip


async def test_a_finished_parent_passes_a_recursive_terminate_on(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_event("never")

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> None:
        child.options(instance_id="left")()

    async with hub.worker(registry):
        state = await hub.finished(parent)
        await hub.until_status("left", OrchestrationStatus.RUNNING)
        await hub.client.terminate(state.instance_id, recursive=True)
        assert (await hub.client.handle("left").wait(WAIT)).status == TERMINATED
    assert (await hub.state(state.instance_id)).status == OrchestrationStatus.COMPLETED


async def test_an_unknown_instance_is_an_error(hub: Hub) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.terminate("nobody")
