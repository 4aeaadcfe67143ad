"""The emulator's own time, and the alarms that are set on it.

Runs with the machine's clock until it is told otherwise: it can jump ahead, stand still, and run again. It never goes
back. Everything that the broker does because time has passed is an alarm here; nothing sleeps.
"""

import heapq
from collections.abc import Callable
from itertools import count

from dtf_runtime.clock import REAL_CLOCK, Clock


class Alarm:
    """One thing to do at an instant. Cancelling an alarm that has rung does nothing."""

    __slots__ = ("action", "due", "is_cancelled")

    def __init__(self, due: float, action: Callable[[], object]) -> None:
        self.due = due
        self.action = action
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True


class EmulatorClock:
    """Instants are seconds since 1970. `changed` is called when the next alarm may be another one, or time has jumped."""

    def __init__(self, *, source: Clock = REAL_CLOCK, changed: Callable[[], None] = lambda: None) -> None:
        self._source = source
        self._start = source.now().timestamp() - source.monotonic()
        self._ahead = 0.0
        self._stands_at: float | None = None
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = count()
        self.changed = changed

    def now(self) -> float:
        return self._running() if self._stands_at is None else self._stands_at

    def _running(self) -> float:
        return self._start + self._source.monotonic() + self._ahead

    @property
    def is_stopped(self) -> bool:
        return self._stands_at is not None

    def stop(self) -> None:
        """Time stands still, but for `advance`."""
        self._stands_at = self.now()
        self.changed()

    def resume(self) -> None:
        """Time runs again, from where it stood."""
        if self._stands_at is not None:
            self._ahead += self._stands_at - self._running()
            self._stands_at = None
            self.changed()

    def advance(self, seconds: float) -> None:
        """Moves ahead. Each alarm on the way rings at its own instant."""
        if seconds < 0:
            raise ValueError(f"time does not go back, so the clock can't advance by {seconds} s")
        was_stopped = self.is_stopped
        target = self.now() + seconds
        self.stop()
        self._ring_until(target)
        self._stands_at = target
        if not was_stopped:
            self.resume()

    def at(self, due: float, action: Callable[[], object]) -> Alarm:
        """Calls the action at that instant, or at the next `ring` when that has passed."""
        alarm = Alarm(due, action)
        heapq.heappush(self._alarms, (due, next(self._numbers), alarm))
        if self._alarms[0][2] is alarm:
            self.changed()
        return alarm

    def next_due(self) -> float | None:
        """The instant of the next alarm."""
        while self._alarms and self._alarms[0][2].is_cancelled:
            heapq.heappop(self._alarms)
        return self._alarms[0][0] if self._alarms else None

    def ring(self) -> None:
        """Does what is due now."""
        self._ring_until(self.now())

    def _ring_until(self, target: float) -> None:
        while (due := self.next_due()) is not None and due <= target:
            _, _, alarm = heapq.heappop(self._alarms)
            if self.is_stopped:
                self._stands_at = max(due, self.now())
            alarm.action()
