"""Rules 7, 9 and 10: one event one drain, what is dropped, and external events."""

import asyncio
from typing import Any

import pytest
from msgspec import Raw

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, SerializationError, orchestration
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from tests.replay.conftest import Traced
from tests.replay.definitions import THREE_TIMES, first, second
from tests.replay.instance import Instance, raised


@orchestration(registry=Registry())
async def race(ctx: OrchestrationContext) -> str:
    done, _ = await asyncio.wait([first(), second()], return_when=asyncio.FIRST_COMPLETED)
    ctx.send_event("judge", "finished", len(done))
    return f"{len(done)} at the line"


@pytest.mark.rule(7)
def test_a_turn_of_two_messages_decides_what_two_turns_decide() -> None:
    together, apart = Instance(race), Instance(race)
    for instance in (together, apart):
        instance.turn()
    together.turn(together.completed(1), together.completed(2))
    apart.turn(apart.completed(1))
    assert together.output == apart.output == "1 at the line"
    assert together.kinds() == apart.kinds()
    together.replay()


@pytest.mark.rule(7)
def test_a_decision_stands_right_behind_the_input_that_led_to_it() -> None:
    @orchestration(registry=Registry())
    async def two_lines(ctx: OrchestrationContext) -> None:
        async def line(call: Any) -> None:
            await call
            ctx.send_event("log", "done")

        await asyncio.gather(line(first()), line(second()))

    instance = Instance(two_lines)
    instance.turn()
    instance.turn(instance.completed(2), instance.completed(1))
    assert instance.kinds()[4:] == ["TaskCompleted", "EventSent", "TaskCompleted", "EventSent", "ExecutionCompleted"]


@orchestration(registry=Registry())
async def two_steps(ctx: OrchestrationContext) -> int:
    return await first.options(retry=THREE_TIMES)() + await second()


@pytest.mark.rule(9)
def test_a_completion_that_comes_twice_is_dropped_and_traced(traced: Traced) -> None:
    instance = Instance(two_steps)
    instance.turn()
    instance.turn(instance.completed(1, 1), instance.completed(1, 100))
    instance.evict()
    instance.turn(instance.completed(1, 100))
    assert [event["reason"] for event in traced("result_dropped")] == ["nobody waits for it (any more)"] * 2
    instance.turn(instance.completed(2, 2))
    assert instance.output == 3


@pytest.mark.rule(9)
def test_the_result_of_an_earlier_attempt_is_dropped() -> None:
    instance = Instance(two_steps)
    instance.turn()
    instance.turn(instance.failed(1, OSError("once")))
    instance.turn(instance.failed(1, OSError("once")), instance.completed(1, 100, attempt=1))
    assert instance.kinds()[-1] == "TaskFailed"
    instance.turn(instance.completed(1, 1, attempt=2))
    assert instance.kinds()[-2:] == ["TaskCompleted", "TaskScheduled"]


@pytest.mark.rule(9)
def test_messages_for_another_execution_are_dropped(traced: Traced) -> None:
    instance = Instance(two_steps)
    instance.turn()
    before = instance.kinds()
    instance.turn(
        m.ActivityResult(execution_id="e0", number=1, result=Raw(b"1")),
        m.ExternalEvent(execution_id="e0", id="x", name="go", payload=Raw(b"1")),
        m.Control(execution_id="e0", id="y", action="cancel"),
    )
    assert instance.kinds() == before
    assert {event["reason"] for event in traced("result_dropped")} == {"it is for another execution"}


@pytest.mark.rule(9)
def test_an_event_delivered_twice_counts_once_also_after_eviction_and_in_the_next_execution() -> None:
    @orchestration(registry=Registry())
    async def counting(ctx: OrchestrationContext) -> None:
        await ctx.wait_for_event("stop")

    instance = Instance(counting, recent=("of the last one",))
    instance.turn(raised("go", 1, "a"))
    instance.turn(raised("go", 1, "a"))
    instance.evict()
    instance.turn(raised("go", 1, "a"), raised("go", 1, "of the last one"))
    assert len(instance.of_kind(h.EventRaised)) == 1


@pytest.mark.rule(9, 14)
@pytest.mark.parametrize("evicted", [False, True])
def test_while_suspended_a_repeated_message_is_still_known(evicted: bool) -> None:
    instance = Instance(two_steps)
    instance.turn()
    instance.turn(instance.control("suspend"), instance.completed(1, 1), raised("go", 1, "a"))
    if evicted:
        instance.evict()
    instance.turn(instance.completed(1, 100), raised("go", 1, "a"))
    assert instance.kinds()[3:] == ["ExecutionSuspended", "TaskCompleted", "EventRaised"]


@pytest.mark.rule(10)
def test_events_wait_under_their_name_in_order_of_arrival() -> None:
    @orchestration(registry=Registry())
    async def late(ctx: OrchestrationContext) -> list[int]:
        await first()
        found = [await ctx.wait_for_event("a", int), await ctx.wait_for_event("b", int)]
        return [*found, await ctx.wait_for_event("a", int)]

    instance = Instance(late)
    instance.turn(raised("a", 1), raised("a", 2), raised("b", 3))
    instance.evict()
    instance.turn(instance.completed(1))
    assert instance.output == [1, 3, 2]


@pytest.mark.rule(10)
def test_several_waiters_are_served_in_the_order_they_asked_and_a_cancelled_one_takes_nothing() -> None:
    @orchestration(registry=Registry())
    async def queueing(ctx: OrchestrationContext) -> list[int]:
        waiters = [ctx.wait_for_event("ticket", int) for _ in range(3)]
        waiters[1].cancel()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await ctx.wait_for_event("nothing")
        early = ctx.wait_for_event("nothing")
        return [await waiters[0], await waiters[2], await early]

    instance = Instance(queueing)
    instance.turn()
    instance.turn(instance.due(1), after=5)
    instance.turn(raised("ticket", 1), raised("nothing", 9), raised("ticket", 2))
    assert instance.output == [1, 2, 9]


@pytest.mark.rule(10, 15)
def test_an_event_of_another_type_fails_its_waiter_and_is_consumed() -> None:
    @orchestration(registry=Registry())
    async def strict(ctx: OrchestrationContext) -> int:
        with pytest.raises(SerializationError, match="event 'go' of 'an instance'"):
            await ctx.wait_for_event("go", int)
        return await ctx.wait_for_event("go", int)

    instance = Instance(strict)
    instance.turn()
    instance.turn(raised("go", "no number"), raised("go", 5))
    assert instance.output == 5


@pytest.mark.rule(10, 12)
def test_events_that_nobody_took_are_carried_over_and_so_are_those_that_a_suspend_holds_back() -> None:
    @orchestration(registry=Registry())
    async def generation(ctx: OrchestrationContext, seen: int = 0) -> None:
        ctx.continue_as_new(await ctx.wait_for_event("next", int))

    instance = Instance(generation)
    instance.turn(raised("other", 1))
    instance.turn(instance.control("suspend"), raised("next", 2), raised("next", 3))
    commit = instance.turn(instance.control("resume"))
    assert commit.next is not None
    assert [(event.name, bytes(event.payload)) for event in commit.next.carried] == [("other", b"1"), ("next", b"3")]
    following = Instance(generation, 2, execution_id=commit.next.execution_id, carried=commit.next.carried)
    assert following.turn().status == OrchestrationStatus.CONTINUED_AS_NEW


@pytest.mark.rule(10)
def test_an_event_sent_by_an_orchestration_is_one_message_with_an_id_of_its_own() -> None:
    @orchestration(registry=Registry())
    async def telling(ctx: OrchestrationContext) -> None:
        ctx.send_event("other", "news", {"page": 1})
        await first()

    instance = Instance(telling)
    (send,) = instance.turn().sends
    assert isinstance(send.message, m.ExternalEvent)
    assert (send.instance_id, send.message.id, send.message.name) == ("other", "e1:1", "news")
    instance.evict()
    assert list(instance.turn(instance.completed(2)).sends) == []
