"""Timers of instances that this process holds, kept in memory while they are due soon: one fires without a look at the file.

Each also is a row, which the turn that consumes it deletes; whoever takes the instance over finds it there. What is due later is left to the scanner.
"""

import asyncio
import heapq
from collections.abc import Iterable

from dtf_runtime.model.commit import Timer
from dtf_runtime.model.messages import TimerDue
from dtf_runtime.providers.sqlite.hub import Hub
from dtf_runtime.providers.sqlite.inbox import Owned
from dtf_runtime.providers.sqlite.rows import to_micros

SLACK = 0.0002  # seconds: a timer must not be early
LONGEST_SLEEP = 60.0  # seconds: the loop's clock stands still while a machine is suspended, that of the timers doesn't
_SOON = 600_000_000  # microseconds
_FEW = 64  # entries of the heap that nobody minds


class Alarms:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._heap: list[tuple[int, int]] = []  # (due, key)
        self._timers: dict[int, tuple[Owned, TimerDue, int]] = {}  # by key, with their due
        self._keys: dict[int, dict[tuple[str, int], int]] = {}  # by n, then (execution, number)
        self._wake_at = 0
        self._wake: asyncio.TimerHandle | None = None

    def close(self) -> None:
        if self._wake is not None:
            self._wake.cancel()

    def add(self, owned: Owned, execution: str, key: int, timer: Timer) -> None:
        due, now = to_micros(timer.fire_at), to_micros(self._hub.clock.now())
        if due - now > _SOON:
            self._hub.due_at(due)
            return
        message = TimerDue(execution_id=execution, number=timer.number, fire_at=timer.fire_at)
        self._timers[key] = (owned, message, due)
        self._keys.setdefault(owned.n, {})[execution, timer.number] = key
        heapq.heappush(self._heap, (due, key))
        self._wake_for(due, now)

    def withdraw(self, owned: Owned, execution: str, numbers: Iterable[int]) -> None:
        """Their rows are gone: also one that fired while the turn that withdrew it was on its way."""
        gone = set(numbers)
        for number in gone:
            self._forget(owned.n, execution, number)
        owned.inbox = [
            entry for entry in owned.inbox if not (isinstance(entry[0], TimerDue) and entry[0].number in gone)
        ]
        self._compact()

    def drop(self, n: int) -> None:
        """The execution has ended, and all its rows are gone."""
        for key in self._keys.pop(n, {}).values():
            self._timers.pop(key, None)
        self._compact()

    def _forget(self, n: int, execution: str, number: int) -> None:
        of_instance = self._keys.get(n, {})
        key = of_instance.pop((execution, number), None)
        if key is not None:
            self._timers.pop(key, None)
        if not of_instance:
            self._keys.pop(n, None)

    def _compact(self) -> None:
        """Time limits that were not reached must not pile up in the heap until they would have been."""
        if len(self._heap) > 2 * len(self._timers) + _FEW:
            self._heap = [(due, key) for key, (_, _, due) in self._timers.items()]
            heapq.heapify(self._heap)

    def _wake_for(self, due: int, now: int) -> None:
        if self._wake is not None:
            if self._wake_at <= due:
                return
            self._wake.cancel()
        self._wake_at = due
        loop = self._hub.loop
        self._wake = loop.call_later(min(max(0, due - now) / 1_000_000 + SLACK, LONGEST_SLEEP), self._fire)

    def _fire(self) -> None:
        self._wake = None
        hub, heap = self._hub, self._heap
        now = to_micros(hub.clock.now())
        while heap and heap[0][0] <= now:
            _, key = heapq.heappop(heap)
            held = self._timers.get(key)
            if held is None:
                continue
            owned, message, _ = held
            self._forget(owned.n, message.execution_id, message.number)
            if hub.owned.get(owned.n) is not owned:
                hub.scan()  # somebody else's by now, or ended
            elif owned.execution == message.execution_id:
                hub.arrived(owned.n, message, key)
        while heap and heap[0][1] not in self._timers:
            heapq.heappop(heap)
        if heap:
            self._wake_for(heap[0][0], now)
