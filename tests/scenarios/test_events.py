"""External events: buffered, in order, contended, timed out, carried on, sent from one instance to another."""

import asyncio
from dataclasses import dataclass

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    SerializationError,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, Sizes


@dataclass
class Approval:
    by: str
    amount: int


async def test_an_event_with_a_typed_payload_reaches_its_waiter(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def approve(ctx: OrchestrationContext) -> str:
        ctx.set_custom_status("waiting")
        approval = await ctx.wait_for_event("approved", Approval)
        return f"{approval.amount} by {approval.by}"

    async with hub.worker(registry):
        handle = await hub.client.start(approve)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.raise_event(handle.instance_id, "approved", Approval("Ann", 7))
        assert await handle.result(WAIT) == "7 by Ann"
    assert await hub.kinds(handle) == ["ExecutionStarted", "EventRaised", "ExecutionCompleted"]


async def test_an_event_may_come_before_anyone_waits_and_before_a_worker_runs(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def late(ctx: OrchestrationContext) -> list[str]:
        second = await ctx.wait_for_event("second", str)
        first = await ctx.wait_for_event("first", str)
        return [first, second]

    handle = await hub.client.start(late)
    await hub.client.raise_event(handle.instance_id, "first", "1")
    await hub.client.raise_event(handle.instance_id, "second", "2")
    async with hub.worker(registry):
        assert await handle.result(WAIT) == ["1", "2"]


async def test_several_waiters_of_a_name_are_served_first_come_first(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def three(ctx: OrchestrationContext) -> list[int]:
        waiters = [ctx.wait_for_event("number", int) for _ in range(3)]
        ctx.set_custom_status("waiting")
        return list(await asyncio.gather(*reversed(waiters)))

    async with hub.worker(registry):
        handle = await hub.client.start(three)
        await hub.until_custom_status(handle, "waiting")
        for number in (1, 2, 3):
            await hub.client.raise_event(handle.instance_id, "number", number)
        assert await handle.result(WAIT) == [3, 2, 1]


async def test_events_of_a_name_keep_the_order_they_were_raised_in(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def collector(ctx: OrchestrationContext, count: int) -> list[int]:
        return [await ctx.wait_for_event("number", int) for _ in range(count)]

    async with hub.worker(registry):
        handle = await hub.client.start(collector, 30)
        for number in range(30):
            await hub.client.raise_event(handle.instance_id, "number", number)
        assert await handle.result(WAIT) == list(range(30))


async def test_many_clients_raising_at_once_lose_and_double_nothing(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    @orchestration(registry=registry)
    async def collector(ctx: OrchestrationContext, count: int) -> list[int]:
        return [await ctx.wait_for_event("number", int) for _ in range(count)]

    count = sizes.concurrent_events
    async with hub.worker(registry):
        handle = await hub.client.start(collector, count)
        await asyncio.gather(*(hub.client.raise_event(handle.instance_id, "number", n) for n in range(count)))
        assert sorted(await handle.result(sizes.patience)) == list(range(count))
    assert (await hub.counts(handle))["EventRaised"] == count


async def test_a_wait_that_times_out_does_not_swallow_a_later_event(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def impatient(ctx: OrchestrationContext) -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.03):
                await ctx.wait_for_event("answer", str)
        ctx.set_custom_status("timed out")
        return await ctx.wait_for_event("answer", str)

    async with hub.worker(registry):
        handle = await hub.client.start(impatient)
        await hub.until_custom_status(handle, "timed out")
        await hub.client.raise_event(handle.instance_id, "answer", "late")
        assert await handle.result(WAIT) == "late"
    counts = await hub.counts(handle)
    assert counts["TimerCreated"] == counts["TimerFired"] == 1


async def test_a_cancelled_waiter_does_not_swallow_an_event(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def fickle(ctx: OrchestrationContext) -> str:
        first = ctx.wait_for_event("answer", str)
        second = ctx.wait_for_event("answer", str)
        first.cancel()
        ctx.set_custom_status("waiting")
        return await second

    async with hub.worker(registry):
        handle = await hub.client.start(fickle)
        await hub.until_custom_status(handle, "waiting")
        await hub.client.raise_event(handle.instance_id, "answer", "for the second")
        assert await handle.result(WAIT) == "for the second"


async def test_an_event_in_time_beats_its_timeout(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def quick(ctx: OrchestrationContext) -> str:
        async with asyncio.timeout(3600):
            return await ctx.wait_for_event("answer", str)

    async with hub.worker(registry):
        handle = await hub.client.start(quick)
        await hub.client.raise_event(handle.instance_id, "answer", "in time")
        assert await handle.result(WAIT) == "in time"
    counts = await hub.counts(handle)
    assert (counts["TimerCreated"], counts["TimerFired"]) == (1, 0)


async def test_a_race_of_an_event_and_a_timer_has_one_winner(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def race(ctx: OrchestrationContext, delay: float) -> str:
        event = ctx.wait_for_event("answer", str)
        timer = asyncio.create_task(asyncio.sleep(delay, "timer"))
        done, _ = await asyncio.wait([event, timer], return_when=asyncio.FIRST_COMPLETED)
        return " ".join(sorted(winner.result() for winner in done))

    async with hub.worker(registry):
        assert await hub.run(race, 0.02) == "timer"
        handle = await hub.client.start(race, 3600.0)
        await hub.client.raise_event(handle.instance_id, "answer", "event")
        assert await handle.result(WAIT) == "event"


async def test_events_carry_over_continue_as_new(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def one_a_generation(ctx: OrchestrationContext, seen: list[int]) -> list[int]:
        seen = [*seen, await ctx.wait_for_event("number", int)]
        if len(seen) < 10:
            ctx.continue_as_new(seen)
        return seen

    async with hub.worker(registry):
        handle = await hub.client.start(one_a_generation, list[int]())
        for number in range(10):
            await hub.client.raise_event(handle.instance_id, "number", number)
        assert await handle.result(WAIT) == list(range(10))


async def test_events_stay_behind_when_continue_as_new_says_so(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def forgetful(ctx: OrchestrationContext, generation: int) -> str:
        if generation == 0:
            await ctx.wait_for_event("ready")
            ctx.continue_as_new(1, carry_events=False)
        ctx.set_custom_status("second generation")
        return await ctx.wait_for_event("word", str)

    async with hub.worker(registry):
        handle = await hub.client.start(forgetful, 0)
        await hub.client.raise_event(handle.instance_id, "word", "stale")
        await hub.client.raise_event(handle.instance_id, "ready")
        await hub.until_custom_status(handle, "second generation")
        await hub.client.raise_event(handle.instance_id, "word", "fresh")
        assert await handle.result(WAIT) == "fresh"


async def test_an_orchestration_sends_events_to_another(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def receiver(ctx: OrchestrationContext) -> list[Approval]:
        return [await ctx.wait_for_event("approved", Approval) for _ in range(2)]

    @orchestration(registry=registry)
    async def sender(ctx: OrchestrationContext, to: str) -> None:
        ctx.send_event(to, "approved", Approval("Ann", 1))
        ctx.send_event(to, "approved", Approval("Bob", 2))

    async with hub.worker(registry):
        handle = await hub.client.start(receiver)
        state = await hub.finished(sender, handle.instance_id)
        assert await handle.result(WAIT) == [Approval("Ann", 1), Approval("Bob", 2)]
    assert state.status == OrchestrationStatus.COMPLETED
    assert (await hub.counts(state.instance_id))["EventSent"] == 2


async def test_an_event_sent_to_an_unknown_instance_is_dropped(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def receiver(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("word", str)

    @orchestration(registry=registry)
    async def sender(ctx: OrchestrationContext) -> str:
        ctx.send_event("not yet there", "word", "stale")
        return "sent"

    async with hub.worker(registry):
        assert await hub.run(sender) == "sent"
        await hub.bystander_runs()
        assert await hub.client.get_state("not yet there") is None
        handle = await hub.client.start(receiver, instance_id="not yet there")
        await hub.client.raise_event("not yet there", "word", "fresh")
        assert await handle.result(WAIT) == "fresh"


async def test_raising_an_event_names_an_instance_that_is_unknown(hub: Hub) -> None:
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.raise_event("nobody", "word")


async def test_an_event_for_a_finished_instance_is_dropped(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def short(ctx: OrchestrationContext) -> str:
        return "done"

    async with hub.worker(registry):
        state = await hub.finished(short)
        await hub.client.raise_event(state.instance_id, "word", "too late")
        await hub.bystander_runs()
    assert (await hub.counts(state.instance_id))["EventRaised"] == 0


async def test_a_payload_of_another_type_is_an_error_in_its_waiter_and_is_consumed(
    hub: Hub, registry: Registry
) -> None:
    @orchestration(registry=registry)
    async def strict(ctx: OrchestrationContext) -> int:
        with pytest.raises(SerializationError):
            await ctx.wait_for_event("number", int)
        return await ctx.wait_for_event("number", int)

    async with hub.worker(registry):
        handle = await hub.client.start(strict)
        await hub.client.raise_event(handle.instance_id, "number", "many")
        await hub.client.raise_event(handle.instance_id, "number", 5)
        assert await handle.result(WAIT) == 5


async def test_a_waiter_may_take_a_union_or_any_json_or_nothing(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def liberal(ctx: OrchestrationContext) -> list[object]:
        return [
            await ctx.wait_for_event("union", int | None),
            await ctx.wait_for_event("union", int | None),
            await ctx.wait_for_event("any"),
            await ctx.wait_for_event("empty"),
        ]

    async with hub.worker(registry):
        handle = await hub.client.start(liberal)
        await hub.client.raise_event(handle.instance_id, "union", None)
        await hub.client.raise_event(handle.instance_id, "union", 3)
        await hub.client.raise_event(handle.instance_id, "any", {"a": [1, 2]})
        await hub.client.raise_event(handle.instance_id, "empty")
        assert await handle.result(WAIT) == [None, 3, {"a": [1, 2]}, None]


async def test_event_names_are_told_apart_to_the_letter(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def exact(ctx: OrchestrationContext) -> list[str]:
        return [await ctx.wait_for_event(name, str) for name in ("go", "Go", "go ", "gö/1")]

    async with hub.worker(registry):
        handle = await hub.client.start(exact)
        for name in ("gö/1", "go ", "Go", "go"):
            await hub.client.raise_event(handle.instance_id, name, f"<{name}>")
        assert await handle.result(WAIT) == ["<go>", "<Go>", "<go >", "<gö/1>"]
