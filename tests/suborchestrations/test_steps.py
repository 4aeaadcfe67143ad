"""The steps that every ready orchestration is made of: watched, undone in reverse, planned."""

import asyncio
from typing import Any

import msgspec
import pytest

from dtf_runtime import (
    OrchestrationCancelledError,
    OrchestrationContext,
    OrchestrationFailedError,
    Registry,
    RetryPolicy,
    activity,
    orchestration,
)
from dtf_runtime.testing import TestHub
from suborchestrations.steps import Leftover, Outcome, PlannedCall, Spec, Steps

WAIT = 20.0
NAMES = ("walls", "roof", "paint")


class House(Spec, frozen=True, kw_only=True):
    fails_at: str = ""
    slow: str = ""


class Built(Outcome, frozen=True, kw_only=True):
    parts: list[str]


class World:
    """What there is, and in which order it came and went."""

    def __init__(self) -> None:
        self.there: list[str] = []
        self.log: list[str] = []
        self.tools_break = 0
        self.begun: asyncio.Event = asyncio.Event()


def registry_of(world: World) -> Registry:
    registry = Registry()

    @activity(name="build", registry=registry, retry=None)
    async def build(what: str) -> str:
        world.there.append(what)
        world.log.append(f"+{what}")
        if what == "slow roof":
            world.begun.set()
            await asyncio.sleep(0.05)
        if what.startswith("broken"):  # after it was made: the answer never comes
            raise ValueError(f"{what} fell down")
        return what

    @activity(name="remove", registry=registry, retry=RetryPolicy(max_attempts=3))
    async def remove(what: str) -> None:
        if world.tools_break:
            world.tools_break -= 1
            raise OSError("no tools")
        if what in world.there:
            world.there.remove(what)
        world.log.append(f"-{what}")

    @orchestration(name="house", registry=registry)
    async def house(ctx: OrchestrationContext, spec: House) -> Built:
        parts = []
        async with Steps(ctx, spec, NAMES) as steps:
            for name in NAMES:
                what = f"broken {name}" if spec.fails_at == name else f"slow {name}" if spec.slow == name else name

                async def undo(what: str = what) -> None:
                    await remove(what)

                def left(what: str = what) -> list[Leftover]:
                    return [Leftover(what="part", id=what, command=f"rm {what}")]

                parts.append(await steps.make(name, build, what, assumed=f"<{name}>", undo=undo, left=left))
            if spec.slow == "all":
                await steps.look("paint", lambda: asyncio.sleep(1e6))
        return Built(parts=parts, planned=steps.planned)

    return registry


async def run(spec: House, world: World) -> tuple[Any, BaseException | None, list[dict[str, str]]]:
    async with TestHub(registry=registry_of(world)) as hub:
        handle = await hub.client.start("house", spec, instance_id="one")
        error = None
        result = None
        try:
            result = msgspec.convert(await handle.result(WAIT), Built)
        except OrchestrationFailedError as failed:
            error = failed
        state = await handle.state()
        assert state.custom_status_json is not None
        return result, error, msgspec.json.decode(state.custom_status_json)["steps"]


def states(steps: list[dict[str, str]]) -> list[str]:
    return [step["state"] for step in steps]


async def test_steps_are_done_in_order_and_seen() -> None:
    world = World()
    result, error, steps = await run(House(), world)
    assert error is None
    assert (result.parts, result.planned, world.there) == (list(NAMES), [], list(NAMES))
    assert states(steps) == ["done"] * 3


async def test_a_failure_undoes_in_reverse_what_was_made_the_failed_step_included() -> None:
    world = World()
    _, error, steps = await run(House(fails_at="paint"), world)
    assert isinstance(error, OrchestrationFailedError)
    assert world.log == ["+walls", "+roof", "+broken paint", "-broken paint", "-roof", "-walls"]
    assert error.failure.properties == {"step": "paint", "undone": ["paint", "roof", "walls"], "left": []}
    assert "broken paint fell down" in error.failure.message
    assert states(steps) == ["undone"] * 3


async def test_what_is_kept_is_listed_with_the_command_that_removes_it() -> None:
    world = World()
    _, error, steps = await run(House(fails_at="roof", on_failure="keep"), world)
    assert isinstance(error, OrchestrationFailedError)
    assert world.there == ["walls", "broken roof"]
    assert [left["command"] for left in error.failure.properties["left"]] == ["rm walls", "rm broken roof"]
    assert states(steps) == ["done", "failed", "pending"]


async def test_an_undo_that_fails_for_a_while_gets_there() -> None:
    world = World()
    world.tools_break = 2
    _, error, _ = await run(House(fails_at="paint"), world)
    assert isinstance(error, OrchestrationFailedError)
    assert (world.there, error.failure.properties["left"]) == ([], [])


async def test_an_undo_that_never_works_holds_up_no_other_and_is_listed() -> None:
    world = World()
    world.tools_break = 3
    _, error, steps = await run(House(fails_at="paint"), world)
    assert isinstance(error, OrchestrationFailedError)
    assert world.there == ["broken paint"]
    assert error.failure.properties["left"] == [{"what": "part", "id": "broken paint", "command": "rm broken paint"}]
    assert states(steps) == ["undone", "undone", "failed"]


async def test_the_deadline_undoes_too() -> None:
    world = World()
    _, error, _ = await run(House(slow="all", deadline=60.0), world)
    assert isinstance(error, OrchestrationFailedError)
    assert (world.there, error.failure.properties["undone"]) == ([], ["paint", "roof", "walls"])
    assert "the deadline passed" in error.failure.message


async def test_a_cancel_waits_for_the_call_under_way_and_then_undoes() -> None:
    world = World()
    async with TestHub(registry=registry_of(world)) as hub:
        handle = await hub.client.start("house", House(slow="roof"), instance_id="one")
        await world.begun.wait()
        await hub.client.cancel("one")
        with pytest.raises(OrchestrationCancelledError):
            await handle.result(WAIT)
    assert world.log == ["+walls", "+slow roof", "-slow roof", "-walls"]


async def test_a_plan_calls_nothing_and_names_what_the_real_run_calls() -> None:
    world = World()
    result, _, steps = await run(House(plan=True), world)
    assert (world.log, states(steps)) == ([], ["skipped"] * 3)
    assert result.planned == [PlannedCall(activity="build", input=name) for name in NAMES]
    assert result.parts == ["<walls>", "<roof>", "<paint>"]
    await run(House(), world)
    assert world.log == [f"+{call.input}" for call in result.planned]
