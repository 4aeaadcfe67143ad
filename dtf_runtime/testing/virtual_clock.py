"""A clock that stands still until it is moved. Never moves by itself: TestHub decides when.

Moving wakes the sleepers whose time has come, in order; what they then do happens on the loop, as always.
"""

import asyncio
import heapq
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count

from dtf_runtime.clock import Duration, seconds
from dtf_runtime.dispatchers.activity_context import activity_context
from dtf_runtime.errors import InvalidArgumentError, OutsideActivityError

ActivityKey = tuple[str, int, int]  # execution id, number, attempt
_LATEST = datetime.max.replace(tzinfo=UTC)


def current_activity() -> ActivityKey | None:
    """Which attempt of which call the caller is."""
    try:
        context = activity_context()
    except OutsideActivityError:
        return None
    return context.execution_id, context.task_id, context.attempt


class _Sleeper:
    __slots__ = ("activity", "due", "sequence", "woken")

    def __init__(self, due: datetime, sequence: int, activity: ActivityKey | None) -> None:
        self.due = due
        self.sequence = sequence
        self.activity = activity
        self.woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def __lt__(self, other: "_Sleeper") -> bool:
        return (self.due, self.sequence) < (other.due, other.sequence)


class VirtualClock:
    """`stirred` is called, in any thread, when somebody has gone to sleep or let go of a hold."""

    def __init__(self, start: datetime, stirred: Callable[[], None] = lambda: None) -> None:
        self._start = self._now = start
        self._stirred = stirred
        self._sleepers: list[_Sleeper] = []
        self._sequence = count()
        self._holds = 0
        self._lock = threading.Lock()  # of holds, which any thread may take
        self.asleep: Counter[ActivityKey] = Counter()  # activities that wait for this clock

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, delay: Duration) -> None:
        """Until the clock has been moved that far. InvalidArgumentError for what is no delay."""
        wanted = seconds(delay, "the delay of a sleep")
        if wanted == 0:
            await asyncio.sleep(0)
            return
        sleeper = _Sleeper(self._after(wanted), next(self._sequence), current_activity())
        heapq.heappush(self._sleepers, sleeper)
        if sleeper.activity is not None:
            self.asleep[sleeper.activity] += 1
        self._stirred()
        try:
            await sleeper.woken
        finally:
            sleeper.woken.cancel()
            if sleeper.activity is not None:
                self.asleep[sleeper.activity] -= 1
                if not self.asleep[sleeper.activity]:
                    del self.asleep[sleeper.activity]

    def _after(self, delay: float) -> datetime:
        try:
            # Never less than a microsecond: who sleeps for the rest of a span must come to its end.
            return self._now + timedelta(microseconds=max(1, round(delay * 1_000_000)))
        except OverflowError:
            return _LATEST

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Time stands still inside. Holds may overlap, in any thread."""
        with self._lock:
            self._holds += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds -= 1
            self._stirred()

    @property
    def is_held(self) -> bool:
        return self._holds > 0

    def next_due(self) -> datetime | None:
        """When the first sleeper is to wake."""
        while self._sleepers and self._sleepers[0].woken.done():
            heapq.heappop(self._sleepers)
        return self._sleepers[0].due if self._sleepers else None

    def move_to(self, instant: datetime) -> None:
        """Forward, and wakes whoever is due. InvalidArgumentError for a move back."""
        if instant < self._now:
            raise InvalidArgumentError(f"a clock can't go back from {self._now} to {instant}")
        self._now = instant
        while (due := self.next_due()) is not None and due <= instant:
            heapq.heappop(self._sleepers).woken.set_result(None)
