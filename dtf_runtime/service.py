"""The provider contract: what the dispatchers and the client ask of a task hub.

`OrchestrationService` is the whole contract. A provider is *fused* when one transaction holds messages and state (SQLite, memory), or it is a
transport over an `InstanceStore`. `dtf_runtime.testing.ProviderConformance` checks every sentence below that says "must".

What every provider must guarantee
1. `commit` is all or nothing, and only if nobody else committed since the lock: else `LockLostError`, and nothing happened.
2. What was acknowledged (`create`, `send`, `commit`) survives the death of every process.
3. Delivery is at least once.
4. One instance is locked by one worker at a time; a slow, broken or unknown one holds up no other.
5. An activity is handed out at least once; its result reaches its instance exactly once. Timers are due once and not early.
6. Waiting is notified inside a process, and cheap across processes.
7. Work that was handed out `max_delivery_count` times without a commit is handed out once more marked `poisoned`: its dispatcher fails it.
8. A parent is always told how its child ended, also when the child could not be started.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, runtime_checkable

import msgspec
from msgspec import Raw

from dtf_runtime.errors import FailureDetails
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.messages import ActivityResult, ActivityTask, Message, StartExecution
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus, PurgeResult


class WorkerProfile(Protocol):
    """A worker as the provider sees it: what it can run, so that it is never handed anything else. Must not do I/O."""

    @property
    def lock_duration(self) -> float: ...
    @property
    def max_delivery_count(self) -> int: ...
    def runs_orchestration(self, name: str, version: str) -> bool: ...
    def runs_activity(self, name: str, version: str) -> bool: ...
    def take_activity(self, name: str, version: str) -> bool:
        """Called right before one is handed out: False when its own limit is reached just now."""
        ...


class OrchestrationWorkItem(msgspec.Struct, kw_only=True, eq=False):
    """A locked instance and what is new for it. `record` is given for an execution without history (`revision` 0), else `load` gives it.
    `deliveries`: earlier tries that ended without a commit. `lease` is the provider's own."""

    instance_id: str
    execution_id: str
    revision: int
    messages: list[Message]
    record: InstanceRecord | None = None
    deliveries: int = 0
    poisoned: bool = False
    lease: Any = None


class ActivityWorkItem(msgspec.Struct, kw_only=True, eq=False):
    """A locked activity. The provider calls `on_cancel`, if set, when nobody waits for the result any more or the lock is lost."""

    instance_id: str
    execution_id: str
    task: ActivityTask
    deliveries: int = 0
    poisoned: bool = False
    cancelled: bool = False
    on_cancel: Callable[[], None] | None = None
    lease: Any = None


class Outcome(msgspec.Struct, frozen=True):
    """How an instance ended."""

    status: OrchestrationStatus
    output: bytes | None = None
    failure: FailureDetails | None = None


class Watch(Protocol):
    """Knows when an instance has ended; forgotten with its last reference."""

    async def outcome(self) -> Outcome: ...


@runtime_checkable
class OrchestrationService(Protocol):
    """See the module for the guarantees. Methods raise `ProviderError` when the store can't be used, and what they name."""

    # -- life: counted, so that any number of workers and clients can share one service
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def create_hub(self) -> None: ...
    async def delete_hub(self) -> None: ...

    # -- client
    async def create(
        self, start: StartExecution, reuse: frozenset[OrchestrationStatus], watch: bool = False
    ) -> Watch | None:
        """`OrchestrationAlreadyExistsError` when the id is taken by a status outside `reuse`; else the old execution, live or not, is
        replaced in the same step. A child or detached start never comes this way."""
        ...

    async def send(self, instance_id: str, message: Message) -> None:
        """InstanceNotFoundError. To an ended instance: dropped and traced, except a rewind."""
        ...

    async def terminate(self, instance_id: str, reason: str, recursive: bool) -> None:
        """InstanceNotFoundError. Ends at once whatever is live, a pending one too; runs no code."""
        ...

    async def get(self, instance_id: str, execution_id: str | None = None) -> InstanceState | None: ...
    async def history(self, instance_id: str, execution_id: str | None = None) -> list[HistoryEvent]: ...
    async def query(
        self, query: OrchestrationQuery, continuation: str | None
    ) -> tuple[list[InstanceState], str | None]:
        """One page, and where the next one goes on; paging while others write neither repeats nor skips what was there throughout."""
        ...

    async def count(self, query: OrchestrationQuery) -> dict[OrchestrationStatus, int]: ...
    async def purge(self, which: str | OrchestrationQuery, recursive: bool) -> PurgeResult:
        """By id: InstanceNotFoundError; a live one: InvalidStateError. By query: live ones are skipped."""
        ...

    def watch(self, instance_id: str) -> Watch: ...

    # -- orchestrations
    def lock_orchestrations(self, worker: WorkerProfile, most: int) -> Awaitable[list[OrchestrationWorkItem]]:
        """Waits until there is at least one. A future or a coroutine; must be cancellable without losing work."""
        ...

    async def load(self, item: OrchestrationWorkItem) -> tuple[InstanceRecord, list[HistoryEvent]]: ...
    def commit(self, item: OrchestrationWorkItem, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        """Calls `done` in the loop's thread: with None when durable, with a LockLostError when refused (nothing happened), with another error
        when nobody knows. Always before the instance is handed out again; the lock ends with it. The item's messages are consumed with it."""
        ...

    async def abandon_orchestration(self, item: OrchestrationWorkItem, delay: float, *, counts: bool) -> None:
        """Gives the lock and all messages back, to be handed out again after `delay` seconds. `counts`: as a delivery."""
        ...

    async def renew_orchestration(self, item: OrchestrationWorkItem) -> None: ...

    # -- activities
    def lock_activities(self, worker: WorkerProfile, most: int) -> Awaitable[list[ActivityWorkItem]]: ...
    async def complete_activity(self, item: ActivityWorkItem, result: ActivityResult) -> None:
        """Hands the result over. Until the turn that consumes it is durable the activity counts as not done."""
        ...

    async def abandon_activity(self, item: ActivityWorkItem, *, counts: bool) -> None: ...
    async def renew_activity(self, item: ActivityWorkItem, heartbeat: Raw | None = None) -> bool:
        """True: cancelled, or the lock is lost."""
        ...

    async def detach(self, worker: WorkerProfile) -> None:
        """The worker takes no more work; what it had locked and not begun goes to others."""
        ...


@runtime_checkable
class InstanceStore(Protocol):
    """Durable state for a transport that holds none. Any store with a conditional atomic write can be one."""

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def load(self, instance_id: str) -> tuple[InstanceRecord, list[HistoryEvent], int]: ...
    async def commit(self, instance_id: str, expected_revision: int, commit: Commit) -> None:
        """LockLostError when the revision moved."""
        ...
