"""Restart: the same input once more, as a new execution of the same id or under an id of its own."""

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    InvalidStateError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


async def test_restart_runs_a_new_execution_with_the_same_input(hub: Hub, registry: Registry) -> None:
    keys: list[str] = []

    @activity(registry=registry)
    async def double(n: int) -> int:
        keys.append(activity_context().idempotency_key)
        return n * 2

    @orchestration(registry=registry)
    async def doubling(ctx: OrchestrationContext, n: int) -> int:
        return await double(n)

    async with hub.worker(registry):
        first = await hub.finished(doubling, 21)
        handle = await hub.client.restart(first.instance_id)
        assert handle.instance_id == first.instance_id
        assert await handle.result(WAIT) == 42
    second = await hub.state(handle)
    assert second.execution_id != first.execution_id
    assert second.input == 21
    assert len(set(keys)) == 2  # another execution: other logical calls
    assert sum((await hub.client.count()).values()) == 1


async def test_restart_under_a_new_id_leaves_the_old_instance_as_it_is(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def doubling(ctx: OrchestrationContext, n: int) -> int:
        return n * 2

    async with hub.worker(registry):
        first = await hub.finished(doubling, 21)
        handle = await hub.client.restart(first.instance_id, new_id=True)
        assert handle.instance_id != first.instance_id
        assert await handle.result(WAIT) == 42
    old = await hub.state(first.instance_id)
    assert (old.execution_id, old.output) == (first.execution_id, 42)
    assert sum((await hub.client.count()).values()) == 2


@pytest.mark.parametrize("end", ["fail", "terminate", "cancel"])
async def test_an_instance_that_ended_badly_can_be_restarted(hub: Hub, registry: Registry, end: str) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext, word: str) -> str:
        answer = await ctx.wait_for_event("answer", str)
        if answer == "fail":
            raise ValueError(answer)
        return word + answer

    async with hub.worker(registry):
        handle = await hub.client.start(waiter, "so ")
        match end:
            case "fail":
                await hub.client.raise_event(handle.instance_id, "answer", "fail")
            case "terminate":
                await hub.client.terminate(handle.instance_id)
            case "cancel":
                await hub.until_status(handle, OrchestrationStatus.RUNNING)
                await hub.client.cancel(handle.instance_id)
        assert (await handle.wait(WAIT)).status != OrchestrationStatus.COMPLETED
        again = await hub.client.restart(handle.instance_id)
        await hub.client.raise_event(handle.instance_id, "answer", "good")
        assert await again.result(WAIT) == "so good"
    state = await hub.state(handle)
    assert (state.status, state.failure) == (OrchestrationStatus.COMPLETED, None)


async def test_a_running_instance_can_only_be_restarted_under_a_new_id(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext, word: str) -> str:
        return word + await ctx.wait_for_event("answer", str)

    async with hub.worker(registry):
        first = await hub.client.start(waiter, "w")
        with pytest.raises(InvalidStateError):
            await hub.client.restart(first.instance_id)
        second = await hub.client.restart(first.instance_id, new_id=True)
        for handle, answer in ((first, "1"), (second, "2")):
            await hub.client.raise_event(handle.instance_id, "answer", answer)
        assert [await first.result(WAIT), await second.result(WAIT)] == ["w1", "w2"]


async def test_restart_takes_the_input_of_the_last_execution(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def counter(ctx: OrchestrationContext, n: int) -> int:
        if n < 3:
            ctx.continue_as_new(n + 1)
        return n

    async with hub.worker(registry):
        first = await hub.finished(counter, 0)
        handle = await hub.client.restart(first.instance_id)
        assert await handle.result(WAIT) == 3
    assert (await hub.state(handle)).input == 3


async def test_events_of_the_old_execution_do_not_reach_the_new_one(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("answer", str)

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await hub.client.raise_event(handle.instance_id, "answer", "first")
        await hub.client.raise_event(handle.instance_id, "answer", "never read")
        await handle.result(WAIT)
        again = await hub.client.restart(handle.instance_id)
        await hub.client.raise_event(handle.instance_id, "answer", "second")
        assert await again.result(WAIT) == "second"


async def test_an_unknown_instance_is_an_error(hub: Hub) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.restart("nobody")
