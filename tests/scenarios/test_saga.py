"""Saga: compensations run last in first out, each to its end, only when the block failed or was cancelled."""

import asyncio

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    Saga,
    TaskFailedError,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


class Travel:
    """Books and undoes, and writes a diary. What is named in `failing` fails."""

    def __init__(self, registry: Registry, *failing: str) -> None:
        self.log: list[str] = []

        @activity(name="book", registry=registry)
        async def book(what: str) -> str:
            if what in failing:
                raise ValueError(f"no {what}")
            self.log.append(f"book {what}")
            return f"{what}-1"

        @activity(name="undo", registry=registry)
        async def undo(what: str) -> None:
            self.log.append(f"undo {what}")
            if f"undo {what}" in failing:
                raise RuntimeError(f"cannot undo {what}")

        self.book, self.undo = book, undo


async def test_an_error_compensates_last_in_first_out_and_goes_on(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry, "car")

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async with Saga() as saga:
            await saga.do(travel.book("hotel"), undo=lambda key: travel.undo(key))
            await travel.book("flight")
            saga.compensate(travel.undo, "flight")
            await saga.do(travel.book("car"), undo=lambda key: travel.undo(key))

    async with hub.worker(registry):
        state = await hub.finished(trip)
    assert travel.log == ["book hotel", "book flight", "undo flight", "undo hotel-1"]
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.inner_failure is not None
    assert state.failure.inner_failure.message == "no car"


async def test_success_compensates_nothing(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry)

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> str:
        async with Saga() as saga:
            return await saga.do(travel.book("hotel"), undo=lambda key: travel.undo(key))

    async with hub.worker(registry):
        assert await hub.run(trip) == "hotel-1"
    assert travel.log == ["book hotel"]


async def test_a_compensation_that_fails_does_not_stop_the_others_and_is_a_note(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry, "car", "undo flight")

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> list[str]:
        try:
            async with Saga() as saga:
                for what in ("hotel", "flight", "train"):
                    await travel.book(what)
                    saga.compensate(travel.undo, what)
                await travel.book("car")
        except TaskFailedError as error:
            return [error.failure.message, *error.__notes__]
        return []

    async with hub.worker(registry):
        message, *notes = await hub.run(trip)
    assert travel.log[3:] == ["undo train", "undo flight", "undo hotel"]
    assert message == "no car"
    assert any("cannot undo flight" in note for note in notes)


async def test_a_cancel_compensates_and_a_second_one_stops_nothing(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry)

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async def undo_in_two_steps(what: str) -> None:
            await travel.undo(f"{what} 1")
            ctx.set_custom_status("half undone")
            await ctx.wait_for_event("go on")
            await travel.undo(f"{what} 2")

        async with Saga() as saga:
            for what in ("hotel", "flight"):
                await travel.book(what)
                saga.compensate(undo_in_two_steps, what)
            ctx.set_custom_status("booked")
            await ctx.wait_for_event("never")

    async with hub.worker(registry):
        handle = await hub.client.start(trip)
        await hub.until_custom_status(handle, "booked")
        await hub.client.cancel(handle.instance_id)
        await hub.until_custom_status(handle, "half undone")
        await hub.client.cancel(handle.instance_id, "hurry")
        for _ in range(2):
            await hub.client.raise_event(handle.instance_id, "go on")
        assert (await handle.wait(WAIT)).status == OrchestrationStatus.CANCELLED
    assert travel.log[2:] == ["undo flight 1", "undo flight 2", "undo hotel 1", "undo hotel 2"]


async def test_do_waits_for_what_was_begun_even_when_cancelled_meanwhile(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry)
    began, may_end = asyncio.Event(), asyncio.Event()

    @activity(registry=registry)
    async def slow_booking() -> str:
        began.set()
        await may_end.wait()
        travel.log.append("book hotel")
        return "hotel"

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async with Saga() as saga:
            await saga.do(slow_booking(), undo=lambda key: travel.undo(key))
            travel.log.append("went on past the cancel")

    async with hub.worker(registry):
        handle = await hub.client.start(trip)
        await asyncio.wait_for(began.wait(), WAIT)
        await hub.client.cancel(handle.instance_id)
        await hub.until_history_has(handle, "CancelRequested")
        may_end.set()
        assert (await handle.wait(WAIT)).status == OrchestrationStatus.CANCELLED
    assert travel.log == ["book hotel", "undo hotel"]


async def test_a_timeout_over_a_saga_compensates_before_it_is_raised(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry)

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(0.05), Saga() as saga:
                await saga.do(travel.book("hotel"), undo=lambda key: travel.undo(key))
                await ctx.wait_for_event("never")
        except TimeoutError:
            await travel.book("nothing")
        return "timed out"

    async with hub.worker(registry):
        assert await hub.run(trip) == "timed out"
    assert travel.log == ["book hotel", "undo hotel-1", "book nothing"]


async def test_a_failing_sibling_in_a_task_group_compensates_everything_once(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry, "car")

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async with Saga() as saga, asyncio.TaskGroup() as group:
            group.create_task(saga.do(travel.book("hotel"), undo=lambda key: travel.undo(key)))
            group.create_task(saga.do(travel.book("car"), undo=lambda key: travel.undo(key)))
            group.create_task(saga.do(travel.book("flight"), undo=lambda key: travel.undo(key)))

    async with hub.worker(registry):
        state = await hub.finished(trip)
    assert state.status == OrchestrationStatus.FAILED
    booked = {entry.removeprefix("book ") for entry in travel.log if entry.startswith("book")}
    undone = [entry.removeprefix("undo ") for entry in travel.log if entry.startswith("undo")]
    assert sorted(undone) == sorted(f"{what}-1" for what in booked) == ["flight-1", "hotel-1"]


async def test_what_was_forgotten_is_permanent(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry, "car")

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async with Saga() as saga:
            saga.compensate(travel.undo, "hotel")
            saga.forget()
            saga.compensate(travel.undo, "flight")
            await travel.book("car")

    async with hub.worker(registry):
        state = await hub.finished(trip)
    assert state.status == OrchestrationStatus.FAILED
    assert travel.log == ["undo flight"]


async def test_a_worker_that_leaves_compensates_nothing_and_the_next_goes_on_where_it_stood(
    hub: Hub, registry: Registry
) -> None:
    travel = Travel(registry)

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async def undo_hotel() -> None:
            ctx.set_custom_status("half undone")
            await ctx.wait_for_event("go on")
            await travel.undo("hotel")

        async with Saga() as saga:
            saga.compensate(undo_hotel)
            saga.compensate(travel.undo, "flight")
            ctx.set_custom_status("booked")
            await ctx.wait_for_event("fail")
            raise ValueError("no")

    async with hub.worker(registry):
        handle = await hub.client.start(trip)
        await hub.until_custom_status(handle, "booked")
    assert travel.log == []
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "fail")
        await hub.until_custom_status(handle, "half undone")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go on")
        assert (await handle.wait(WAIT)).status == OrchestrationStatus.FAILED
    assert travel.log == ["undo flight", "undo hotel"]


async def test_sagas_nest(hub: Hub, registry: Registry) -> None:
    travel = Travel(registry, "car")

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> None:
        async with Saga() as outer:
            outer.compensate(travel.undo, "outer")
            with pytest.raises(TaskFailedError):
                async with Saga() as inner:
                    inner.compensate(travel.undo, "inner")
                    await travel.book("car")
            await travel.book("bus")
            raise ValueError("strike")

    async with hub.worker(registry):
        state = await hub.finished(trip)
    assert state.failure is not None and state.failure.message == "strike"
    assert travel.log == ["undo inner", "book bus", "undo outer"]
