"""What the worker processes of these tests run. Each activity leaves a line in the oracle, a file beside the hub."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from dtf_runtime import OrchestrationContext, Registry, activity, activity_context, orchestration
from tests.faults.oracle import Oracle

ORACLE_VARIABLE = "DTF_SQLITE_TESTS_ORACLE"
registry = Registry()
_oracles: list[Oracle] = []


def _oracle() -> Oracle:
    if not _oracles:
        _oracles.append(Oracle(Path(os.environ[ORACLE_VARIABLE])))
    return _oracles[0]


def note(step: str) -> str:
    """The side effect: a line on disk. Gives its token."""
    here = activity_context()
    return _oracle().line(
        "ran",
        instance=here.instance_id,
        execution=here.execution_id,
        step=step,
        attempt=here.attempt,
        key=here.idempotency_key,
        heartbeat=here.last_heartbeat,
    )


@activity(name="step", registry=registry)
async def step(name: str) -> str:
    return note(name)


@activity(name="gated", registry=registry)
async def gated(name: str, gate: str) -> str:
    """Ends when the file `gate` is there."""
    token = note(name)
    while not Path(gate).exists():
        await asyncio.sleep(0.01)
    return token


@activity(name="beating", registry=registry)
async def beating(gate: str) -> Any:
    """Reports how far it came, then waits for `gate`; a later delivery goes on from there."""
    token = note("beating")
    last = activity_context().last_heartbeat
    if last is None:
        activity_context().heartbeat({"rows": 7})
        while not Path(gate).exists():
            await asyncio.sleep(0.01)
    return [token, last]


@activity(name="deadly", registry=registry)
def deadly() -> None:
    note("deadly")
    os._exit(9)


@orchestration(name="steps", registry=registry)
async def steps(ctx: OrchestrationContext, count: int) -> list[str]:
    """A fan-out of `count`, then one more."""
    tokens = list(await asyncio.gather(*(step(f"step{number}") for number in range(count))))
    return [*tokens, await step("last")]


@orchestration(name="waits", registry=registry)
async def waits(ctx: OrchestrationContext) -> Any:
    """One step, an event, another step."""
    first = await step("first")
    heard = await ctx.wait_for_event("go")
    return [first, heard, await step("second")]


@orchestration(name="behind_gate", registry=registry)
async def behind_gate(ctx: OrchestrationContext, gate: str) -> list[str]:
    return [await gated("gated", gate), await step("after")]


@orchestration(name="heartbeats", registry=registry)
async def heartbeats(ctx: OrchestrationContext, gate: str) -> Any:
    return await beating(gate)


@orchestration(name="kills_in_an_activity", registry=registry)
async def kills_in_an_activity(ctx: OrchestrationContext) -> None:
    await deadly()


@orchestration(name="kills_in_a_turn", registry=registry)
async def kills_in_a_turn(ctx: OrchestrationContext) -> None:
    await step("before")
    os.kill(os.getpid(), signal.SIGKILL)


@orchestration(name="echo", registry=registry)
async def echo(ctx: OrchestrationContext, value: Any = None) -> Any:
    return value
