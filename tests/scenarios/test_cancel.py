"""Cancel: delivered once, at the await, so that cleaning up is durable code; how it ends, and how often it comes."""

import asyncio

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    OrchestrationCancelledError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub

CANCELLED = OrchestrationStatus.CANCELLED


async def test_compensation_runs_as_durable_code_and_the_instance_ends_cancelled(hub: Hub, registry: Registry) -> None:
    undone: list[str] = []

    @activity(registry=registry)
    async def undo(what: str) -> str:
        undone.append(what)
        return what

    @orchestration(registry=registry)
    async def careful(ctx: OrchestrationContext) -> None:
        try:
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("never")
        finally:
            await undo("hotel")
            await asyncio.sleep(0.01)
            await undo("flight")

    async with hub.worker(registry):
        handle = await hub.client.start(careful)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.cancel(handle.instance_id, "changed my mind")
        with pytest.raises(OrchestrationCancelledError, match="changed my mind"):
            await handle.result(WAIT)
    assert undone == ["hotel", "flight"]
    state = await hub.state(handle)
    assert state.status == CANCELLED and state.failure is not None
    assert "changed my mind" in state.failure.message
    counts = await hub.counts(handle)
    assert (counts["CancelRequested"], counts["TaskCompleted"], counts["TimerFired"]) == (1, 2, 1)


async def test_an_orchestration_that_returns_all_the_same_is_completed(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def polite(ctx: OrchestrationContext) -> str:
        try:
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("never")
        except asyncio.CancelledError:
            return "wrapped up"
        return "not cancelled"

    async with hub.worker(registry):
        handle = await hub.client.start(polite)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.cancel(handle.instance_id)
        assert await handle.result(WAIT) == "wrapped up"
    assert (await hub.state(handle)).status == OrchestrationStatus.COMPLETED


async def test_an_error_while_cleaning_up_fails_the_instance(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def clumsy(ctx: OrchestrationContext) -> None:
        try:
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("never")
        finally:
            raise ValueError("dropped the vase")

    async with hub.worker(registry):
        handle = await hub.client.start(clumsy)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.cancel(handle.instance_id)
        state = await handle.wait(WAIT)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.message == "dropped the vase"


async def test_a_second_cancel_does_not_disturb_the_cleaning_up(hub: Hub, registry: Registry) -> None:
    cleaning, may_finish = asyncio.Event(), asyncio.Event()
    undone: list[str] = []

    @activity(registry=registry)
    async def undo(what: str) -> None:
        cleaning.set()
        await may_finish.wait()
        undone.append(what)

    @orchestration(registry=registry)
    async def careful(ctx: OrchestrationContext) -> None:
        try:
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("never")
        finally:
            await undo("hotel")
            await ctx.wait_for_event("second cancel was sent")
            await undo("flight")

    async with hub.worker(registry):
        handle = await hub.client.start(careful)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.cancel(handle.instance_id, "first")
        await asyncio.wait_for(cleaning.wait(), WAIT)
        await hub.client.cancel(handle.instance_id, "second")
        await hub.client.raise_event(handle.instance_id, "second cancel was sent")
        may_finish.set()
        with pytest.raises(OrchestrationCancelledError, match="first"):
            await handle.result(WAIT)
    assert undone == ["hotel", "flight"]


async def test_a_cancel_of_a_suspended_instance_waits_for_the_resume(hub: Hub, registry: Registry) -> None:
    undone: list[str] = []

    @activity(registry=registry)
    async def undo(what: str) -> None:
        undone.append(what)

    @orchestration(registry=registry)
    async def careful(ctx: OrchestrationContext) -> None:
        try:
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("never")
        finally:
            await undo("hotel")

    async with hub.worker(registry):
        handle = await hub.client.start(careful)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.suspend(handle.instance_id)
        await hub.until_status(handle, OrchestrationStatus.SUSPENDED)
        await hub.client.cancel(handle.instance_id)
        await hub.bystander_runs()
        assert (undone, (await handle.state()).status) == ([], OrchestrationStatus.SUSPENDED)
        await hub.client.resume(handle.instance_id)
        assert (await handle.wait(WAIT)).status == CANCELLED
    assert undone == ["hotel"]


async def test_cleaning_up_goes_on_on_another_worker(hub: Hub, registry: Registry) -> None:
    undone: list[str] = []

    @activity(registry=registry)
    async def undo(what: str) -> None:
        undone.append(what)

    @orchestration(registry=registry)
    async def careful(ctx: OrchestrationContext) -> None:
        try:
            ctx.set_custom_status("waiting")
            await ctx.wait_for_event("never")
        finally:
            await undo("hotel")
            ctx.set_custom_status("half way")
            await ctx.wait_for_event("go on")
            await undo("flight")

    async with hub.worker(registry):
        handle = await hub.client.start(careful)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.cancel(handle.instance_id)
        await hub.until_custom_status(handle, "half way")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go on")
        assert (await handle.wait(WAIT)).status == CANCELLED
    assert undone == ["hotel", "flight"]


async def test_a_cancelled_error_that_nobody_asked_for_is_a_failure(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def dramatic(ctx: OrchestrationContext) -> None:
        raise asyncio.CancelledError("I quit")

    async with hub.worker(registry):
        state = await hub.finished(dramatic)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(asyncio.CancelledError)


async def test_tasks_of_a_group_are_cancelled_with_their_instance(hub: Hub, registry: Registry) -> None:
    undone: list[str] = []

    @activity(registry=registry)
    async def undo(what: str) -> None:
        undone.append(what)

    @orchestration(registry=registry)
    async def grouped(ctx: OrchestrationContext) -> None:
        async def part(name: str) -> None:
            try:
                await ctx.wait_for_event(name)
            finally:
                await undo(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(part("a"))
            group.create_task(part("b"))
            ctx.set_custom_status("waiting")

    async with hub.worker(registry):
        handle = await hub.client.start(grouped)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.cancel(handle.instance_id)
        assert (await handle.wait(WAIT)).status == CANCELLED
    assert sorted(undone) == ["a", "b"]


async def test_a_finished_instance_stays_as_it_is(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> str:
        return "done"

    async with hub.worker(registry):
        before = await hub.finished(short)
        await hub.client.cancel(before.instance_id)
        await hub.bystander_runs()
        after = await hub.state(before.instance_id)
    assert (after.status, after.history_length) == (OrchestrationStatus.COMPLETED, before.history_length)


async def test_an_unknown_instance_is_an_error(hub: Hub) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.cancel("nobody")
