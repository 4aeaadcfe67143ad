"""Suspend and resume: nothing is lost, nothing runs meanwhile, and events keep their order."""

import asyncio

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub

SUSPENDED = OrchestrationStatus.SUSPENDED


async def test_events_that_come_meanwhile_are_handled_in_order_after_the_resume(hub: Hub, registry: Registry) -> None:
    handled: list[int] = []

    @activity(registry=registry)
    async def handle_number(number: int) -> None:
        handled.append(number)

    @orchestration(registry=registry)
    async def collector(ctx: OrchestrationContext) -> list[int]:
        numbers: list[int] = []
        for _ in range(4):
            numbers.append(await ctx.wait_for_event("number", int))
            await handle_number(numbers[-1])
        return numbers

    async with hub.worker(registry):
        handle = await hub.client.start(collector)
        await hub.client.raise_event(handle.instance_id, "number", 0)
        await hub.until_history_has(handle, "TaskCompleted")
        await hub.client.suspend(handle.instance_id, "maintenance")
        await hub.until_status(handle, SUSPENDED)
        for number in (1, 2, 3):
            await hub.client.raise_event(handle.instance_id, "number", number)
        await hub.bystander_runs()
        assert (handled, (await handle.state()).status) == ([0], SUSPENDED)
        await hub.client.resume(handle.instance_id, "done")
        assert await handle.result(WAIT) == [0, 1, 2, 3]
    assert handled == [0, 1, 2, 3]
    counts = await hub.counts(handle)
    assert (counts["ExecutionSuspended"], counts["ExecutionResumed"], counts["EventRaised"]) == (1, 1, 4)


async def test_an_activity_that_ends_meanwhile_is_taken_up_after_the_resume(hub: Hub, registry: Registry) -> None:
    began, may_end, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @activity(registry=registry)
    async def first() -> str:
        began.set()
        await may_end.wait()
        ended.set()
        return "first"

    @activity(registry=registry)
    async def second() -> str:
        ran.append("second")
        return "second"

    @orchestration(registry=registry)
    async def sequence(ctx: OrchestrationContext) -> list[str]:
        return [await first(), await second()]

    async with hub.worker(registry):
        handle = await hub.client.start(sequence)
        await asyncio.wait_for(began.wait(), WAIT)
        await hub.client.suspend(handle.instance_id)
        await hub.until_status(handle, SUSPENDED)
        may_end.set()
        await asyncio.wait_for(ended.wait(), WAIT)
        await hub.bystander_runs()
        assert ran == []
        await hub.client.resume(handle.instance_id)
        assert await handle.result(WAIT) == ["first", "second"]


async def test_a_timer_that_comes_due_meanwhile_fires_after_the_resume(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(0.05)
        return "rested"

    @orchestration(registry=registry)
    async def longer_nap(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(0.1)
        return "rested too"

    async with hub.worker(registry):
        handle = await hub.client.start(nap)
        await hub.until_history_has(handle, "TimerCreated")
        await hub.client.suspend(handle.instance_id)
        await hub.until_status(handle, SUSPENDED)
        assert await hub.run(longer_nap) == "rested too"  # the other's timer came due before this one's
        assert (await handle.state()).status == SUSPENDED
        await hub.client.resume(handle.instance_id)
        assert await handle.result(WAIT) == "rested"
    assert (await hub.counts(handle))["TimerFired"] == 1


async def test_an_instance_suspended_before_it_began_begins_after_the_resume(hub: Hub, registry: Registry) -> None:
    ran: list[str] = []

    @activity(registry=registry)
    async def step() -> str:
        ran.append("step")
        return "ran"

    @orchestration(registry=registry)
    async def held(ctx: OrchestrationContext) -> str:
        return await step()

    handle = await hub.client.start(held)
    await hub.client.suspend(handle.instance_id)
    async with hub.worker(registry):
        await hub.until_status(handle, SUSPENDED)
        await hub.bystander_runs()
        await hub.client.resume(handle.instance_id)
        assert await handle.result(WAIT) == "ran"
    assert ran == ["step"]


async def test_a_suspended_instance_stays_so_on_another_worker(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await hub.client.suspend(handle.instance_id)
        await hub.until_status(handle, SUSPENDED)
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go", "gone")
        await hub.bystander_runs()
        assert (await handle.state()).status == SUSPENDED
        await hub.client.resume(handle.instance_id)
        assert await handle.result(WAIT) == "gone"


async def test_suspending_twice_and_resuming_what_runs_change_nothing(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await hub.client.resume(handle.instance_id)
        await hub.client.suspend(handle.instance_id)
        await hub.client.suspend(handle.instance_id)
        await hub.until_status(handle, SUSPENDED)
        await hub.client.resume(handle.instance_id)
        await hub.client.raise_event(handle.instance_id, "go", "gone")
        assert await handle.result(WAIT) == "gone"


async def test_a_finished_instance_stays_as_it_is(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> str:
        return "done"

    async with hub.worker(registry):
        before = await hub.finished(short)
        await hub.client.suspend(before.instance_id)
        await hub.client.resume(before.instance_id)
        await hub.bystander_runs()
        after = await hub.state(before.instance_id)
    assert (after.status, after.history_length) == (OrchestrationStatus.COMPLETED, before.history_length)


async def test_unknown_instances_are_errors(hub: Hub) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.suspend("nobody")
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.resume("nobody")
