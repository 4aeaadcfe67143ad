"""`fan_out`: one activity over many items, a limit in flight, a budget of failures, and a report of all of them."""

import asyncio
from typing import Any

import msgspec

from dtf_runtime import (
    InvalidArgumentError,
    NonRetriableError,
    OrchestrationContext,
    RetryPolicy,
    TaskFailedError,
    orchestration,
)
from suborchestrations.steps import Outcome, PlannedCall, Spec

MOST_ITEMS = 20_000
"""In one run, since its history holds them all. More: several runs, or a parent with `continue_as_new`."""


class FanOut(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """What to call for each of the items. Nothing is undone, whatever `on_failure` says: what each item did is its own matter."""

    activity: str
    """By name, with one argument."""
    items: list[Any]
    version: str = ""
    limit: int = 20
    """Calls in flight."""
    failure_budget: int = 0
    """So many items may fail for good. One more ends the run; what is in flight then is cancelled."""
    attempts: int = 3
    """Of each item, a second, two, four, ... apart."""


class FailedItem(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    error: str


class FanOutReport(Outcome, frozen=True, kw_only=True):
    results: list[Any]
    """By position; None for an item that failed."""
    failed: list[FailedItem]


class FailureBudgetExceededError(NonRetriableError):
    """`failure.properties` has `failed`, the items that failed so far, and `done`, how many had worked out."""

    def __init__(self, message: str, *, failed: list[FailedItem], done: int) -> None:
        super().__init__(message)
        self.failed, self.done = failed, done

    def failure_properties(self) -> dict[str, Any]:
        return {"failed": msgspec.to_builtins(self.failed), "done": self.done}


@orchestration(name="suborchestrations.fan_out", version="1")
async def fan_out(ctx: OrchestrationContext, spec: FanOut) -> FanOutReport:
    """Raises FailureBudgetExceededError, TimeoutError at the deadline, InvalidArgumentError."""
    if len(spec.items) > MOST_ITEMS or spec.limit < 1 or spec.failure_budget < 0:
        raise InvalidArgumentError(
            f"fan_out takes up to {MOST_ITEMS} items, a limit of at least 1 and a budget of at least 0"
        )
    results: list[Any] = [None] * len(spec.items)
    if spec.plan:
        planned = [PlannedCall(activity=spec.activity, input=item) for item in spec.items]
        return FanOutReport(results=results, failed=[], planned=planned)
    failed: list[FailedItem] = []
    done = 0
    over = asyncio.Event()
    slots = asyncio.Semaphore(spec.limit)
    policy = RetryPolicy(max_attempts=spec.attempts, first_interval=1.0, max_interval=60.0)

    async def one(index: int, item: Any) -> None:
        nonlocal done
        async with slots:
            try:
                results[index] = await ctx.call_activity(
                    spec.activity, item, version=spec.version or None, retry=policy
                )
                done += 1
            except TaskFailedError as error:
                failed.append(FailedItem(index=index, error=f"{error.failure.type}: {error.failure.message}"))
                if len(failed) > spec.failure_budget:
                    over.set()
        if (done + len(failed)) % max(1, len(spec.items) // 20) == 0:
            ctx.set_custom_status({"done": done, "failed": len(failed), "of": len(spec.items)})

    async with asyncio.timeout(spec.deadline):
        everything = asyncio.gather(*(one(index, item) for index, item in enumerate(spec.items)))
        stop = asyncio.ensure_future(over.wait())
        either: list[asyncio.Future[Any]] = [everything, stop]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not over.is_set():
                await everything
        finally:
            stop.cancel()
            everything.cancel()
    if over.is_set():
        raise FailureBudgetExceededError(
            f"{ctx.instance_id}: {len(failed)} of {len(spec.items)} items failed, {spec.failure_budget} were allowed; the first: {failed[0].error}",
            failed=failed,
            done=done,
        )
    return FanOutReport(results=results, failed=failed)
