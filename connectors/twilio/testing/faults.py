"""What can go wrong at the fake: refusals with any of Twilio's codes, and connections that break at the worst moment."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum


class Cut(StrEnum):
    """Where a request to make something breaks off."""

    BEFORE = "before"
    """Nothing was done, and the connection closes."""
    NO_REPLY = "no reply"
    """It was done; the connection closes without a word."""
    HALF_REPLY = "half a reply"
    """It was done; the connection closes within the answer."""
    BAD_GATEWAY = "502"
    """It was done; a proxy in between says 502."""
    SILENCE = "silence"
    """It was done; nothing comes, and the connection stays open until the client gives up."""
    GARBAGE = "garbage"
    """It was done; the answer says 200 and can't be read."""


@dataclass(frozen=True)
class Fault:
    """The next request that changes something meets it, once; with `reads`, the next one that doesn't. `then` runs after the deed and before
    the connection closes."""

    cut: Cut | None = None
    code: int = 0
    status: int = 0
    message: str = ""
    retry_after: float | None = None
    reads: bool = False
    then: Callable[[], None] | None = None


class Faults:
    """From any thread. Each fault is met once, in the order given."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next: list[Fault] = []
        self.outage = False
        """Every request is answered 503."""

    def add(self, *faults: Fault) -> None:
        with self._lock:
            self._next += faults

    def take(self, *, reads: bool) -> Fault | None:
        with self._lock:
            found = next((one for one in self._next if one.reads is reads), None)
            if found is not None:
                self._next.remove(found)
            return found
