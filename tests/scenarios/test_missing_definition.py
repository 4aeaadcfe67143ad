"""Work that a worker has no code for waits for one that has it, and holds up nobody else meanwhile."""

import asyncio
from typing import Any

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, WorkerOptions, activity, orchestration
from tests.scenarios.support import WAIT, Hub

NOT_FINISHED = {OrchestrationStatus.PENDING, OrchestrationStatus.RUNNING}


async def test_an_orchestration_waits_for_a_worker_that_has_it(hub: Hub, registry: Registry) -> None:
    complete = Registry()

    @orchestration(name="rare", registry=complete)
    async def rare(ctx: OrchestrationContext, n: int) -> int:
        return n * 2

    async with hub.worker(registry):
        handle = await hub.client.start(rare, 4)
        for _ in range(5):
            await hub.bystander_runs()
        assert (await handle.state()).status in NOT_FINISHED
    async with hub.worker(complete):
        assert await handle.result(WAIT) == 8


async def test_an_activity_waits_for_a_worker_that_has_it(hub: Hub, registry: Registry) -> None:
    complete = Registry()
    ran: list[int] = []

    @activity(name="rare", registry=complete)
    async def rare(n: int) -> int:
        ran.append(n)
        return n * 2

    @orchestration(registry=registry.update(Registry()))
    async def caller(ctx: OrchestrationContext, n: int) -> int:
        return await rare(n)

    async with hub.worker(registry):
        handle = await hub.client.start(caller, 4)
        await hub.until_history_has(handle, "TaskScheduled")
        for _ in range(5):
            await hub.bystander_runs()
        assert (await handle.state()).status == OrchestrationStatus.RUNNING
        async with hub.worker(complete):
            assert await handle.result(WAIT) == 8
    assert ran == [4]
    assert (await hub.counts(handle))["TaskFailed"] == 0


async def test_two_workers_share_what_neither_could_do_alone(hub: Hub) -> None:
    registries = {name: Registry() for name in ("red", "blue", "flow")}

    def paint(colour: str) -> Any:
        @activity(name=f"paint {colour}", registry=registries[colour])
        async def paint(n: int) -> str:
            return f"{colour} {n}"

        return paint

    red, blue = paint("red"), paint("blue")

    @orchestration(registry=registries["flow"])
    async def painter(ctx: OrchestrationContext) -> list[str]:
        return list(await asyncio.gather(red(1), blue(2), red(3), blue(4)))

    async with hub.worker(registries["red"]), hub.worker(registries["blue"]), hub.worker(registries["flow"]):
        assert await hub.run(painter) == ["red 1", "blue 2", "red 3", "blue 4"]


async def test_much_work_without_code_does_not_slow_the_rest(hub: Hub, registry: Registry) -> None:
    complete = Registry()

    @activity(name="rare", registry=complete)
    async def rare() -> str:
        return "done"

    @orchestration(name="unknown", registry=complete)
    async def unknown(ctx: OrchestrationContext) -> str:
        return await rare()

    @orchestration(registry=registry)
    async def needs_rare(ctx: OrchestrationContext) -> str:
        return await rare()

    few_slots = WorkerOptions(max_concurrent_activities=2, shutdown_grace=0.5)
    async with hub.worker(registry, few_slots):
        handles = [await hub.client.start(unknown) for _ in range(50)]
        handles += [await hub.client.start(needs_rare) for _ in range(50)]
        for _ in range(20):
            await hub.bystander_runs()
        assert {(await handle.state()).status for handle in handles} <= NOT_FINISHED
        async with hub.worker(complete):
            assert await asyncio.gather(*(handle.result(WAIT) for handle in handles)) == ["done"] * 100


async def test_waiting_for_code_does_not_count_as_a_delivery(hub: Hub, registry: Registry) -> None:
    complete = Registry()

    @orchestration(name="rare", registry=complete)
    async def rare(ctx: OrchestrationContext) -> str:
        return "done"

    handle = await hub.client.start(rare)
    for _ in range(4):  # more workers come and go than deliveries are allowed
        async with hub.worker(registry, WorkerOptions(max_delivery_count=2, shutdown_grace=0.5)):
            await hub.bystander_runs()
    async with hub.worker(complete):
        assert await handle.result(WAIT) == "done"


async def test_a_child_without_code_here_waits_and_its_parent_with_it(hub: Hub, registry: Registry) -> None:
    complete = Registry()

    @orchestration(name="child", registry=complete)
    async def child(ctx: OrchestrationContext) -> str:
        return "from afar"

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        return await child.options(instance_id="child")()

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_history_has(handle, "SubOrchestrationCreated")
        await hub.bystander_runs()
        assert (await handle.state()).status == OrchestrationStatus.RUNNING
        async with hub.worker(complete):
            assert await handle.result(WAIT) == "from afar"
