"""Timers that are kept in memory while they are due soon."""

import asyncio
import logging
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from dtf_runtime import OrchestrationContext, Registry, TaskHubClient, TaskHubWorker, activity, connect, orchestration
from tests.scenarios.support import utc_now
from tests.sqlite.conftest import File

_ROUNDS = 200


@activity(registry=Registry())
async def as_long_as_the_limit(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "answered"


def busy(seconds: float) -> None:
    """What `time.sleep` would do, which orchestrations may not."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


@orchestration(registry=Registry())
async def photo_finish(ctx: OrchestrationContext, seconds: float) -> str:
    async with asyncio.timeout(seconds + 0.02):
        answer = await as_long_as_the_limit(seconds)
        busy(0.04)  # a slow turn: the timer fires before the turn that withdraws it is on disk
    await as_long_as_the_limit(0)
    return answer


@orchestration(registry=Registry())
async def early(ctx: OrchestrationContext, seconds: float) -> float:
    due = ctx.now().timestamp() + seconds
    await asyncio.sleep(seconds)
    return utc_now().timestamp() - due


async def test_a_timer_that_fires_while_it_is_being_withdrawn_costs_no_turn(
    file: File, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry().add(photo_finish, as_long_as_the_limit)
    caplog.set_level(logging.WARNING, "dtf_runtime.dispatcher")
    service = connect(file.url)
    async with TaskHubWorker(service, registry=registry), TaskHubClient(service) as client:
        for _ in range(5):
            assert await (await client.start(photo_finish, 0.02)).result(timeout=60) == "answered"
    assert [record.getMessage() for record in caplog.records] == []


@orchestration(registry=Registry())
async def never_late(ctx: OrchestrationContext, rounds: int) -> None:
    asyncio.create_task(asyncio.sleep(300))  # noqa: RUF006 (left behind on purpose)
    for _ in range(rounds):
        async with asyncio.timeout(300):
            await as_long_as_the_limit(0)


async def test_limits_that_were_not_reached_and_timers_of_ended_instances_do_not_pile_up(file: File) -> None:
    service: Any = connect(file.url)
    registry = Registry().add(never_late, as_long_as_the_limit)
    async with TaskHubWorker(service, registry=registry), TaskHubClient(service) as client:
        for handle in [await client.start(never_late, 100) for _ in range(5)]:
            await handle.result(timeout=60)
        alarms = service._alarms
        assert (len(alarms._timers), len(alarms._keys)) == (0, 0)
        assert len(alarms._heap) <= 64


async def test_no_timer_is_early_and_none_leaves_a_row(file: File) -> None:
    service = connect(file.url)
    async with TaskHubWorker(service, registry=Registry().add(early)), TaskHubClient(service) as client:
        handles = [await client.start(early, 0.02 + 0.001 * (n % 100)) for n in range(_ROUNDS)]
        late = [await handle.result(timeout=60) for handle in handles]
    assert min(late) >= 0
    with closing(sqlite3.connect(file.path)) as plain:
        assert plain.execute("select count(*) from messages").fetchone() == (0,)
