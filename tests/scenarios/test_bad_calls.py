"""Bad calls in an orchestration, and services, clients and connectors that are none."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import pytest

from dtf_runtime import (
    DefinitionNotFoundError,
    DurableTaskError,
    InvalidArgumentError,
    OrchestrationContext,
    Registry,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from tests.scenarios.support import Hub


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
