"""Queries with every filter, paging while others write, counts, states and history."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    InstanceState,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, number_of

COMPLETED, FAILED, RUNNING = OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED, OrchestrationStatus.RUNNING


class Population:
    """Six instances, a to f, started one after another: two names, two versions, tags, three statuses, a child."""

    def __init__(self, registry: Registry) -> None:
        @orchestration(name="alpha", version="1", registry=registry)
        async def alpha(ctx: OrchestrationContext, what: str) -> str:
            if what == "fail":
                raise ValueError(what)
            if what == "parent":
                await beta.options(instance_id="f", tags={"colour": "red"})("")
            if what == "wait":
                await ctx.wait_for_event("never")
            return what

        @orchestration(name="beta", version="2", registry=registry)
        async def beta(ctx: OrchestrationContext, what: str) -> str:
            return what

        self.alpha, self.beta = alpha, beta

    async def settle(self, hub: Hub) -> dict[str, InstanceState]:
        plan: list[tuple[str, Any, str, dict[str, str]]] = [
            ("a", self.alpha, "ok", {"colour": "red", "size": "s"}),
            ("b", self.alpha, "fail", {"colour": "blue"}),
            ("c", self.beta, "ok", {"colour": "red", "size": "m"}),
            ("d", self.alpha, "wait", {}),
            ("e", self.alpha, "parent", {"size": "s"}),
        ]
        for instance_id, definition, what, tags in plan:
            handle = await hub.client.start(definition, what, instance_id=instance_id, tags=tags)
            await hub.until_status("d", RUNNING) if what == "wait" else await handle.wait(WAIT)
        return {state.instance_id: state async for state in hub.client.query()}


async def ids(hub: Hub, **filters: Any) -> str:
    return "".join([state.instance_id async for state in hub.client.query(OrchestrationQuery(**filters))])


async def test_every_filter_alone_and_together(hub: Hub, registry: Registry) -> None:
    population = Population(registry)
    async with hub.worker(registry):
        states = await population.settle(hub)
        assert await ids(hub) == "fedcba"  # newest first
        assert await ids(hub, newest_first=False) == "abcdef"
        assert await ids(hub, statuses=[FAILED]) == "b"
        assert await ids(hub, statuses={RUNNING, FAILED}) == "db"
        assert await ids(hub, statuses=[OrchestrationStatus.SUSPENDED]) == ""
        assert await ids(hub, name="alpha") == "edba"
        assert await ids(hub, name="alph") == ""
        assert await ids(hub, version="2") == "fc"
        assert await ids(hub, tags={"colour": "red"}) == "fca"
        assert await ids(hub, tags={"colour": "red", "size": "m"}) == "c"
        assert await ids(hub, tags={"colour": "green"}) == ""
        assert await ids(hub, parent_id="e") == "f"
        assert await ids(hub, instance_id_prefix="b") == "b"
        assert await ids(hub, limit=2) == "fe"
        assert await ids(hub, limit=4, page_size=3) == "fedc"
        assert await ids(hub, page_size=1) == "fedcba"
        assert await ids(hub, name="alpha", statuses=[COMPLETED], tags={"size": "s"}, limit=1) == "e"
        assert await ids(hub, name="alpha", statuses=[COMPLETED], newest_first=False) == "ae"
        assert {state.status for state in states.values()} == {COMPLETED, FAILED, RUNNING}


async def test_bounds_of_time_are_inclusive(hub: Hub, registry: Registry) -> None:
    population = Population(registry)
    tick = timedelta(microseconds=1)
    async with hub.worker(registry):
        states = await population.settle(hub)
        for field in ("created", "updated", "completed"):

            def at(state: InstanceState, field: str = field) -> datetime | None:
                value: datetime | None = getattr(state, f"{field}_at")
                return value

            pivot = at(states["c"])
            assert pivot is not None
            for moment in (pivot - tick, pivot, pivot + tick):
                timed = {instance_id: at(state) for instance_id, state in states.items()}
                after = {i for i, t in timed.items() if t is not None and t >= moment}
                before = {i for i, t in timed.items() if t is not None and t <= moment}
                assert set(await ids(hub, **{f"{field}_after": moment})) == after
                assert set(await ids(hub, **{f"{field}_before": moment})) == before
            assert "c" in await ids(hub, **{f"{field}_after": pivot, f"{field}_before": pivot})


async def test_a_prefix_is_taken_to_the_letter(hub: Hub, registry: Registry) -> None:
    population = Population(registry)
    for instance_id in ("foo", "foobar", "fo", "Foo", "f%o", "f_o", "foo/1", "fooé", "foo\U0001f600"):
        await hub.client.start(population.beta, "", instance_id=instance_id)

    async def found(prefix: str) -> set[str]:
        query = OrchestrationQuery(instance_id_prefix=prefix)
        return {state.instance_id async for state in hub.client.query(query)}

    assert await found("foo") == {"foo", "foobar", "foo/1", "fooé", "foo\U0001f600"}
    assert await found("Foo") == {"Foo"}
    assert await found("f%") == {"f%o"}
    assert await found("f_") == {"f_o"}
    assert await found("fooé") == {"fooé"}
    assert await found("foobarbaz") == set()
    assert (await hub.client.get_state("fo")) is not None
    assert (await hub.client.get_state("f")) is None  # an id is not a prefix


async def test_counts_go_by_status_and_take_the_same_filters(hub: Hub, registry: Registry) -> None:
    population = Population(registry)
    async with hub.worker(registry):
        await population.settle(hub)
        assert {s: n for s, n in (await hub.client.count()).items() if n} == {COMPLETED: 4, FAILED: 1, RUNNING: 1}
        by_name = await hub.client.count(OrchestrationQuery(name="beta"))
        assert {s: n for s, n in by_name.items() if n} == {COMPLETED: 2}
        nothing = await hub.client.count(OrchestrationQuery(name="gamma"))
        assert sum(nothing.values()) == 0


async def test_an_empty_hub_answers_with_nothing(hub: Hub) -> None:
    assert await ids(hub) == ""
    assert sum((await hub.client.count()).values()) == 0
    assert await hub.client.get_state("nobody") is None
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.get_history("nobody")
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.handle("nobody").state()
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.handle("nobody").wait(WAIT)
    with pytest.raises(InstanceNotFoundError, match="nobody"):
        await hub.client.handle("nobody").result(WAIT)


@pytest.mark.parametrize("newest_first", [True, False])
async def test_paging_while_others_write_shows_each_old_instance_exactly_once(
    hub: Hub, registry: Registry, newest_first: bool
) -> None:
    population = Population(registry)
    old = {f"old{n:03}" for n in range(100)}
    stop = asyncio.Event()

    async def write() -> None:
        n = 0
        while not stop.is_set():
            await hub.client.start(population.beta, "", instance_id=f"new{n:05}")
            n += 1
            await asyncio.sleep(0)

    async with hub.worker(registry):
        await asyncio.gather(*(hub.client.start(population.beta, "", instance_id=name) for name in sorted(old)))
        writers = [asyncio.create_task(write())]
        try:
            query = OrchestrationQuery(page_size=7, newest_first=newest_first, limit=5_000)
            seen: list[str] = []
            async for state in hub.client.query(query):
                seen.append(state.instance_id)
                if old <= set(seen):  # oldest first, the writer could keep ahead for ever
                    break
                await asyncio.sleep(0)
        finally:
            stop.set()
            await asyncio.gather(*writers)
    assert len(seen) == len(set(seen))
    assert old <= set(seen)


async def test_many_instances_started_in_one_moment_are_all_paged_through(hub: Hub, registry: Registry) -> None:
    population = Population(registry)
    names = {f"i{n}" for n in range(60)}
    await asyncio.gather(*(hub.client.start(population.beta, "", instance_id=name) for name in names))
    for page_size in (1, 7, 60, 100):
        query = OrchestrationQuery(page_size=page_size)
        seen = [state.instance_id async for state in hub.client.query(query)]
        assert len(seen) == 60
        assert set(seen) == names


async def test_history_is_numbered_in_order_and_as_long_as_the_state_says(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def step(n: int) -> int:
        return n

    @orchestration(registry=registry)
    async def busy(ctx: OrchestrationContext) -> int:
        await asyncio.sleep(0.005)
        return sum(await asyncio.gather(*(step(n) for n in range(5))))

    async with hub.worker(registry):
        state = await hub.finished(busy)
    history = await hub.client.get_history(state.instance_id)
    assert len(history) == state.history_length
    positions = [event.event_id for event in history]
    assert positions == sorted(set(positions))
    times = [event.timestamp for event in history]
    assert times == sorted(times)
    assert all(time.utcoffset() == timedelta(0) for time in times)
    scheduled = [number_of(event) for event in history if event.kind == "TaskScheduled"]
    completed = [number_of(event) for event in history if event.kind == "TaskCompleted"]
    assert sorted(completed) == scheduled == sorted(scheduled)
    assert len(set(scheduled)) == 5


async def test_an_unknown_execution_of_a_known_instance_is_not_found(hub: Hub, registry: Registry) -> None:
    population = Population(registry)
    async with hub.worker(registry):
        state = await hub.finished(population.beta, "x")
    assert await hub.client.get_state(state.instance_id, "no such execution") is None
    with pytest.raises(InstanceNotFoundError):
        await hub.client.get_history(state.instance_id, "no such execution")
    assert (await hub.client.get_state(state.instance_id, state.execution_id)) is not None
