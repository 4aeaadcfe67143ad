"""Rules 3, 4 and 5: time comes from history, timers are durable, and sets iterate alike everywhere."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.model import history as h
from tests.replay.conftest import Traced
from tests.replay.definitions import child, first, second
from tests.replay.instance import START, Instance, raised


@pytest.mark.rule(3)
def test_now_is_the_time_of_the_turn_and_never_goes_back() -> None:
    seen: list[tuple[datetime, float]] = []

    @orchestration(registry=Registry())
    async def looking(ctx: OrchestrationContext) -> None:
        for _ in range(3):
            seen.append((ctx.now(), asyncio.get_running_loop().time()))
            await first()
        seen.append((ctx.now(), asyncio.get_running_loop().time()))

    instance = Instance(looking)
    instance.turn()
    instance.turn(instance.completed(1), after=5)
    instance.turn(instance.completed(2), after=-60)  # a worker whose clock is behind
    instance.evict()
    del seen[:]
    instance.turn(instance.completed(3), after=120)
    assert [at for at, _ in seen] == [START + timedelta(seconds=s) for s in (0, 5, 5, 65)]
    assert [START.timestamp() + s for s in (0, 5, 5, 65)] == [time for _, time in seen]


@pytest.mark.rule(3)
def test_a_timer_that_fires_takes_time_to_its_deadline() -> None:
    @orchestration(registry=Registry())
    async def sleeping(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(90)
        return str(ctx.now() - START)

    instance = Instance(sleeping)
    instance.turn()
    instance.turn(instance.due(1), after=89.5)  # by a worker whose clock is behind
    assert instance.output == "0:01:30"


@pytest.mark.rule(3)
def test_an_hour_of_downtime_does_not_eat_a_timeout() -> None:
    """The event lay in the inbox for an hour; the minute begins when a worker feeds it."""

    @orchestration(registry=Registry())
    async def patient(ctx: OrchestrationContext) -> str:
        await ctx.wait_for_event("go")
        async with asyncio.timeout(60):
            return str(await first())

    instance = Instance(patient)
    instance.turn()
    instance.turn(raised("go"), after=3600)
    (timer,) = instance.of_kind(h.TimerCreated)
    assert timer.fire_at == START + timedelta(seconds=3660)
    instance.turn(instance.completed(2, 5), after=59)
    assert instance.output == "5"


@pytest.mark.rule(4)
@pytest.mark.parametrize(("delay", "milliseconds"), [(1.0, 1000), (0.0001, 1), (0.0011, 2), (1.2345678, 1235)])
def test_a_sleep_is_a_timer_rounded_up_to_a_millisecond(delay: float, milliseconds: int) -> None:
    @orchestration(registry=Registry())
    async def sleeping(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(delay)

    instance = Instance(sleeping)
    commit = instance.turn()
    (timer,) = commit.timers
    assert timer.fire_at - START == timedelta(milliseconds=milliseconds)
    assert timer.fire_at == instance.of_kind(h.TimerCreated)[0].fire_at


@pytest.mark.rule(4)
def test_a_timer_that_is_not_needed_any_more_is_withdrawn_and_ignored_when_it_comes(traced: Traced) -> None:
    @orchestration(registry=Registry())
    async def quick(ctx: OrchestrationContext) -> None:
        async with asyncio.timeout(60):
            await first()
        await second()

    instance = Instance(quick)
    instance.turn()
    commit = instance.turn(instance.completed(2))
    assert list(commit.withdrawn_timers) == [1]
    before = instance.kinds()
    instance.turn(instance.due(1), after=60)
    assert instance.kinds() == before
    assert [event["kind"] for event in traced("result_dropped")] == ["TimerDue"]


@pytest.mark.rule(4)
def test_a_timer_made_and_cancelled_in_one_turn_is_in_history_and_reaches_no_provider() -> None:
    @orchestration(registry=Registry())
    async def undecided(ctx: OrchestrationContext) -> None:
        asyncio.get_running_loop().call_later(60, print).cancel()
        await first()

    instance = Instance(undecided)
    commit = instance.turn()
    assert (list(commit.timers), list(commit.withdrawn_timers)) == ([], [])
    assert instance.of_kind(h.TimerCreated)[0].number == 1


def _orders(execution_id: str) -> list[list[int]]:
    """How sets of tasks, of calls and of both come out, in an orchestration of that id."""
    seen: list[list[int]] = []

    async def nothing() -> None: ...

    @orchestration(registry=Registry())
    async def crowd(ctx: OrchestrationContext) -> None:
        tasks = [asyncio.create_task(nothing()) for _ in range(50)]
        calls: list[asyncio.Future[Any]] = [first(n) if n % 3 else child(n) for n in range(50)]
        both = [*tasks, *calls]
        for some in (tasks, calls, both):
            done, pending = await asyncio.wait(some, timeout=0.001) if some is tasks else (set(some), set[Any]())
            seen.append([list(some).index(one) for one in done | pending])
        await asyncio.sleep(0)

    instance = Instance(crowd, execution_id=execution_id)
    instance.turn()
    if instance.live is not None:
        instance.turn(instance.due(1), after=1)
    return seen


@pytest.mark.rule(5)
def test_sets_of_tasks_and_calls_iterate_alike_in_every_run() -> None:
    padding = [bytearray(n) for n in range(100, 5000, 7)]  # so that objects lie elsewhere
    once = _orders("e1")
    del padding[::2]
    assert once == _orders("e1")


@pytest.mark.rule(5)
def test_tasks_of_two_instances_have_different_hashes_and_equality_is_identity() -> None:
    hashes: dict[str, list[int]] = {}

    @orchestration(registry=Registry())
    async def hashing(ctx: OrchestrationContext) -> None:
        call, other = first(), first()
        task = asyncio.create_task(asyncio.sleep(0))
        assert call != other and call == call
        hashes[ctx.execution_id] = [hash(call), hash(other), hash(task), hash(ctx.wait_for_event("x"))]

    for execution_id in ("e1", "e2"):
        Instance(hashing, execution_id=execution_id).turn()
    assert len({*hashes["e1"], *hashes["e2"]}) == 8
    assert [b - a for a, b in zip(hashes["e1"], hashes["e1"][1:], strict=False)] == [1, 1, 1]


@pytest.mark.rule(5)
def test_plain_futures_do_not_move_the_count_of_tasks() -> None:
    """`wait_for` makes one more of them on 3.11 than on 3.12."""
    hashes: list[int] = []

    @orchestration(registry=Registry())
    async def counting(ctx: OrchestrationContext, futures: int) -> None:
        for _ in range(futures):
            asyncio.get_running_loop().create_future()
        hashes.append(hash(first()))

    Instance(counting, 0).turn()
    Instance(counting, 5).turn()
    assert hashes[0] == hashes[1]


@pytest.mark.rule(5)
def test_as_completed_refuses_bare_coroutines_and_takes_calls_and_tasks() -> None:
    async def doubled(value: int) -> int:
        return 2 * await first(value)

    @orchestration(registry=Registry())
    async def racing(ctx: OrchestrationContext) -> list[int]:
        with pytest.raises(TypeError, match="Give it calls of activities or orchestrations, or tasks"):
            for ready in asyncio.as_completed(bare := [doubled(1), doubled(2)]):
                await ready
        for coroutine in bare:
            coroutine.close()
        found = [await ready for ready in asyncio.as_completed([first(1), first(2)])]
        tasks = [asyncio.create_task(doubled(n)) for n in (3, 4)]
        return [*found, *[await ready for ready in asyncio.as_completed(tasks)]]

    instance = Instance(racing)
    instance.turn()
    instance.turn(instance.completed(2, 2), instance.completed(1, 1))
    instance.turn(instance.completed(4, 4), instance.completed(3, 3))
    assert instance.output == [2, 1, 8, 6]
