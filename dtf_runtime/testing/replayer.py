"""Runs today's code of an orchestration against a recorded history. Never runs an activity, never touches a hub."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET

from dtf_runtime.definitions import Orchestration
from dtf_runtime.errors import InvalidArgumentError, SerializationError
from dtf_runtime.model.commit import InstanceRecord
from dtf_runtime.model.history import ExecutionStarted, HistoryEvent, decode_events
from dtf_runtime.replay.execution import Execution
from dtf_runtime.replay.loop import turns

_UNKNOWN = "replayed"  # where the history does not say


def replay(orchestration: Orchestration[..., Any], history: Iterable[HistoryEvent] | str | os.PathLike[str]) -> None:
    """Returns when the code decides what the history says, with the same arguments.

    `history`: events, or the path of the JSON file that `dtf history ID --json` writes. NonDeterminismError says where the two differ;
    InvalidArgumentError for what is no history from its beginning, SerializationError for a file this version can't read.
    """
    if not isinstance(orchestration, Orchestration):
        raise InvalidArgumentError(f"replay takes a function decorated with @orchestration, not {orchestration!r}")
    events = _read(Path(history)) if isinstance(history, (str, os.PathLike)) else list(history)
    if not events or not isinstance(events[0], ExecutionStarted):
        found = events[0].kind if events else "nothing"
        raise InvalidArgumentError(f"a history begins with ExecutionStarted, and this one with {found}: give it whole")
    execution = Execution(_record(events[0]), orchestration, strict=True)
    with turns():
        try:
            execution.replay(events)
        finally:
            execution.evict()


def _read(path: Path) -> list[HistoryEvent]:
    data = path.read_bytes()
    try:
        return decode_events(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise SerializationError(
            f"{path} is no history that this version can read: {error}. Write it with `dtf history ID --json`."
        ) from error


def _record(started: ExecutionStarted) -> InstanceRecord:
    return InstanceRecord(
        instance_id=getattr(started, "instance_id", "") or _UNKNOWN,
        execution_id=started.execution_id,
        name=started.name,
        version=started.version,
        input=None if started.input is UNSET else bytes(started.input),
        tags=dict(started.tags),
        parent=started.parent,
        carried=started.carried,
        recent=started.recent,
    )
