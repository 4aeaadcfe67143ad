"""Purge: by id, by query, with children; never what still runs."""

from datetime import timedelta

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    InvalidStateError,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


async def test_a_finished_instance_is_gone_with_its_history(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def step() -> str:
        return "done"

    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> str:
        return await step()

    async with hub.worker(registry):
        gone, kept = await hub.finished(short), await hub.finished(short)
        result = await hub.client.purge(gone.instance_id)
    assert (result.deleted, result.is_complete) == (1, True)
    assert await hub.client.get_state(gone.instance_id) is None
    with pytest.raises(InstanceNotFoundError):
        await hub.client.get_history(gone.instance_id)
    assert [state.instance_id async for state in hub.client.query()] == [kept.instance_id]


async def test_a_purged_id_can_be_started_anew(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def echo(ctx: OrchestrationContext, word: str) -> str:
        return word

    async with hub.worker(registry):
        for word in ("first", "second"):
            handle = await hub.client.start(echo, word, instance_id="again")
            assert await handle.result(WAIT) == word
            await hub.client.purge("again")


@pytest.mark.parametrize("suspended", [False, True], ids=["running", "suspended"])
async def test_a_live_instance_is_never_purged(hub: Hub, registry: Registry, suspended: bool) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(waiter, instance_id="live")
        await hub.until_status(handle, OrchestrationStatus.RUNNING)
        if suspended:
            await hub.client.suspend("live")
            await hub.until_status(handle, OrchestrationStatus.SUSPENDED)
        with pytest.raises(InvalidStateError, match="live"):
            await hub.client.purge("live")
        assert (await hub.client.purge(OrchestrationQuery(instance_id_prefix="live"))).deleted == 0
        await hub.client.resume("live")
        await hub.client.raise_event("live", "go", "undisturbed")
        assert await handle.result(WAIT) == "undisturbed"


async def test_a_pending_instance_is_never_purged(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> str:
        return "ran"

    handle = await hub.client.start(short)
    with pytest.raises(InvalidStateError):
        await hub.client.purge(handle.instance_id)
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "ran"


async def test_a_query_says_which_finished_instances_go(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def numbered(ctx: OrchestrationContext, n: int) -> int:
        if n % 2:
            raise ValueError(str(n))
        return n

    async with hub.worker(registry):
        for n in range(6):
            await (await hub.client.start(numbered, n, instance_id=f"n{n}")).wait(WAIT)
        result = await hub.client.purge(OrchestrationQuery(statuses=[OrchestrationStatus.FAILED]))
    assert (result.deleted, result.is_complete) == (3, True)
    assert {state.instance_id async for state in hub.client.query()} == {"n0", "n2", "n4"}


async def test_a_query_by_time_of_completion_keeps_later_ones(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> None: ...

    async with hub.worker(registry):
        first = await hub.finished(short)
        second = await hub.finished(short)
    assert first.completed_at is not None and second.completed_at is not None
    assert first.completed_at <= second.completed_at
    just_before = second.completed_at - timedelta(microseconds=1)
    result = await hub.client.purge(OrchestrationQuery(completed_before=just_before))
    assert result.deleted == 1
    assert [state.instance_id async for state in hub.client.query()] == [second.instance_id]


async def test_a_limit_stops_a_purge_and_says_so(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> None: ...

    async with hub.worker(registry):
        for _ in range(5):
            await hub.finished(short)
    result = await hub.client.purge(OrchestrationQuery(limit=3))
    assert (result.deleted, result.is_complete) == (3, False)
    result = await hub.client.purge(OrchestrationQuery(limit=3))
    assert (result.deleted, result.is_complete) == (2, True)


@pytest.mark.parametrize("recursive", [True, False])
async def test_children_go_with_their_parent_when_asked_for(hub: Hub, registry: Registry, recursive: bool) -> None:
    @orchestration(registry=registry)
    async def nested(ctx: OrchestrationContext, depth: int) -> None:
        if depth:
            await ctx.call_sub_orchestration(ctx.name, depth - 1)

    async with hub.worker(registry):
        state = await hub.finished(nested, 2)
        other = await hub.finished(nested, 0)
        result = await hub.client.purge(state.instance_id, recursive=recursive)
    left = {found.instance_id async for found in hub.client.query()}
    assert other.instance_id in left
    assert state.instance_id not in left
    assert (result.deleted, len(left)) == ((3, 1) if recursive else (1, 3))


async def test_a_child_purged_before_its_parent_looked_still_answers_it(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> str:
        return "answer"

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        call = child.options(instance_id="child")()
        await ctx.wait_for_event("look")
        return await call

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("child", OrchestrationStatus.COMPLETED)
        await hub.client.purge("child")
        await hub.client.raise_event(handle.instance_id, "look")
        assert await handle.result(WAIT) == "answer"


async def test_an_unknown_instance_is_an_error(hub: Hub) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.purge("nobody")
