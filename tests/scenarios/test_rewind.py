"""Rewind: a failed instance goes on from the call that failed it; what succeeded stays and runs no second time."""

import asyncio
from collections import Counter

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    InvalidStateError,
    OrchestrationContext,
    OrchestrationFailedError,
    OrchestrationStatus,
    Registry,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub

COMPLETED, FAILED = OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED


class Shop:
    """Activities that count themselves; those in `broken` fail until they are repaired."""

    def __init__(self, registry: Registry, *broken: str) -> None:
        self.broken = set(broken)
        self.ran: Counter[str] = Counter()
        self.keys: dict[str, list[str]] = {}

        @activity(name="work", registry=registry)
        async def work(name: str) -> str:
            self.ran[name] += 1
            self.keys.setdefault(name, []).append(activity_context().idempotency_key)
            if name in self.broken:
                raise ConnectionError(f"{name} is down")
            return name.upper()

        self.work = work


async def test_a_failed_activity_runs_again_and_the_others_do_not(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "b")

    @orchestration(registry=registry)
    async def sequence(ctx: OrchestrationContext) -> list[str]:
        return [await shop.work(name) for name in "abc"]

    async with hub.worker(registry):
        handle = await hub.client.start(sequence)
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id, "the service is back")
        assert await handle.result(WAIT) == ["A", "B", "C"]
    assert shop.ran == {"a": 1, "b": 2, "c": 1}
    state = await hub.state(handle)
    assert (state.status, state.failure) == (COMPLETED, None)
    counts = await hub.counts(handle)
    assert (counts["ExecutionRewound"], counts["TaskFailed"]) == (1, 0)
    assert len(set(shop.keys["b"])) == 1  # still the same logical call
    assert len({key for keys in shop.keys.values() for key in keys}) == 3  # and no later call has an earlier one's


async def test_an_instance_can_be_rewound_as_often_as_it_fails(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "a", "b")

    @orchestration(registry=registry)
    async def sequence(ctx: OrchestrationContext) -> list[str]:
        return [await shop.work(name) for name in "ab"]

    async with hub.worker(registry):
        handle = await hub.client.start(sequence)
        await handle.wait(WAIT)
        await hub.client.rewind(handle.instance_id)
        assert (await handle.wait(WAIT)).status == FAILED  # not repaired: it fails again
        shop.broken.discard("a")
        await hub.client.rewind(handle.instance_id)
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.discard("b")
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["A", "B"]
    assert shop.ran == {"a": 3, "b": 2}


async def test_in_a_fan_out_only_what_failed_runs_again(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "c", "e")

    @orchestration(registry=registry)
    async def fan(ctx: OrchestrationContext) -> list[str]:
        results = await asyncio.gather(*(shop.work(name) for name in "abcdefg"), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [result for result in results if isinstance(result, str)]

    async with hub.worker(registry):
        handle = await hub.client.start(fan)
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == list("ABCDEFG")
    assert shop.ran == {"a": 1, "b": 1, "c": 2, "d": 1, "e": 2, "f": 1, "g": 1}


async def test_an_event_that_waited_unread_when_the_call_failed_is_not_lost(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "slow")
    may_fail = asyncio.Event()

    @activity(registry=registry)
    async def slow() -> str:
        await may_fail.wait()
        return await shop.work.fn("slow")  # type: ignore[no-any-return]

    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> list[str]:
        return [await slow(), await ctx.wait_for_event("word", str)]

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await hub.client.raise_event(handle.instance_id, "word", "kept")
        await hub.until_history_has(handle, "EventRaised")
        may_fail.set()
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["SLOW", "kept"]


async def test_an_event_that_came_after_the_failure_is_fed_again(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "a")

    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> list[str]:
        call = shop.work("a")
        word = await ctx.wait_for_event("word", str)
        return [await call, word]

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        await hub.until_history_has(handle, "TaskFailed")
        await hub.client.raise_event(handle.instance_id, "word", "kept")
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["A", "kept"]
    assert shop.ran == {"a": 2}
    assert (await hub.counts(handle))["EventRaised"] == 1


async def test_a_failed_child_is_rewound_with_its_parent(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "child 2")

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> list[str]:
        return [await shop.work("child 1"), await shop.work("child 2")]

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[str]:
        return [await shop.work("parent"), *await child.options(instance_id="child")()]

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        assert (await handle.wait(WAIT)).status == FAILED
        child_execution = (await hub.state("child")).execution_id
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["PARENT", "CHILD 1", "CHILD 2"]
    assert shop.ran == {"parent": 1, "child 1": 1, "child 2": 2}
    state = await hub.state("child")
    assert (state.status, state.execution_id) == (COMPLETED, child_execution)
    assert (await hub.counts("child"))["ExecutionRewound"] == 1


async def test_rewinding_reaches_a_failure_at_any_depth(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "deep")

    @orchestration(registry=registry)
    async def nested(ctx: OrchestrationContext, depth: int) -> list[str]:
        before = await shop.work(f"before {depth}")
        if depth == 0:
            return [before, await shop.work("deep")]
        below: list[str] = await ctx.call_sub_orchestration(ctx.name, depth - 1, result_type=list[str])
        return [before, *below]

    async with hub.worker(registry):
        handle = await hub.client.start(nested, 3)
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["BEFORE 3", "BEFORE 2", "BEFORE 1", "BEFORE 0", "DEEP"]
    assert shop.ran == {"before 3": 1, "before 2": 1, "before 1": 1, "before 0": 1, "deep": 2}


async def test_children_that_succeeded_are_left_alone(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "b")

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext, name: str) -> str:
        return await shop.work(name)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[str]:
        return [await child.options(instance_id=f"child {name}")(name) for name in "ab"]

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["A", "B"]
    assert shop.ran == {"a": 1, "b": 2}
    assert (await hub.counts("child a"))["ExecutionRewound"] == 0


async def test_an_error_of_the_orchestrations_own_code_goes_on_with_todays_code(hub: Hub, registry: Registry) -> None:
    repaired = Registry()
    shop = Shop(registry)

    @orchestration(name="report", registry=registry)
    async def buggy(ctx: OrchestrationContext) -> str:
        word = await shop.work("a")
        raise KeyError(f"bug near {word}")

    @orchestration(name="report", registry=repaired.add(shop.work))
    async def fixed(ctx: OrchestrationContext) -> str:
        word = await shop.work("a")
        return word + await shop.work("b")

    async with hub.worker(registry):
        handle = await hub.client.start(buggy)
        assert (await handle.wait(WAIT)).status == FAILED
    async with hub.worker(repaired):
        await hub.client.rewind(handle.instance_id)
        assert await hub.client.handle(handle.instance_id, str).result(WAIT) == "AB"
    assert shop.ran == {"a": 1, "b": 1}


async def test_handled_failures_before_the_fatal_one_stay_handled(hub: Hub, registry: Registry) -> None:
    shop = Shop(registry, "optional", "needed")

    @orchestration(registry=registry)
    async def tolerant(ctx: OrchestrationContext) -> list[str]:
        try:
            first = await shop.work("optional")
        except Exception:
            first = await shop.work("instead")
        return [first, await shop.work("needed")]

    async with hub.worker(registry):
        handle = await hub.client.start(tolerant)
        assert (await handle.wait(WAIT)).status == FAILED
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == ["INSTEAD", "NEEDED"]
    assert shop.ran == {"optional": 1, "instead": 1, "needed": 2}


async def test_only_a_failed_instance_can_be_rewound(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def waiter(ctx: OrchestrationContext) -> str:
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(waiter)
        with pytest.raises(InvalidStateError):
            await hub.client.rewind(handle.instance_id)
        await hub.client.raise_event(handle.instance_id, "go", "gone")
        await handle.result(WAIT)
        with pytest.raises(InvalidStateError):
            await hub.client.rewind(handle.instance_id)
        cancelled = await hub.client.start(waiter)
        await hub.client.terminate(cancelled.instance_id)
        await cancelled.wait(WAIT)
        with pytest.raises(InvalidStateError):
            await hub.client.rewind(cancelled.instance_id)
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.rewind("nobody")


async def test_a_waiter_of_the_first_end_and_one_of_the_second_both_get_their_answer(
    hub: Hub, registry: Registry
) -> None:
    shop = Shop(registry, "a")

    @orchestration(registry=registry)
    async def one(ctx: OrchestrationContext) -> str:
        return await shop.work("a")

    async with hub.worker(registry):
        handle = await hub.client.start(one)
        with pytest.raises(OrchestrationFailedError, match="a is down"):
            await handle.result(WAIT)
        shop.broken.clear()
        await hub.client.rewind(handle.instance_id)
        assert await handle.result(WAIT) == "A"
