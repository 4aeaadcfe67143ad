"""Rules 14, 16 and 18: suspend and resume, rewind, retries, and the ids that follow from numbers."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from dtf_runtime import (
    FailureDetails,
    NonRetriableError,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryAfter,
    RetryPolicy,
    TaskFailedError,
    orchestration,
)
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import Commit
from dtf_runtime.replay.retries import retry_delay
from tests.replay.definitions import REGISTRY, THREE_TIMES, child, first, second
from tests.replay.instance import START, Instance, raised

FAILED = OrchestrationStatus.FAILED


# == Suspend and resume


@orchestration(registry=Registry())
async def logging_events(ctx: OrchestrationContext) -> list[int]:
    call = first.options(retry=THREE_TIMES)()
    found = [await ctx.wait_for_event("e", int), await ctx.wait_for_event("e", int)]
    return [*found, await call]


@pytest.mark.rule(14)
@pytest.mark.parametrize("evicted", [False, True])
def test_a_suspended_instance_takes_events_in_and_gets_them_in_order_at_the_resume(evicted: bool) -> None:
    instance = Instance(logging_events)
    instance.turn()
    assert instance.turn(instance.control("suspend")).status == OrchestrationStatus.SUSPENDED
    assert instance.turn(instance.completed(1, 9), raised("e", 1)).status == OrchestrationStatus.SUSPENDED
    if evicted:
        instance.evict()
    instance.turn(raised("e", 2))
    assert instance.live is not None
    instance.turn(instance.control("resume"))
    assert instance.output == [1, 2, 9]
    instance.replay()


@pytest.mark.rule(14, 16)
@pytest.mark.parametrize("evicted", [False, True])
def test_retries_go_on_while_suspended(evicted: bool) -> None:
    instance = Instance(logging_events)
    instance.turn()
    instance.turn(instance.control("suspend"), raised("e", 1), raised("e", 2))
    for attempt in (1, 2):
        commit = instance.turn(instance.failed(1, OSError(), attempt))
        assert [task.attempt for task in commit.tasks] == [attempt + 1]
        if evicted:
            instance.evict()
    instance.turn(instance.completed(1, 9, attempt=3))
    instance.turn(instance.control("resume"))
    assert instance.output == [1, 2, 9]


@pytest.mark.rule(14)
def test_one_suspended_before_it_began_begins_at_the_resume() -> None:
    instance = Instance(logging_events)
    commit = instance.turn(raised("e", 1), instance.control("suspend"))
    assert commit.status == OrchestrationStatus.SUSPENDED and list(commit.tasks) == []
    instance.evict()
    instance.turn(raised("e", 2))
    commit = instance.turn(instance.control("resume"))
    assert [task.name for task in commit.tasks] == ["first"]
    instance.turn(instance.completed(1, 3))
    assert instance.output == [1, 2, 3]


@pytest.mark.rule(14)
def test_a_resume_that_resumes_nothing_is_not_recorded() -> None:
    instance = Instance(logging_events)
    instance.turn()
    before = instance.kinds()
    instance.turn(instance.control("resume"))
    assert instance.kinds() == before


# == Rewind


def rewinds(commit: Commit) -> list[str]:
    return [s.instance_id for s in commit.sends if isinstance(s.message, m.Control) and s.message.action == "rewind"]


@orchestration(registry=Registry())
async def three_steps(ctx: OrchestrationContext) -> int:
    return await first(1) + await second(2) + await first(3)


@pytest.mark.rule(14)
def test_rewind_makes_the_failed_call_again_and_goes_on() -> None:
    instance = Instance(three_steps)
    instance.turn()
    instance.turn(instance.completed(1, 1))
    assert instance.turn(instance.failed(2, OSError("down"))).status == FAILED
    commit = instance.rewind()
    assert [(task.number, task.attempt, task.name) for task in commit.tasks] == [(2, 1, "second")]
    assert instance.kinds()[3:] == ["TaskCompleted", "TaskScheduled", "ExecutionRewound"]
    instance.evict()
    instance.turn(instance.completed(2, 20))
    # The end took number 3 before the rewind: it is not given to a call that would share its idempotency key.
    assert [event.number for event in instance.of_kind(h.TaskScheduled)] == [1, 2, 4]
    instance.turn(instance.completed(4, 300))
    assert instance.output == 321
    instance.replay()


@pytest.mark.rule(14)
def test_rewind_feeds_again_what_came_after_the_failure_and_opens_what_was_open() -> None:
    @orchestration(registry=Registry())
    async def crowd(ctx: OrchestrationContext) -> list[Any]:
        calls = [first(n) for n in range(3)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        event = await ctx.wait_for_event("go", int)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return [*results, event]

    instance = Instance(crowd)
    instance.turn()
    instance.turn(instance.failed(2, OSError()), instance.failed(1, OSError()), instance.completed(3, 30))
    instance.turn(raised("go", 7))
    assert instance.status == FAILED
    commit = instance.rewind()
    assert sorted(task.number for task in commit.tasks) == [1, 2]  # both failures went, the success stayed
    assert instance.kinds()[-3:] == ["ExecutionRewound", "TaskCompleted", "EventRaised"]
    instance.turn(instance.completed(1, 10), instance.completed(2, 20))
    assert instance.output == [10, 20, 30, 7]
    instance.replay()


@pytest.mark.rule(14)
def test_a_failed_child_is_rewound_and_one_that_was_cancelled_with_the_parent_begins_anew() -> None:
    @orchestration(registry=Registry())
    async def family(ctx: OrchestrationContext) -> list[int]:
        return list(await asyncio.gather(child(1), child(2)))

    instance = Instance(family)
    started = {start.instance_id: start.execution_id for start in instance.turn().starts}
    instance.turn(instance.child_ended(1, FAILED, error=ValueError()))
    commit = instance.rewind()
    assert rewinds(commit) == ["e1.1"]
    (again,) = commit.starts
    assert again.instance_id == "e1.2" and again.execution_id != started["e1.2"]
    instance.evict()
    instance.turn(instance.child_ended(1, result=1), instance.child_ended(2, result=2))
    assert instance.output == [1, 2]


@pytest.mark.rule(14)
def test_a_failure_of_the_code_itself_goes_on_with_the_code_of_today() -> None:
    def made(fixed: bool) -> Any:
        @orchestration(name="buggy", registry=Registry())
        async def buggy(ctx: OrchestrationContext) -> int:
            found = await first(1)
            if not fixed:
                raise ValueError("a bug")
            return found + await second(2)

        return buggy

    instance = Instance(made(False))
    instance.turn()
    assert instance.turn(instance.completed(1, 1)).status == FAILED
    instance.orchestration = made(True)
    commit = instance.rewind()
    assert [(task.number, task.name) for task in commit.tasks] == [(3, "second")]
    instance.evict()
    instance.turn(instance.completed(3, 10))
    assert instance.output == 11
    instance.replay()


@pytest.mark.rule(14)
def test_an_instance_can_be_rewound_more_than_once_and_its_timers_are_set_again() -> None:
    @orchestration(registry=Registry())
    async def patient(ctx: OrchestrationContext) -> int:
        async with asyncio.timeout(3600):
            return await first()

    instance = Instance(patient)
    instance.turn()
    for _ in range(3):
        instance.turn(instance.failed(2, OSError()))
        assert instance.status == FAILED
        commit = instance.rewind()
        assert [task.number for task in commit.tasks] == [2]
        assert [timer.number for timer in commit.timers] == [1]
        instance.evict()
    instance.turn(instance.completed(2, 5))
    assert instance.output == 5
    instance.replay()


# == Retries


@orchestration(registry=Registry())
async def insisting(ctx: OrchestrationContext) -> int:
    return await first.options(retry=THREE_TIMES)(1)


@pytest.mark.rule(16)
def test_a_call_has_one_number_and_its_attempts_are_due_when_the_policy_says() -> None:
    instance = Instance(insisting)
    instance.turn()
    waits = []
    for attempt in (1, 2):
        commit = instance.turn(instance.failed(1, OSError(), attempt), after=1)
        (task,) = commit.tasks
        assert (task.number, task.attempt) == (1, attempt + 1) and task.due is not None
        waits.append((task.due - instance.now).total_seconds())
        assert instance.of_kind(h.TaskFailed)[-1].retry_at == task.due
        instance.evict()
    assert waits == [10, 20] and "TimerCreated" not in instance.kinds()
    instance.turn(instance.failed(1, OSError("thrice"), 3))
    assert instance.status == FAILED and "thrice" in instance.failure.message


@pytest.mark.rule(16)
def test_the_verdict_is_stored_so_replay_asks_neither_policy_nor_predicate() -> None:
    asked: list[str] = []

    def judge(failure: FailureDetails) -> bool:
        asked.append(failure.type)
        return True

    def made(policy: RetryPolicy | None) -> Any:
        @orchestration(name="judged", registry=Registry())
        async def judged(ctx: OrchestrationContext) -> int:
            return await first.options(retry=policy)(1)

        return judged

    instance = Instance(made(RetryPolicy(max_attempts=3, retry_if=judge)))
    instance.turn()
    instance.turn(instance.failed(1, OSError()))
    instance.evict()
    instance.replay()
    assert asked == ["builtins.OSError"]
    instance.orchestration = made(None)  # today's code would not try again; what was promised stands
    instance.turn(instance.completed(1, 5, attempt=2))
    assert instance.output == 5


@pytest.mark.rule(16)
def test_a_predicate_that_raises_says_no() -> None:
    def broken(failure: FailureDetails) -> bool:
        raise ZeroDivisionError

    @orchestration(registry=Registry())
    async def judged(ctx: OrchestrationContext) -> int:
        return await first.options(retry=RetryPolicy(retry_if=broken))(1)

    instance = Instance(judged)
    instance.turn()
    assert instance.turn(instance.failed(1, OSError("as it was"))).status == FAILED
    assert "as it was" in instance.failure.message


@pytest.mark.rule(16)
@pytest.mark.parametrize(
    ("policy", "attempt", "seconds"),
    [
        (RetryPolicy(first_interval=2), 1, 2),
        (RetryPolicy(first_interval=2), 4, 16),
        (RetryPolicy(first_interval=2, backoff_coefficient=3, max_interval=10), 3, 10),
        (RetryPolicy(first_interval=timedelta(minutes=1), backoff_coefficient=1), 9, 60),
        (RetryPolicy(first_interval=1, max_interval=30), 100_000, 30),  # the exponent alone would overflow
    ],
)
def test_the_wait_grows_by_the_coefficient_up_to_the_longest(policy: RetryPolicy, attempt: int, seconds: float) -> None:
    assert retry_delay(policy, attempt) == seconds
    assert retry_delay(policy, attempt, retry_after=7) == 7  # the failure's own wish goes first


@pytest.mark.rule(16)
def test_jitter_stays_within_its_share_and_is_not_drawn_from_the_orchestration() -> None:
    policy = RetryPolicy(first_interval=100, jitter=0.1)
    waits = {retry_delay(policy, 1) for _ in range(200)}
    assert 90 <= min(waits) < max(waits) <= 110

    @orchestration(registry=Registry())
    async def random(ctx: OrchestrationContext) -> list[float]:
        before = ctx.random.random()
        await first.options(retry=policy)()
        return [before, ctx.random.random()]

    found = []
    for failures in (0, 2):
        instance = Instance(random)
        instance.turn()
        for attempt in range(1, failures + 1):
            instance.turn(instance.failed(1, OSError(), attempt))
        instance.turn(instance.completed(1, 0, attempt=failures + 1))
        found.append(instance.output)
    assert found[0] == found[1]


@pytest.mark.rule(16)
def test_no_attempt_begins_after_the_timeout_from_the_first_schedule() -> None:
    @orchestration(registry=Registry())
    async def limited(ctx: OrchestrationContext) -> int:
        return await first.options(retry=RetryPolicy(max_attempts=99, first_interval=10, timeout=35))(1)

    instance = Instance(limited)
    instance.turn()
    instance.turn(instance.failed(1, OSError()), after=1)  # next at 11
    instance.turn(instance.failed(1, OSError(), 2), after=13)  # at 14, next would be at 34
    assert instance.status == OrchestrationStatus.RUNNING
    instance.evict()
    instance.turn(instance.failed(1, OSError(), 3), after=20)  # at 34, next would be at 74
    assert instance.status == FAILED


@pytest.mark.rule(16)
def test_a_failure_that_forbids_it_is_final_under_every_policy_also_for_a_parent() -> None:
    def no_more() -> BaseException:
        return NonRetriableError("never")

    @orchestration(registry=Registry())
    async def parent(ctx: OrchestrationContext) -> int:
        return await child.options(retry=THREE_TIMES)(1)

    instance = Instance(insisting)
    instance.turn()
    assert instance.turn(instance.failed(1, no_more())).status == FAILED
    carried = TaskFailedError(instance.failure)
    above = Instance(parent)
    above.turn()
    assert above.turn(above.child_ended(1, FAILED, error=carried)).status == FAILED


@pytest.mark.rule(16)
def test_retry_after_without_a_policy_is_final_and_with_one_sets_the_wait() -> None:
    plain, patient = Instance(three_steps), Instance(insisting)
    for instance in (plain, patient):
        instance.turn()
        instance.turn(instance.failed(1, RetryAfter(300)))
    assert plain.status == FAILED
    assert patient.last.tasks[0].due == START + timedelta(seconds=300)


# == Ids


@pytest.mark.rule(18, 16)
def test_ids_of_children_their_attempts_and_the_next_execution_derive_and_never_meet() -> None:
    @orchestration(registry=Registry())
    async def family(ctx: OrchestrationContext) -> None:
        await child.options(retry=THREE_TIMES)(1)
        ctx.start(child, 2)
        await child.options(instance_id="chosen", retry=THREE_TIMES)(3)
        ctx.continue_as_new()

    starts: list[m.StartExecution] = []
    for execution_id in ("e1", "e2"):
        instance = Instance(family, execution_id=execution_id)
        starts += instance.turn().starts
        starts += instance.turn(instance.child_ended(1, FAILED, error=OSError())).starts
        starts += instance.turn(instance.child_ended(1, attempt=2)).starts
        starts += instance.turn(instance.child_ended(3, FAILED, error=OSError())).starts
        commit = instance.turn(instance.child_ended(3, attempt=2))
        assert commit.next is not None
        starts.append(m.StartExecution(instance_id=execution_id, execution_id=commit.next.execution_id, name="next"))
    ids = [start.instance_id for start in starts[:5]]
    assert ids == ["e1.1", "e1.1~2", "e1.2", "chosen", "chosen"]
    assert len({start.execution_id for start in starts}) == len(starts) == 12


@pytest.mark.rule(18)
def test_ids_and_chance_are_the_same_in_every_replay() -> None:
    @orchestration(registry=REGISTRY)
    async def drawing(ctx: OrchestrationContext) -> list[str]:
        drawn = [str(ctx.uuid4()), str(ctx.random.random())]
        await first()
        return [*drawn, str(ctx.uuid4()), ctx.start(child)]

    live, replayed, other = Instance(drawing), Instance(drawing), Instance(drawing, execution_id="e2")
    for instance in (live, replayed, other):
        instance.turn()
    replayed.evict()
    for instance in (live, replayed, other):
        instance.turn(instance.completed(1))
    assert live.output == replayed.output and len({*live.output, *other.output}) == 8
