"""Waiting for the end of an instance."""

import asyncio
from collections.abc import Callable

from dtf_runtime.service import Outcome


class MemoryWatch:
    """Forgotten with its last reference. `waiting` is told +1 and -1 around every wait that is not answered at once."""

    __slots__ = ("__weakref__", "_answer", "_waiters", "_waiting")

    def __init__(self, waiting: Callable[[int], None]) -> None:
        self._answer: Outcome | BaseException | None = None
        self._waiters: set[asyncio.Future[None]] = set()
        self._waiting = waiting

    def resolve(self, answer: Outcome | BaseException) -> None:
        """The first answer stands."""
        if self._answer is None:
            self._answer = answer
            for waiter in self._waiters:
                if not waiter.done():
                    waiter.set_result(None)

    async def outcome(self) -> Outcome:
        if self._answer is None:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            self._waiting(1)
            try:
                await waiter
            finally:
                self._waiting(-1)
                self._waiters.discard(waiter)
        if isinstance(self._answer, Outcome):
            return self._answer
        assert self._answer is not None
        raise self._answer


class Bell:
    """Wakes everybody who waits; whoever comes later waits for the next ring."""

    def __init__(self) -> None:
        self._waiters: set[asyncio.Future[None]] = set()

    def ring(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)
