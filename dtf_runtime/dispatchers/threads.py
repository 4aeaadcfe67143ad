"""The threads that run plain-def activities: as many as the worker has slots, each begun when it is first needed.

Daemon threads, unlike ThreadPoolExecutor's, which the interpreter joins when it ends: an activity that was handed back must not hold up
the exit of its process.
"""

import itertools
import threading
from collections.abc import Callable
from queue import SimpleQueue

_pools = itertools.count(1)


class ActivityThreads:
    """Work is started at once as long as no more than `most` of it runs. In the loop's thread only."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._name = f"dtf-activity-{next(_pools)}"
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._begun = 0

    def start(self, work: Callable[[], None]) -> None:
        """`work` must not raise."""
        self._queue.put(work)
        if not self._idle.acquire(blocking=False) and self._begun < self._most:
            self._begun += 1
            threading.Thread(target=self._serve, name=f"{self._name}.{self._begun}", daemon=True).start()

    def close(self) -> None:
        """Idle threads end now, others after their work."""
        for _ in range(self._begun):
            self._queue.put(None)

    def _serve(self) -> None:
        while True:
            work = self._queue.get()
            if work is None:
                return
            work()
            del work  # what it refers to must not live until the next one comes
            self._idle.release()
