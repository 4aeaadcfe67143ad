"""Durable timers: never early, cancelled, expired, far in the future, many at once, and over a restart."""

import asyncio
import time
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from dtf_runtime import OrchestrationCancelledError, OrchestrationContext, OrchestrationStatus, Registry, orchestration
from tests.scenarios.support import WAIT, Hub, Sizes


async def test_a_sleep_is_a_timer_that_never_fires_early(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext, seconds: float) -> list[datetime]:
        before = ctx.now()
        await asyncio.sleep(seconds)
        return [before, ctx.now()]

    async with hub.worker(registry):
        began = time.monotonic()
        handle = await hub.client.start(nap, 0.1)
        before, after = await handle.result(WAIT)
        took = time.monotonic() - began
    assert after - before >= timedelta(seconds=0.1)
    assert took >= 0.1
    assert await hub.kinds(handle) == ["ExecutionStarted", "TimerCreated", "TimerFired", "ExecutionCompleted"]


async def test_a_timeout_that_was_not_needed_delays_nothing(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def unhurried(ctx: OrchestrationContext) -> str:
        task = asyncio.create_task(asyncio.sleep(86_400))
        async with asyncio.timeout(3600):
            await asyncio.sleep(0.01)
        task.cancel()
        return "no need to wait"

    async with hub.worker(registry):
        state = await hub.finished(unhurried)
    assert state.output == "no need to wait"
    counts = await hub.counts(state.instance_id)
    assert counts["TimerFired"] == 1


async def test_a_deadline_that_has_passed_expires_at_once_and_takes_no_timer(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def late(ctx: OrchestrationContext) -> int:
        expired = 0
        for delay in (0, -1, -86_400):
            await asyncio.sleep(delay)
            try:
                async with asyncio.timeout(delay):
                    await ctx.wait_for_event("never")
            except TimeoutError:
                expired += 1
        return expired

    async with hub.worker(registry):
        state = await hub.finished(late)
    assert state.output == 3
    assert await hub.kinds(state.instance_id) == ["ExecutionStarted", "ExecutionCompleted"]


async def test_a_timer_a_century_away_waits_and_can_be_cancelled(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def methuselah(ctx: OrchestrationContext) -> None:
        ctx.set_custom_status("asleep")
        await asyncio.sleep(timedelta(days=36_500).total_seconds())

    async with hub.worker(registry):
        handle = await hub.client.start(methuselah)
        await hub.until_custom_status(handle, "asleep")
        await hub.bystander_runs()
        assert (await handle.state()).status == OrchestrationStatus.RUNNING
        await hub.client.cancel(handle.instance_id, "enough")
        with pytest.raises(OrchestrationCancelledError, match="enough"):
            await handle.result(WAIT)
    assert (await hub.counts(handle))["TimerFired"] == 0


async def test_many_timers_at_once_all_fire_once(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    @orchestration(registry=registry)
    async def alarm_clock(ctx: OrchestrationContext, count: int) -> int:
        await asyncio.gather(*(asyncio.sleep(0.05 + (n % 10) / 1000) for n in range(count)))
        return count

    async with hub.worker(registry):
        state = await hub.finished(alarm_clock, sizes.timers, within=sizes.patience)
    assert state.output == sizes.timers
    counts = await hub.counts(state.instance_id)
    assert counts["TimerCreated"] == counts["TimerFired"] == sizes.timers


async def test_timers_fire_in_the_order_of_their_deadlines_and_equal_ones_in_that_of_creation(
    hub: Hub, registry: Registry
) -> None:
    @orchestration(registry=registry)
    async def ordered(ctx: OrchestrationContext) -> list[str]:
        fired: list[str] = []

        async def alarm(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            fired.append(name)

        async with asyncio.TaskGroup() as group:
            for name, seconds in [("c", 0.06), ("a1", 0.02), ("b", 0.04), ("a2", 0.02), ("a3", 0.02)]:
                group.create_task(alarm(name, seconds))
        return fired

    async with hub.worker(registry):
        assert await hub.run(ordered) == ["a1", "a2", "a3", "b", "c"]


async def test_many_instances_sleep_beside_each_other(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(0.1)
        return "rested"

    async with hub.worker(registry):
        handles = await asyncio.gather(*(hub.client.start(nap) for _ in range(100)))
        results = await asyncio.gather(*(handle.result(sizes.patience) for handle in handles))
    assert results == ["rested"] * 100


async def test_a_timer_survives_its_worker_and_one_that_came_due_meanwhile_fires(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(0.1)
        await asyncio.sleep(0.05)
        return "rested"

    async with hub.worker(registry):
        handle = await hub.client.start(nap)
        await hub.until_history_has(handle, "TimerCreated")
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "rested"
    assert (await hub.counts(handle))["TimerFired"] == 2


async def test_wait_for_gives_up_in_time_and_leaves_the_orchestration_running(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def patience(ctx: OrchestrationContext) -> str:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(ctx.wait_for_event("never"), 0.02)
        return "went on"

    async with hub.worker(registry):
        assert await hub.run(patience) == "went on"


async def test_a_periodic_loop_never_goes_back_in_time(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def ticker(ctx: OrchestrationContext) -> list[datetime]:
        ticks = [ctx.now()]
        for _ in range(5):
            await asyncio.sleep(0.01)
            ticks.append(ctx.now())
        return ticks

    async with hub.worker(registry):
        ticks = await hub.run(ticker)
    assert all(later - earlier >= timedelta(milliseconds=10) for earlier, later in pairwise(ticks))
