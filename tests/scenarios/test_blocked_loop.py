"""Orchestrations that hold the worker's thread or spin: reported, stopped, and no danger to their neighbours."""

import asyncio
import time

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, WorkerOptions, orchestration
from tests.scenarios.support import WAIT, Hub, eventually, listening

IMPATIENT = WorkerOptions(blocked_after=0.05, shutdown_grace=0.5)


def burn(seconds: float) -> int:
    """Holds the thread without any call that could be forbidden."""
    turns, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        turns += 1
    return turns


async def spin() -> None:
    """Gives way at each step and never waits for anything."""
    while True:
        await asyncio.sleep(0)


async def test_a_turn_that_holds_the_thread_is_reported_with_its_stack(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def busy(ctx: OrchestrationContext) -> str:
        burn(0.25)
        return "done"

    with listening() as heard:
        async with hub.worker(registry, IMPATIENT):
            handle = await hub.client.start(busy, instance_id="the busy one")
            assert await handle.result(WAIT) == "done"
            await eventually(lambda: any("burn" in line and "the busy one" in line for line in heard), "it is reported")


async def test_a_quick_turn_is_not_reported(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def quick(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(0.2)  # waits longer than the limit, and holds nothing
        return "done"

    with listening() as heard:
        async with hub.worker(registry, WorkerOptions(blocked_after=0.15, shutdown_grace=0.5)):
            handle = await hub.client.start(quick, instance_id="the quick one")
            assert await handle.result(WAIT) == "done"
    assert not [line for line in heard if line.startswith("WARNING") and "the quick one" in line]


async def test_a_spinning_orchestration_fails_and_does_not_take_the_worker_with_it(
    hub: Hub, registry: Registry
) -> None:
    @orchestration(registry=registry)
    async def spinner(ctx: OrchestrationContext) -> None:
        await spin()

    options = WorkerOptions(max_steps_per_turn=5_000, max_delivery_count=2, shutdown_grace=0.5)
    async with hub.worker(registry, options):
        handle = await hub.client.start(spinner)
        await hub.bystander_runs()
        state = await handle.wait(WAIT)
        await hub.bystander_runs()
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert "5000" in state.failure.message.replace(",", "").replace("_", "")  # the limit it ran into


async def test_a_side_task_that_spins_does_not_fail_a_turn_that_has_ended(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def finished(ctx: OrchestrationContext) -> str:
        task = asyncio.create_task(spin())
        await asyncio.sleep(0)
        return f"left {task.done()}"

    async with hub.worker(registry, WorkerOptions(max_steps_per_turn=5_000, shutdown_grace=0.5)):
        assert await hub.run(finished) == "left False"


async def test_a_neighbour_keeps_its_lease_while_a_turn_holds_the_thread(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def busy(ctx: OrchestrationContext) -> str:
        burn(0.6)
        return "busy done"

    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    options = WorkerOptions(lock_duration=0.3, shutdown_grace=0.5)
    async with hub.worker(registry, options):
        waiting = await hub.client.start(waiter)
        await hub.until_status(waiting, OrchestrationStatus.RUNNING)
        blocking = await hub.client.start(busy)
        await hub.client.raise_event(waiting.instance_id, "go", "undisturbed")
        assert await blocking.result(WAIT) == "busy done"
        assert await waiting.result(WAIT) == "undisturbed"
    assert (await hub.counts(blocking))["ExecutionStarted"] == 1
