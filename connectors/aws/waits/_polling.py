"""How the waits here wait: single looks, durable timers between them, a deadline, and never a blocked worker.

A look that fails for a passing reason is no answer, so the wait goes on: a poll that failed says nothing about what is waited for. When history
gets long the wait continues as new, with the same deadline.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from connectors.aws.models import AwsCall
from connectors.core import InvalidRequest, NotFound, Permanent, Throttled, Transient
from dtf_runtime import OrchestrationContext, TaskFailedError

_T = TypeVar("_T")
_LONGEST_HISTORY = 2_000  # events
_SHORTEST_INTERVAL = 0.1  # seconds
GRACE = 180.0
"""Seconds that something made moments ago may be invisible."""


class Wait(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every wait's input."""

    timeout: float = 900.0
    """Seconds from its start; then DeadlinePassed."""
    poll_interval: float = 10.0
    """Seconds between two looks, at least a tenth."""
    started: datetime | None = None
    """Set by the wait itself when it continues as new."""


class WaitFailed(Permanent):
    """What is waited for can't come any more. `properties` has the state, and the reason that AWS gave."""


class DeadlinePassed(Permanent):
    """It has not come in time. `properties` has what was seen last."""


for _error in (WaitFailed, DeadlinePassed):
    _error.__module__ = "connectors.aws"


class Seen:
    """What the looks of one wait have found so far, for the text of its end."""

    def __init__(self) -> None:
        self.last = "nothing yet"
        self.ever = False


async def polled(ctx: OrchestrationContext, wait: Wait, what: str, look: Callable[[Seen], Awaitable[_T | None]]) -> _T:
    """What `look` gives once it isn't None. DeadlinePassed after the wait's timeout; what `look` raises, but for passing failures of an
    activity."""
    if not wait.timeout > 0 or not wait.poll_interval >= _SHORTEST_INTERVAL:
        raise InvalidRequest("a wait needs a timeout above 0 and a poll_interval of at least 0.1 seconds")
    started = wait.started or ctx.now()
    until = started + timedelta(seconds=wait.timeout)
    seen = Seen()
    while True:
        found = await _looked(look, seen)
        if found is not None:
            return found
        ctx.set_custom_status(f"{what}: {seen.last}")
        left = (until - ctx.now()).total_seconds()
        if left <= 0:
            raise DeadlinePassed(f"{what} was not so within {wait.timeout:g} s; last seen: {seen.last}", seen=seen.last)
        if ctx.history_length > _LONGEST_HISTORY:
            ctx.continue_as_new(msgspec.structs.replace(wait, started=started))
        await asyncio.sleep(min(wait.poll_interval, left))


async def _looked(look: Callable[[Seen], Awaitable[_T | None]], seen: Seen) -> _T | None:
    try:
        return await look(seen)
    except TaskFailedError as error:
        if not (error.failure.is_caused_by(Transient) or error.failure.is_caused_by(Throttled)):
            raise
        seen.last = f"a look failed: {error.failure.message}"
        return None


def is_new(ctx: OrchestrationContext, wait: Wait, began: datetime) -> bool:
    """Whether not to be found may still mean: not visible yet."""
    return (ctx.now() - (wait.started or began)).total_seconds() < GRACE


def is_missing(error: TaskFailedError) -> bool:
    return error.failure.is_caused_by(NotFound)
