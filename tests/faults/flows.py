"""The load: one small orchestration of each kind. An instance's id ends with its kind, and `right_end` knows how it has to end.

Each activity writes to the oracle and returns that line's token, so the result of an instance says which run of each step it used.
"""

import asyncio
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from dtf_runtime import (
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryPolicy,
    Saga,
    activity,
    activity_context,
    orchestration,
)
from tests.faults.oracle import Oracle

ORACLE_VARIABLE = "DTF_FAULTS_ORACLE"
registry = Registry()
KINDS = ("sequence", "fanout", "parent", "timers", "events", "retries", "again", "saga")
EVENTS = ["first", "second", "third"]  # what the client sends to `events`
_oracles: list[Oracle] = []


def oracle() -> Oracle:
    if not _oracles:
        _oracles.append(Oracle(Path(os.environ[ORACLE_VARIABLE])))
    return _oracles[0]


def noted(step: str) -> str:
    """The side effect of a step: one line."""
    here = activity_context()
    return oracle().line(
        "ran",
        instance=here.instance_id,
        execution=here.execution_id,
        step=step,
        attempt=here.attempt,
        key=here.idempotency_key,
        heartbeat=here.last_heartbeat,
    )


async def halfway() -> None:
    """Between the side effect and the answer."""
    await asyncio.sleep(0.03)


@activity(name="step", registry=registry)
async def step(name: str) -> dict[str, str]:
    token = noted(name)
    await halfway()
    return {name: token}


@activity(name="threaded", registry=registry)
def threaded(name: str) -> dict[str, str]:
    return {name: noted(name)}


@activity(name="shaky", registry=registry, retry=RetryPolicy(max_attempts=4, first_interval=0.02))
async def shaky(name: str) -> dict[str, str]:
    token = noted(name)
    await halfway()
    if activity_context().attempt < 3:
        raise OSError(f"{name} fails twice")
    return {name: token}


@orchestration(name="sequence", registry=registry)
async def sequence(ctx: OrchestrationContext) -> list[dict[str, str]]:
    return [await step("one"), await threaded("two"), await step("three"), await step("four")]


@orchestration(name="fanout", registry=registry)
async def fanout(ctx: OrchestrationContext) -> list[dict[str, str]]:
    return list(await asyncio.gather(*(step(f"branch{number}") for number in range(6))))


@orchestration(name="part", registry=registry)
async def part(ctx: OrchestrationContext) -> dict[str, str]:
    done = await step("part")
    assert ctx.parent is not None
    ctx.send_event(ctx.parent.instance_id, "part done", ctx.instance_id)
    return done


@orchestration(name="parent", registry=registry)
async def parent(ctx: OrchestrationContext) -> dict[str, Any]:
    """Its children's results, their events, and whether an event came that nobody sent."""
    ids = [f"{ctx.instance_id}/{number}" for number in range(2)]
    calls = [part.options(instance_id=id_)() for id_ in ids]
    heard = [await ctx.wait_for_event("part done", str) for _ in calls]
    parts = list(await asyncio.gather(*calls))
    try:
        async with asyncio.timeout(0.02):
            heard.append(await ctx.wait_for_event("part done", str))
    except TimeoutError:
        pass
    return {"parts": parts, "heard": sorted(heard), "expected": ids}


@orchestration(name="timers", registry=registry)
async def timers(ctx: OrchestrationContext) -> list[dict[str, str]]:
    done = []
    for name in ("before", "between", "after"):
        done.append(await step(name))
        due = ctx.now().timestamp() + 0.05
        await asyncio.sleep(0.05)
        if ctx.now().timestamp() < due:
            raise AssertionError(f"the timer after {name} fired early")
    return done


@orchestration(name="events", registry=registry)
async def events(ctx: OrchestrationContext) -> dict[str, Any]:
    heard, done = [], []
    for number in range(len(EVENTS)):
        heard.append(await ctx.wait_for_event("go", str))
        done.append(await step(f"answer{number}"))
    return {"heard": heard, "done": done}


@orchestration(name="retries", registry=registry)
async def retries(ctx: OrchestrationContext) -> list[dict[str, str]]:
    return [await shaky("left"), *await asyncio.gather(shaky("right"), step("steady"))]


@orchestration(name="again", registry=registry)
async def again(ctx: OrchestrationContext, done: list[dict[str, str]]) -> list[dict[str, str]]:
    done = [*done, await step(f"generation{len(done)}")]
    if len(done) < 4:
        ctx.continue_as_new(done)
    return done


def undo(done: dict[str, str]) -> Awaitable[Any]:
    (name,) = done
    return step(f"undo {name}")


@orchestration(name="saga", registry=registry)
async def saga(ctx: OrchestrationContext) -> None:
    async with Saga() as undoing:
        for name in ("book", "pay", "ship"):
            await undoing.do(step(name), undo=undo)
        await ctx.wait_for_event("never")


INPUTS: dict[str, tuple[Any, ...]] = {"again": ([],)}


def kind_of(instance_id: str) -> str:
    return instance_id.rpartition(":")[2]


def right_end(kind: str, output: Any) -> str:
    """What is wrong with this output of a completed instance; empty when nothing is. Tokens are checked elsewhere."""
    if kind == "sequence":
        return _names(output, ["one", "two", "three", "four"])
    if kind == "fanout":
        return _names(output, [f"branch{number}" for number in range(6)])
    if kind == "parent":
        if output["heard"] != output["expected"]:
            return f"it heard {output['heard']}"
        return _names(output["parts"], ["part", "part"])
    if kind == "timers":
        return _names(output, ["before", "between", "after"])
    if kind == "events":
        if output["heard"] != EVENTS:
            return f"it heard {output['heard']}"
        return _names(output["done"], [f"answer{number}" for number in range(len(EVENTS))])
    if kind == "retries":
        return _names(output, ["left", "right", "steady"])
    return _names(output, [f"generation{number}" for number in range(4)])


def _names(done: list[dict[str, str]], expected: list[str]) -> str:
    names = [name for one in done for name in one]
    return "" if names == expected else f"its steps are {names}"


def status_wanted(kind: str) -> OrchestrationStatus:
    return OrchestrationStatus.CANCELLED if kind == "saga" else OrchestrationStatus.COMPLETED


def tokens_in(value: Any) -> list[str]:
    """Tokens of all steps in an output, in order."""
    if isinstance(value, dict):
        if "heard" in value:
            return tokens_in(value.get("parts", value.get("done")))
        return [token for token in value.values() if isinstance(token, str)]
    if isinstance(value, list):
        return [token for one in value for token in tokens_in(one)]
    return []
