"""Retries: the policy's formula, its limits, its verdicts, and who is asked. Waits are durable and take no timer."""

import time
from itertools import pairwise
from typing import Any

import pytest

from dtf_runtime import (
    FailureDetails,
    NonRetriableError,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    RetryAfter,
    RetryPolicy,
    SubOrchestrationFailedError,
    TaskFailedError,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub


class TransientError(Exception): ...


class TeapotError(TransientError): ...


class Flaky:
    """An activity that fails its first attempts, and remembers each one: number, time, key."""

    def __init__(self, registry: Registry, failures: int, error: BaseException | None = None) -> None:
        self.attempts: list[int] = []
        self.times: list[float] = []
        self.keys: list[str] = []

        @activity(name="flaky", registry=registry)
        async def flaky() -> int:
            context = activity_context()
            self.attempts.append(context.attempt)
            self.times.append(time.monotonic())
            self.keys.append(context.idempotency_key)
            if len(self.attempts) <= failures:
                raise error or TransientError(f"attempt {context.attempt}")
            return context.attempt

        self.call = flaky

    @property
    def gaps(self) -> list[float]:
        return [later - earlier for earlier, later in pairwise(self.times)]


def calling(registry: Registry, flaky: Flaky, policy: RetryPolicy | None) -> Any:
    """An orchestration that makes the one call, and fails as it fails."""

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> int:
        return await flaky.call.options(retry=policy)()

    return caller


async def test_attempts_go_on_until_one_succeeds(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=2)
    caller = calling(registry, flaky, RetryPolicy(max_attempts=5, first_interval=0.01))
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert (state.output, flaky.attempts) == (3, [1, 2, 3])
    assert len(set(flaky.keys)) == 1  # one logical call
    assert await hub.kinds(state.instance_id) == [
        "ExecutionStarted", "TaskScheduled", "TaskFailed", "TaskFailed", "TaskCompleted", "ExecutionCompleted"
    ]  # fmt: skip


async def test_waits_follow_the_formula_and_stop_growing_at_the_maximum(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=4)
    policy = RetryPolicy(max_attempts=5, first_interval=0.02, backoff_coefficient=2, max_interval=0.05)
    caller = calling(registry, flaky, policy)
    async with hub.worker(registry):
        assert await hub.run(caller) == 5
    for gap, least in zip(flaky.gaps, [0.02, 0.04, 0.05, 0.05], strict=True):
        assert gap >= least - 0.001


async def test_a_huge_coefficient_is_held_by_the_maximum(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=3)
    policy = RetryPolicy(max_attempts=4, first_interval=0.02, backoff_coefficient=1e200, max_interval=0.03)
    caller = calling(registry, flaky, policy)
    async with hub.worker(registry):
        assert await hub.run(caller) == 4


async def test_jitter_stays_within_its_share(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=5)
    policy = RetryPolicy(max_attempts=6, first_interval=0.04, backoff_coefficient=1, jitter=0.5)
    caller = calling(registry, flaky, policy)
    async with hub.worker(registry):
        assert await hub.run(caller) == 6
    assert all(gap >= 0.02 - 0.001 for gap in flaky.gaps)


async def test_attempts_are_exhausted_and_the_last_failure_is_the_calls(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=99)
    caller = calling(registry, flaky, RetryPolicy(max_attempts=3, first_interval=0.01))
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert flaky.attempts == [1, 2, 3]
    assert state.status == OrchestrationStatus.FAILED
    assert state.failure is not None and state.failure.inner_failure is not None
    assert state.failure.inner_failure.message == "attempt 3"
    counts = await hub.counts(state.instance_id)
    assert (counts["TaskScheduled"], counts["TaskFailed"], counts["TimerCreated"]) == (1, 3, 0)


async def test_no_attempt_starts_after_the_policys_timeout(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=9999)
    policy = RetryPolicy(max_attempts=9999, first_interval=0.06, backoff_coefficient=1, timeout=0.2)
    caller = calling(registry, flaky, policy)
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert state.status == OrchestrationStatus.FAILED
    assert 1 <= len(flaky.attempts) <= 4


async def test_without_a_policy_there_is_one_attempt(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=99)
    caller = calling(registry, flaky, None)
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert (state.status, flaky.attempts) == (OrchestrationStatus.FAILED, [1])


async def test_the_policy_of_the_definition_holds_unless_the_call_brings_its_own(hub: Hub, registry: Registry) -> None:
    ran: list[str] = []

    @activity(registry=registry, retry=RetryPolicy(max_attempts=2, first_interval=0.001))
    async def stubborn(who: str) -> None:
        ran.append(who)
        raise TransientError(who)

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> None:
        for call in (stubborn, stubborn.options(retry=None), stubborn.options(timeout=5)):
            with pytest.raises(TaskFailedError):
                await call("x")
        with pytest.raises(TaskFailedError):
            policy = RetryPolicy(max_attempts=3, first_interval=0.001)
            await ctx.call_activity(stubborn.name, "by name", retry=policy)

    async with hub.worker(registry):
        await hub.run(caller)
    assert ran == ["x"] * (2 + 1 + 2) + ["by name"] * 3


async def test_retry_if_is_asked_with_the_failure_and_decides(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=99)
    asked: list[str] = []

    def not_the_third(failure: FailureDetails) -> bool:
        asked.append(failure.message)
        return failure.is_caused_by(TransientError) and failure.message != "attempt 3"

    caller = calling(registry, flaky, RetryPolicy(max_attempts=9, first_interval=0.01, retry_if=not_the_third))
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert state.status == OrchestrationStatus.FAILED
    assert asked == ["attempt 1", "attempt 2", "attempt 3"]
    assert flaky.attempts == [1, 2, 3]


async def test_a_retry_if_that_raises_means_no(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=99)

    def broken(failure: FailureDetails) -> bool:
        raise KeyError(failure.type)

    caller = calling(registry, flaky, RetryPolicy(max_attempts=9, first_interval=0.01, retry_if=broken))
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert (state.status, flaky.attempts) == (OrchestrationStatus.FAILED, [1])
    assert state.failure is not None
    assert state.failure.is_caused_by(TransientError)  # the failure stays the activity's own


async def test_retry_if_is_not_asked_again_on_replay(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=1)
    asked: list[str] = []

    def ask(failure: FailureDetails) -> bool:
        asked.append(failure.message)
        return True

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> int:
        attempt = await flaky.call.options(retry=RetryPolicy(first_interval=0.01, retry_if=ask))()
        ctx.set_custom_status("called")
        await ctx.wait_for_event("go")
        return attempt

    async with hub.worker(registry):
        handle = await hub.client.start(caller)
        await hub.until_custom_status(handle, "called")
    async with hub.worker(registry):
        await hub.client.raise_event(handle.instance_id, "go")
        assert await handle.result(WAIT) == 2
    assert (asked, flaky.attempts) == (["attempt 1"], [1, 2])


@pytest.mark.parametrize(
    "kinds", [(TransientError,), ("TransientError",), (f"{__name__}.TransientError",), (KeyError, "TransientError")]
)
async def test_non_retriable_kinds_end_the_attempts_by_class_or_name_and_for_subclasses(
    hub: Hub, registry: Registry, kinds: tuple[type[BaseException] | str, ...]
) -> None:
    flaky = Flaky(registry, failures=99, error=TeapotError("short and stout"))
    caller = calling(registry, flaky, RetryPolicy(max_attempts=9, first_interval=0.01, non_retriable=kinds))
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert (state.status, flaky.attempts) == (OrchestrationStatus.FAILED, [1])


async def test_another_kind_than_the_non_retriable_ones_is_tried_again(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=1)
    caller = calling(registry, flaky, RetryPolicy(first_interval=0.01, non_retriable=(TeapotError, "OSError")))
    async with hub.worker(registry):
        assert await hub.run(caller) == 2


async def test_both_retry_if_and_non_retriable_must_allow_another_attempt(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=99)
    policy = RetryPolicy(first_interval=0.01, non_retriable=("TransientError",), retry_if=lambda failure: True)
    caller = calling(registry, flaky, policy)
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert (state.status, flaky.attempts) == (OrchestrationStatus.FAILED, [1])


async def test_a_non_retriable_error_stops_every_policy_a_parents_over_a_child_too(
    hub: Hub, registry: Registry
) -> None:
    flaky = Flaky(registry, failures=99, error=NonRetriableError("card is stolen"))
    policy = RetryPolicy(max_attempts=5, first_interval=0.01)
    child = calling(registry, flaky, policy)

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> str:
        with pytest.raises(SubOrchestrationFailedError) as caught:
            await child.options(retry=policy)()
        return str(caught.value.failure.is_caused_by(NonRetriableError))

    async with hub.worker(registry):
        assert await hub.run(parent) == "True"
    assert flaky.attempts == [1]


async def test_retry_after_is_waited_for_and_counts_as_an_attempt(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=2, error=RetryAfter(0.08, "busy"))
    caller = calling(registry, flaky, RetryPolicy(max_attempts=3, first_interval=0.001, max_interval=0.002))
    async with hub.worker(registry):
        assert await hub.run(caller) == 3
    assert all(gap >= 0.08 - 0.001 for gap in flaky.gaps)


async def test_retry_after_shortens_a_wait_too(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=1, error=RetryAfter(0.01))
    caller = calling(registry, flaky, RetryPolicy(first_interval=3600))
    async with hub.worker(registry):
        assert await hub.run(caller) == 2


async def test_retry_after_without_a_policy_is_final(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=1, error=RetryAfter(0.01, "busy"))
    caller = calling(registry, flaky, None)
    async with hub.worker(registry):
        state = await hub.finished(caller)
    assert (state.status, flaky.attempts) == (OrchestrationStatus.FAILED, [1])
    assert state.failure is not None and state.failure.inner_failure is not None
    assert state.failure.inner_failure.retry_after == pytest.approx(0.01)


async def test_a_wait_between_attempts_survives_the_worker(hub: Hub, registry: Registry) -> None:
    flaky = Flaky(registry, failures=1)
    caller = calling(registry, flaky, RetryPolicy(first_interval=0.1))
    async with hub.worker(registry):
        handle = await hub.client.start(caller)
        await hub.until_history_has(handle, "TaskFailed")
    async with hub.worker(registry):
        assert await handle.result(WAIT) == 2
    assert flaky.attempts == [1, 2]
    assert flaky.gaps[0] >= 0.1 - 0.001


async def test_a_changed_policy_does_not_break_a_running_instance(hub: Hub, registry: Registry) -> None:
    def deploy(policy: RetryPolicy | None, flaky: Flaky, into: Registry) -> Any:
        @orchestration(name="caller", registry=into)
        async def caller(ctx: OrchestrationContext) -> int:
            attempt = await flaky.call.options(retry=policy)()
            ctx.set_custom_status("called")
            await ctx.wait_for_event("go")
            return attempt

        return caller

    later = Registry()
    flaky = Flaky(registry, failures=2)
    caller = deploy(RetryPolicy(max_attempts=3, first_interval=0.01), flaky, registry)
    deploy(None, flaky, later.add(flaky.call))
    async with hub.worker(registry):
        handle = await hub.client.start(caller)
        await hub.until_custom_status(handle, "called")
    async with hub.worker(later):
        await hub.client.raise_event(handle.instance_id, "go")
        assert await handle.result(WAIT) == 3


async def test_a_child_is_tried_again_under_an_id_of_its_own(hub: Hub, registry: Registry) -> None:
    ids: list[str] = []

    @activity(registry=registry)
    async def note(instance_id: str) -> int:
        ids.append(instance_id)
        return len(ids)

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> int:
        count = await note(ctx.instance_id)
        if count < 3:
            raise TransientError(str(count))
        return count

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> int:
        return await child.options(retry=RetryPolicy(max_attempts=3, first_interval=0.01))()

    async with hub.worker(registry):
        state = await hub.finished(parent)
    assert state.output == 3
    first, second, third = ids
    assert [second.rpartition("~")[0], third.rpartition("~")[0]] == [first, first]
    assert sum((await hub.client.count(OrchestrationQuery(parent_id=state.instance_id))).values()) == 3
    counts = await hub.counts(state.instance_id)
    assert (counts["SubOrchestrationFailed"], counts["SubOrchestrationCompleted"]) == (2, 1)
    assert counts["TimerCreated"] == 0


async def test_a_child_with_an_explicit_id_keeps_it_when_tried_again(hub: Hub, registry: Registry) -> None:
    ids: list[str] = []

    @activity(registry=registry)
    async def note(instance_id: str) -> int:
        ids.append(instance_id)
        return len(ids)

    @orchestration(registry=registry)
    async def child(ctx: OrchestrationContext) -> int:
        count = await note(ctx.instance_id)
        if count < 2:
            raise TransientError(str(count))
        return count

    @orchestration(registry=registry)
    async def parent(ctx: OrchestrationContext) -> int:
        return await child.options(instance_id="mine", retry=RetryPolicy(first_interval=0.01))()

    async with hub.worker(registry):
        assert await hub.run(parent) == 2
    assert ids == ["mine", "mine"]
