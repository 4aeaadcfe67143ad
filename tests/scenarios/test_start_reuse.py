"""Starting under an id that exists, for every status and every `reuse`; and scheduled starts."""

import asyncio
from collections.abc import Collection
from datetime import timedelta
from typing import Any

import pytest

from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    OrchestrationStatus,
    Registry,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, Sizes, utc_now

STATUSES = [status for status in OrchestrationStatus if status != OrchestrationStatus.CONTINUED_AS_NEW]


def define(registry: Registry) -> Any:
    """An orchestration that can be brought into any status: it answers with its input and what it was told."""

    @orchestration(name="held", registry=registry)
    async def held(ctx: OrchestrationContext, word: str) -> str:
        answer = await ctx.wait_for_event("answer", str)
        if answer == "fail":
            raise ValueError(answer)
        return f"{word} {answer}"

    return held


async def bring_into(hub: Hub, status: OrchestrationStatus, held: Any) -> OrchestrationHandle[Any]:
    """Leaves the instance "taken" in that status. A worker must be there, unless it is PENDING that is asked for."""
    later = utc_now() + timedelta(days=1) if status == OrchestrationStatus.PENDING else None
    handle: OrchestrationHandle[Any] = await hub.client.start(held, "old", instance_id="taken", start_at=later)
    match status:
        case OrchestrationStatus.SUSPENDED:
            await hub.client.suspend("taken")
        case OrchestrationStatus.COMPLETED:
            await hub.client.raise_event("taken", "answer", "good")
        case OrchestrationStatus.FAILED:
            await hub.client.raise_event("taken", "answer", "fail")
        case OrchestrationStatus.TERMINATED:
            await hub.client.terminate("taken")
        case OrchestrationStatus.CANCELLED:
            await hub.until_status("taken", OrchestrationStatus.RUNNING)
            await hub.client.cancel("taken")
    await hub.until_status("taken", status)
    return handle


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("choice", ["nothing", "every other status"])
async def test_an_id_that_exists_is_refused_and_its_instance_left_alone(
    hub: Hub, registry: Registry, status: OrchestrationStatus, choice: str
) -> None:
    held = define(registry)
    reuse = set(STATUSES) - {status} if choice == "every other status" else ()
    async with hub.worker(registry):
        await bring_into(hub, status, held)
        before = await hub.state("taken")
        with pytest.raises(OrchestrationAlreadyExistsError, match="taken"):
            await hub.client.start(held, "new", instance_id="taken", reuse=reuse)
        await hub.bystander_runs()
        after = await hub.state("taken")
    assert (after.execution_id, after.status, after.input) == (before.execution_id, status, "old")
    assert after.history_length == before.history_length


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("choice", ["its status", "all statuses"])
async def test_an_instance_whose_status_may_be_reused_is_replaced_by_a_new_execution(
    hub: Hub, registry: Registry, status: OrchestrationStatus, choice: str
) -> None:
    held = define(registry)
    reuse: Collection[OrchestrationStatus] = {status} if choice == "its status" else STATUSES
    async with hub.worker(registry):
        await bring_into(hub, status, held)
        before = await hub.state("taken")
        handle = await hub.client.start(held, "new", instance_id="taken", reuse=reuse)
        await hub.client.raise_event("taken", "answer", "good")
        assert await handle.result(WAIT) == "new good"
    after = await hub.state("taken")
    assert after.execution_id != before.execution_id
    assert (after.status, after.input, after.failure) == (OrchestrationStatus.COMPLETED, "new", None)
    assert await hub.kinds("taken") == ["ExecutionStarted", "EventRaised", "ExecutionCompleted"]
    assert sum((await hub.client.count()).values()) == 1


async def test_the_replaced_execution_applies_nothing_any_more(hub: Hub, registry: Registry) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    seconds: list[str] = []

    @activity(registry=registry)
    async def first(word: str) -> str:
        if word == "old":
            began.set()
            await may_end.wait()
        return word

    @activity(registry=registry)
    async def second(word: str) -> str:
        seconds.append(word)
        return word

    @orchestration(registry=registry)
    async def two_steps(ctx: OrchestrationContext, word: str) -> str:
        return await second(await first(word))

    async with hub.worker(registry):
        await hub.client.start(two_steps, "old", instance_id="taken")
        await asyncio.wait_for(began.wait(), WAIT)
        handle = await hub.client.start(two_steps, "new", instance_id="taken", reuse=STATUSES)
        assert await handle.result(WAIT) == "new"
        may_end.set()
        await hub.bystander_runs()
    assert seconds == ["new"]


async def test_of_many_concurrent_starts_exactly_one_is_accepted(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    ran: list[int] = []

    @activity(registry=registry)
    async def step(n: int) -> int:
        ran.append(n)
        return n

    @orchestration(registry=registry)
    async def single(ctx: OrchestrationContext, n: int) -> int:
        return await step(n)

    async with hub.worker(registry):
        answers = await asyncio.gather(
            *(hub.client.start(single, n, instance_id="one") for n in range(sizes.concurrent_starts)),
            return_exceptions=True,
        )
        accepted = [n for n, answer in enumerate(answers) if isinstance(answer, OrchestrationHandle)]
        refused = [answer for answer in answers if isinstance(answer, OrchestrationAlreadyExistsError)]
        assert len(accepted) == 1
        assert len(refused) == sizes.concurrent_starts - 1
        assert await hub.client.handle("one", int).result(WAIT) == accepted[0]
    assert ran == accepted
    assert sum((await hub.client.count()).values()) == 1


async def test_concurrent_starts_that_reuse_leave_one_whole_instance(
    hub: Hub, registry: Registry, sizes: Sizes
) -> None:
    held = define(registry)
    async with hub.worker(registry):
        words = [f"word {n}" for n in range(sizes.concurrent_starts)]
        await asyncio.gather(*(hub.client.start(held, word, instance_id="taken", reuse=STATUSES) for word in words))
        await hub.client.raise_event("taken", "answer", "good")
        result = await hub.client.handle("taken", str).result(WAIT)
    state = await hub.state("taken")
    assert result in {f"{word} good" for word in words}
    assert result == f"{state.input} good"
    assert await hub.kinds("taken") == ["ExecutionStarted", "EventRaised", "ExecutionCompleted"]
    assert sum((await hub.client.count()).values()) == 1


async def test_starts_without_an_id_get_ids_of_their_own(hub: Hub, registry: Registry) -> None:
    held = define(registry)
    handles = [await hub.client.start(held, "x") for _ in range(100)]
    assert len({handle.instance_id for handle in handles}) == 100


async def test_a_scheduled_start_waits_for_its_time(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def scheduled(ctx: OrchestrationContext) -> str:
        return ctx.now().isoformat()

    start_at = utc_now() + timedelta(seconds=0.15)
    async with hub.worker(registry):
        handle = await hub.client.start(scheduled, start_at=start_at)
        state = await handle.state()
        assert state.scheduled_at is not None
        assert abs(state.scheduled_at - start_at) < timedelta(milliseconds=2)
        began = await handle.result(WAIT)
        assert utc_now() >= start_at
    assert began >= (start_at - timedelta(milliseconds=1)).isoformat()


async def test_a_far_scheduled_start_stays_pending_and_keeps_its_events(hub: Hub, registry: Registry) -> None:
    held = define(registry)
    async with hub.worker(registry):
        handle = await hub.client.start(held, "later", start_at=utc_now() + timedelta(seconds=0.2))
        await hub.client.raise_event(handle.instance_id, "answer", "early")
        assert await handle.result(WAIT) == "later early"
        far = await hub.client.start(held, "much later", start_at=utc_now() + timedelta(days=3650))
        await hub.bystander_runs()
        assert (await far.state()).status == OrchestrationStatus.PENDING


async def test_a_start_scheduled_in_the_past_begins_at_once(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def overdue(ctx: OrchestrationContext) -> str:
        return "ran"

    async with hub.worker(registry):
        handle = await hub.client.start(overdue, start_at=utc_now() - timedelta(days=1))
        assert await handle.result(WAIT) == "ran"


async def test_a_scheduled_start_survives_the_worker(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def scheduled(ctx: OrchestrationContext) -> str:
        return "ran"

    async with hub.worker(registry):
        handle = await hub.client.start(scheduled, start_at=utc_now() + timedelta(seconds=0.1))
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "ran"
