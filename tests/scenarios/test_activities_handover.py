"""Activities that are told to stop: heartbeats, cooperative cancellation, a worker that leaves, and the next one."""

import asyncio
import threading
from datetime import timedelta
from typing import Any

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryPolicy,
    TaskFailedError,
    WorkerOptions,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, eventually

PATIENT = WorkerOptions(shutdown_grace=WAIT)
HURRIED = WorkerOptions(shutdown_grace=0.05)
SOON_TOLD = WorkerOptions(lock_duration=0.3, shutdown_grace=0.5)


async def test_an_activity_without_a_heartbeat_in_time_has_failed(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry, heartbeat_timeout=0.05)
    async def silent() -> None:
        await asyncio.Event().wait()

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> bool:
        with pytest.raises(TaskFailedError) as caught:
            await silent()
        return caught.value.failure.is_caused_by(TimeoutError)

    async with hub.worker(registry):
        assert await hub.run(caller) is True


@pytest.mark.parametrize("threaded", [False, True], ids=["async", "threaded"])
async def test_heartbeats_keep_a_long_activity_alive(hub: Hub, registry: Registry, threaded: bool) -> None:
    beats = 12
    pause = threading.Event()

    @activity(registry=registry, heartbeat_timeout=timedelta(milliseconds=200))
    async def steady() -> str:
        for beat in range(beats):
            activity_context().heartbeat(beat)
            await asyncio.sleep(0.03)
        return "arrived"

    @activity(registry=registry, heartbeat_timeout=timedelta(milliseconds=200))
    def steady_in_a_thread() -> str:
        for beat in range(beats):
            activity_context().heartbeat(beat)
            pause.wait(0.03)
        return "arrived"

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        return await (steady_in_a_thread if threaded else steady)()

    async with hub.worker(registry):
        assert await hub.run(caller) == "arrived"  # 0.36 s, with never more than 0.2 s between two beats


async def test_the_details_of_the_last_heartbeat_reach_the_next_attempt(hub: Hub, registry: Registry) -> None:
    found: list[Any] = []

    @activity(registry=registry, retry=RetryPolicy(max_attempts=3, first_interval=0.01))
    async def importer() -> int:
        context = activity_context()
        found.append(context.last_heartbeat)
        for row in range(3):
            context.heartbeat({"attempt": context.attempt, "row": row})
        if context.attempt < 3:
            raise ConnectionError("the line was cut")
        return context.attempt

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> int:
        return await importer()

    async with hub.worker(registry):
        assert await hub.run(caller) == 3
    assert found == [None, {"attempt": 1, "row": 2}, {"attempt": 2, "row": 2}]


async def test_the_heartbeat_of_one_call_is_not_seen_by_another(hub: Hub, registry: Registry) -> None:
    found: list[Any] = []

    @activity(registry=registry)
    async def step(n: int) -> None:
        found.append(activity_context().last_heartbeat)
        activity_context().heartbeat(n)

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> None:
        for n in range(3):
            await step(n)

    async with hub.worker(registry):
        await hub.run(caller)
    assert found == [None, None, None]


async def test_a_threaded_activity_is_told_of_its_cancellation(hub: Hub, registry: Registry) -> None:
    began = threading.Event()
    told: list[bool] = []

    @activity(registry=registry)
    def loop() -> None:
        context = activity_context()
        began.set()
        pause = threading.Event()
        for _ in range(int(WAIT / 0.01)):
            try:
                context.raise_if_cancelled()
            except asyncio.CancelledError:
                told.append(context.cancelled.is_set())
                raise
            pause.wait(0.01)

    @orchestration(registry=registry)
    async def impatient(ctx: OrchestrationContext) -> str:
        call = loop()
        await ctx.wait_for_event("enough")
        call.cancel()
        return await ctx.wait_for_event("go", str)

    async with hub.worker(registry, SOON_TOLD):
        handle = await hub.client.start(impatient)
        await eventually(began.is_set, "the activity runs")
        await hub.client.raise_event(handle.instance_id, "enough")
        await eventually(lambda: told == [True], "the thread is told")
        await hub.client.raise_event(handle.instance_id, "go", "done")
        assert await handle.result(WAIT) == "done"


async def test_a_worker_that_leaves_lets_an_activity_finish_within_its_grace(hub: Hub, registry: Registry) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @activity(registry=registry)
    async def slow() -> str:
        ran.append("slow")
        began.set()
        await may_end.wait()
        return "finished in time"

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        return await slow()

    worker = hub.worker(registry, PATIENT)
    await worker.__aenter__()
    handle = await hub.client.start(caller)
    await asyncio.wait_for(began.wait(), WAIT)
    leaving = asyncio.create_task(worker.__aexit__(None, None, None))
    may_end.set()
    await asyncio.wait_for(leaving, WAIT)
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "finished in time"
    assert ran == ["slow"]  # its result was kept, not asked for again


async def test_a_worker_that_leaves_hands_back_what_outlasts_its_grace(hub: Hub, registry: Registry) -> None:
    began = asyncio.Event()
    runs: list[tuple[int, Any, str]] = []
    told: list[bool] = []

    @activity(registry=registry)
    async def slow() -> str:
        context = activity_context()
        runs.append((context.attempt, context.last_heartbeat, context.idempotency_key))
        if len(runs) > 1:
            return "finished by the next worker"
        context.heartbeat("half way")
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            told.append(context.cancelled.is_set())
        return "never"

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        return await slow()

    async with hub.worker(registry, HURRIED):
        handle = await hub.client.start(caller)
        await asyncio.wait_for(began.wait(), WAIT)
    assert told == [True]
    assert (await handle.state()).status == OrchestrationStatus.RUNNING
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "finished by the next worker"
    (attempt, heartbeat, key), (next_attempt, next_heartbeat, next_key) = runs
    assert (attempt, heartbeat) == (1, None)
    assert (next_attempt, next_heartbeat, next_key) == (1, "half way", key)  # delivered again: the same attempt
    assert (await hub.counts(handle))["TaskFailed"] == 0


async def test_a_threaded_activity_that_heeds_the_call_is_handed_back_too(hub: Hub, registry: Registry) -> None:
    began = threading.Event()
    runs: list[int] = []

    @activity(registry=registry)
    def slow() -> str:
        context = activity_context()
        runs.append(context.attempt)
        if len(runs) > 1:
            return "finished by the next worker"
        began.set()
        pause = threading.Event()
        for _ in range(int(WAIT / 0.01)):
            context.raise_if_cancelled()
            pause.wait(0.01)
        return "never"

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        return await slow()

    async with hub.worker(registry, HURRIED):
        handle = await hub.client.start(caller)
        await eventually(began.is_set, "the activity runs")
    async with hub.worker(registry):
        assert await handle.result(WAIT) == "finished by the next worker"
    assert runs == [1, 1]


async def test_a_worker_that_leaves_takes_nothing_new(hub: Hub, registry: Registry) -> None:
    began, may_end = asyncio.Event(), asyncio.Event()
    ran: list[str] = []

    @activity(registry=registry)
    async def first() -> None:
        began.set()
        await may_end.wait()

    @activity(registry=registry)
    async def second() -> None:
        ran.append("second")

    @orchestration(registry=registry)
    async def sequence(ctx: OrchestrationContext) -> str:
        await first()
        await second()
        return "done"

    @orchestration(registry=registry)
    async def other(ctx: OrchestrationContext) -> str:
        await second()
        return "other done"

    worker = hub.worker(registry, PATIENT)
    await worker.__aenter__()
    handle = await hub.client.start(sequence)
    await asyncio.wait_for(began.wait(), WAIT)
    leaving = asyncio.create_task(worker.__aexit__(None, None, None))
    may_end.set()
    await asyncio.wait_for(leaving, WAIT)
    late = await hub.client.start(other)
    before = list(ran)
    assert (await late.state()).status == OrchestrationStatus.PENDING
    async with hub.worker(registry):
        assert await late.result(WAIT) == "other done"
        assert await handle.result(WAIT) == "done"
    assert len(ran) == 2
    assert len(before) <= 1


async def test_the_key_names_one_logical_call(hub: Hub, registry: Registry) -> None:
    keys: dict[str, list[str]] = {}

    @activity(registry=registry, retry=RetryPolicy(max_attempts=3, first_interval=0.01))
    async def pay(name: str) -> None:
        context = activity_context()
        keys.setdefault(name, []).append(context.idempotency_key)
        if context.attempt < 3:
            raise ConnectionError("again")

    @orchestration(registry=registry)
    async def payer(ctx: OrchestrationContext, generation: int) -> None:
        await asyncio.gather(pay(f"{ctx.instance_id} {generation} a"), pay(f"{ctx.instance_id} {generation} b"))
        if generation == 0:
            ctx.continue_as_new(1)

    async with hub.worker(registry):
        for _ in range(2):
            await hub.run(payer, 0)
    assert len(keys) == 8  # two instances, two generations, two calls
    assert all(len(attempts) == 3 and len(set(attempts)) == 1 for attempts in keys.values())
    assert len({attempts[0] for attempts in keys.values()}) == 8


async def test_two_workers_share_the_work_and_run_each_activity_once(hub: Hub, registry: Registry) -> None:
    ran: list[int] = []

    @activity(registry=registry)
    async def work(n: int) -> int:
        ran.append(n)
        await asyncio.sleep(0.001)
        return n

    @orchestration(registry=registry)
    async def fan(ctx: OrchestrationContext) -> int:
        return sum(await asyncio.gather(*(work(n) for n in range(100))))

    few = WorkerOptions(max_concurrent_activities=5, shutdown_grace=0.5)
    async with hub.worker(registry, few), hub.worker(registry, few):
        assert await hub.run(fan) == sum(range(100))
    assert sorted(ran) == list(range(100))
