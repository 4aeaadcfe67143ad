"""Failures, handled and unhandled, with their whole chain of causes, and the odd ones that must not hang anything."""

import asyncio
import os
from typing import Any

import pytest

from dtf_runtime import (
    ForbiddenCallError,
    NonRetriableError,
    OrchestrationContext,
    OrchestrationFailedError,
    OrchestrationStatus,
    Registry,
    SubOrchestrationFailedError,
    TaskFailedError,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


class DeclinedError(Exception):
    def __init__(self, code: int) -> None:
        super().__init__(f"declined with {code}")
        self.code = code

    def failure_properties(self) -> dict[str, Any]:
        return {"code": self.code, "retry": False}


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class TrapError(Exception):
    def failure_properties(self) -> dict[str, Any]:
        return {"lock": object()}


async def test_a_failed_activity_can_be_handled(hub: Hub, registry: Registry) -> None:
    undone: list[str] = []

    @activity(registry=registry)
    async def book(what: str) -> str:
        if what == "car":
            raise DeclinedError(51)
        return what

    @activity(registry=registry)
    async def undo(what: str) -> None:
        undone.append(what)

    @orchestration(registry=registry)
    async def trip(ctx: OrchestrationContext) -> str:
        hotel = await book("hotel")
        try:
            await book("car")
        except TaskFailedError as error:
            await undo(hotel)
            assert error.failure.is_caused_by(DeclinedError)
            return f"{error.failure.message} {error.failure.properties['code']}"
        return "booked"

    async with hub.worker(registry):
        state = await hub.finished(trip)
    assert (state.status, state.output) == (OrchestrationStatus.COMPLETED, "declined with 51 51")
    assert undone == ["hotel"]
    counts = await hub.counts(state.instance_id)
    assert (counts["TaskScheduled"], counts["TaskCompleted"], counts["TaskFailed"]) == (3, 2, 1)


async def test_an_unhandled_activity_failure_fails_the_instance(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def charge() -> None:
        raise DeclinedError(7)

    @orchestration(registry=registry)
    async def checkout(ctx: OrchestrationContext) -> None:
        await charge()

    async with hub.worker(registry):
        handle = await hub.client.start(checkout)
        with pytest.raises(OrchestrationFailedError, match="declined with 7") as caught:
            await handle.result(WAIT)
    failure = caught.value.failure
    assert failure.type == "dtf_runtime.TaskFailedError"
    assert failure.inner_failure is not None
    assert failure.inner_failure.type == f"{DeclinedError.__module__}.DeclinedError"
    assert failure.inner_failure.properties == {"code": 7, "retry": False}
    assert "charge" in failure.inner_failure.stack_trace
    assert failure.is_caused_by(DeclinedError)
    assert failure.is_caused_by("DeclinedError")
    assert not failure.is_caused_by(OSError)
    state = await hub.state(handle)
    assert state.status == OrchestrationStatus.FAILED and state.output is None
    assert (await hub.kinds(handle))[-2:] == ["TaskFailed", "ExecutionCompleted"]


async def test_an_error_of_the_orchestration_itself_fails_it(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def buggy(ctx: OrchestrationContext) -> int:
        return int("seven")

    async with hub.worker(registry):
        state = await hub.finished(buggy)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.type == "builtins.ValueError"
    assert "seven" in state.failure.message
    assert "buggy" in state.failure.stack_trace


async def test_causes_are_kept_all_the_way_down(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def read() -> None:
        try:
            try:
                raise ConnectionResetError("the wire was cut")
            except OSError as error:
                raise LookupError("no row") from error
        except LookupError as error:
            raise DeclinedError(3) from error

    @orchestration(registry=registry)
    async def reader(ctx: OrchestrationContext) -> None:
        await read()

    async with hub.worker(registry):
        state = await hub.finished(reader)
    failure = state.failure
    chain: list[str] = []
    while failure is not None:
        chain.append(f"{failure.type.rpartition('.')[2]}: {failure.message}")
        failure = failure.inner_failure
    assert [link.partition(":")[0] for link in chain] == [
        "TaskFailedError", "DeclinedError", "LookupError", "ConnectionResetError"
    ]  # fmt: skip
    assert chain[1:] == [
        "DeclinedError: declined with 3", "LookupError: no row", "ConnectionResetError: the wire was cut"
    ]  # fmt: skip
    assert state.failure is not None
    assert state.failure.is_caused_by(OSError)  # a base class of the last one
    assert state.failure.is_caused_by("OSError") and state.failure.is_caused_by("builtins.ConnectionResetError")


async def test_a_failure_deep_down_reaches_the_grandparent_with_its_chain(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def fail() -> None:
        raise DeclinedError(9)

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> None:
        await fail()

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> None:
        await child()

    @orchestration(registry=registry)
    async def grandparent(ctx: OrchestrationContext) -> None:
        await parent()

    async with hub.worker(registry):
        state = await hub.finished(grandparent)
    types: list[str] = []
    failure = state.failure
    while failure is not None:
        types.append(failure.type.rpartition(".")[2])
        failure = failure.inner_failure
    assert types == [
        "SubOrchestrationFailedError", "SubOrchestrationFailedError", "TaskFailedError", "DeclinedError"
    ]  # fmt: skip
    assert state.failure is not None and state.failure.is_caused_by(DeclinedError)


async def test_members_of_an_exception_group_are_kept(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def fail(n: int) -> None:
        raise DeclinedError(n)

    @orchestration(registry=registry)
    async def grouped(ctx: OrchestrationContext) -> None:
        async def one(n: int) -> None:
            await fail(n)

        results = await asyncio.gather(one(1), one(2), return_exceptions=True)
        raise ExceptionGroup("both", [error for error in results if isinstance(error, Exception)])

    async with hub.worker(registry):
        state = await hub.finished(grouped)
    assert state.failure is not None
    members = [member.inner_failure for member in state.failure.group]
    assert [member.properties["code"] for member in members if member is not None] == [1, 2]
    assert state.failure.is_caused_by(DeclinedError)


async def test_a_handled_child_failure_carries_the_childs_chain(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def fail() -> None:
        raise NonRetriableError("never again")

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> None:
        await fail()

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> list[object]:
        with pytest.raises(SubOrchestrationFailedError) as caught:
            await child()
        failure = caught.value.failure
        assert failure.inner_failure is not None
        return [failure.type, failure.inner_failure.type, failure.inner_failure.non_retriable]

    async with hub.worker(registry):
        answer = await hub.run(parent)
    assert answer == ["dtf_runtime.TaskFailedError", "dtf_runtime.NonRetriableError", True]


@pytest.mark.parametrize("error", [asyncio.CancelledError, SystemExit, KeyboardInterrupt, StopIteration, GeneratorExit])
@pytest.mark.parametrize("threaded", [False, True], ids=["async", "threaded"])
async def test_an_activity_that_raises_something_odd_has_failed_and_the_worker_lives_on(
    hub: Hub, registry: Registry, error: type[BaseException], threaded: bool
) -> None:
    @activity(registry=registry)
    async def odd() -> None:
        raise error("odd")

    @activity(registry=registry)
    def odd_in_a_thread() -> None:
        raise error("odd")

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> bool:
        with pytest.raises(TaskFailedError) as caught:
            await (odd_in_a_thread() if threaded else odd())
        failure = caught.value.failure
        # Python itself turns a StopIteration that leaves a coroutine into a RuntimeError.
        return failure.is_caused_by(error) or failure.is_caused_by(RuntimeError)

    async with hub.worker(registry):
        assert await hub.run(caller) is True
        await hub.bystander_runs()


@pytest.mark.parametrize("error", [SystemExit, UnprintableError, TrapError])
async def test_an_orchestration_that_raises_something_odd_has_failed(
    hub: Hub, registry: Registry, error: type[BaseException]
) -> None:
    @orchestration(registry=registry)
    async def odd(ctx: OrchestrationContext) -> None:
        raise error

    async with hub.worker(registry):
        state = await hub.finished(odd)
        await hub.bystander_runs()
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(error)


@pytest.mark.parametrize("error", [UnprintableError, TrapError])
async def test_an_exception_that_cannot_be_stored_is_still_a_failure_of_its_type(
    hub: Hub, registry: Registry, error: type[Exception]
) -> None:
    @activity(registry=registry)
    async def odd() -> None:
        raise error

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> str:
        with pytest.raises(TaskFailedError) as caught:
            await odd()
        return caught.value.failure.type

    async with hub.worker(registry):
        assert await hub.run(caller) == f"{error.__module__}.{error.__qualname__}"


async def test_a_failure_that_nobody_awaited_does_not_fail_the_instance(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def fail() -> None:
        raise DeclinedError(1)

    @activity(registry=registry)
    async def step() -> str:
        return "went on"

    @orchestration(registry=registry)
    async def careless(ctx: OrchestrationContext) -> str:
        forgotten = fail()
        await asyncio.wait([forgotten])  # waits for its end, and never looks at the failure
        del forgotten
        return await step()

    async with hub.worker(registry):
        assert await hub.run(careless) == "went on"


async def test_an_orchestration_that_waits_for_nothing_fails_and_names_the_line(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def stuck(ctx: OrchestrationContext) -> None:
        await asyncio.Event().wait()

    async with hub.worker(registry):
        state = await hub.finished(stuck)
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    told = state.failure.message + state.failure.stack_trace
    assert "test_failures.py" in told
    assert str(stuck.fn.__code__.co_firstlineno + 2) in told


async def test_two_tasks_that_wait_for_each_other_fail_their_instance(hub: Hub, registry: Registry) -> None:
    @orchestration(registry=registry)
    async def deadlock(ctx: OrchestrationContext) -> None:
        one, two = asyncio.Lock(), asyncio.Lock()

        async def take(first: asyncio.Lock, second: asyncio.Lock) -> None:
            async with first:
                await asyncio.sleep(0.01)
                async with second:
                    pass

        await asyncio.gather(take(one, two), take(two, one))

    async with hub.worker(registry):
        state = await hub.finished(deadlock)
    assert state.status == OrchestrationStatus.FAILED


@pytest.mark.parametrize("what", ["file", "socket", "subprocess", "thread"])
async def test_input_and_output_in_an_orchestration_are_forbidden_and_say_what_to_do(
    hub: Hub, registry: Registry, what: str
) -> None:
    @orchestration(registry=registry)
    async def impure(ctx: OrchestrationContext, what: str) -> None:
        match what:
            case "file":
                open(os.devnull).close()
            case "socket":
                await asyncio.open_connection("127.0.0.1", 9)
            case "subprocess":
                await asyncio.create_subprocess_exec("true")
            case "thread":
                await asyncio.to_thread(int)

    async with hub.worker(registry):
        state = await hub.finished(impure, what)
        await hub.bystander_runs()
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(ForbiddenCallError)
    assert "activity" in state.failure.message
