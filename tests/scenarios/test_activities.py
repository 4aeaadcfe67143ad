"""Activities: async and threaded, their context, their time limits, and how many run at once."""

import asyncio
import contextvars
import threading
import time
from datetime import timedelta
from typing import Any

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OutsideActivityError,
    Registry,
    RetryPolicy,
    TaskFailedError,
    WorkerOptions,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, eventually, listening, utc_now


async def test_a_plain_function_runs_in_a_thread_and_an_async_one_does_not(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    def threaded() -> int:
        return threading.get_ident()

    @activity(registry=registry)
    async def looped() -> int:
        return threading.get_ident()

    @orchestration(registry=registry)
    async def both(ctx: OrchestrationContext) -> tuple[int, int]:
        return await threaded(), await looped()

    async with hub.worker(registry):
        in_thread, in_loop = await hub.run(both)
    assert in_thread != threading.get_ident()
    assert in_loop == threading.get_ident()


async def test_the_thread_pool_has_a_thread_for_every_slot(hub: Hub, registry: Registry) -> None:
    slots = 24
    all_there = threading.Barrier(slots, timeout=WAIT / 2)

    @activity(registry=registry)
    def meet() -> int:
        return all_there.wait()  # passes only if all of them run at once

    @orchestration(registry=registry)
    async def meeting(ctx: OrchestrationContext) -> int:
        return sum(await asyncio.gather(*(meet() for _ in range(slots))))

    async with hub.worker(registry, WorkerOptions(max_concurrent_activities=slots, shutdown_grace=0.5)):
        assert await hub.run(meeting) == sum(range(slots))


async def test_blocked_threads_hold_up_neither_orchestrations_nor_async_activities(
    hub: Hub, registry: Registry
) -> None:
    release = threading.Event()

    @activity(registry=registry)
    def block() -> bool:
        return release.wait(WAIT)

    @orchestration(registry=registry)
    async def blocked(ctx: OrchestrationContext) -> bool:
        return all(await asyncio.gather(*(block() for _ in range(20))))

    async with hub.worker(registry):
        handle = await hub.client.start(blocked)
        await hub.until_history_has(handle, "TaskScheduled", 20)
        for _ in range(5):
            await hub.bystander_runs()
        release.set()
        assert await handle.result(WAIT) is True


@pytest.mark.parametrize("threaded", [False, True], ids=["async", "threaded"])
async def test_the_context_tells_which_call_this_is(hub: Hub, registry: Registry, threaded: bool) -> None:
    def describe() -> dict[str, Any]:
        context = activity_context()
        context.logger.debug("seen")
        return {
            "instance": context.instance_id, "execution": context.execution_id, "name": context.name,
            "version": context.version, "attempt": context.attempt, "tags": dict(context.tags),
            "deadline": context.deadline is not None, "heartbeat": context.last_heartbeat, "task": context.task_id,
        }  # fmt: skip

    @activity(name="who", version="2", tags={"from": "definition"}, timeout=30, registry=registry)
    async def who() -> dict[str, Any]:
        return describe()

    @activity(name="who threaded", version="2", tags={"from": "definition"}, timeout=30, registry=registry)
    def who_threaded() -> dict[str, Any]:
        return describe()

    @orchestration(registry=registry)
    async def asks(ctx: OrchestrationContext) -> list[dict[str, Any]]:
        call = who_threaded if threaded else who
        return [await call(), await call.options(tags={"from": "call"}, timeout=None)()]

    async with hub.worker(registry):
        state = await hub.finished(asks)
    first, second = state.output
    assert first == {
        "instance": state.instance_id, "execution": state.execution_id,
        "name": "who threaded" if threaded else "who", "version": "2", "attempt": 1,
        "tags": {"from": "definition"}, "deadline": True, "heartbeat": None, "task": first["task"],
    }  # fmt: skip
    assert (second["tags"], second["deadline"]) == ({"from": "call"}, False)
    assert second["task"] != first["task"]


async def test_outside_an_activity_there_is_no_context(hub: Hub, registry: Registry) -> None:
    with pytest.raises(OutsideActivityError):
        activity_context()

    @orchestration(registry=registry)
    async def wrong_place(ctx: OrchestrationContext) -> str:
        with pytest.raises(OutsideActivityError):
            activity_context()
        return "refused"

    async with hub.worker(registry):
        assert await hub.run(wrong_place) == "refused"


async def test_activities_do_not_see_each_others_context_variables(hub: Hub, registry: Registry) -> None:
    variable: contextvars.ContextVar[int] = contextvars.ContextVar("variable", default=0)

    @activity(registry=registry)
    async def count() -> int:
        variable.set(variable.get() + 1)
        return variable.get()

    @orchestration(registry=registry)
    async def counts(ctx: OrchestrationContext) -> list[int]:
        return [await count() for _ in range(3)]

    async with hub.worker(registry):
        assert await hub.run(counts) == [1, 1, 1]


async def test_an_activity_may_call_another_as_a_plain_function(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def inner(n: int) -> int:
        return n + 1

    @activity(registry=registry)
    async def outer(n: int) -> int:
        return await inner(n) * 10

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> int:
        return await outer(1)

    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert state.output == 20
    assert (await hub.counts(state.instance_id))["TaskScheduled"] == 1


async def test_an_async_attempt_over_its_time_is_cancelled_and_has_failed(hub: Hub, registry: Registry) -> None:
    ended: list[str] = []

    @activity(registry=registry, timeout=timedelta(milliseconds=50))
    async def endless() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> bool:
        with pytest.raises(TaskFailedError) as caught:
            await endless()
        return caught.value.failure.is_caused_by(TimeoutError)

    async with hub.worker(registry):
        assert await hub.run(caller) is True
        await eventually(lambda: ended == ["cancelled"], "the attempt is cancelled")


async def test_a_threaded_attempt_over_its_time_has_failed_and_is_told(hub: Hub, registry: Registry) -> None:
    told: list[str] = []

    @activity(registry=registry, timeout=0.05)
    def endless() -> None:
        context = activity_context()
        end = time.monotonic() + WAIT
        try:
            while time.monotonic() < end:
                context.raise_if_cancelled()
                time.sleep(0.005)
        except asyncio.CancelledError:
            told.append("told")
            raise

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> bool:
        with pytest.raises(TaskFailedError) as caught:
            await endless()
        return caught.value.failure.is_caused_by(TimeoutError)

    async with hub.worker(registry):
        assert await hub.run(caller) is True
        await eventually(lambda: told == ["told"], "the thread is told")


async def test_each_attempt_has_the_whole_time(hub: Hub, registry: Registry) -> None:
    deadlines: list[float] = []

    @activity(registry=registry, timeout=0.1, retry=RetryPolicy(max_attempts=3, first_interval=0.01))
    async def slow_at_first() -> int:
        context = activity_context()
        assert context.deadline is not None
        deadlines.append((context.deadline - utc_now()).total_seconds())
        if context.attempt < 3:
            await asyncio.Event().wait()
        return context.attempt

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> int:
        return await slow_at_first()

    async with hub.worker(registry):
        assert await hub.run(caller) == 3
    assert len(deadlines) == 3
    assert all(left <= 0.1 for left in deadlines)


async def test_a_call_may_change_the_time_limit_of_its_definition(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry, timeout=0.03)
    async def slow() -> str:
        await asyncio.sleep(0.1)
        return "ended"

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        with pytest.raises(TaskFailedError):
            await slow()
        return await slow.options(timeout=None)() + await slow.options(timeout=30)()

    async with hub.worker(registry):
        assert await hub.run(caller) == "endedended"


@pytest.mark.parametrize("threaded", [False, True], ids=["async", "threaded"])
async def test_a_worker_runs_no_more_at_once_than_its_slots(hub: Hub, registry: Registry, threaded: bool) -> None:
    gauge = Gauge()

    @activity(registry=registry)
    async def work() -> None:
        with gauge:
            await asyncio.sleep(0.005)

    @activity(registry=registry)
    def work_in_a_thread() -> None:
        with gauge:
            time.sleep(0.005)

    @orchestration(registry=registry)
    async def busy(ctx: OrchestrationContext) -> None:
        await asyncio.gather(*((work_in_a_thread if threaded else work)() for _ in range(20)))

    async with hub.worker(registry, WorkerOptions(max_concurrent_activities=3, shutdown_grace=0.5)):
        await hub.run(busy)
    assert gauge.entered == 20
    assert gauge.most <= 3


async def test_an_activity_with_a_limit_of_its_own_leaves_the_other_slots_to_others(
    hub: Hub, registry: Registry
) -> None:
    gauge = Gauge()
    others_ran = asyncio.Event()

    @activity(registry=registry, max_concurrency=2)
    async def precious() -> None:
        with gauge:
            await others_ran.wait()  # so the two that run hold the others back until then

    @orchestration(registry=registry)
    async def busy(ctx: OrchestrationContext) -> None:
        await asyncio.gather(*(precious() for _ in range(10)))

    async with hub.worker(registry, WorkerOptions(max_concurrent_activities=4, shutdown_grace=0.5)):
        handle = await hub.client.start(busy)
        await eventually(lambda: gauge.now == 2, "two of them run")
        for _ in range(5):
            await hub.bystander_runs()
        assert gauge.most == 2
        others_ran.set()
        await handle.result(WAIT)
    assert (gauge.entered, gauge.most) == (10, 2)


async def test_an_activity_log_line_names_its_instance(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def talker() -> None:
        activity_context().logger.warning("the kettle boils")

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> None:
        await talker()

    with listening() as heard:
        async with hub.worker(registry):
            handle = await hub.client.start(caller, instance_id="kitchen-7")
            await handle.result(WAIT)
    assert [line for line in heard if "the kettle boils" in line and "kitchen-7" in line]


class Gauge:
    """How many are inside, and the most that ever were. For threads and tasks."""

    def __init__(self) -> None:
        self.now = self.most = self.entered = 0
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.entered += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self.now -= 1
