"""A history as a person reads it: every decision beside its answer. Pure: events in, entries out.

Decisions and their answers share a `number`; a failed attempt that is tried again belongs to the call it is an
attempt of. What has no number (events from outside, suspend, resume, cancel, ...) is an entry of its own, at its
place.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from dtf_runtime import FailureDetails, HistoryEvent, OrchestrationStatus
from dtf_runtime.model import history as h


@dataclass(kw_only=True)
class Entry:
    """`state`: open, done, failed, or note (needs no answer). `value`: the plain JSON of a result, input or payload."""

    kind: str  # activity, child, detached, timer, event sent, event raised, started, ended, ...
    label: str
    at: datetime
    state: str = "note"
    number: int | None = None
    ended_at: datetime | None = None
    attempts: int = 1
    due: datetime | None = None  # a timer's, or the next attempt's
    failures: list[FailureDetails] = field(default_factory=list)  # one an attempt
    value: Any = None

    @property
    def duration(self) -> timedelta | None:
        return None if self.ended_at is None else self.ended_at - self.at


def build(events: Iterable[HistoryEvent]) -> list[Entry]:
    """Entries in the order in which they began."""
    entries: list[Entry] = []
    calls: dict[int, Entry] = {}
    for event in events:
        begun = _begin(event)
        if begun is not None:
            entries.append(begun)
            if begun.number is not None:
                calls[begun.number] = begun
        else:
            _answer(event, calls)
    return entries


def _begin(event: HistoryEvent) -> Entry | None:
    """The entry that this event opens; None for an answer, and for what only the engine reads."""
    match event:
        case h.TaskScheduled():
            return _call(event, event.number, "activity", event.name, event.version)
        case h.SubOrchestrationCreated():
            label = f"{event.name} as {event.instance_id}"
            if event.detached:
                return Entry(kind="detached", label=label, at=event.timestamp, number=event.number)
            return _call(event, event.number, "child", label, event.version)
        case h.TimerCreated():
            return Entry(
                kind="timer", label="", at=event.timestamp, state="open", number=event.number, due=event.fire_at
            )
        case h.EventSent():
            label = f"{event.name} to {event.instance_id}"
            return Entry(
                kind="event sent", label=label, at=event.timestamp, number=event.number, value=plain(event.payload)
            )
        case h.EventRaised():
            return Entry(kind="event", label=event.name, at=event.timestamp, value=plain(event.payload))
        case h.ExecutionStarted():
            label = _versioned(event.name, event.version)
            return Entry(kind="started", label=label, at=event.timestamp, value=plain(event.input))
    return _milestone(event)


def _milestone(event: HistoryEvent) -> Entry | None:
    match event:
        case h.CancelRequested():
            return Entry(kind="cancel requested", label=event.reason, at=event.timestamp)
        case h.ExecutionSuspended():
            return Entry(kind="suspended", label=event.reason, at=event.timestamp)
        case h.ExecutionResumed():
            return Entry(kind="resumed", label=event.reason, at=event.timestamp)
        case h.ExecutionRewound():
            return Entry(kind="rewound", label=event.reason, at=event.timestamp)
        case h.ExecutionTerminated():
            return Entry(kind="terminated", label=event.reason, at=event.timestamp, state="failed")
        case h.ContinuedAsNew():
            label = event.version and f"version {event.version}"
            return Entry(kind="continued as new", label=label, at=event.timestamp, value=plain(event.input))
        case h.PatchRecorded():
            return Entry(kind="patch", label=event.change_id, at=event.timestamp)
        case h.ExecutionCompleted():
            failed = event.status is not OrchestrationStatus.COMPLETED
            entry = Entry(kind=event.status.value, label="", at=event.timestamp, value=plain(event.result))
            entry.state = "failed" if failed else "done"
            entry.failures = [event.failure] if event.failure else []
            return entry
    return None


def _answer(event: HistoryEvent, calls: dict[int, Entry]) -> None:
    entry = calls.get(getattr(event, "number", -1))
    if entry is None:
        return
    match event:
        case h.TaskCompleted() | h.SubOrchestrationCompleted():
            entry.state, entry.ended_at, entry.due, entry.value = "done", event.timestamp, None, plain(event.result)
        case h.TimerFired():
            entry.state, entry.ended_at = "done", event.timestamp
        case h.TaskFailed() | h.SubOrchestrationFailed():
            entry.failures.append(event.failure)
            entry.due = event.retry_at
            if event.retry_at is None:
                entry.state, entry.ended_at, entry.attempts = "failed", event.timestamp, event.attempt
            else:
                entry.attempts = event.attempt + 1


def _call(event: HistoryEvent, number: int, kind: str, name: str, version: str) -> Entry:
    return Entry(kind=kind, label=_versioned(name, version), at=event.timestamp, state="open", number=number)


def _versioned(name: str, version: str) -> str:
    return f"{name} (version {version})" if version else name


def one_line(event: HistoryEvent, names: dict[int, str]) -> str:
    """What an event is about, for `tail`; `names` remembers what each call was, for the answers to come."""
    begun = _begin(event)
    number: int | None = getattr(event, "number", None)
    if begun is not None:
        if number is not None:
            names[number] = begun.label
        return f"{_position(number)}{begun.label}"
    failure = getattr(event, "failure", None)
    failed = f" {failure.type.removeprefix('builtins.')}: {failure.message}" if failure is not None else ""
    return f"{_position(number)}{names.get(number or 0, '')}{failed}"


def _position(number: int | None) -> str:
    return "" if number is None else f"#{number} "


def plain(raw: Raw | UnsetType) -> Any:
    return None if isinstance(raw, UnsetType) or not bytes(raw) else msgspec.json.decode(raw)
