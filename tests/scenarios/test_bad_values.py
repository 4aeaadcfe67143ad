"""Values that cannot be stored: refused at the door where they come, or the failure of what made them alone."""

import asyncio
import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    SerializationError,
    TaskFailedError,
    activity,
    activity_context,
    orchestration,
)
from tests.scenarios.support import Hub


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
    assert await working.stored() == 0
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
