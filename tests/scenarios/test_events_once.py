"""`raise_event_once`: whoever doesn't know whether an event was sent may send it again."""

import asyncio

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    InvalidArgumentError,
    OrchestrationContext,
    Registry,
    TaskHubClient,
    TaskHubWorker,
    orchestration,
)
from tests.conftest import MakeService


@orchestration(registry=Registry())
async def collects(ctx: OrchestrationContext) -> list[int]:
    """All numbers that came until the event "stop"."""
    got: list[int] = []

    async def collect() -> None:
        while True:
            got.append(await ctx.wait_for_event("number", int))

    collector = asyncio.create_task(collect())
    await ctx.wait_for_event("stop")
    collector.cancel()
    return got


@orchestration(registry=Registry())
async def collects_anew(ctx: OrchestrationContext, got: list[int]) -> list[int]:
    """A new execution for each number."""
    number = await ctx.wait_for_event("number", int)
    if number < 0:
        return got
    ctx.continue_as_new([*got, number])


REGISTRY = Registry(collects, collects_anew)


async def test_an_event_that_is_sent_again_happens_once(make_service: MakeService) -> None:
    service = make_service()
    async with TaskHubWorker(service, registry=REGISTRY), TaskHubClient(service) as client:
        handle = await client.start(collects)
        for _ in range(2):
            await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="a")
        await client.raise_event_once(handle.instance_id, "number", 2, delivery_id="b")
        await client.raise_event_once(handle.instance_id, "number", 3, delivery_id="a")
        await client.raise_event(handle.instance_id, "stop")
        assert await handle.result(10) == [1, 2]


async def test_also_before_its_first_turn_and_over_a_change_of_workers(make_service: MakeService) -> None:
    service = make_service()
    async with TaskHubClient(service) as client:
        handle = await client.start(collects)
        for _ in range(2):
            await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="a")
        async with TaskHubWorker(service, registry=REGISTRY):
            while not any(e.kind == "EventRaised" for e in await client.get_history(handle.instance_id)):
                await asyncio.sleep(0.01)
        await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="a")
        await client.raise_event(handle.instance_id, "stop")
        async with TaskHubWorker(service, registry=REGISTRY):
            assert await handle.result(10) == [1]


async def test_also_while_it_is_suspended(make_service: MakeService) -> None:
    service = make_service()
    async with TaskHubWorker(service, registry=REGISTRY), TaskHubClient(service) as client:
        handle = await client.start(collects)
        await client.suspend(handle.instance_id)
        for _ in range(2):
            await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="a")
        await client.resume(handle.instance_id)
        await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="a")
        await client.raise_event(handle.instance_id, "stop")
        assert await handle.result(10) == [1]


async def test_also_over_continue_as_new(make_service: MakeService) -> None:
    service = make_service()
    async with TaskHubWorker(service, registry=REGISTRY), TaskHubClient(service) as client:
        handle = await client.start(collects_anew, list[int]())
        for number in (1, 2, 3):
            await client.raise_event_once(handle.instance_id, "number", number, delivery_id=str(number))
            await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="1")
        await client.raise_event(handle.instance_id, "number", -1)
        assert await handle.result(10) == [1, 2, 3]


async def test_the_same_delivery_of_two_events_is_two(make_service: MakeService) -> None:
    service = make_service()
    async with TaskHubWorker(service, registry=REGISTRY), TaskHubClient(service) as client:
        handle = await client.start(collects)
        await client.raise_event_once(handle.instance_id, "number", 1, delivery_id="a")
        await client.raise_event_once(handle.instance_id, "stop", delivery_id="a")
        assert await handle.result(10) == [1]


async def test_an_instance_that_is_not_there_and_an_id_that_is_empty_are_errors(make_service: MakeService) -> None:
    async with TaskHubClient(make_service()) as client:
        with pytest.raises(InstanceNotFoundError):
            await client.raise_event_once("nobody", "number", 1, delivery_id="a")
        with pytest.raises(InvalidArgumentError, match="delivery_id"):
            await client.raise_event_once("nobody", "number", 1, delivery_id="")
