"""What the hub in memory holds: instances, their executions, what waits for them. Data, and its forms for the outside; decides nothing."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Any

from msgspec import UNSET, Raw, UnsetType

from dtf_runtime.errors import FailureDetails
from dtf_runtime.model.commit import InstanceRecord, NextExecution
from dtf_runtime.model.history import CarriedEvent
from dtf_runtime.model.messages import ActivityTask, Message, StartExecution
from dtf_runtime.model.state import InstanceState, OrchestrationStatus, ParentLink
from dtf_runtime.service import ActivityWorkItem, Outcome

KEPT_EXECUTIONS = 10  # earlier ones of an instance


class Alarm:
    """Calls `ring` once it is due, unless it was silenced before."""

    __slots__ = ("due", "ring", "sequence")

    def __init__(self, due: datetime, sequence: int, ring: Callable[[], None]) -> None:
        self.due = due
        self.sequence = sequence
        self.ring: Callable[[], None] | None = ring

    def __lt__(self, other: "Alarm") -> bool:
        return (self.due, self.sequence) < (other.due, other.sequence)


class Letter:
    """A message that waits. Withdrawn: `message` is None."""

    __slots__ = ("due", "message", "sequence")

    def __init__(self, due: datetime, sequence: int, message: Message) -> None:
        self.due = due
        self.sequence = sequence
        self.message: Message | None = message

    def __lt__(self, other: "Letter") -> bool:
        return (self.due, self.sequence) < (other.due, other.sequence)


class Execution:
    """One execution and its history, a row a turn."""

    def __init__(self, execution_id: str, version: str, created: datetime, data: bytes | None) -> None:
        self.execution_id = execution_id
        self.version = version
        self.created = created
        self.input = data
        self.status = OrchestrationStatus.PENDING
        self.completed: datetime | None = None
        self.output: bytes | None = None
        self.failure: FailureDetails | None = None
        self.carried: tuple[CarriedEvent, ...] = ()
        self.recent: tuple[str, ...] = ()
        self.rows: list[bytes] = []
        self.length = 0

    @classmethod
    def of_start(cls, start: StartExecution, at: datetime) -> "Execution":
        return cls(start.execution_id, start.version, at, None if start.input is UNSET else bytes(start.input))

    @classmethod
    def of_next(cls, coming: NextExecution, at: datetime) -> "Execution":
        execution = cls(coming.execution_id, coming.version, at, coming.input)
        execution.carried, execution.recent = coming.carried, coming.recent
        return execution

    def outcome(self) -> Outcome:
        return Outcome(self.status, self.output, self.failure)


class Lease:
    """Who holds an instance: one lock, the letters that went with it."""

    __slots__ = ("instance", "letters", "worker")

    def __init__(self, instance: "Instance", letters: list[Letter], worker: Any) -> None:
        self.instance = instance
        self.letters = letters
        self.worker = worker


class Task:
    """An activity that is queued (`item` is None) or handed out."""

    __slots__ = (
        "alarm",
        "cancelled",
        "deliveries",
        "execution_id",
        "heartbeat",
        "instance",
        "item",
        "sequence",
        "task",
        "worker",
    )

    def __init__(self, sequence: int, instance: "Instance", task: ActivityTask) -> None:
        self.sequence = sequence
        self.instance = instance
        self.execution_id = instance.execution.execution_id
        self.task = task
        self.heartbeat: Raw | UnsetType = task.heartbeat
        self.deliveries = 0
        self.cancelled = False
        self.item: ActivityWorkItem | None = None
        self.worker: Any = None
        self.alarm: Alarm | None = None

    @property
    def key(self) -> tuple[str, int]:
        return self.execution_id, self.task.number


class Instance:
    """An id of the hub. `position` orders those of one `created`; `revision` counts the commits of the current execution."""

    def __init__(self, position: int, start: StartExecution, at: datetime) -> None:
        self.position = position
        self.instance_id = start.instance_id
        self.earlier: deque[Execution] = deque(maxlen=KEPT_EXECUTIONS)
        self.letters: list[Letter] = []  # a heap
        self.timers: dict[int, Letter] = {}
        self.tasks: dict[tuple[str, int], Task] = {}
        self.lease: Lease | None = None
        self.alarm: Alarm | None = None
        self.ready_since: int | None = None
        self.begin(start, at)

    def begin(self, start: StartExecution, at: datetime) -> None:
        """Everything that a new start sets."""
        self.name = start.name
        self.tags = dict(start.tags)
        self.parent: ParentLink | None = start.parent
        self.created = self.updated = at
        self.scheduled = start.due
        self.custom_status: bytes | None = None
        self.enter(Execution.of_start(start, at), at if start.due is None else start.due)

    def enter(self, execution: Execution, due: datetime) -> None:
        self.execution = execution
        self.revision = 0
        self.due = due
        self.not_before: datetime | None = None
        self.deliveries = 0

    @property
    def status(self) -> OrchestrationStatus:
        return self.execution.status

    @property
    def kind(self) -> tuple[str, str]:
        return self.name, self.execution.version

    def find(self, execution_id: str | None) -> Execution | None:
        if execution_id is None or execution_id == self.execution.execution_id:
            return self.execution
        return next((old for old in self.earlier if old.execution_id == execution_id), None)

    def record(self) -> InstanceRecord:
        execution = self.execution
        return InstanceRecord(
            instance_id=self.instance_id,
            execution_id=execution.execution_id,
            name=self.name,
            version=execution.version,
            status=execution.status,
            input=execution.input,
            tags=self.tags,
            parent=self.parent,
            carried=execution.carried,
            recent=execution.recent,
        )

    def state(self, execution: Execution) -> InstanceState:
        is_current = execution is self.execution
        return InstanceState(
            instance_id=self.instance_id,
            execution_id=execution.execution_id,
            name=self.name,
            version=execution.version,
            status=execution.status,
            created_at=self.created if is_current else execution.created,
            updated_at=self.updated if is_current else execution.completed or execution.created,
            completed_at=execution.completed,
            scheduled_at=self.scheduled,
            parent_id=None if self.parent is None else self.parent.instance_id,
            tags=dict(self.tags),
            failure=execution.failure,
            history_length=execution.length,
            input_json=execution.input,
            output_json=execution.output,
            custom_status_json=self.custom_status,
        )
