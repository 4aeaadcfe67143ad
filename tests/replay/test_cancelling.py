"""Rule 13: what a cancel does to the function, to activities and to children."""

import asyncio
from typing import Any

import pytest

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, SubOrchestrationFailedError, orchestration
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import Commit
from tests.replay.conftest import Traced
from tests.replay.definitions import child, first, second, undo
from tests.replay.instance import Instance, raised

CANCELLED, COMPLETED, FAILED = OrchestrationStatus.CANCELLED, OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED


def cancels(commit: Commit) -> list[str]:
    return [s.instance_id for s in commit.sends if isinstance(s.message, m.Control) and s.message.action == "cancel"]


@orchestration(registry=Registry())
async def tidy(ctx: OrchestrationContext) -> str:
    try:
        await first()
    finally:
        await undo("first")
    return "done"


@pytest.mark.rule(13)
def test_a_cancel_reaches_the_function_at_its_await_and_cleanup_is_durable(traced: Traced) -> None:
    instance = Instance(tidy)
    instance.turn()
    commit = instance.turn(instance.control("cancel", "c1", "a better offer"))
    assert list(commit.cancelled_tasks) == [1] and [task.name for task in commit.tasks] == ["undo"]
    instance.evict()
    instance.turn(instance.control("cancel", "c2", "again"))  # dropped: terminate is the hammer
    instance.turn(instance.completed(1))  # late
    assert [event["reason"] for event in traced("cancel_dropped")] == ["again"]
    instance.turn(instance.completed(2, None))
    assert instance.status == CANCELLED and instance.failure.message == "a better offer"
    assert instance.failure.type == "dtf_runtime.OrchestrationCancelledError"
    assert len(instance.of_kind(h.CancelRequested)) == 1
    instance.replay()


@pytest.mark.rule(13)
def test_a_cancel_that_the_function_survives_leaves_it_completed() -> None:
    @orchestration(registry=Registry())
    async def stubborn(ctx: OrchestrationContext) -> str:
        try:
            await first()
        except asyncio.CancelledError:
            return "not me"
        return "done"

    instance = Instance(stubborn)
    instance.turn()
    instance.turn(instance.control("cancel"))
    assert (instance.status, instance.output) == (COMPLETED, "not me")


@pytest.mark.rule(13)
def test_cancelled_error_without_a_request_is_a_failure() -> None:
    @orchestration(registry=Registry())
    async def giving_up(ctx: OrchestrationContext) -> None:
        raise asyncio.CancelledError

    assert Instance(giving_up).turn().status == FAILED


@pytest.mark.rule(13, 14)
def test_a_cancel_that_comes_while_suspended_waits_for_the_resume() -> None:
    instance = Instance(tidy)
    instance.turn()
    commit = instance.turn(instance.control("suspend"), instance.control("cancel"))
    assert list(commit.tasks) == [] and commit.status == OrchestrationStatus.SUSPENDED
    instance.evict()
    commit = instance.turn(instance.control("resume"))
    assert [task.name for task in commit.tasks] == ["undo"]


@pytest.mark.rule(13)
def test_a_call_in_a_shield_is_left_alone() -> None:
    @orchestration(registry=Registry())
    async def shielding(ctx: OrchestrationContext) -> int:
        call = first()
        try:
            await asyncio.shield(call)
        except asyncio.CancelledError:
            return await call
        return -1

    instance = Instance(shielding)
    instance.turn()
    assert list(instance.turn(instance.control("cancel")).cancelled_tasks) == []
    instance.turn(instance.completed(1, 5))
    assert instance.output == 5


@pytest.mark.rule(13)
def test_an_activity_that_was_cancelled_in_the_turn_that_made_it_is_never_sent() -> None:
    @orchestration(registry=Registry())
    async def undecided(ctx: OrchestrationContext) -> None:
        call = first()
        call.cancel()
        await second()

    commit = Instance(undecided).turn()
    assert [task.name for task in commit.tasks] == ["second"] and list(commit.cancelled_tasks) == []


@orchestration(registry=Registry())
async def hurried(ctx: OrchestrationContext) -> str:
    try:
        async with asyncio.timeout(10):
            found = await child()
    except TimeoutError:
        return "too late"
    await second()
    return f"in time: {found}"


@pytest.mark.rule(13)
@pytest.mark.parametrize("evicted", [False, True])
def test_a_cancelled_child_is_waited_for_until_it_has_ended(evicted: bool) -> None:
    instance = Instance(hurried)
    instance.turn()
    commit = instance.turn(instance.due(1), after=10)
    assert cancels(commit) == ["e1.2"] and instance.live is not None
    if evicted:
        instance.evict()
    instance.turn(instance.child_ended(2, CANCELLED), after=600)
    assert instance.output == "too late"


@pytest.mark.rule(13)
def test_a_child_that_ends_with_a_result_all_the_same_gives_it_to_a_timeout() -> None:
    instance = Instance(hurried)
    instance.turn()
    instance.turn(instance.due(1), after=10)
    instance.turn(instance.child_ended(2, result=7))
    instance.turn(instance.completed(3))
    assert instance.output == "in time: 7"
    instance.replay()


@pytest.mark.rule(13)
def test_a_cancel_of_the_instance_comes_at_the_next_await_when_the_child_ended_with_a_result() -> None:
    got: list[int] = []

    @orchestration(registry=Registry())
    async def calling(ctx: OrchestrationContext) -> None:
        got.append(await child())
        await second()
        got.append(-1)

    instance = Instance(calling)
    instance.turn()
    assert cancels(instance.turn(instance.control("cancel"))) == ["e1.1"]
    instance.turn(instance.child_ended(1, result=7))
    assert (instance.status, got) == (CANCELLED, [7])


@pytest.mark.rule(13)
def test_a_child_that_was_cancelled_by_others_is_a_failure_of_the_call() -> None:
    @orchestration(registry=Registry())
    async def calling(ctx: OrchestrationContext) -> str:
        try:
            await child()
        except SubOrchestrationFailedError as error:
            return error.failure.type
        return ""

    instance = Instance(calling)
    instance.turn()
    instance.turn(instance.child_ended(1, CANCELLED))
    assert instance.output == "dtf_runtime.OrchestrationCancelledError"


def _leaving(how: str) -> Any:
    @orchestration(registry=Registry())
    async def leaving(ctx: OrchestrationContext) -> None:
        child()
        ctx.start(child)
        first()
        await ctx.wait_for_event("go")
        if how == "fail":
            raise ValueError("on purpose")
        if how == "continue":
            ctx.continue_as_new()

    return leaving


@pytest.mark.rule(13)
@pytest.mark.parametrize(
    ("how", "status", "reaches"),
    [
        ("fail", FAILED, True),
        ("cancel", CANCELLED, True),
        ("return", COMPLETED, False),
        ("continue", OrchestrationStatus.CONTINUED_AS_NEW, False),
    ],
)
def test_which_ends_reach_open_children_and_activities(how: str, status: OrchestrationStatus, reaches: bool) -> None:
    instance = Instance(_leaving(how))
    instance.turn()
    commit = instance.turn(instance.control("cancel") if how == "cancel" else raised("go"))
    assert commit.status == status
    assert cancels(commit) == (["e1.1"] if reaches else [])  # e1.2 was started with ctx.start: never touched
    assert list(commit.cancelled_tasks) == ([3] if reaches else [])


@pytest.mark.rule(13)
def test_a_failing_group_cancels_its_activities_at_once_and_waits_for_its_children() -> None:
    @orchestration(registry=Registry())
    async def grouping(ctx: OrchestrationContext) -> str:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(first())
                group.create_task(second())
                group.create_task(child())
        except ExceptionGroup as errors:
            return f"{len(errors.exceptions)} failed"
        return ""

    instance = Instance(grouping)
    instance.turn()
    commit = instance.turn(instance.failed(1, OSError("first")))
    assert list(commit.cancelled_tasks) == [2] and cancels(commit) == ["e1.3"]
    assert instance.live is not None
    instance.turn(instance.child_ended(3, CANCELLED))
    assert instance.output == "1 failed"
