"""What a turn asks of the provider, as data: one commit, all or nothing."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from dtf_runtime.errors import FailureDetails
from dtf_runtime.model.history import CarriedEvent
from dtf_runtime.model.messages import ActivityTask, Message, StartExecution
from dtf_runtime.model.state import OrchestrationStatus, ParentLink


class InstanceRecord(msgspec.Struct, kw_only=True):
    """What a dispatcher needs to know of an execution beside its history."""

    instance_id: str
    execution_id: str
    name: str
    version: str = ""
    status: OrchestrationStatus = OrchestrationStatus.PENDING
    input: bytes | None = None
    tags: dict[str, str] = {}
    parent: ParentLink | None = None
    carried: tuple[CarriedEvent, ...] = ()
    recent: tuple[str, ...] = ()


class Send(msgspec.Struct):
    """A message to another instance. To one that is not there or has ended: dropped and traced."""

    instance_id: str
    message: Message


class Timer(msgspec.Struct):
    number: int
    fire_at: datetime


class NextExecution(msgspec.Struct, kw_only=True):
    """Continue-as-new: replaces the execution of this commit by a new one, in the same step. Messages without an execution id stay."""

    execution_id: str
    version: str
    input: bytes | None
    parent: ParentLink | None = None  # these two as they were
    tags: dict[str, str] = {}
    carried: tuple[CarriedEvent, ...] = ()
    recent: tuple[str, ...] = ()


class Commit(msgspec.Struct, kw_only=True):
    """One turn. `history` is one encoded row (b"" when nothing happened), `custom_status` None when unchanged.

    A final `status` must drop what the instance still has waiting (messages, timers); with `next` only what names the old execution.
    `rewrite`: the row replaces all history of the execution (rewind)."""

    at: datetime
    status: OrchestrationStatus
    history: bytes
    history_length: int
    custom_status: bytes | None = None
    output: bytes | None = None
    failure: FailureDetails | None = None
    tasks: Sequence[ActivityTask] = ()
    cancelled_tasks: Sequence[int] = ()  # numbers of calls nobody waits for any more
    timers: Sequence[Timer] = ()
    withdrawn_timers: Sequence[int] = ()
    starts: Sequence[StartExecution] = ()
    sends: Sequence[Send] = ()
    next: NextExecution | None = None
    rewrite: bool = False
    reinject: Sequence[Message] = ()  # goes back to this instance's own inbox (rewind)
