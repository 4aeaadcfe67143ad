"""Rules 21 and 22: leaving memory runs nothing, and memory is never ahead of the store."""

import asyncio
import contextvars
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from dtf_runtime import (
    OrchestrationContext,
    Registry,
    Saga,
    TaskHubClient,
    TaskHubWorker,
    WorkerOptions,
    activity,
    connect,
    orchestration,
)
from dtf_runtime.replay import closing
from dtf_runtime.testing import TestHub
from tests.replay.conftest import Traced
from tests.replay.definitions import first, undo
from tests.replay.instance import Instance, raised

Body = Callable[[], Awaitable[None]]
REAL: list[str] = []


@activity(registry=Registry())
async def refund(what: str) -> None:
    """What must never be called for real."""
    REAL.append(what)


async def in_a_finally() -> None:
    try:
        await first()
    finally:
        await refund("finally")


async def in_a_nested_finally_that_yields_first() -> None:
    async def inner() -> None:
        try:
            await first()
        finally:
            await asyncio.sleep(0)
            await refund("inner")

    try:
        await inner()
    finally:
        await asyncio.sleep(0)
        await refund("outer")


async def in_an_async_generator() -> None:
    async def helper() -> int:
        try:
            return await first()
        finally:
            await asyncio.sleep(0)
            await refund("helper")

    async def numbers() -> AsyncIterator[int]:
        try:
            yield await helper()
        finally:
            await refund("generator")

    async for _ in numbers():
        pass


async def in_a_context_manager() -> None:
    @asynccontextmanager
    async def held() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await refund("held")

    async with held():
        await first()


async def in_a_saga() -> None:
    async with Saga() as saga:
        saga.compensate(refund, "saga")
        await first()


async def in_a_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(in_a_finally())
        group.create_task(in_a_nested_finally_that_yields_first())


async def catching_everything() -> None:
    try:
        await first()
    except BaseException:
        await refund("caught")


async def making_a_task() -> None:
    try:
        await first()
    finally:
        await asyncio.create_task(in_a_finally())


async def behind_a_lock() -> None:
    lock = asyncio.Lock()
    await lock.acquire()
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(_locked(lock))
        group.create_task(in_a_finally())


async def _locked(lock: asyncio.Lock) -> None:
    async with lock:
        await refund("never")


@pytest.mark.rule(21)
@pytest.mark.parametrize(
    "body",
    [
        in_a_finally,
        in_a_nested_finally_that_yields_first,
        in_an_async_generator,
        in_a_context_manager,
        in_a_saga,
        in_a_group,
        catching_everything,
        making_a_task,
        behind_a_lock,
    ],
)
async def test_leaving_memory_asks_for_nothing_and_calls_nothing_for_real(body: Body) -> None:
    @orchestration(registry=Registry())
    async def cautious(ctx: OrchestrationContext) -> None:
        await body()

    REAL.clear()
    instance = Instance(cautious)
    instance.turn()
    before = instance.history
    execution = instance.live
    assert execution is not None
    instance.evict()
    turn = execution.turn
    del execution
    gc.collect()
    await asyncio.sleep(0)
    assert REAL == []
    assert len(turn.events) == len(before)  # nothing was added
    instance.turn()  # and it comes back as it was
    assert instance.history == before


@pytest.mark.rule(21)
def test_whatever_is_asked_of_the_context_while_closing_is_refused() -> None:
    refused: list[str] = []

    def attempt(name: str, ask: Callable[[], object]) -> None:
        try:
            ask()
        except BaseException as error:
            refused.append(f"{name} {type(error).__name__}")

    @orchestration(registry=Registry())
    async def asking(ctx: OrchestrationContext) -> None:
        loop = asyncio.get_running_loop()
        try:
            await first()
        finally:
            attempt("event", lambda: ctx.wait_for_event("e"))
            attempt("send", lambda: ctx.send_event("other", "e"))
            attempt("start", lambda: ctx.start("child"))
            attempt("status", lambda: ctx.set_custom_status(1))
            attempt("patched", lambda: ctx.patched("p"))
            attempt("again", ctx.continue_as_new)
            attempt("timer", lambda: loop.call_later(5, print))
            loop.call_soon(refused.append, "call_soon ran")

    instance = Instance(asking)
    instance.turn()
    instance.evict()
    names = ("event", "send", "start", "status", "patched", "again", "timer")
    assert refused == [f"{name} ReplayExit" for name in names]


@pytest.mark.rule(21)
def test_a_coroutine_that_will_not_close_is_kept_and_traced(traced: Traced) -> None:
    went: list[int] = []

    @orchestration(registry=Registry())
    async def clinging(ctx: OrchestrationContext) -> None:
        while True:
            try:
                await asyncio.sleep(0)
                await first()
            except BaseException:
                went.append(1)

    instance = Instance(clinging)
    instance.turn()
    kept = len(closing._unclosable)
    instance.evict()
    gc.collect()
    assert len(closing._unclosable) == kept + 1
    assert [event["instance_id"] for event in traced("coroutine_would_not_close")] == ["an instance"]


@pytest.mark.rule(21)
def test_cleanup_sees_the_context_variables_of_its_task() -> None:
    variable = contextvars.ContextVar("variable", default=0)
    reset: list[str] = []

    @orchestration(registry=Registry())
    async def setting(ctx: OrchestrationContext) -> None:
        token = variable.set(1)
        try:
            await first()
        finally:
            variable.reset(token)  # ValueError in another context
            reset.append("done")

    instance = Instance(setting)
    instance.turn()
    instance.evict()
    assert reset == ["done"]


@pytest.mark.rule(21)
def test_a_turn_that_fails_closes_what_it_began() -> None:
    @orchestration(registry=Registry())
    async def spinning(ctx: OrchestrationContext) -> None:
        try:
            while True:
                await asyncio.sleep(0)
        finally:
            await undo("never")

    instance = Instance(spinning, max_steps=20)
    with pytest.raises(Exception, match="20 steps"):
        instance.turn()
    gc.collect()  # a coroutine left behind would be reported as never closed
    assert instance.live is None


@pytest.mark.rule(22)
def test_an_instance_that_was_discarded_goes_on_from_what_was_stored() -> None:
    """A turn whose commit was refused never happened, whatever its live instance has seen."""

    @orchestration(registry=Registry())
    async def counting(ctx: OrchestrationContext) -> list[int]:
        return [await ctx.wait_for_event("n", int), await ctx.wait_for_event("n", int)]

    instance = Instance(counting)
    instance.turn()
    instance.turn(raised("n", 1, "lost"))
    del instance.rows[-1], instance.commits[-1]
    instance.evict()
    instance.turn(raised("n", 2, "second"), raised("n", 3, "third"))
    assert instance.output == [2, 3]


@pytest.mark.rule(22)
async def test_a_worker_with_room_for_one_replays_the_others_and_loses_none() -> None:

    registry = Registry()

    @orchestration(registry=registry)
    async def adding(ctx: OrchestrationContext) -> int:
        return sum([await ctx.wait_for_event("n", int) for _ in range(3)])

    service: Any = connect("memory://")
    options = WorkerOptions(max_cached_orchestrations=1)
    async with TaskHubWorker(service, registry=registry, options=options), TaskHubClient(service) as client:
        handles = [await client.start(adding) for _ in range(5)]
        for number in (1, 10, 100):
            for handle in handles:
                await client.raise_event(handle.instance_id, "n", number)
        assert [await handle.result(10) for handle in handles] == [111] * 5


@pytest.mark.rule(21)
async def test_a_worker_that_stops_calls_nothing_for_real() -> None:
    registry = Registry()

    @orchestration(registry=registry)
    async def waiting(ctx: OrchestrationContext) -> None:
        try:
            await ctx.wait_for_event("never")
        finally:
            await refund("at exit")

    REAL.clear()
    async with TestHub(registry=registry) as hub:
        handle = await hub.client.start(waiting)
        while (await handle.state()).status != "running":
            await asyncio.sleep(0)
    gc.collect()
    await asyncio.sleep(0)
    assert REAL == []
