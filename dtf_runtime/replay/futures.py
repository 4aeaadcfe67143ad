"""The futures that calls in an orchestration give. Hot: the work is scheduled when the call is made. What cancelling one means is rule 13."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dtf_runtime.definitions import Activity, Call, ChildCall, RetryPolicy
from dtf_runtime.model.messages import ActivityTask, StartExecution

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

Decoder = Callable[[Any, str], Any]  # (data, what it is) -> value


class ReplayExit(BaseException):
    """Raised in code that runs after its orchestration has ended or while it is evicted: it must do nothing durable any more. Not for users."""


class ContinueAsNew(BaseException):
    """Unwinds the main task. Not for users."""


class DurableCall(Call[Any]):
    """What all of them share: a number of their own for sets to hash by (rule 5)."""

    def __init__(self, execution: "Execution") -> None:
        self.execution = execution
        self._hash = execution.loop.next_hash()
        super().__init__(loop=execution.loop)

    def __hash__(self) -> int:
        return self._hash

    def fail(self, error: BaseException) -> None:
        self.set_exception(error)
        self.execution.failed_unseen(self)


class NumberedCall(DurableCall):
    """An attempt is open: which one, under which policy, since when (seconds)."""

    attempt = 1
    restarts = 0

    def __init__(
        self, execution: "Execution", number: int, name: str, decoder: Decoder, policy: RetryPolicy | None
    ) -> None:
        loop = execution.loop
        self.execution = execution
        self.number = number
        self.name = name
        self.decode = decoder
        self.policy = policy
        self.since = loop.now
        self._hash = loop.next_hash()
        asyncio.Future.__init__(self, loop=loop)  # past DurableCall, which would do the same again


class Limits(msgspec.Struct):
    """What an activity called by name has in place of a definition. Seconds."""

    timeout: float | None
    heartbeat_timeout: float | None
    tags: Mapping[str, str]


class ActivityCall(NumberedCall):
    """With all that another attempt needs."""

    version: str
    data: bytes
    limits: "Limits | Activity[..., Any]"

    def attempted(
        self, attempt: int, *, due: datetime | None = None, heartbeat: Raw | UnsetType = UNSET
    ) -> ActivityTask:
        limits = self.limits
        return ActivityTask(
            number=self.number,
            attempt=attempt,
            name=self.name,
            version=self.version,
            input=Raw(self.data),
            timeout=limits.timeout,
            heartbeat_timeout=limits.heartbeat_timeout,
            tags=dict(limits.tags) if limits.tags else {},
            due=due,
            heartbeat=heartbeat,
        )

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.execution.cancel_activity(self)
        return True


class DurableChildCall(NumberedCall, ChildCall[Any]):
    """Cancelling it sends the child a cancel and stays pending until the child has ended, compensation included."""

    start: StartExecution
    cancel_requested = False

    def __init__(self, *args: Any) -> None:
        self.owed_cancels: list[tuple[Any, int, Any]] = []  # (task, its cancelling() then, message)
        super().__init__(*args)

    def cancel(self, msg: Any | None = None) -> bool:
        if self.done():
            return False
        if not self.execution.is_running:
            return super().cancel(msg)
        if not self.cancel_requested:
            self.cancel_requested = True
            self.execution.cancel_child(self)
        return True

    def end_cancelled(self) -> None:
        super().cancel()

    def pay_cancels(self) -> None:
        """The child ended with a result all the same: the waiter gets that, and its cancel at its next await, unless it was taken back."""
        for task, level, msg in self.owed_cancels:
            self.execution.loop.call_soon(_cancel_again, task, level, msg)
        self.owed_cancels.clear()


def _cancel_again(task: Any, level: int, msg: Any) -> None:
    if not task.done() and task.cancelling() >= level:
        task.uncancel()
        task.cancel(msg)


class EventCall(DurableCall):
    """A waiter in the line for one event name. Cancelled, it leaves the line."""

    def __init__(self, execution: "Execution", name: str, result_type: Any) -> None:
        self.name = name
        self.result_type = result_type
        super().__init__(execution)

    def cancel(self, msg: Any | None = None) -> bool:
        if not super().cancel(msg):
            return False
        self.execution.leave_line(self)
        return True
