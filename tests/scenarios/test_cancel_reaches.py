"""Whom a cancel, a timeout or an end reaches: activities are told, children clean up first, detached ones stay."""

import asyncio

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    SubOrchestrationFailedError,
    WorkerOptions,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, eventually

CANCELLED = OrchestrationStatus.CANCELLED
SOON_TOLD = WorkerOptions(lock_duration=0.3, shutdown_grace=0.5)  # an activity is told at its next renew


class Family:
    """A parent that awaits a child that waits for an event and cleans up when it is cancelled. `log` is their diary."""

    def __init__(self, registry: Registry) -> None:
        self.log: list[str] = []

        @activity(name="note", registry=registry)
        async def note(entry: str) -> None:
            self.log.append(entry)

        @orchestration(name="child", registry=registry)
        async def child(ctx: OrchestrationContext) -> str:
            try:
                return await ctx.wait_for_event("go", str)
            finally:
                await note("child cleans up")
                await asyncio.sleep(0.02)
                await note("child is clean")

        self.note, self.child = note, child


async def test_cancelling_a_parent_cancels_its_child_and_waits_for_it_to_clean_up(hub: Hub, registry: Registry) -> None:
    family = Family(registry)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> None:
        try:
            await family.child.options(instance_id="child")()
        finally:
            await family.note("parent cleans up")

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("child", OrchestrationStatus.RUNNING)
        await hub.client.cancel(handle.instance_id)
        assert (await handle.wait(WAIT)).status == CANCELLED
    assert family.log == ["child cleans up", "child is clean", "parent cleans up"]
    assert (await hub.state("child")).status == CANCELLED


async def test_a_timeout_over_a_child_cancels_it_and_ends_after_it(hub: Hub, registry: Registry) -> None:
    family = Family(registry)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.timeout(0.05):
                return await family.child.options(instance_id="child")()
        except TimeoutError:
            await family.note("parent timed out")
            return "timed out"

    async with hub.worker(registry):
        assert await hub.run(parent) == "timed out"
    assert family.log == ["child cleans up", "child is clean", "parent timed out"]
    assert (await hub.state("child")).status == CANCELLED


async def test_a_child_that_ends_with_a_result_all_the_same_gives_it_and_the_cancel_comes_at_the_next_await(
    hub: Hub, registry: Registry
) -> None:
    @orchestration(registry=registry)
    async def stubborn(ctx: OrchestrationContext) -> str:
        try:
            return await ctx.wait_for_event("never", str)
        except asyncio.CancelledError:
            return "a result all the same"

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[str]:
        seen = [await stubborn.options(instance_id="child")()]
        try:
            await ctx.wait_for_event("never")
        except asyncio.CancelledError:
            seen.append("cancelled")
        return seen

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("child", OrchestrationStatus.RUNNING)
        await hub.client.cancel(handle.instance_id)
        assert await handle.result(WAIT) == ["a result all the same", "cancelled"]


async def test_a_parent_learns_that_its_child_was_cancelled_by_someone_else(hub: Hub, registry: Registry) -> None:
    family = Family(registry)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        with pytest.raises(SubOrchestrationFailedError) as caught:
            await family.child.options(instance_id="child")()
        return caught.value.failure.type

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("child", OrchestrationStatus.RUNNING)
        await hub.client.cancel("child", "by hand")
        assert await handle.result(WAIT) == "dtf_runtime.OrchestrationCancelledError"


async def test_open_children_of_a_failed_instance_get_a_cancel(hub: Hub, registry: Registry) -> None:
    family = Family(registry)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> None:
        family.child.options(instance_id="child")()
        await ctx.wait_for_event("fail")
        raise ValueError("no")

    async with hub.worker(registry):
        handle = await hub.client.start(parent)
        await hub.until_status("child", OrchestrationStatus.RUNNING)
        await hub.client.raise_event(handle.instance_id, "fail")
        assert (await handle.wait(WAIT)).status == OrchestrationStatus.FAILED
        assert (await hub.client.handle("child").wait(WAIT)).status == CANCELLED
    assert family.log == ["child cleans up", "child is clean"]


async def test_a_detached_instance_is_never_touched(hub: Hub, registry: Registry) -> None:
    family = Family(registry)

    @orchestration(registry=registry)
    async def starter(ctx: OrchestrationContext) -> None:
        ctx.start(family.child, instance_id="detached")
        await ctx.wait_for_event("never")

    async with hub.worker(registry):
        handle = await hub.client.start(starter)
        await hub.until_status("detached", OrchestrationStatus.RUNNING)
        await hub.client.cancel(handle.instance_id)
        assert (await handle.wait(WAIT)).status == CANCELLED
        await hub.bystander_runs()
        await hub.client.raise_event("detached", "go", "untouched")
        assert await hub.client.handle("detached", str).result(WAIT) == "untouched"


async def test_cancelling_a_call_ends_it_at_once_and_tells_its_activity(hub: Hub, registry: Registry) -> None:
    began, may_answer = asyncio.Event(), asyncio.Event()
    told: list[str] = []

    @activity(registry=registry)
    async def slow() -> str:
        began.set()
        try:
            await may_answer.wait()
        except asyncio.CancelledError:
            told.append("cancelled" if activity_context().cancelled.is_set() else "not told")
            raise
        return "answered"

    @orchestration(registry=registry)
    async def impatient(ctx: OrchestrationContext) -> str:
        call = slow()
        await ctx.wait_for_event("enough")
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        ctx.set_custom_status("went on")
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry, SOON_TOLD):
        handle = await hub.client.start(impatient)
        await asyncio.wait_for(began.wait(), WAIT)
        await hub.client.raise_event(handle.instance_id, "enough")
        await hub.until_custom_status(handle, "went on")
        await eventually(lambda: told == ["cancelled"], "the activity is told")
        await hub.client.raise_event(handle.instance_id, "go", "done")
        assert await handle.result(WAIT) == "done"
    counts = await hub.counts(handle)
    assert (counts["TaskScheduled"], counts["TaskCompleted"], counts["TaskFailed"]) == (1, 0, 0)


async def test_a_late_result_of_a_cancelled_call_is_dropped(hub: Hub, registry: Registry) -> None:
    began, may_answer, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @activity(registry=registry)
    async def slow() -> str:
        began.set()
        await may_answer.wait()
        answered.set()
        return "too late"

    @orchestration(registry=registry)
    async def impatient(ctx: OrchestrationContext) -> str:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await slow()
        ctx.set_custom_status("timed out")
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry):
        handle = await hub.client.start(impatient)
        await asyncio.wait_for(began.wait(), WAIT)
        await hub.until_custom_status(handle, "timed out")
        may_answer.set()
        await hub.bystander_runs()
        await hub.client.raise_event(handle.instance_id, "go", "done")
        assert await handle.result(WAIT) == "done"


async def test_a_shielded_activity_runs_to_its_end(hub: Hub, registry: Registry) -> None:
    began, may_answer = asyncio.Event(), asyncio.Event()

    @activity(registry=registry)
    async def precious() -> str:
        began.set()
        await may_answer.wait()
        return "finished"

    @orchestration(registry=registry)
    async def careful(ctx: OrchestrationContext) -> str:
        call = precious()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.shield(call)
        ctx.set_custom_status("timed out")
        return await call

    async with hub.worker(registry, SOON_TOLD):
        handle = await hub.client.start(careful)
        await asyncio.wait_for(began.wait(), WAIT)
        await hub.until_custom_status(handle, "timed out")
        may_answer.set()
        assert await handle.result(WAIT) == "finished"


@pytest.mark.parametrize("end", ["cancel", "fail", "terminate"])
async def test_open_activities_of_an_instance_that_ended_badly_are_told(hub: Hub, registry: Registry, end: str) -> None:
    began = asyncio.Event()
    told: list[bool] = []

    @activity(registry=registry)
    async def slow() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append(activity_context().cancelled.is_set())

    @orchestration(registry=registry)
    async def doomed(ctx: OrchestrationContext) -> None:
        slow()
        await ctx.wait_for_event("fail")
        raise ValueError("no")

    async with hub.worker(registry, SOON_TOLD):
        handle = await hub.client.start(doomed)
        await asyncio.wait_for(began.wait(), WAIT)
        match end:
            case "cancel":
                await hub.client.cancel(handle.instance_id)
            case "terminate":
                await hub.client.terminate(handle.instance_id)
            case "fail":
                await hub.client.raise_event(handle.instance_id, "fail")
        await handle.wait(WAIT)
        await eventually(lambda: told == [True], "the activity is told")


async def test_an_activity_left_open_by_a_completed_instance_runs_to_its_end(hub: Hub, registry: Registry) -> None:
    may_end = asyncio.Event()
    ended: list[bool] = []

    @activity(registry=registry)
    async def slow() -> None:
        await may_end.wait()
        ended.append(activity_context().cancelled.is_set())

    @orchestration(registry=registry)
    async def hasty(ctx: OrchestrationContext) -> str:
        slow()
        return "done"

    async with hub.worker(registry):
        state = await hub.finished(hasty)
        may_end.set()
        await eventually(lambda: ended == [False], "the activity runs to its end")
        await hub.bystander_runs()
    after = await hub.state(state.instance_id)
    assert (after.status, after.history_length) == (OrchestrationStatus.COMPLETED, state.history_length)


async def test_tasks_still_open_at_the_return_are_cancelled_and_schedule_nothing(hub: Hub, registry: Registry) -> None:
    ran: list[str] = []

    @activity(registry=registry)
    async def step() -> None:
        ran.append("step")

    @orchestration(registry=registry)
    async def hasty(ctx: OrchestrationContext) -> str:
        async def background() -> None:
            try:
                await ctx.wait_for_event("never")
            finally:
                await step()

        task = asyncio.create_task(background())
        await asyncio.sleep(0.005)
        return f"left {task.done()}"

    async with hub.worker(registry):
        state = await hub.finished(hasty)
        await hub.bystander_runs()
    assert (state.output, ran) == ("left False", [])
    assert (await hub.counts(state.instance_id))["TaskScheduled"] == 0
