"""A task hub in the memory of one process: for tests and for programs that need not outlive their process. Never writes to disk.

Semantics are those of every provider (`dtf_runtime/service.py`); only durability ends with the process.
"""

from typing import Any

from dtf_runtime.clock import REAL_CLOCK
from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.providers.memory.service import MemoryService

__all__ = ["MemoryService", "connect"]


def connect(url: str, **options: Any) -> MemoryService:
    """A new, empty hub for each call. `clock`: where the time comes from, by default the machine's. Any other option: InvalidArgumentError."""
    if url.lower() not in ("memory://", "memory:///"):
        raise InvalidArgumentError(
            f"a hub in memory has no name, but the URL is {url!r}. Write connect('memory://') and share what it returns."
        )
    clock = options.pop("clock", REAL_CLOCK)
    if options:
        raise InvalidArgumentError(f"memory:// takes the option 'clock' alone, not {', '.join(sorted(options))}")
    return MemoryService(clock)
