"""Rules 1, 2 and 6: the loop of an orchestration, what it refuses, and how it keeps its tasks."""

import asyncio
import contextvars
import gc
import socket
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from dtf_runtime import (
    DurableTaskError,
    ForbiddenCallError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    activity,
    orchestration,
)
from dtf_runtime.testing import TestHub
from tests.replay.definitions import first, second
from tests.replay.instance import Instance

WHERE = contextvars.ContextVar("WHERE", default="nowhere")


def _nothing() -> None: ...


@pytest.mark.rule(1)
@pytest.mark.parametrize(
    "use",
    [
        lambda loop: loop.run_in_executor(None, _nothing),
        lambda loop: loop.create_connection(asyncio.Protocol, "localhost", 1),
        lambda loop: loop.call_soon_threadsafe(_nothing),
        lambda loop: loop.subprocess_shell(asyncio.SubprocessProtocol, "true"),
        lambda loop: loop.add_signal_handler(2, _nothing),
        lambda loop: loop.run_until_complete(None),
        lambda loop: loop.sock_accept(socket.socket),
        lambda loop: loop.stop(),
    ],
)
def test_a_call_of_the_loop_that_replay_cannot_repeat_is_refused_and_names_the_way_out(
    use: Callable[[Any], Any],
) -> None:
    seen: list[BaseException] = []

    @orchestration(registry=Registry())
    async def reaching(ctx: OrchestrationContext) -> str:
        try:
            use(asyncio.get_running_loop())
        except ForbiddenCallError as error:
            seen.append(error)
        return "unharmed"

    instance = Instance(reaching)
    instance.turn()
    assert "Move it into an @activity" in str(seen[0]) and "an instance" in str(seen[0])
    assert instance.status == OrchestrationStatus.FAILED  # though its code swallowed the error
    assert instance.failure.is_caused_by(ForbiddenCallError)


@pytest.mark.rule(1)
def test_what_asyncio_needs_is_there() -> None:
    @orchestration(registry=Registry())
    async def ordinary(ctx: OrchestrationContext) -> list[str]:
        loop = asyncio.get_running_loop()
        order: list[str] = []
        loop.call_soon(order.append, "soon")
        loop.call_later(5, order.append, "later")
        loop.call_at(loop.time() + 2, order.append, "at")
        done = loop.create_future()
        loop.call_later(6, done.set_result, None)
        assert loop.is_running() and not loop.is_closed() and not loop.get_debug()
        await done
        return order

    instance = Instance(ordinary)
    instance.turn()
    for number in (2, 1, 3):
        instance.turn(instance.due(number), after=2)
    assert instance.output == ["soon", "at", "later"]


@pytest.mark.rule(2)
async def test_a_batch_of_turns_gives_the_thread_back_as_it_was() -> None:
    inside: list[Any] = []

    @orchestration(registry=Registry())
    async def looking(ctx: OrchestrationContext) -> None:
        inside.extend((asyncio.get_running_loop(), asyncio.current_task()))
        raise KeyboardInterrupt

    host, hooks = asyncio.get_running_loop(), sys.get_asyncgen_hooks()
    ended = host.create_future()

    def batch() -> None:  # a callback: no task of the host is current
        assert asyncio.current_task() is None
        with pytest.raises(KeyboardInterrupt):
            Instance(looking).turn()
        ended.set_result((asyncio.get_running_loop(), sys.get_asyncgen_hooks()))

    host.call_soon(batch)
    assert await ended == (host, hooks)
    assert inside[0] is not host and inside[1].get_name() == "main"


@pytest.mark.rule(2)
async def test_equal_deadlines_fire_in_the_order_they_were_made() -> None:
    order: list[int] = []

    async def sleeper(number: int) -> None:
        await asyncio.sleep(30)
        order.append(number)

    registry = Registry()

    @orchestration(registry=registry)
    async def crowd(ctx: OrchestrationContext) -> None:
        await asyncio.gather(*(sleeper(number) for number in range(40)))

    async with TestHub(registry=registry) as hub:
        await (await hub.client.start(crowd)).result()
    assert order == list(range(40))


@pytest.mark.rule(2)
def test_a_spinning_orchestration_fails_its_turn_and_says_which_limit_it_met() -> None:
    @orchestration(registry=Registry())
    async def spinning(ctx: OrchestrationContext) -> None:
        while True:
            await asyncio.sleep(0)

    instance = Instance(spinning, max_steps=500)
    with pytest.raises(DurableTaskError, match=r"'an instance' ran 500 steps in one turn.*max_steps_per_turn"):
        instance.turn()
    assert instance.history == []


@pytest.mark.rule(2)
def test_the_limit_is_of_a_turn_so_a_long_history_may_take_more_steps_to_replay() -> None:
    @orchestration(registry=Registry())
    async def long(ctx: OrchestrationContext) -> int:
        return sum([await first(n) for n in range(60)])

    instance = Instance(long, max_steps=20)
    instance.turn()
    for number in range(1, 60):
        instance.turn(instance.completed(number, 1))
    instance.evict()
    instance.turn(instance.completed(60, 1))
    assert instance.output == 60


@pytest.mark.rule(6)
def test_tasks_that_nobody_holds_are_not_collected() -> None:
    done: list[int] = []

    async def side(number: int) -> None:
        done.append(await first(number))

    @orchestration(registry=Registry())
    async def careless(ctx: OrchestrationContext) -> str:
        names = [asyncio.create_task(side(n)).get_name() for n in range(3)]
        await second()
        return ",".join(names)

    instance = Instance(careless)
    instance.turn()
    gc.collect()
    instance.turn(instance.completed(2, 10), instance.completed(3, 20), instance.completed(4, 30))
    assert done == [10, 20, 30]
    instance.turn(instance.completed(1, 0))
    assert instance.output == "task-2,task-3,task-4"  # main is the first; the number is of creation, on every worker


@pytest.mark.rule(6)
def test_context_variables_of_the_worker_are_not_seen_and_those_of_an_instance_do_not_leak() -> None:
    @orchestration(registry=Registry())
    async def looking(ctx: OrchestrationContext) -> list[str]:
        seen = [WHERE.get()]
        WHERE.set("in the orchestration")
        await first()
        seen.append(WHERE.get())
        return seen

    token = WHERE.set("in the worker")
    try:
        instance = Instance(looking)
        instance.turn()
        instance.turn(instance.completed(1))
        assert WHERE.get() == "in the worker"
    finally:
        WHERE.reset(token)
    assert instance.output == ["nowhere", "in the orchestration"]


@pytest.mark.rule(6)
def test_an_async_generator_left_open_is_dropped_without_running() -> None:
    ran: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield await first()
            yield await second()
        finally:
            ran.append("cleanup")

    @orchestration(registry=Registry())
    async def leaving(ctx: OrchestrationContext) -> int:
        async for number in numbers():
            return number
        return -1

    instance = Instance(leaving)
    instance.turn()
    instance.turn(instance.completed(1, 7))
    instance.live = None
    gc.collect()
    assert instance.output == 7 and ran == []


@pytest.mark.rule(6)
def test_create_task_takes_a_call_and_other_keywords_change_nothing() -> None:
    @orchestration(registry=Registry())
    async def wrapping(ctx: OrchestrationContext) -> int:
        loop: Any = asyncio.get_running_loop()
        loop.set_task_factory(lambda *_: None)
        task = loop.create_task(first(1), name="mine", eager_start=True)
        assert not task.done() and task.get_name() == "mine"
        async with asyncio.TaskGroup() as group:
            other = group.create_task(second(2))
        return int(await task) + other.result()

    instance = Instance(wrapping)
    instance.turn()
    instance.turn(instance.completed(1, 10), instance.completed(2, 20))
    assert instance.output == 30


@activity(registry=(_HELLO := Registry()))
async def hello() -> str:
    return "hello"


@pytest.mark.rule(2)
async def test_other_orchestrations_go_on_beside_one_that_spins() -> None:
    @orchestration(registry=_HELLO)
    async def polite(ctx: OrchestrationContext) -> str:
        return await hello()

    @orchestration(registry=_HELLO)
    async def yielding(ctx: OrchestrationContext) -> int:
        for _ in range(50_000):
            await asyncio.sleep(0)
        return 1

    async with TestHub(registry=_HELLO) as hub:
        busy, handle = await hub.client.start(yielding), await hub.client.start(polite)
        assert (await handle.result(), await busy.result()) == ("hello", 1)
