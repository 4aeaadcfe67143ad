"""What is due later and what is ready now. Work of a kind that a worker does not know costs it nothing: queues are kept by name and version."""

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

from dtf_runtime.providers.memory.records import Alarm

_T = TypeVar("_T")


class Schedule:
    """Alarms by due time. Silenced ones are forgotten before they are due, so that `next_due` names only what will ring."""

    def __init__(self) -> None:
        self._alarms: list[Alarm] = []
        self._numbers = count()
        self._silenced = 0

    def add(self, due: datetime, ring: Callable[[], None]) -> Alarm:
        alarm = Alarm(due, next(self._numbers), ring)
        heapq.heappush(self._alarms, alarm)
        return alarm

    def silence(self, alarm: Alarm) -> None:
        if alarm.ring is None:
            return
        alarm.ring = None
        self._silenced += 1
        if self._silenced > 64 and self._silenced * 2 > len(self._alarms):
            self._alarms = [kept for kept in self._alarms if kept.ring is not None]
            heapq.heapify(self._alarms)
            self._silenced = 0

    def next_due(self) -> datetime | None:
        while self._alarms and self._alarms[0].ring is None:
            heapq.heappop(self._alarms)
            self._silenced = max(0, self._silenced - 1)
        return self._alarms[0].due if self._alarms else None

    def ring(self, now: datetime) -> None:
        """All that are due, in order."""
        while (due := self.next_due()) is not None and due <= now:
            ring = heapq.heappop(self._alarms).ring
            if ring is not None:
                ring()

    def clear(self) -> None:
        self._alarms.clear()
        self._silenced = 0


class ReadyQueue(Generic[_T]):
    """First come first served over all kinds that somebody knows."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str], dict[int, _T]] = {}

    def add(self, kind: tuple[str, str], place: int, work: _T) -> None:
        """`place` is unique and orders."""
        self._kinds.setdefault(kind, {})[place] = work

    def remove(self, kind: tuple[str, str], place: int) -> None:
        waiting = self._kinds.get(kind)
        if waiting is not None and waiting.pop(place, None) is not None and not waiting:
            del self._kinds[kind]

    def taking(
        self, knows: Callable[[str, str], bool], may_take: Callable[[str, str], bool] = lambda name, version: True
    ) -> Iterator[_T]:
        """Takes one after the other out, asking `may_take` right before each; a kind it refuses is left for now."""
        known = [kind for kind in self._kinds if knows(*kind)]
        while known:
            kind = min(known, key=lambda kind: next(iter(self._kinds[kind])))
            if not may_take(*kind):
                known.remove(kind)
                continue
            waiting = self._kinds[kind]
            work = waiting.pop(next(iter(waiting)))
            if not waiting:
                del self._kinds[kind]
                known.remove(kind)
            yield work

    def any(self, knows: Callable[[str, str], bool]) -> bool:
        return any(knows(*kind) for kind in self._kinds)

    def clear(self) -> None:
        self._kinds.clear()
