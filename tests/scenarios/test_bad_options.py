"""Policies, definitions, worker options and queries that make no sense are refused where they are made."""

import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dtf_runtime import (
    DuplicateDefinitionError,
    InvalidArgumentError,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    RetryAfter,
    RetryPolicy,
    WorkerOptions,
    activity,
    orchestration,
)
from tests.scenarios.support import WAIT, Hub

NAIVE = datetime(2030, 1, 1)
NEGATIVE = timedelta(seconds=-1)


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


@pytest.mark.parametrize("target", [None, 5, "name", {}], ids=repr)
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
    assert await working.stored() == 1


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
