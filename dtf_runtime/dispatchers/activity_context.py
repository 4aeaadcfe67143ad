"""What a running activity can know and say: who called it, its time limit, whether it is still wanted, heartbeats.

Made for every activity that runs, so whatever few of them ask for is made when it is asked for. May be used from any thread.
"""

import asyncio
import hashlib
import logging
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import datetime
from typing import Any, Protocol

from msgspec import UNSET, Raw

from dtf_runtime.converter import decode, encode
from dtf_runtime.errors import OutsideActivityError
from dtf_runtime.service import ActivityWorkItem
from dtf_runtime.tracing import ReplayAwareLogger

_logger = logging.getLogger("dtf_runtime.activity.user")


class Host(Protocol):
    """What runs the activity, as its context sees it."""

    @property
    def connections(self) -> tuple[Any, ...]: ...
    def beat(self, details: Raw) -> None: ...


class ActivityContext:
    """Of one attempt. `deadline` is UTC, None without a timeout; `attempt` counts from 1, the policy's attempts and not redeliveries."""

    __slots__ = ("_event", "_host", "_item", "_key", "_logger", "_told", "deadline")

    def __init__(self, item: ActivityWorkItem, host: Host, deadline: datetime | None = None) -> None:
        self._item = item
        self._host = host
        self._told = False
        self._event: asyncio.Event | None = None
        self._key = ""
        self._logger: logging.LoggerAdapter[logging.Logger] | None = None
        self.deadline = deadline

    @property
    def instance_id(self) -> str:
        return self._item.instance_id

    @property
    def execution_id(self) -> str:
        return self._item.execution_id

    @property
    def name(self) -> str:
        return self._item.task.name

    @property
    def version(self) -> str:
        return self._item.task.version

    @property
    def task_id(self) -> int:
        """The number of the call in its execution."""
        return self._item.task.number

    @property
    def attempt(self) -> int:
        return self._item.task.attempt

    @property
    def tags(self) -> Mapping[str, str]:
        return dict(self._item.task.tags)

    @property
    def idempotency_key(self) -> str:
        """32 hex digits: the same for each delivery and each attempt of one logical call, different for every other call."""
        if not self._key:
            call = f"{self._item.execution_id}/{self._item.task.number}"
            self._key = hashlib.blake2b(call.encode(), digest_size=16).hexdigest()
        return self._key

    @property
    def logger(self) -> "logging.LoggerAdapter[logging.Logger]":
        """Its records carry the instance, the execution, the activity and the attempt."""
        if self._logger is None:
            self._logger = ReplayAwareLogger(
                _logger,
                lambda: False,
                {
                    "instance_id": self.instance_id,
                    "execution_id": self.execution_id,
                    "activity": self.name,
                    "task_id": self.task_id,
                    "attempt": self.attempt,
                },
            )
        return self._logger

    @property
    def cancelled(self) -> asyncio.Event:
        """Set when nobody waits for the result any more: a cancel, a timeout, a lost lock, a worker that stops."""
        if self._event is None:
            event = self._event = asyncio.Event()
            if self._told:  # looked at after it can be seen: `tell` may come from another thread
                event.set()
        return self._event

    def raise_if_cancelled(self) -> None:
        """For plain functions in threads: raises asyncio.CancelledError once `cancelled` is set."""
        if self._told:
            raise asyncio.CancelledError(f"activity {self.name!r} of {self.instance_id!r} is no longer wanted")

    @property
    def last_heartbeat(self) -> Any:
        """Details of the last heartbeat of an earlier delivery or attempt of this call, as plain JSON values; None without one."""
        details = self._item.task.heartbeat
        return None if details is UNSET else decode(details, Any, f"the last heartbeat of activity {self.name!r}")

    def heartbeat(self, details: object = None) -> None:
        """Says that it lives, and keeps `details` for a next attempt. Sent in the background, the newest wins. SerializationError."""
        self._host.beat(Raw(encode(details, f"the heartbeat of activity {self.name!r}")))

    @property
    def connections(self) -> tuple[Any, ...]:
        """The connections that the worker was given."""
        return self._host.connections

    def tell(self) -> None:
        """The runtime's: sets `cancelled`. In the loop's thread."""
        self._told = True
        if self._event is not None:
            self._event.set()

    def __repr__(self) -> str:
        return (
            f"<context of activity {self.name!r}, task {self.task_id} of {self.instance_id!r}, attempt {self.attempt}>"
        )


current: ContextVar[ActivityContext] = ContextVar("dtf_runtime.activity")


def activity_context() -> ActivityContext:
    """The context of the activity that calls this. Anywhere else: OutsideActivityError."""
    context = current.get(None)
    if context is None:
        raise OutsideActivityError(
            "activity_context() was called where no activity runs: it works inside an @activity that a worker runs, also in the "
            "functions that it calls. In a unit test give those functions what they need as arguments, or run a TestHub."
        )
    return context
