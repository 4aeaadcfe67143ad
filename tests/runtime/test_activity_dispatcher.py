"""What the activity dispatcher makes of whatever an activity does: each gets exactly one answer, or is handed back, and the worker lives on.

It runs against a small service of ours behind the provider contract, so that each delivery can be made at will.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from msgspec import UNSET, Raw

from dtf_runtime import (
    NonRetriableError,
    OrchestrationService,
    ProviderError,
    Registry,
    VersionPolicy,
    activity_context,
)
from dtf_runtime.clock import REAL_CLOCK
from dtf_runtime.definitions import Activity
from dtf_runtime.dispatchers.activities import ActivityDispatcher
from dtf_runtime.dispatchers.profiles import Profile
from dtf_runtime.errors import FailureDetails
from dtf_runtime.model.messages import ActivityResult, ActivityTask
from dtf_runtime.service import ActivityWorkItem, WorkerProfile

WAIT = 10.0  # seconds


class Deliveries:
    """Hands out what it is given, and keeps what comes back."""

    def __init__(self) -> None:
        self.queue: list[ActivityWorkItem] = []
        self.results: dict[int, ActivityResult] = {}
        self.handed_back: list[tuple[int, bool]] = []
        self.heartbeats: list[tuple[int, bytes]] = []
        self.lost: set[int] = set()
        self.failing_hand_overs = 0
        self.changed = asyncio.Event()

    def give(
        self, name: str, number: int, *, input: bytes = b"[]", poisoned: bool = False, **task: Any
    ) -> ActivityWorkItem:
        sent = ActivityTask(number=number, name=name, input=Raw(input), **task)
        item = ActivityWorkItem(
            instance_id="i", execution_id="e", task=sent, poisoned=poisoned, deliveries=9 if poisoned else 0
        )
        self.queue.append(item)
        self.changed.set()
        return item

    async def lock_activities(self, worker: WorkerProfile, most: int) -> list[ActivityWorkItem]:
        while True:
            taken: list[ActivityWorkItem] = []
            for item in list(self.queue):
                if len(taken) < most and worker.take_activity(item.task.name, item.task.version):
                    self.queue.remove(item)
                    taken.append(item)
            if taken:
                return taken
            self.changed.clear()
            await self.changed.wait()

    async def complete_activity(self, item: ActivityWorkItem, result: ActivityResult) -> None:
        if self.failing_hand_overs:
            self.failing_hand_overs -= 1
            raise ProviderError("the disk was busy")
        number = item.task.number
        assert number not in self.results, f"task {number} was answered twice"
        self.results[number] = result

    async def abandon_activity(self, item: ActivityWorkItem, *, counts: bool) -> None:
        self.handed_back.append((item.task.number, counts))

    async def renew_activity(self, item: ActivityWorkItem, heartbeat: Raw | None = None) -> bool:
        if heartbeat is not None:
            self.heartbeats.append((item.task.number, bytes(heartbeat)))
        return item.task.number in self.lost

    async def answer(self, number: int) -> ActivityResult:
        await until(lambda: number in self.results, f"task {number} is answered")
        return self.results[number]

    async def failure(self, number: int) -> FailureDetails:
        failure = (await self.answer(number)).failure
        assert failure is not None
        return failure

    async def value(self, number: int) -> bytes:
        result = (await self.answer(number)).result
        assert result is not UNSET
        return bytes(result)


async def until(reached: Callable[[], bool], what: str) -> None:
    try:
        async with asyncio.timeout(WAIT):
            while not reached():
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"did not happen: {what}") from None


async def passes() -> None:
    """Whatever is ready to run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


@asynccontextmanager
async def working(
    *functions: Callable[..., Any], slots: int = 4, grace: float = 0.05, lock: float = 30.0, **limits: int
) -> AsyncIterator[Deliveries]:
    """A dispatcher that runs those functions, each by its own name. `limits`: the most of each at once."""
    registry = Registry(*(Activity(fn, name=fn.__name__, max_concurrency=limits.get(fn.__name__)) for fn in functions))
    profile = Profile(registry, VersionPolicy.STRICT, lock_duration=lock, max_delivery_count=10)
    service = Deliveries()
    hub = cast(OrchestrationService, service)
    dispatcher = ActivityDispatcher(hub, profile, REAL_CLOCK, slots=slots, grace=grace)
    run = asyncio.create_task(dispatcher.run())
    try:
        yield service
        assert not run.done(), "the dispatcher ended by itself"
    finally:
        run.cancel()
        await asyncio.wait([run])
        await dispatcher.close()


# == Every end is an answer =======================================================================================


def ok() -> str:
    return "fine"


def raising(error: BaseException) -> tuple[Callable[[], Any], Callable[[], Any]]:
    async def in_loop() -> None:
        raise error

    def in_thread() -> None:
        raise error

    return in_loop, in_thread


@pytest.mark.parametrize(
    "error",
    [
        ValueError("no"),
        asyncio.CancelledError("mine"),
        SystemExit(3),
        KeyboardInterrupt(),
        GeneratorExit(),
        StopIteration(5),
        StopAsyncIteration(),
        TimeoutError("its own"),
        BaseExceptionGroup("several", [KeyboardInterrupt(), ValueError("no")]),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_an_activity_raises_is_its_failure_and_the_worker_lives_on(error: BaseException) -> None:
    async with working(*raising(error), ok) as service:
        service.give("in_loop", 1)
        service.give("in_thread", 2)
        for number in (1, 2):
            assert (await service.failure(number)).is_caused_by(type(error))
        service.give("ok", 3)
        assert await service.value(3) == b'"fine"'


async def test_a_failure_of_a_thread_shows_where_it_was_raised() -> None:
    def deep_inside() -> None:
        raise ValueError("here")

    async with working(deep_inside) as service:
        service.give("deep_inside", 1)
        assert "deep_inside" in (await service.failure(1)).stack_trace


async def test_arguments_and_results_that_can_not_cross_are_final_failures() -> None:
    async def count(n: int) -> int:
        return n

    async def lock() -> Any:
        return threading.Lock()

    async with working(count, lock) as service:
        service.give("count", 1, input=b'["three"]')
        service.give("count", 2, input=b"[")
        service.give("lock", 3)
        for number, what in ((1, "count"), (2, "count"), (3, "lock")):
            failure = await service.failure(number)
            assert failure.type == "dtf_runtime.SerializationError" and what in failure.message
            assert failure.non_retriable


async def test_wrong_arguments_are_a_failure() -> None:
    async def none() -> None: ...

    async with working(none) as service:
        service.give("none", 1, input=b"[1]")
        assert (await service.failure(1)).is_caused_by(TypeError)


async def test_a_plain_function_that_gives_an_awaitable_is_awaited() -> None:
    def make() -> Any:
        async def later() -> str:
            return activity_context().name

        return later()

    async with working(make) as service:
        service.give("make", 1)
        assert await service.value(1) == b'"make"'


async def test_poison_is_not_run_and_fails_for_good() -> None:
    ran: list[int] = []

    async def deadly() -> None:
        ran.append(1)

    async with working(deadly) as service:
        service.give("deadly", 1, poisoned=True)
        failure = await service.failure(1)
    assert failure.is_caused_by(NonRetriableError) and failure.non_retriable
    assert "'deadly'" in failure.message and "'i'" in failure.message and "9 times" in failure.message
    assert ran == []


async def test_a_result_is_offered_again_when_the_provider_was_busy() -> None:
    ran: list[int] = []

    async def pay() -> None:
        ran.append(1)

    async with working(pay) as service:
        service.failing_hand_overs = 2
        service.give("pay", 1)
        assert await service.value(1) == b"null"
    assert ran == [1]


# == Time limits ==================================================================================================


async def test_a_thread_over_its_time_keeps_its_slot_until_it_ends() -> None:
    release = threading.Event()

    def stuck() -> str:
        release.wait(WAIT)
        return "too late"

    async with working(stuck, ok, slots=1) as service:
        service.give("stuck", 1, timeout=0.02)
        assert (await service.failure(1)).is_caused_by(TimeoutError)
        service.give("ok", 2)
        await passes()
        assert 2 not in service.results
        release.set()
        assert await service.value(2) == b'"fine"'
    assert service.results[1].failure is not None  # its late result was not sent


async def test_a_timeout_names_the_call_and_the_limit_and_shows_where_it_waited() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    async with working(waits_for_ever) as service:
        service.give("waits_for_ever", 7, timeout=0.02, attempt=2)
        failure = await service.failure(7)
    assert (
        failure.message
        == "activity 'waits_for_ever' (task 7 of 'i', attempt 2) did not end within its timeout of 0.02 s"
    )
    assert failure.inner_failure is not None and "waits_for_ever" in failure.inner_failure.stack_trace


async def test_heartbeats_from_a_thread_hold_off_the_heartbeat_timeout_and_silence_does_not() -> None:
    pause = threading.Event()

    def beats_then_sleeps() -> None:
        for n in range(10):
            activity_context().heartbeat(n)
            pause.wait(0.02)
        pause.wait(WAIT)

    async with working(beats_then_sleeps) as service:
        service.give("beats_then_sleeps", 1, heartbeat_timeout=0.1)
        result = await service.answer(1)
        assert result.failure is not None and "no heartbeat for 0.1 s" in result.failure.message
        assert result.heartbeat is not UNSET and bytes(result.heartbeat) == b"9"
        pause.set()


async def test_many_heartbeats_are_sent_as_few_and_the_newest_is_among_them() -> None:
    async def chatty() -> None:
        for n in range(1_000):
            activity_context().heartbeat(n)
        await asyncio.sleep(0.02)

    async with working(chatty) as service:
        service.give("chatty", 1)
        await service.answer(1)
    assert service.heartbeats[-1] == (1, b"999")
    assert len(service.heartbeats) < 10


# == Cancels and leases ===========================================================================================


async def test_a_lost_lease_cancels_and_the_late_result_is_not_sent() -> None:
    ended = asyncio.Event()

    async def long() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            assert activity_context().cancelled.is_set()
            ended.set()
        return "too late"

    async with working(long, ok, lock=0.06) as service:
        service.give("long", 1)
        service.lost.add(1)
        await asyncio.wait_for(ended.wait(), WAIT)
        service.give("ok", 2)
        await service.answer(2)
        assert 1 not in service.results


async def test_a_cancel_before_the_first_step_runs_nothing_and_frees_the_slot() -> None:
    ran: list[int] = []

    async def work() -> None:
        ran.append(1)

    async with working(work, ok, slots=1) as service:
        item = service.give("work", 1)
        item.cancelled = True
        service.give("ok", 2)
        await service.answer(2)
    assert ran == [] and set(service.results) == {2}


async def test_a_cancel_by_the_provider_reaches_a_thread() -> None:
    began = threading.Event()
    told = threading.Event()

    def polls() -> None:
        began.set()
        pause = threading.Event()
        while True:
            try:
                activity_context().raise_if_cancelled()
            except asyncio.CancelledError:
                told.set()
                raise
            pause.wait(0.005)

    async with working(polls, ok, slots=1) as service:
        item = service.give("polls", 1)
        await until(began.is_set, "it runs")
        assert item.on_cancel is not None
        item.on_cancel()
        await until(told.is_set, "it is told")
        service.give("ok", 2)
        await service.answer(2)
    assert set(service.results) == {2}


# == Slots and limits =============================================================================================


@pytest.mark.parametrize("outlives_its_attempt", [False, True])
async def test_a_place_of_an_activitys_own_limit_that_becomes_free_is_offered_at_once(
    outlives_its_attempt: bool,
) -> None:
    release = threading.Event()

    def precious() -> None:
        release.wait(WAIT)

    async with working(precious, ok, precious=1) as service:
        service.give("precious", 1, timeout=0.02 if outlives_its_attempt else None)
        service.give("precious", 2)
        service.give("ok", 3)
        await service.answer(3)
        assert [item.task.number for item in service.queue] == [2]
        release.set()
        await service.answer(2)


async def test_no_more_is_asked_for_than_there_are_free_slots() -> None:
    may_end = asyncio.Event()
    now: list[int] = []

    async def held() -> None:
        now.append(1)
        await may_end.wait()

    async with working(held, slots=3) as service:
        for number in range(10):
            service.give("held", number)
        await until(lambda: len(now) == 3, "three run")
        await passes()
        assert len(now) == 3 and len(service.queue) == 7
        may_end.set()
        for number in range(10):
            await service.answer(number)


# == Stopping =====================================================================================================


async def test_what_outlasts_the_grace_is_handed_back_without_counting_and_its_results_are_not_sent() -> None:
    release, released = threading.Event(), threading.Event()

    async def in_loop() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "swallowed"
        return "never"

    def in_thread() -> str:
        release.wait(WAIT)
        released.set()
        return "too late"

    async with working(in_loop, in_thread) as service:
        service.give("in_loop", 1)
        service.give("in_thread", 2)
        await until(lambda: not service.queue, "both run")
    assert sorted(service.handed_back) == [(1, False), (2, False)]
    release.set()
    await until(released.is_set, "the thread ends")
    await passes()
    assert service.results == {}


async def test_a_heartbeat_given_just_before_is_stored_before_it_is_handed_back() -> None:
    began = asyncio.Event()

    async def long() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            activity_context().heartbeat("the last words")

    async with working(long, grace=0) as service:
        service.give("long", 1)
        await began.wait()
    assert service.heartbeats == [(1, b'"the last words"')]
    assert service.handed_back == [(1, False)]


def test_a_loop_that_is_torn_down_hands_activities_back_and_fails_none() -> None:
    kept: list[Deliveries] = []

    async def long() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        registry = Registry(Activity(long, name="long"))
        profile = Profile(registry, VersionPolicy.STRICT, lock_duration=30, max_delivery_count=10)
        service = Deliveries()
        kept.append(service)
        dispatcher = ActivityDispatcher(cast(OrchestrationService, service), profile, REAL_CLOCK, slots=4, grace=0)
        service.give("long", 1)
        running = asyncio.create_task(dispatcher.run())
        await until(lambda: not service.queue, "it runs")
        await asyncio.sleep(0)
        assert not running.done()

    asyncio.run(main())  # returns with both tasks running: asyncio cancels every one of them
    assert kept[0].handed_back == [(1, False)]
    assert kept[0].results == {}
