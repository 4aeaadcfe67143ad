"""The one clock that everything asks for the time, and the checks of durations and instants.

It must never be read by replay: there, time comes from history. Tests replace it by a virtual one.
"""

import asyncio
import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from typing import Protocol

from dtf_runtime.errors import Duration, InvalidArgumentError, seconds

__all__ = ["REAL_CLOCK", "Clock", "Duration", "RealClock", "seconds", "utc"]


class Clock(Protocol):
    """What everything asks for the time: workers, policies, leases, signed links, fakes. Real, or TestHub's."""

    def now(self) -> datetime:
        """The instant, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start, never going back: for measuring and for leases."""
        ...

    async def sleep(self, delay: Duration) -> None:
        """Waits that long (timedelta or seconds; not negative)."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Virtual time stands still inside: for work the hub can't see, such as a request in flight."""
        ...


class RealClock:
    """The machine's own clock; `hold()` does nothing, since real time can't be held."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, delay: Duration) -> None:
        await asyncio.sleep(seconds(delay, "the delay of a sleep"))

    def hold(self) -> AbstractContextManager[None]:
        return nullcontext()


REAL_CLOCK: Clock = RealClock()


def utc(instant: datetime, what: str) -> datetime:
    """The same instant in UTC. A naive datetime, or none at all: InvalidArgumentError."""
    if not isinstance(instant, datetime):
        raise InvalidArgumentError(f"{what} must be a datetime, not {instant!r} ({type(instant).__name__})")
    if instant.utcoffset() is None:
        raise InvalidArgumentError(
            f"{what} must say its time zone, but {instant!r} is naive; write datetime.now(UTC), or add tzinfo=UTC"
        )
    try:
        return instant.astimezone(UTC)
    except OverflowError as error:
        raise InvalidArgumentError(f"{what} is out of range in UTC: {instant!r}") from error
