"""History: the events of one execution, in the order in which they happened.

Two kinds alternate: an *input* (started, completed, fired, raised, ...) is fed to the orchestration; the *decisions* that the code made while
it was fed follow it directly, each under its number. Replay depends on exactly that order. Payloads stay encoded (`msgspec.Raw`): a
history is written and read far more often than anybody looks inside. A kind or field that is stored is never renamed, only added.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec
from msgspec import UNSET, Raw, UnsetType

from dtf_runtime.errors import FailureDetails
from dtf_runtime.model.state import OrchestrationStatus, ParentLink


class HistoryEvent(msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="kind", tag=True, gc=False):
    """`event_id` is the position in the history, `timestamp` the time of the turn that recorded the event (UTC)."""

    event_id: int
    timestamp: datetime

    @property
    def kind(self) -> str:
        return type(self).__name__


class CarriedEvent(msgspec.Struct, omit_defaults=True):
    """An external event that nobody had waited for when its execution continued as new."""

    name: str
    payload: Raw
    message_id: str = ""


class ExecutionStarted(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    name: str
    version: str = ""
    execution_id: str
    input: Raw | UnsetType = UNSET
    parent: ParentLink | None = None
    tags: dict[str, str] = {}
    carried: tuple[CarriedEvent, ...] = ()
    recent: tuple[str, ...] = ()  # ids of messages that earlier executions consumed


class OrchestratorStarted(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    """The first turn of a worker, or of another Python than before."""

    python: str


class TaskScheduled(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    name: str
    version: str = ""
    input: Raw


class TaskCompleted(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    result: Raw


class TaskFailed(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    attempt: int
    failure: FailureDetails
    retry_at: datetime | None = None  # when the next attempt is due; None: final


class SubOrchestrationCreated(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    name: str
    version: str = ""
    instance_id: str
    input: Raw | UnsetType = UNSET
    detached: bool = False


class SubOrchestrationCompleted(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    result: Raw


class SubOrchestrationFailed(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    attempt: int
    failure: FailureDetails
    cancelled: bool = False
    retry_at: datetime | None = None


class TimerCreated(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    fire_at: datetime


class TimerFired(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    fire_at: datetime


class EventSent(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    instance_id: str
    name: str
    payload: Raw


class EventRaised(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    name: str
    payload: Raw
    message_id: str = ""


class CancelRequested(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    reason: str = ""
    message_id: str = ""


class ExecutionSuspended(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    reason: str = ""
    message_id: str = ""


class ExecutionResumed(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    reason: str = ""
    message_id: str = ""


class ExecutionRewound(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    """History was cut here. `highest` is the highest number used before: later calls must not reuse one."""

    reason: str = ""
    highest: int
    message_id: str = ""
    restarted: tuple[int, ...] = ()  # children that begin anew; a failed one is rewound itself


class ExecutionTerminated(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    reason: str = ""


class ExecutionCompleted(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    status: OrchestrationStatus
    result: Raw | UnsetType = UNSET
    failure: FailureDetails | None = None


class ContinuedAsNew(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    number: int
    version: str = ""
    input: Raw | UnsetType = UNSET


class PatchRecorded(HistoryEvent, kw_only=True, omit_defaults=True, tag=True):
    change_id: str


Decision = TaskScheduled | SubOrchestrationCreated | TimerCreated | EventSent | ExecutionCompleted | ContinuedAsNew
DECISIONS: tuple[type[HistoryEvent], ...] = (
    TaskScheduled,
    SubOrchestrationCreated,
    TimerCreated,
    EventSent,
    ExecutionCompleted,
    ContinuedAsNew,
)
AnyEvent = (
    ExecutionStarted
    | OrchestratorStarted
    | TaskScheduled
    | TaskCompleted
    | TaskFailed
    | SubOrchestrationCreated
    | SubOrchestrationCompleted
    | SubOrchestrationFailed
    | TimerCreated
    | TimerFired
    | EventSent
    | EventRaised
    | CancelRequested
    | ExecutionSuspended
    | ExecutionResumed
    | ExecutionRewound
    | ExecutionTerminated
    | ExecutionCompleted
    | ContinuedAsNew
    | PatchRecorded
)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[AnyEvent])


def encode_events(events: Sequence[HistoryEvent]) -> bytes:
    return _encoder.encode(events)


def decode_events(data: bytes | str) -> list[HistoryEvent]:
    """msgspec.ValidationError or DecodeError when this version can't read them."""
    return _decoder.decode(data)  # type: ignore[return-value]


def decode_rows(rows: Iterable[bytes | str]) -> list[HistoryEvent]:
    return [event for row in rows for event in _decoder.decode(row)]
