"""Bad input at every public door: a clear error of our own, nothing stored, nothing lost, and the worker goes on."""

import asyncio
import math
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dtf_runtime import (
    DefinitionNotFoundError,
    DuplicateDefinitionError,
    DurableTaskError,
    InvalidArgumentError,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    RetryAfter,
    RetryPolicy,
    SerializationError,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    WorkerOptions,
    activity,
    activity_context,
    connect,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub, bystander, bystander_step

NAIVE = datetime(2030, 1, 1)
NEGATIVE = timedelta(seconds=-1)

# Ids that work like any other.
ODD_IDS = {
    "slashes": "a/b\\c//d",
    "dots": "../../etc/passwd",
    "unicode": "naïve-\U0001f600-Ω-日本",
    "right to left": "\u202eabc\u2066",
    "spaces": "  a  b  ",
    "quotes": "'; DROP TABLE instances; --\"`",
    "wildcards": "%_*?[a-z]#",
    "separators": "a|b:c@d~1&e=f,g;h",
    "looks like nothing": "None",
}

# Ids that may be refused; one that is accepted must work to the letter.
DOUBTFUL_IDS = {
    "10,000 characters": "x" * 10_000,
    "10,000 wide characters": "\U0001f600" * 10_000,
    "null": "a\x00b",
    "newline": "a\nb",
    "escape": "\x1b[31mred",
    "lone surrogate": "a\ud800b",
}


@pytest.fixture
async def working(hub: Hub, registry: Registry) -> AsyncIterator[Hub]:
    """A hub with a worker that must have come through the bad input unharmed when the test is over."""

    @orchestration(name="echo", registry=registry)
    async def echo(ctx: OrchestrationContext, value: Any = None) -> Any:
        return value

    async with hub.worker(registry):
        yield hub
        await hub.bystander_runs()


async def stored(hub: Hub) -> int:
    return sum((await hub.client.count()).values())


# -- ids and names ------------------------------------------------------------------------------------------------


async def lives_a_whole_life(hub: Hub, instance_id: str) -> None:
    handle = await hub.client.start("echo", "heard", instance_id=instance_id)
    assert await handle.result(WAIT) == "heard"
    state = await hub.state(instance_id)
    assert (state.instance_id, state.output) == (instance_id, "heard")
    query = OrchestrationQuery(instance_id_prefix=instance_id)
    assert [found.instance_id async for found in hub.client.query(query)] == [instance_id]
    assert await hub.kinds(instance_id) == ["ExecutionStarted", "ExecutionCompleted"]
    await hub.client.raise_event(instance_id, "too late")
    await hub.client.restart(instance_id)
    await hub.client.handle(instance_id).wait(WAIT)
    assert (await hub.client.purge(instance_id)).deleted == 1


@pytest.mark.parametrize("instance_id", ODD_IDS.values(), ids=ODD_IDS)
async def test_an_odd_id_works_like_any_other(working: Hub, instance_id: str) -> None:
    await lives_a_whole_life(working, instance_id)
    assert await stored(working) == 0


@pytest.mark.parametrize("instance_id", DOUBTFUL_IDS.values(), ids=DOUBTFUL_IDS)
async def test_a_doubtful_id_works_or_is_refused(working: Hub, instance_id: str) -> None:
    try:
        await lives_a_whole_life(working, instance_id)
    except InvalidArgumentError as error:
        assert re.search("instance.id", str(error))
    assert await stored(working) == 0


@pytest.mark.parametrize("instance_id", ["", 5, b"bytes", ["list"], object(), True], ids=repr)
async def test_what_is_no_id_is_refused_everywhere(working: Hub, instance_id: Any) -> None:
    client = working.client
    doors: list[Callable[[], Awaitable[Any]]] = [
        lambda: client.start("echo", instance_id=instance_id),
        lambda: client.get_state(instance_id),
        lambda: client.get_history(instance_id),
        lambda: client.raise_event(instance_id, "name"),
        lambda: client.terminate(instance_id),
        lambda: client.cancel(instance_id),
        lambda: client.suspend(instance_id),
        lambda: client.resume(instance_id),
        lambda: client.rewind(instance_id),
        lambda: client.restart(instance_id),
        lambda: client.purge(instance_id),
        lambda: client.handle(instance_id).state(),
    ]
    for door in doors:
        with pytest.raises(InvalidArgumentError):
            await door()
    assert await stored(working) == 0


@pytest.mark.parametrize("name", ["", 5, None, b"go", ["go"]], ids=repr)
async def test_what_is_no_event_name_is_refused(working: Hub, name: Any) -> None:
    handle = await working.client.start("echo", start_at=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(InvalidArgumentError):
        await working.client.raise_event(handle.instance_id, name)
    await working.client.terminate(handle.instance_id)


@pytest.mark.parametrize("target", [None, 5, "", object(), print, bystander_step], ids=lambda t: type(t).__name__)
async def test_what_is_no_orchestration_cannot_be_started(working: Hub, target: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await working.client.start(target)
    assert await stored(working) == 0


async def test_an_undecorated_function_is_told_to_be_decorated(working: Hub) -> None:
    async def plain(ctx: OrchestrationContext) -> None: ...

    undecorated: Any = plain
    with pytest.raises(InvalidArgumentError, match="@orchestration"):
        await working.client.start(undecorated)


async def test_inputs_that_do_not_fit_the_orchestration_are_refused(working: Hub, registry: Registry) -> None:
    start: Any = working.client.start
    with pytest.raises((InvalidArgumentError, TypeError)):
        await start(bystander, 1, 2, 3)
    with pytest.raises(InvalidArgumentError):
        await start(bystander, "an input it does not take")
    assert await stored(working) == 0


BAD_START = {
    "naive start_at": {"start_at": NAIVE},
    "start_at of another type": {"start_at": 1_700_000_000},
    "tags that are no mapping": {"tags": ["a"]},
    "a tag that is no text": {"tags": {"a": 1}},
    "a tag without a name": {"tags": {"": "x"}},
    "a version that is no text": {"version": 2},
    "reuse that is no collection": {"reuse": 7},
    "reuse of unknown statuses": {"reuse": ["gone"]},
}


@pytest.mark.parametrize("options", BAD_START.values(), ids=BAD_START)
async def test_bad_options_of_start_are_refused(working: Hub, options: dict[str, Any]) -> None:
    start: Any = working.client.start
    with pytest.raises(InvalidArgumentError):
        await start("echo", 1, **options)
    assert await stored(working) == 0


# -- values -------------------------------------------------------------------------------------------------------


def cyclic_list() -> Any:
    cycle: list[Any] = [1]
    cycle.append({"inside": cycle})
    return cycle


def deep_list() -> Any:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    return deep


BAD_VALUES: dict[str, Callable[[], Any]] = {
    "cycle": cyclic_list,
    "very deep": deep_list,
    "nan": lambda: math.nan,
    "nan inside": lambda: {"a": [math.nan]},
    "infinity": lambda: [-math.inf],
    "lone surrogate": lambda: "\ud800",
    "object": object,
    "module": lambda: math,
    "class": lambda: datetime,
    "coroutine function": lambda: asyncio.sleep,
    "generator": lambda: (n for n in range(3)),
    "odd keys": lambda: {(1, 2): 3},
}


@pytest.mark.parametrize("make", BAD_VALUES.values(), ids=BAD_VALUES)
async def test_values_that_cannot_be_stored_are_refused_at_every_door(working: Hub, make: Callable[[], Any]) -> None:
    with pytest.raises(SerializationError):
        await working.client.start("echo", make())
    assert await stored(working) == 0
    handle = await working.client.start("echo", start_at=datetime.now(UTC) + timedelta(days=1))
    with pytest.raises(SerializationError):
        await working.client.raise_event(handle.instance_id, "event", make())
    await working.client.terminate(handle.instance_id)


@pytest.mark.parametrize("make", BAD_VALUES.values(), ids=BAD_VALUES)
async def test_values_that_cannot_be_stored_fail_only_what_made_them(
    hub: Hub, registry: Registry, make: Callable[[], Any]
) -> None:
    @activity(registry=registry)
    async def result_of_activity() -> Any:
        return make()

    @activity(registry=registry)
    async def heartbeat() -> None:
        activity_context().heartbeat(make())

    @orchestration(registry=registry)
    async def result_of_orchestration(ctx: OrchestrationContext) -> Any:
        return make()

    @orchestration(registry=registry)
    async def caller(ctx: OrchestrationContext) -> bool:
        causes: list[bool] = []
        for call in (result_of_activity, heartbeat):
            with pytest.raises(TaskFailedError) as caught:
                await call()
            causes.append(caught.value.failure.is_caused_by(SerializationError))
        with pytest.raises(SerializationError):
            ctx.set_custom_status(make())
        return all(causes)

    async with hub.worker(registry):
        assert await hub.run(caller) is True
        state = await hub.finished(result_of_orchestration)
        await hub.bystander_runs()
    assert state.status == OrchestrationStatus.FAILED and state.failure is not None
    assert state.failure.is_caused_by(SerializationError)


# -- durations, policies, options, queries ------------------------------------------------------------------------


async def test_a_negative_or_nonsensical_timeout_of_a_wait_is_refused(working: Hub) -> None:
    handle = await working.client.start("echo", 1)
    for timeout in (-1, NEGATIVE, math.nan, "soon"):
        bad: Any = timeout
        with pytest.raises(InvalidArgumentError):
            await handle.result(bad)
        with pytest.raises(InvalidArgumentError):
            await handle.wait(bad)
    assert await handle.result(WAIT) == 1


BAD_POLICIES: dict[str, dict[str, Any]] = {
    "no attempts": {"max_attempts": 0},
    "half an attempt": {"max_attempts": 1.5},
    "negative interval": {"first_interval": -1},
    "negative interval as timedelta": {"first_interval": NEGATIVE},
    "nan interval": {"first_interval": math.nan},
    "infinite interval": {"first_interval": math.inf},
    "interval of another type": {"first_interval": "1s"},
    "negative coefficient": {"backoff_coefficient": -2},
    "nan coefficient": {"backoff_coefficient": math.nan},
    "negative maximum": {"max_interval": -1},
    "negative timeout": {"timeout": NEGATIVE},
    "negative jitter": {"jitter": -0.1},
    "jitter over one": {"jitter": 1.1},
    "retry_if that cannot be called": {"retry_if": True},
    "non_retriable of numbers": {"non_retriable": (5,)},
}


@pytest.mark.parametrize("arguments", BAD_POLICIES.values(), ids=BAD_POLICIES)
def test_a_bad_retry_policy_is_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        RetryPolicy(**arguments)


@pytest.mark.parametrize("delay", [-1, NEGATIVE, math.nan, math.inf, "soon"], ids=repr)
def test_a_bad_retry_after_is_refused(delay: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        RetryAfter(delay)


BAD_ACTIVITIES: dict[str, dict[str, Any]] = {
    "empty name": {"name": ""},
    "name of another type": {"name": 5},
    "version of another type": {"version": 2},
    "retry of another type": {"retry": 3},
    "negative timeout": {"timeout": -1},
    "zero timeout": {"timeout": 0},
    "nan timeout": {"timeout": math.nan},
    "negative heartbeat": {"heartbeat_timeout": NEGATIVE},
    "no concurrency": {"max_concurrency": 0},
    "tags of numbers": {"tags": {"a": 1}},
}


@pytest.mark.parametrize("arguments", BAD_ACTIVITIES.values(), ids=BAD_ACTIVITIES)
def test_a_bad_definition_of_an_activity_is_refused(arguments: dict[str, Any]) -> None:
    def plain() -> None: ...

    define: Any = activity
    with pytest.raises(InvalidArgumentError):
        define(registry=Registry(), **arguments)(plain)


@pytest.mark.parametrize("target", [None, 5, "name", object()], ids=repr)
def test_only_functions_can_be_decorated(target: Any) -> None:
    for define in (activity(registry=Registry()), orchestration(registry=Registry())):
        decorate: Any = define
        with pytest.raises(InvalidArgumentError):
            decorate(target)


def test_an_orchestration_must_be_async_and_take_the_context_and_at_most_one_input() -> None:
    decorate: Any = orchestration(registry=Registry())

    def not_async(ctx: OrchestrationContext) -> None: ...
    async def no_context() -> None: ...
    async def two_inputs(ctx: OrchestrationContext, a: int, b: int) -> None: ...
    async def generator(ctx: OrchestrationContext) -> AsyncIterator[int]:
        yield 1

    for function in (not_async, no_context, two_inputs, generator):
        with pytest.raises(InvalidArgumentError, match=function.__name__):
            decorate(function)


def test_two_definitions_of_one_name_and_version_are_refused() -> None:
    registry = Registry()

    @activity(name="twice", registry=registry)
    async def first() -> None: ...

    with pytest.raises(DuplicateDefinitionError, match="twice"):

        @activity(name="twice", registry=registry)
        async def second() -> None: ...

    registry.add(first)  # the same one again is no contradiction


BAD_WORKER_OPTIONS: dict[str, dict[str, Any]] = {
    "no activities": {"max_concurrent_activities": 0},
    "negative cache": {"max_cached_orchestrations": -1},
    "negative lock": {"lock_duration": NEGATIVE},
    "zero lock": {"lock_duration": 0},
    "nan lock": {"lock_duration": math.nan},
    "negative grace": {"shutdown_grace": -1},
    "no deliveries": {"max_delivery_count": 0},
    "negative limit": {"blocked_after": -1},
    "no steps": {"max_steps_per_turn": 0},
    "unknown policy": {"versions": "newest"},
    "unknown non-determinism": {"non_determinism": "ignore"},
}


@pytest.mark.parametrize("arguments", BAD_WORKER_OPTIONS.values(), ids=BAD_WORKER_OPTIONS)
def test_bad_options_of_a_worker_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError):
        WorkerOptions(**arguments)


BAD_QUERIES: dict[str, dict[str, Any]] = {
    "naive time": {"created_after": NAIVE},
    "time of another type": {"completed_before": "yesterday"},
    "unknown status": {"statuses": ["gone"]},
    "statuses that are no collection": {"statuses": 5},
    "empty page": {"page_size": 0},
    "negative limit": {"limit": -1},
    "name of another type": {"name": 5},
    "prefix of another type": {"instance_id_prefix": 5},
    "tags of numbers": {"tags": {"a": 1}},
}


@pytest.mark.parametrize("arguments", BAD_QUERIES.values(), ids=BAD_QUERIES)
async def test_a_bad_query_is_refused_and_purges_nothing(working: Hub, arguments: dict[str, Any]) -> None:
    assert (await working.finished("echo", 1)).output == 1
    with pytest.raises(InvalidArgumentError):
        await working.client.purge(OrchestrationQuery(**arguments))
    with pytest.raises(InvalidArgumentError):
        [state async for state in working.client.query(OrchestrationQuery(**arguments))]
    with pytest.raises(InvalidArgumentError):
        await working.client.count(OrchestrationQuery(**arguments))
    assert await stored(working) == 1


@pytest.mark.parametrize("query", [5, None, {"name": "echo"}, ["a"]], ids=repr)
async def test_what_is_no_query_is_refused(working: Hub, query: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        await working.client.purge(query)
    with pytest.raises(InvalidArgumentError):
        await working.client.count(query)
    with pytest.raises(InvalidArgumentError):
        [state async for state in working.client.query(query)]


async def test_reasons_that_are_no_text_are_refused(working: Hub) -> None:
    handle = await working.client.start("echo", start_at=datetime.now(UTC) + timedelta(days=1))
    reason: Any = 5
    client = working.client
    for control in (client.terminate, client.cancel, client.suspend, client.resume, client.rewind):
        with pytest.raises(InvalidArgumentError):
            await control(handle.instance_id, reason)
    assert (await handle.state()).status == OrchestrationStatus.PENDING


# -- inside an orchestration --------------------------------------------------------------------------------------


async def test_bad_calls_in_an_orchestration_are_refused_where_they_are_made(hub: Hub, registry: Registry) -> None:
    @activity(name="step", registry=registry)
    async def step(n: int) -> int:
        return n

    @orchestration(registry=registry)
    async def clumsy(ctx: OrchestrationContext) -> int:
        anything: Any = ctx
        bad: list[Callable[[], Any]] = [
            lambda: step.options(timeout=-1),
            lambda: step.options(timeout=math.nan),
            lambda: anything.wait_for_event(""),
            lambda: anything.wait_for_event(5),
            lambda: anything.send_event("", "name"),
            lambda: anything.send_event("someone", ""),
            lambda: anything.send_event(None, "name"),
            lambda: anything.call_activity(""),
            lambda: anything.call_activity(None),
            lambda: anything.call_activity("step", 1, timeout=-1),
            lambda: anything.call_activity("step", 1, retry="often"),
            lambda: anything.call_sub_orchestration(""),
            lambda: anything.call_sub_orchestration("x", instance_id=""),
            lambda: anything.call_sub_orchestration("x", instance_id=5),
            lambda: anything.start(""),
            lambda: anything.start("x", instance_id=""),
            lambda: anything.start(step),
            lambda: anything.patched(""),
            lambda: anything.patched(5),
            lambda: anything.continue_as_new(1, version=5),
        ]
        for number, call in enumerate(bad):
            with pytest.raises(InvalidArgumentError):
                call()
                pytest.fail(f"number {number} was not refused")
        return await step(7)

    async with hub.worker(registry):
        state = await hub.finished(clumsy)
    assert state.failure is None, state.failure.message
    assert state.output == 7
    assert (await hub.counts(state.instance_id)) == {
        "ExecutionStarted": 1, "TaskScheduled": 1, "TaskCompleted": 1, "ExecutionCompleted": 1
    }  # fmt: skip


async def test_wrong_arguments_of_an_activity_are_refused_where_it_is_called(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def step(n: int) -> int:
        return n

    @orchestration(registry=registry)
    async def clumsy(ctx: OrchestrationContext) -> int:
        anything: Any = step
        for arguments in ((), (1, 2)):
            with pytest.raises((InvalidArgumentError, TypeError)):
                anything(*arguments)
        with pytest.raises((InvalidArgumentError, TypeError)):
            anything(m=1)
        return await step(n=7)

    async with hub.worker(registry):
        assert await hub.run(clumsy) == 7


@pytest.mark.parametrize("delay", [math.nan, math.inf, 1e300], ids=repr)
async def test_a_nonsensical_delay_neither_hangs_nor_harms_the_worker(
    hub: Hub, registry: Registry, delay: float
) -> None:
    @orchestration(registry=registry)
    async def sleeper(ctx: OrchestrationContext) -> str:
        with pytest.raises((ValueError, OverflowError)):
            await asyncio.sleep(delay)
        return "refused"

    async with hub.worker(registry):
        assert await hub.run(sleeper) == "refused"
        await hub.bystander_runs()


# -- services, workers, clients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["", "nonsense", "nosuch://x", "sqlite", 5, None, b"sqlite:///x.db"], ids=repr)
def test_a_url_that_names_no_provider_is_refused(url: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        connect(url)


def test_an_option_that_a_provider_does_not_know_is_refused(tmp_path: Any) -> None:
    for url in (f"sqlite:///{tmp_path}/x.db", "memory://"):
        with pytest.raises(InvalidArgumentError, match="colour"):
            connect(url, colour="red")


@pytest.mark.parametrize("service", [5, None, object()], ids=lambda service: type(service).__name__)
async def test_what_is_no_service_is_refused(service: Any) -> None:
    with pytest.raises(InvalidArgumentError):
        async with TaskHubClient(service):
            pass
    with pytest.raises(InvalidArgumentError):
        async with TaskHubWorker(service, registry=Registry()):
            pass


async def test_a_client_that_was_not_entered_says_so(hub: Hub) -> None:
    with pytest.raises(DurableTaskError, match="async with"):
        await TaskHubClient(hub.service).start("echo")


def test_an_unknown_connector_is_refused_by_name(hub: Hub) -> None:
    with pytest.raises((DefinitionNotFoundError, InvalidArgumentError), match="no-such-connector"):
        hub.worker(Registry()).add_connector("no-such-connector")
