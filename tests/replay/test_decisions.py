"""Rule 8: every decision has a number, and replay holds the code to it."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from dtf_runtime import (
    NonDeterminismError,
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    orchestration,
)
from dtf_runtime.model import history as h
from tests.replay.conftest import Traced
from tests.replay.definitions import child, first, second
from tests.replay.instance import Instance

Body = Callable[[OrchestrationContext], Awaitable[object]]


def made(body: Body, *, version: str = "") -> Orchestration[[], object]:
    @orchestration(name="changing", version=version, registry=Registry())
    async def changing(ctx: OrchestrationContext) -> object:
        return await body(ctx)

    return changing


async def recorded_body(ctx: OrchestrationContext) -> object:
    await first(1)
    await asyncio.sleep(5)
    ctx.send_event("other", "news", 1)
    return await child(2)


def recorded() -> Instance:
    instance = Instance(made(recorded_body))
    instance.turn()
    instance.turn(instance.completed(1))
    instance.turn(instance.due(2), after=5)
    return instance


async def another_kind(ctx: OrchestrationContext) -> object:
    return await child(1)


async def another_name(ctx: OrchestrationContext) -> object:
    return await second(1)


async def one_fewer(ctx: OrchestrationContext) -> object:
    await first(1)
    await asyncio.sleep(5)
    return await ctx.wait_for_event("nothing")


async def one_more(ctx: OrchestrationContext) -> object:
    first(1)
    second(2)
    return await child(2)


async def another_event(ctx: OrchestrationContext) -> object:
    await first(1)
    await asyncio.sleep(5)
    ctx.send_event("other", "gossip", 1)
    return await child(2)


async def detached(ctx: OrchestrationContext) -> object:
    await first(1)
    await asyncio.sleep(5)
    ctx.send_event("other", "news", 1)
    return ctx.start(child, 2)


async def ended_early(ctx: OrchestrationContext) -> object:
    await first(1)
    return 1


@pytest.mark.rule(8)
@pytest.mark.parametrize(
    ("body", "message"),
    [
        (another_kind, r"#1: history holds TaskScheduled\(first\), but the code did SubOrchestrationCreated\(child\)"),
        (another_name, r"#1: history holds TaskScheduled\(first\), but the code did TaskScheduled\(second\)"),
        (one_fewer, r"history holds EventSent\(news\) as decision #3, but the code did not do that"),
        (one_more, r"the code did TaskScheduled\(second\) as its decision #2, but history holds no such decision"),
        (another_event, r"#3: history holds EventSent\(news\), but the code did EventSent\(gossip\)"),
        (detached, r"#4: history holds SubOrchestrationCreated\(child\), but the code did \S+\(child, detached\)"),
        (ended_early, r"#2: history holds TimerCreated, but the code did ExecutionCompleted\(completed\)"),
    ],
)
def test_code_that_decides_otherwise_is_told_what_history_holds_and_what_it_did(body: Body, message: str) -> None:
    with pytest.raises(NonDeterminismError, match=message) as caught:
        recorded().replay(made(body))
    assert "'an instance'" in str(caught.value) and "ctx.patched" in str(caught.value)
    assert re.search(r"test_decisions\.py:\d+ in ", str(caught.value)) is not None


@pytest.mark.rule(8)
def test_the_code_that_made_a_history_repeats_it() -> None:
    recorded().replay()


@pytest.mark.rule(8)
def test_the_error_names_the_line_that_made_the_other_decision() -> None:
    with pytest.raises(NonDeterminismError) as caught:
        recorded().replay(made(another_name))
    line = another_name.__code__.co_firstlineno + 1
    assert f"test_decisions.py:{line} in another_name" in str(caught.value)


@pytest.mark.rule(8, 20)
def test_the_error_names_both_pythons_when_they_differ() -> None:
    instance = recorded()
    instance.rows = [re.sub(rb'"python":"[0-9.]+"', b'"python":"2.7"', row) for row in instance.rows]
    with pytest.raises(NonDeterminismError, match=r"Recorded by Python 2\.7, replayed by 3\.\d+"):
        instance.replay(made(another_kind))


@pytest.mark.rule(8)
def test_an_instance_whose_code_does_not_fit_keeps_its_state_and_goes_on_with_code_that_does() -> None:
    instance = recorded()
    instance.evict()
    before, right = instance.history, instance.orchestration
    instance.orchestration = made(another_kind)
    for _ in range(2):
        with pytest.raises(NonDeterminismError):
            instance.turn(instance.child_ended(4, result=7))
    assert instance.history == before
    instance.orchestration = right
    instance.turn(instance.child_ended(4, result=7))
    assert (instance.status, instance.output) == (OrchestrationStatus.COMPLETED, 7)


@pytest.mark.rule(8)
def test_code_can_not_swallow_its_way_past_the_error() -> None:
    async def swallowing(ctx: OrchestrationContext) -> object:
        try:
            return await second(1)
        except NonDeterminismError:
            return await first(1)

    with pytest.raises(NonDeterminismError):
        recorded().replay(made(swallowing))


@pytest.mark.rule(8)
def test_other_arguments_are_an_error_in_a_test_and_a_warning_in_a_worker(traced: Traced) -> None:
    async def other_arguments(ctx: OrchestrationContext) -> object:
        return await first(2)

    instance = recorded()
    with pytest.raises(
        NonDeterminismError, match=r"decision #1, TaskScheduled\(first\): history holds other arguments"
    ):
        instance.replay(made(other_arguments))
    alone = Instance(made(another_name))
    alone.turn()
    alone.evict()
    alone.orchestration = made(lambda ctx: second(99))
    alone.turn(alone.completed(1, 5))
    assert alone.output == 5
    assert [event["number"] for event in traced("arguments_changed")] == [1]


@pytest.mark.rule(8)
def test_another_deadline_is_an_error_in_a_test_and_history_stands_in_a_worker() -> None:
    async def longer(ctx: OrchestrationContext) -> object:
        await first(1)
        await asyncio.sleep(50)
        return "slept"

    instance = Instance(made(recorded_body))
    instance.turn()
    instance.turn(instance.completed(1))
    instance.evict()
    with pytest.raises(NonDeterminismError, match=r"TimerCreated: history holds other arguments"):
        instance.replay(made(longer))
    instance.orchestration = made(longer)
    instance.turn(instance.due(2), after=5)
    assert instance.output == "slept"


@pytest.mark.rule(8)
def test_another_result_is_an_error_in_a_test() -> None:
    instance = recorded()
    instance.turn(instance.child_ended(4, result=7))

    async def other_result(ctx: OrchestrationContext) -> object:
        return [await recorded_body(ctx)]

    with pytest.raises(NonDeterminismError, match=r"ExecutionCompleted\(completed\): history holds other arguments"):
        instance.replay(made(other_result))


@pytest.mark.rule(8)
def test_a_changed_version_or_policy_is_no_error_and_history_stands() -> None:
    def calling(version: str) -> Body:
        return lambda ctx: ctx.call_activity("first", version=version, result_type=int)

    instance = Instance(made(calling("1")))
    instance.turn()
    instance.evict()
    instance.replay(made(calling("2"), version="9"))
    instance.orchestration = made(calling("2"))
    instance.turn()
    assert instance.live is not None
    call: Any = instance.live.open[1]
    assert call.attempted(2).version == "1"


@pytest.mark.rule(8)
def test_decisions_of_every_kind_share_one_counter() -> None:
    async def all_kinds(ctx: OrchestrationContext) -> object:
        first()
        child()
        ctx.start(child)
        ctx.send_event("other", "news")
        ctx.patched("takes none")
        ctx.wait_for_event("takes none")
        await asyncio.sleep(0)
        await asyncio.sleep(-5)
        asyncio.get_running_loop().call_at(0, print).cancel()
        await asyncio.sleep(1)
        return None

    instance = Instance(made(all_kinds))
    instance.turn()
    instance.turn(instance.due(5), after=1)
    decisions: list[Any] = [event for event in instance.history if isinstance(event, h.DECISIONS)]
    numbers = [(event.kind, event.number) for event in decisions]
    assert numbers == [
        ("TaskScheduled", 1),
        ("SubOrchestrationCreated", 2),
        ("SubOrchestrationCreated", 3),
        ("EventSent", 4),
        ("TimerCreated", 5),
        ("ExecutionCompleted", 6),
    ]


@pytest.mark.rule(8)
def test_arguments_are_encoded_when_the_call_is_made() -> None:
    async def mutating(ctx: OrchestrationContext) -> object:
        basket = {"eggs": 1}
        ctx.call_activity("pack", basket)
        basket["eggs"] = 12
        await first()
        return None

    instance = Instance(made(mutating))
    commit = instance.turn()
    assert bytes(commit.tasks[0].input) == b'[{"eggs":1}]'
