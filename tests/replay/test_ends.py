"""Rules 11, 12 and 15: how an orchestration ends, goes on as a new execution, and what failures look like."""

# ruff: noqa: RUF006 - the loop of an orchestration holds its tasks (rule 6)

import asyncio
import gc
from typing import Any

import pytest

from dtf_runtime import (
    DurableTaskError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    Saga,
    SerializationError,
    SubOrchestrationFailedError,
    TaskFailedError,
    orchestration,
)
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from tests.replay.conftest import Traced
from tests.replay.definitions import child, first, second, undo, words
from tests.replay.instance import Instance, raised


@pytest.mark.rule(11)
def test_what_is_open_at_the_end_is_cancelled_and_can_ask_for_nothing_more() -> None:
    went: list[str] = []

    async def side() -> None:
        try:
            await first()
        finally:
            went.append("cancelled")
            await second()  # refused: the orchestration has ended
            went.append("never")

    @orchestration(registry=Registry())
    async def leaving(ctx: OrchestrationContext) -> str:
        asyncio.create_task(side())
        await asyncio.sleep(0)
        return "done"

    instance = Instance(leaving)
    commit = instance.turn()
    assert (instance.output, went) == ("done", ["cancelled"])
    assert [task.name for task in commit.tasks] == ["first"]
    assert instance.kinds()[-1] == "ExecutionCompleted"


@pytest.mark.rule(11)
def test_cleanup_of_a_side_task_that_takes_turns_is_cut_off_too() -> None:
    went: list[str] = []

    async def side() -> None:
        try:
            await first()
        finally:
            await asyncio.sleep(0)
            went.append("drained once")
            await asyncio.get_running_loop().create_future()
            went.append("never")

    @orchestration(registry=Registry())
    async def leaving(ctx: OrchestrationContext) -> None:
        asyncio.create_task(side())
        await asyncio.sleep(0)

    assert Instance(leaving).turn().status == OrchestrationStatus.COMPLETED
    gc.collect()
    assert went == ["drained once"]


@pytest.mark.rule(11)
def test_a_side_task_that_spins_does_not_fail_what_has_ended() -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    @orchestration(registry=Registry())
    async def leaving(ctx: OrchestrationContext) -> str:
        asyncio.create_task(spin())
        await asyncio.sleep(0)
        return "done"

    instance = Instance(leaving, max_steps=50)
    instance.turn()
    assert instance.output == "done"


@pytest.mark.rule(11)
@pytest.mark.parametrize("after_an_activity", [False, True])
def test_one_that_nothing_can_wake_is_failed_with_the_line_where_it_hangs(after_an_activity: bool) -> None:
    @orchestration(registry=Registry())
    async def hanging(ctx: OrchestrationContext) -> None:
        if after_an_activity:
            await first()
        await asyncio.Event().wait()

    instance = Instance(hanging)
    instance.turn()
    if after_an_activity:
        assert instance.live is not None
        instance.turn(instance.completed(1))
    assert instance.status == OrchestrationStatus.FAILED
    line = hanging.fn.__code__.co_firstlineno + 4
    assert f"test_ends.py:{line} in hanging" in instance.failure.message
    assert instance.failure.is_caused_by(DurableTaskError)


@pytest.mark.rule(11)
def test_one_that_waits_for_an_event_is_not_stuck() -> None:
    @orchestration(registry=Registry())
    async def waiting(ctx: OrchestrationContext) -> None:
        await asyncio.wait(
            [asyncio.create_task(asyncio.Event().wait()), ctx.wait_for_event("go")], return_when="FIRST_COMPLETED"
        )

    instance = Instance(waiting)
    assert instance.turn().status == OrchestrationStatus.RUNNING
    assert instance.turn(raised("go")).status == OrchestrationStatus.COMPLETED


@pytest.mark.rule(12)
def test_continue_as_new_runs_finally_and_no_compensation_and_starts_the_next_execution() -> None:
    @orchestration(registry=Registry())
    async def rolling(ctx: OrchestrationContext, turn: int) -> None:
        async with Saga() as saga:
            saga.compensate(undo, "never")
            try:
                ctx.continue_as_new(turn + 1, version="7")
            finally:
                await first()

    instance = Instance(rolling, 1)
    instance.turn()
    commit = instance.turn(instance.completed(1))
    assert instance.kinds()[2:] == ["TaskScheduled", "TaskCompleted", "ContinuedAsNew"]
    assert commit.next is not None and commit.next.execution_id not in ("", "e1")
    assert (commit.next.input, commit.next.version) == (b"2", "7")


@pytest.mark.rule(12)
@pytest.mark.parametrize("how", ["swallowed", "group", "group with another"])
def test_continue_as_new_gets_through_what_code_does_with_exceptions(how: str) -> None:
    async def failing() -> None:
        try:
            await asyncio.sleep(0)
            await first()
        except asyncio.CancelledError:
            if how == "group with another":
                raise ValueError("at cleanup") from None
            raise

    @orchestration(registry=Registry())
    async def rolling(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                if how != "swallowed":
                    group.create_task(failing())
                    await asyncio.sleep(0)
                ctx.continue_as_new()
        except BaseException:
            if how != "swallowed":
                raise
        return "swallowed"

    instance = Instance(rolling)
    instance.turn()
    if how == "group with another":
        assert instance.status == OrchestrationStatus.FAILED and instance.failure.is_caused_by(ValueError)
        assert instance.failure.is_caused_by("ContinueAsNew") is False
    else:
        assert instance.last.next is not None and instance.last.next.input is None


@pytest.mark.rule(12)
def test_continue_as_new_in_a_side_task_is_refused() -> None:
    async def side(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new()

    @orchestration(registry=Registry())
    async def rolling(ctx: OrchestrationContext) -> None:
        await asyncio.create_task(side(ctx))

    instance = Instance(rolling)
    instance.turn()
    assert instance.failure.type == "builtins.RuntimeError" and "'an instance'" in instance.failure.message


@orchestration(registry=Registry())
async def slow_to_roll(ctx: OrchestrationContext) -> None:
    await ctx.wait_for_event("roll")
    try:
        ctx.continue_as_new()
    finally:
        await first()


@pytest.mark.rule(12)
@pytest.mark.parametrize("suspended", [False, True])
def test_a_cancel_after_continue_as_new_goes_to_the_next_execution(suspended: bool) -> None:
    instance = Instance(slow_to_roll)
    instance.turn()
    roll, cancel = raised("roll"), instance.control("cancel", "c1", "enough")
    if suspended:
        instance.turn(instance.control("suspend"), roll, cancel)
        instance.turn(instance.control("resume"))
    else:
        instance.turn(roll, cancel)
    commit = instance.turn(instance.completed(1))
    assert commit.status == OrchestrationStatus.CONTINUED_AS_NEW
    (again,) = commit.reinject
    assert isinstance(again, m.Control) and (again.action, again.reason, again.execution_id) == ("cancel", "enough", "")
    assert commit.next is not None and again.id not in commit.next.recent


@pytest.mark.rule(12)
def test_messages_behind_the_end_go_to_the_next_execution_and_results_for_the_old_do_not() -> None:
    @orchestration(registry=Registry())
    async def rolling(ctx: OrchestrationContext) -> None:
        first()
        await ctx.wait_for_event("roll")
        ctx.continue_as_new()

    instance = Instance(rolling)
    instance.turn()
    late = raised("more", 1)
    commit = instance.turn(raised("roll"), late, instance.completed(1))
    assert list(commit.reinject) == [late]


@pytest.mark.rule(12)
def test_the_next_execution_has_the_same_parent_and_tags() -> None:
    @orchestration(registry=Registry())
    async def rolling(ctx: OrchestrationContext) -> None:
        ctx.continue_as_new()

    @orchestration(registry=Registry())
    async def calling(ctx: OrchestrationContext) -> None:
        await child()

    (start,) = Instance(calling).turn().starts
    instance = Instance(rolling, parent=start.parent)
    commit = instance.turn()
    assert commit.next is not None and commit.next.parent == start.parent
    assert list(commit.sends) == []  # the parent is told when the last generation ends


@pytest.mark.rule(15)
def test_failures_carry_what_the_activity_or_child_failed_with() -> None:
    seen: list[Any] = []

    @orchestration(registry=Registry())
    async def collecting(ctx: OrchestrationContext) -> None:
        for call in (first(), child()):
            try:
                await call
            except (TaskFailedError, SubOrchestrationFailedError) as error:
                seen.append(error)
        raise seen[0]

    instance = Instance(collecting)
    instance.turn()
    instance.turn(instance.failed(1, ConnectionError("no route")))
    instance.turn(instance.child_ended(2, OrchestrationStatus.FAILED, error=KeyError("x")))
    task, sub = seen
    assert (type(task), type(sub)) == (TaskFailedError, SubOrchestrationFailedError)
    assert task.failure.is_caused_by(OSError) and "no route" in task.failure.message
    assert sub.failure.is_caused_by(LookupError)
    assert instance.failure.type == "dtf_runtime.TaskFailedError" and instance.failure.is_caused_by(ConnectionError)


@pytest.mark.rule(15)
def test_what_can_not_be_encoded_or_decoded_is_a_failure_and_nothing_hangs() -> None:
    @orchestration(registry=Registry())
    async def awkward(ctx: OrchestrationContext) -> object:
        with pytest.raises(SerializationError):
            ctx.call_activity("any", object())
        with pytest.raises(SerializationError):
            await words()
        return {"result": object()}

    instance = Instance(awkward)
    instance.turn()
    instance.turn(instance.completed(1, 5))  # where a str was promised
    assert instance.failure.type == "dtf_runtime.SerializationError"
    assert "the result of orchestration 'an instance'" in instance.failure.message


@pytest.mark.rule(15)
def test_an_input_that_does_not_fit_fails_the_instance() -> None:
    @orchestration(registry=Registry())
    async def typed(ctx: OrchestrationContext, amount: int) -> None: ...

    instance = Instance(typed, "many")
    assert instance.turn().status == OrchestrationStatus.FAILED
    assert "the input of orchestration 'an instance'" in instance.failure.message


@pytest.mark.rule(15)
def test_results_are_decoded_from_bytes_live_as_on_replay() -> None:
    @orchestration(registry=Registry())
    async def keeping(ctx: OrchestrationContext) -> list[object]:
        found = await ctx.call_activity("any", result_type=tuple[int, ...])
        await first()
        return [type(found).__name__, *found]

    live, replayed = Instance(keeping), Instance(keeping)
    for instance in (live, replayed):
        instance.turn()
        instance.turn(instance.completed(1, [1, 2]))
    replayed.evict()
    for instance in (live, replayed):
        instance.turn(instance.completed(2))
    assert live.output == replayed.output == ["tuple", 1, 2]


@pytest.mark.rule(15)
def test_a_failure_that_nobody_awaited_is_traced_once_at_the_end(traced: Traced) -> None:
    async def failing() -> None:
        raise ValueError("in a side task")

    @orchestration(registry=Registry())
    async def careless(ctx: OrchestrationContext) -> None:
        first()
        seen = first()
        tasks = [asyncio.create_task(failing())]
        with pytest.raises(TaskFailedError):
            await seen
        await asyncio.sleep(1)
        del tasks

    instance = Instance(careless)
    instance.turn()
    instance.turn(instance.failed(1, OSError("unseen")), instance.failed(2, OSError("seen")))
    assert traced("unawaited_failure") == []
    instance.evict()
    instance.turn(instance.due(3), after=1)
    instance.live = None
    gc.collect()
    assert sorted(str(event["call"]) for event in traced("unawaited_failure")) == ["first", "task-4"]


@pytest.mark.rule(11)
def test_the_parent_is_told_the_end_with_the_number_of_its_call() -> None:
    @orchestration(registry=Registry())
    async def calling(ctx: OrchestrationContext) -> int:
        return await child(5)

    @orchestration(registry=Registry())
    async def answering(ctx: OrchestrationContext) -> int:
        return 7

    parent = Instance(calling, instance_id="mother")
    (start,) = parent.turn().starts
    (send,) = Instance(answering, instance_id=start.instance_id, parent=start.parent).turn().sends
    assert send.instance_id == "mother"
    parent.turn(send.message)
    assert parent.output == 7 and parent.of_kind(h.SubOrchestrationCompleted)[0].number == 1
