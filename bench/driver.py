"""The client side of a run: it calls instances, checks every result, and keeps the books the stored state must match.

Standard library only: it is loaded in the peers' environment too.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bench.engine import MARKS, CheckFailedError, Claim, Engine

WINDOW = 1.0  # seconds
EVENT_VALUE = 7

_T = TypeVar("_T")


@dataclass
class Driver:
    engine: Engine
    n: int
    concurrency: int
    claim: Claim = field(default_factory=Claim)

    async def call(self, kind: str, instance_id: str, *argument: Any) -> float:
        """Run one instance to its end; seconds from the call to its result."""
        begun = time.monotonic()
        result = await self.engine.call(kind, instance_id, [instance_id, *argument])
        seconds = time.monotonic() - begun
        expected, instances, activities = _expectation(kind, argument)
        self.expect(instance_id, result, expected)
        self.claim.finished += instances
        self.claim.activities += activities
        return seconds

    def expect(self, instance_id: str, result: object, expected: object) -> None:
        if result != expected:
            raise CheckFailedError(f"{self.engine.name}: instance {instance_id!r} gave {result!r}, not {expected!r}")

    async def window(self, kind: str, prefix: str, *argument: Any) -> tuple[int, float, list[float]]:
        """Instances one after the other in each of `concurrency` lanes, at least n of them and at least for WINDOW
        seconds: how many there were, the seconds they took together, and the latency of each."""
        latencies: list[float] = []
        numbers = itertools.count()
        begun = time.monotonic()

        async def lane() -> None:
            while (number := next(numbers)) < self.n or time.monotonic() - begun < WINDOW:
                latencies.append(await self.call(kind, f"{prefix}{number}", *argument))

        await asyncio.gather(*[lane() for _ in range(self.concurrency)])
        return len(latencies), time.monotonic() - begun, latencies

    async def each(self, job: Callable[[str], Awaitable[_T]], ids: Iterable[str]) -> list[_T]:
        """The job for every id, at most `concurrency` of them in flight; results in the order of the ids."""
        gate = asyncio.Semaphore(self.concurrency)

        async def one(instance_id: str) -> _T:
            async with gate:
                return await job(instance_id)

        return await asyncio.gather(*[one(instance_id) for instance_id in ids])

    async def begin_waiting(self, prefix: str, n: int) -> dict[str, Any]:
        """Start n instances and wait until each waits for its event; their handles by id."""
        ids = [f"{prefix}{number}" for number in range(n)]
        handles = await self.each(lambda i: self.engine.begin("event", i, [i]), ids)
        await marked(["w:" + i for i in ids])
        self.claim.waiting += n
        return dict(zip(ids, handles, strict=True))

    async def raise_events(self, handles: dict[str, Any]) -> tuple[float, list[float]]:
        """One event to each: seconds until the last has ended, and the latency of each from its own event."""
        raised: dict[str, float] = {}
        latencies: list[float] = []

        async def ended(instance_id: str) -> None:
            self.expect(instance_id, await self.engine.wait(handles[instance_id]), EVENT_VALUE)
            latencies.append(time.monotonic() - raised[instance_id])

        async def fire(instance_id: str) -> None:
            raised[instance_id] = time.monotonic()
            await self.engine.raise_event(instance_id, EVENT_VALUE)

        waits = [asyncio.ensure_future(ended(instance_id)) for instance_id in handles]
        await asyncio.sleep(0.5)  # so that every wait is already under way
        begun = time.monotonic()
        await self.each(fire, handles)
        await asyncio.gather(*waits)
        seconds = time.monotonic() - begun
        self.claim.waiting -= len(handles)
        self.claim.finished += len(handles)
        return seconds, latencies


def _expectation(kind: str, argument: Sequence[Any]) -> tuple[int, int, int]:
    """What an instance must return, and how many instances and activities it stands for."""
    if kind in ("seq", "fan"):
        n = argument[0]
        return n * (n - 1) // 2, 1, n
    if kind == "subs":
        children, n = argument
        return children * (n * (n - 1) // 2), 1 + children, children * n
    return 0, 1, 0


async def marked(points: Sequence[str]) -> None:
    """Wait until orchestrations have passed all these points; TimeoutError after two minutes or so."""
    for _ in range(12_000):
        if all(point in MARKS for point in points):
            return
        await asyncio.sleep(0.01)
    raise TimeoutError(f"{sum(point not in MARKS for point in points)} of {len(points)} points were not passed in time")
