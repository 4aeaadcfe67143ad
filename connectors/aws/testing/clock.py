"""The server's clock. Everything that takes time at AWS takes it by this clock, so a test decides when it is over."""

import threading
import time


class ServerClock:
    """Seconds since the start. By default it moves by one second with every request and never by itself: a poller gets on, and nobody waits.

    Safe from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.reset()

    def reset(self) -> None:
        with self._lock:
            self._passed = 0.0
            self._tick = 1.0
            self._real_since: float | None = None

    def now(self) -> float:
        with self._lock:
            real = 0.0 if self._real_since is None else time.monotonic() - self._real_since
            return self._passed + real

    def advance(self, seconds: float) -> None:
        """Raises ValueError when it would go back."""
        if seconds < 0:
            raise ValueError(f"a clock does not go back, and {seconds} is negative")
        with self._lock:
            self._passed += seconds

    def tick(self) -> None:
        """A request came."""
        with self._lock:
            self._passed += self._tick

    def run(self, *, tick: float, real: bool) -> None:
        """`tick`: seconds that each request takes; `real`: real time passes too."""
        with self._lock:
            if self._real_since is not None:
                self._passed += time.monotonic() - self._real_since
            self._real_since = time.monotonic() if real else None
            self._tick = tick
