"""What the tests' workers run. Loaded by `dtf`, as a user's file would be; never imported by a test."""

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path

from dtf_runtime import OrchestrationContext, RetryPolicy, activity, orchestration


@dataclass
class Order:
    id: int
    items: list[str]


@activity(name="cli.pack")
async def pack(item: str) -> str:
    return f"packed {item}"


@activity(name="cli.refuse")
def refuse(item: str) -> str:
    try:
        raise OSError("the shelf is empty")
    except OSError as error:
        raise LookupError(f"no {item} left") from error


@activity(name="cli.flaky", retry=RetryPolicy(max_attempts=3, first_interval=0.01))
def flaky(marker: str) -> str:
    """Fails the first time, as the marker file tells."""
    try:
        Path(marker).touch(exist_ok=False)
    except FileExistsError:
        return "second time lucky"
    raise ConnectionError("not yet")


@orchestration(name="order")
async def order(ctx: OrchestrationContext, request: Order) -> list[str]:
    return list(await asyncio.gather(*(pack(item) for item in request.items)))


@orchestration(name="broken")
async def broken(ctx: OrchestrationContext, item: str = "tea") -> str:
    return await refuse(item)


@orchestration(name="retried")
async def retried(ctx: OrchestrationContext, marker: str) -> str:
    return await flaky(marker)


@orchestration(name="approval")
async def approval(ctx: OrchestrationContext) -> object:
    """Waits for "decided", with a checklist; a cancel is cleaned up after."""
    steps = [
        {"name": "pack", "state": "done", "detail": await pack("tea")},
        {"name": "approve", "state": "running", "detail": "waiting for a decision"},
        {"name": "ship", "state": "pending", "detail": ""},
    ]
    ctx.set_custom_status({"steps": steps})
    try:
        decision = await ctx.wait_for_event("decided")
    except asyncio.CancelledError:
        steps[1]["state"] = "undone"
        ctx.set_custom_status({"steps": steps})
        raise
    steps[1]["state"] = "done"
    steps[2] |= {"state": "skipped", "detail": "nothing to ship"}
    ctx.set_custom_status({"steps": steps})
    return decision


@orchestration(name="countdown")
async def countdown(ctx: OrchestrationContext, left: int) -> str:
    await pack(str(left))
    if left:
        ctx.continue_as_new(left - 1)
    return "zero"


@orchestration(name="nasty")
async def nasty(ctx: OrchestrationContext) -> str:
    ctx.set_custom_status("\x1b]0;owned\x07[red]status[/red]\x9b31m")
    await ctx.wait_for_event("go")
    raise ValueError("\x1b[31mred\r\nalert \u202eevil")


@orchestration(name="pid")
async def pid(ctx: OrchestrationContext) -> int:
    return await tell_pid()


@activity(name="cli.pid")
def tell_pid() -> int:
    return os.getpid()
