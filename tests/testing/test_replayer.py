"""`replay`: today's code against a history, without a hub."""

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from dtf_runtime import (
    HistoryEvent,
    InvalidArgumentError,
    NonDeterminismError,
    OrchestrationContext,
    Registry,
    SerializationError,
    activity,
    orchestration,
)
from dtf_runtime.model.history import encode_events
from dtf_runtime.testing import TestHub, replay

ran: list[str] = []
registry = Registry()


@activity(name="step", registry=registry)
async def step(name: str) -> str:
    ran.append(name)
    return name.upper()


@orchestration(name="flow", registry=registry)
async def flow(ctx: OrchestrationContext, names: list[str]) -> list[str]:
    await asyncio.sleep(3600)
    return [await step(name) for name in names]


def changed(fn: Any) -> Any:
    return orchestration(name="flow", registry=Registry())(fn)


async def recorded() -> list[HistoryEvent]:
    async with TestHub(registry=registry) as hub:
        handle = await hub.client.start(flow, ["a", "b"])
        assert await handle.result(10) == ["A", "B"]
        return await hub.client.get_history(handle.instance_id)


async def test_unchanged_code_repeats_its_history_and_runs_no_activity() -> None:
    history = await recorded()
    ran.clear()
    replay(flow, history)
    assert ran == []


async def test_a_file_is_read_by_path_and_by_name(tmp_path: Path) -> None:
    file = tmp_path / "history.json"
    file.write_bytes(encode_events(await recorded()))
    replay(flow, file)
    replay(flow, str(file))


async def test_another_order_is_told() -> None:
    @changed
    async def other(ctx: OrchestrationContext, names: list[str]) -> list[str]:
        result = [await step(name) for name in names]
        await asyncio.sleep(3600)
        return result

    with pytest.raises(NonDeterminismError):
        replay(other, await recorded())


async def test_other_arguments_are_told() -> None:
    @changed
    async def other(ctx: OrchestrationContext, names: list[str]) -> list[str]:
        await asyncio.sleep(3600)
        return [await step(name + "!") for name in names]

    with pytest.raises(NonDeterminismError):
        replay(other, await recorded())


async def test_a_step_too_few_is_told() -> None:
    @changed
    async def other(ctx: OrchestrationContext, names: list[str]) -> list[str]:
        await asyncio.sleep(3600)
        return [await step(names[0])]

    with pytest.raises(NonDeterminismError):
        replay(other, await recorded())


async def test_a_history_that_is_not_over_yet_is_replayed_as_far_as_it_goes() -> None:
    history = await recorded()
    for length in range(1, len(history)):
        if history[length].kind in ("TimerFired", "TaskCompleted"):  # what comes before an input is whole
            replay(flow, history[:length])


async def test_what_is_no_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="begins with ExecutionStarted"):
        replay(flow, [])
    with pytest.raises(InvalidArgumentError, match="begins with ExecutionStarted"):
        replay(flow, (await recorded())[1:])
    with pytest.raises(InvalidArgumentError, match="@orchestration"):
        replay(step, [])  # type: ignore[arg-type]
    file = tmp_path / "history.json"
    file.write_text('[{"kind": "NoSuchEvent"}]')
    with pytest.raises(SerializationError, match=r"history\.json"):
        replay(flow, file)
    with pytest.raises(FileNotFoundError):
        replay(flow, tmp_path / "missing.json")


async def test_no_coroutine_is_left_to_the_garbage_collector() -> None:
    cleaned: list[str] = []

    @changed
    async def tidy(ctx: OrchestrationContext, names: list[str]) -> list[str]:
        try:
            await asyncio.sleep(3600)
            return [await step(name) for name in names]
        finally:
            await step("clean")
            cleaned.append("ran on")

    history = await recorded()
    begun = next(i for i, event in enumerate(history) if event.kind == "TimerFired")
    ran.clear()
    replay(tidy, history[:begun])
    gc.collect()
    assert cleaned == ran == []


def test_it_works_without_a_running_loop() -> None:
    replay(flow, asyncio.run(recorded()))
