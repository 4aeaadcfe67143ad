"""TestHub: days in no time, and never past anything that can still happen now."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from dtf_runtime import (
    InvalidArgumentError,
    InvalidStateError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryPolicy,
    activity,
    activity_context,
    orchestration,
)
from dtf_runtime.testing import TestHub
from tests.testing.loopback import loopback

WAIT = 10.0  # seconds after which what should have ended has failed
DAY = timedelta(days=1)
START = datetime(2031, 5, 6, 7, tzinfo=UTC)


@pytest.fixture
def registry() -> Registry:
    return Registry()


async def test_a_thirty_day_escalation_against_a_real_server_skips_no_answer(registry: Registry) -> None:
    visitor = httpx.AsyncClient()  # one for all: making one reads the certificates, which takes longer than the visit

    @activity(registry=registry)
    async def ask(url: str) -> str:
        return (await visitor.get(url)).text

    @orchestration(registry=registry)
    async def escalation(ctx: OrchestrationContext, url: str) -> list[str]:
        answers: list[str] = []
        for day in range(30):
            # The limit is one second of virtual time: an answer on its way must come before it.
            async with asyncio.timeout(1):
                answers.append(await ask(f"{url}/day/{day}"))
            try:
                async with asyncio.timeout(DAY.total_seconds()):
                    await ctx.wait_for_event("approved")
            except TimeoutError:
                continue
        return answers

    async with visitor, loopback(latency=0.02) as server, TestHub(registry=registry) as hub:
        begin, began = hub.now(), time.perf_counter()
        handle = await hub.client.start(escalation, server.url)
        answers = await handle.result(WAIT)
        took, passed = time.perf_counter() - began, hub.now() - begin
    assert answers == [f"answer to /day/{day}" for day in range(30)]
    assert server.paths == [f"/day/{day}" for day in range(30)]
    assert passed == 30 * DAY
    assert took < 2


async def test_it_begins_when_it_is_told_and_each_hub_at_the_same_time(registry: Registry) -> None:
    assert TestHub(registry=registry, start_time=START).now() == START
    first, second = TestHub(registry=registry), TestHub(registry=registry)
    assert first.now() == second.now() and first.now().utcoffset() == timedelta(0)


async def test_the_clock_stands_still_while_nobody_waits(registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> str:
        await asyncio.sleep(60)
        return ctx.now().isoformat()

    async with TestHub(registry=registry, start_time=START) as hub:
        handle = await hub.client.start(nap)
        for _ in range(200):
            await asyncio.sleep(0)
        assert hub.now() == START
        assert await handle.result(WAIT) == (START + timedelta(minutes=1)).isoformat()
        assert hub.now() == START + timedelta(minutes=1)


async def test_without_auto_advance_only_advance_moves_it(registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(60)

    async with TestHub(registry=registry, start_time=START, auto_advance=False) as hub:
        handle = await hub.client.start(nap)
        with pytest.raises(TimeoutError):
            await handle.result(0.1)
        await hub.advance(59)
        assert (await handle.state()).status == OrchestrationStatus.RUNNING
        await hub.advance(timedelta(seconds=1))
        assert (await handle.state()).status == OrchestrationStatus.COMPLETED
        assert hub.now() == START + timedelta(minutes=1)


async def test_advance_stops_wherever_something_is_due_and_returns_when_it_has_run(registry: Registry) -> None:
    stops: list[datetime] = []

    @activity(registry=registry)
    async def note() -> None:
        await asyncio.sleep(0.01)
        stops.append(hub.now())

    @orchestration(registry=registry)
    async def hourly(ctx: OrchestrationContext) -> None:
        for _ in range(5):
            await asyncio.sleep(3600)
            await note()

    async with TestHub(registry=registry, start_time=START, auto_advance=False) as hub:
        await hub.client.start(hourly)
        await hub.advance(timedelta(hours=3, minutes=30))
        assert stops == [START + timedelta(hours=hour) for hour in (1, 2, 3)]
        assert hub.now() == START + timedelta(hours=3, minutes=30)


async def test_an_activity_in_a_thread_holds_the_clock(registry: Registry) -> None:
    seen: list[datetime] = []

    @activity(registry=registry)
    def slow() -> str:
        time.sleep(0.1)
        seen.append(hub.now())
        return "done"

    @orchestration(registry=registry)
    async def impatient(ctx: OrchestrationContext) -> str:
        async with asyncio.timeout(0.001):
            return await slow()

    async with TestHub(registry=registry, start_time=START) as hub:
        handle = await hub.client.start(impatient)
        assert await handle.result(WAIT) == "done"
    assert seen == [START]


async def test_an_activity_that_cleans_up_after_a_cancel_holds_the_clock(registry: Registry) -> None:
    cleaned: list[datetime] = []

    @activity(registry=registry)
    async def careful() -> None:
        try:
            await hub.clock.sleep(3600)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(hub.now())

    @orchestration(registry=registry)
    async def gives_up(ctx: OrchestrationContext) -> None:
        try:
            async with asyncio.timeout(60):
                await careful()
        except TimeoutError:
            await asyncio.sleep(DAY.total_seconds())

    async with TestHub(registry=registry, start_time=START) as hub:
        handle = await hub.client.start(gives_up)
        await handle.result(WAIT)
        assert cleaned == [START + timedelta(minutes=1)]
        assert hub.now() == START + timedelta(minutes=1) + DAY


async def test_an_activity_that_sleeps_on_the_hubs_clock_lets_it_move(registry: Registry) -> None:
    @activity(registry=registry)
    async def polite() -> str:
        await hub.clock.sleep(DAY)
        return activity_context().name

    @orchestration(registry=registry)
    async def waits(ctx: OrchestrationContext) -> str:
        return await polite()

    async with TestHub(registry=registry, start_time=START) as hub:
        handle = await hub.client.start(waits)
        assert (await handle.result(WAIT)).endswith("polite")
        assert hub.now() == START + DAY


async def test_a_hold_stops_the_clock_until_it_is_let_go(registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(60)

    async with TestHub(registry=registry, start_time=START) as hub:
        handle = await hub.client.start(nap)
        with hub.clock.hold():
            with pytest.raises(TimeoutError):
                await handle.result(0.1)
            assert hub.now() == START
        await handle.result(WAIT)
        assert hub.now() == START + timedelta(minutes=1)


async def test_a_hold_can_be_taken_in_a_thread(registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(60)

    held, let_go = threading.Event(), threading.Event()

    async with TestHub(registry=registry, start_time=START) as hub:

        def request() -> None:
            with hub.clock.hold():
                held.set()
                let_go.wait(WAIT)

        thread = threading.Thread(target=request)
        thread.start()
        held.wait(WAIT)
        handle = await hub.client.start(nap)
        with pytest.raises(TimeoutError):
            await handle.result(0.1)
        assert hub.now() == START
        let_go.set()
        await handle.result(WAIT)
        thread.join()


async def test_activities_are_replaced_by_themselves_or_by_name(registry: Registry) -> None:
    @activity(registry=registry)
    async def charge(amount: int, at: datetime) -> int:
        raise AssertionError("the real one ran")

    @activity(name="mail.send", registry=registry)
    def send(text: str) -> str:
        raise AssertionError("the real one ran")

    @orchestration(registry=registry)
    async def order(ctx: OrchestrationContext) -> list[object]:
        return [await charge(5, ctx.now()), await send("hello"), await ctx.call_activity("elsewhere", 7)]

    async def charged(amount: int, at: object) -> int:
        assert at == START  # decoded as the original says, whatever the substitute says
        return amount + 1

    substitutes: dict[Any, Callable[..., Any]] = {
        charge: charged,
        "mail.send": lambda text: text.upper(),
        "elsewhere": lambda number: number * 2,
    }
    async with TestHub(registry=registry, start_time=START, activities=substitutes) as hub:
        handle = await hub.client.start(order)
        assert await handle.result(WAIT) == [6, "HELLO", 14]


async def test_a_replaced_activity_does_not_outlive_its_hub(registry: Registry) -> None:
    @activity(registry=registry)
    async def work() -> str:
        return "real"

    @orchestration(registry=registry)
    async def one(ctx: OrchestrationContext) -> str:
        return await work()

    async with TestHub(registry=registry, activities={work: lambda: "substitute"}) as hub:
        assert await (await hub.client.start(one)).result(WAIT) == "substitute"
    async with TestHub(registry=registry) as hub:
        assert await (await hub.client.start(one)).result(WAIT) == "real"


async def test_retries_wait_in_virtual_time(registry: Registry) -> None:
    attempts: list[datetime] = []

    @activity(registry=registry, retry=RetryPolicy(max_attempts=4, first_interval=60, backoff_coefficient=10))
    async def flaky() -> str:
        attempts.append(hub.now())
        if len(attempts) < 4:
            raise ConnectionError("not yet")
        return "done"

    @orchestration(registry=registry)
    async def tries(ctx: OrchestrationContext) -> str:
        return await flaky()

    async with TestHub(registry=registry, start_time=START) as hub:
        assert await (await hub.client.start(tries)).result(WAIT) == "done"
    assert [(at - START).total_seconds() for at in attempts] == [0, 60, 660, 6660]


async def test_a_withdrawn_timer_is_no_reason_to_move(registry: Registry) -> None:
    @orchestration(registry=registry)
    async def approval(ctx: OrchestrationContext) -> str:
        async with asyncio.timeout(DAY.total_seconds()):
            await ctx.wait_for_event("approved")
        await ctx.wait_for_event("paid")
        return "done"

    async with TestHub(registry=registry, start_time=START) as hub:
        handle = await hub.client.start(approval)
        await hub.advance(0)  # its timer is stored now
        await hub.client.raise_event(handle.instance_id, "approved")
        with pytest.raises(TimeoutError):
            await handle.result(0.1)
        assert hub.now() == START
        await hub.client.raise_event(handle.instance_id, "paid")
        assert await handle.result(WAIT) == "done"
        assert hub.now() == START


async def test_wrong_arguments_are_refused_before_anything_runs(registry: Registry) -> None:
    with pytest.raises(InvalidArgumentError, match="time zone"):
        TestHub(registry=registry, start_time=datetime(2030, 1, 1))
    with pytest.raises(InvalidArgumentError, match="neither"):
        TestHub(registry=registry, activities={5: lambda: None})
    with pytest.raises(InvalidArgumentError, match="can't be called"):
        TestHub(registry=registry, activities={"work": "no function"})  # type: ignore[dict-item]
    hub = TestHub(registry=registry)
    with pytest.raises(InvalidStateError, match="not entered"):
        await hub.advance(1)
    async with hub:
        with pytest.raises(InvalidArgumentError, match="negative"):
            await hub.advance(-1)
        with pytest.raises(InvalidStateError, match="entered already"):
            await hub.__aenter__()


async def test_leaving_leaves_nothing_behind(registry: Registry) -> None:
    @orchestration(registry=registry)
    async def nap(ctx: OrchestrationContext) -> None:
        await asyncio.sleep(60)

    before = asyncio.all_tasks()
    async with TestHub(registry=registry) as hub:
        await hub.client.start(nap)
        await hub.advance(1)
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
