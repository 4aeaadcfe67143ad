"""Reports a turn that holds the worker's thread too long, with the stack where it hangs (rule 23). A thread of its own, since the other is held."""

import sys
import threading
import time
import traceback

from dtf_runtime.replay import guard
from dtf_runtime.tracing import events as trace

_FRAMES = 40  # the innermost
_LEAST, _MOST = 0.01, 0.5  # seconds between two looks


class Watchdog:
    """Watches the thread with that ident. `limit` in seconds; a turn is reported once."""

    def __init__(self, watched: int, limit: float) -> None:
        self._watched = watched
        self._limit = limit
        self._pause = min(max(limit / 4, _LEAST), _MOST)
        self._stopped = threading.Event()
        self._reported: tuple[object, float] | None = None
        self._thread = threading.Thread(target=self._watch, name="dtf-watchdog", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(self._pause):
            state = guard.draining.get(self._watched)
            if state is not None and state.execution is not None:
                self._look(state)

    def _look(self, state: guard.Draining) -> None:
        execution, since = state.execution, state.since
        if execution is None or not since or self._reported == (execution.instance_id, since):
            return
        held = time.monotonic() - since
        if held < self._limit:
            return
        frame = sys._current_frames().get(self._watched)
        if frame is None or state.execution is not execution or state.since != since:
            return  # it went on meanwhile
        self._reported = (execution.instance_id, since)
        trace.blocked_thread(
            instance_id=execution.instance_id,
            execution_id=execution.execution_id,
            name=execution.record.name,
            seconds=held,
            stack="".join(traceback.format_stack(frame)[-_FRAMES:]),
        )
