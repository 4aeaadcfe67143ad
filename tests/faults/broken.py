"""Ways to break a worker on purpose, so that the judge can be shown to notice. Each takes one guarantee out, from outside the product."""

import uuid
from collections.abc import Callable
from typing import Any

import msgspec

from dtf_runtime.dispatchers import commits
from dtf_runtime.dispatchers.activity_context import ActivityContext
from dtf_runtime.dispatchers.profiles import Profile
from dtf_runtime.model.commit import Commit
from dtf_runtime.model.history import decode_events, encode_events
from dtf_runtime.providers.sqlite import turns, writer
from dtf_runtime.providers.sqlite.instances import CreateOp, create_all
from dtf_runtime.providers.sqlite.rows import execute_rows
from tests.faults import flows


def _loses_a_start() -> None:
    """The start of a sequence is acknowledged and not stored."""

    def lossy(db: Any, owner: int, ops: list[CreateOp]) -> bool:
        return create_all(db, owner, [op for op in ops if flows.kind_of(op.start.instance_id) != "sequence"])

    setattr(writer, "create_all", lossy)  # noqa: B010


def _keeps_what_was_consumed() -> None:
    """An activity whose result is in history stays queued, so that it runs again after the kill."""

    def consume(db: Any, owner: int, ops: Any) -> None:
        execute_rows(db, "delete from messages where k in ({marks})", [(key,) for op in ops for key in op.messages])

    setattr(turns, "_consume", consume)  # noqa: B010


def _applies_twice() -> None:
    """The last turn of an instance has an activity's result twice in history."""
    turn = commits.turn

    def twice(execution: Any, history: Any, messages: Any, at: Any) -> Commit:
        commit = turn(execution, history, messages, at)
        events = decode_events(commit.history) if commit.status.is_final and commit.history else []
        for event in [event for event in events if event.kind == "TaskCompleted"]:
            events.append(msgspec.structs.replace(event, event_id=events[-1].event_id + 1))
            commit.history_length += 1
        commit.history = encode_events(events) if events else commit.history
        return commit

    setattr(commits, "turn", twice)  # noqa: B010


def _gives_new_keys() -> None:
    setattr(ActivityContext, "idempotency_key", property(lambda self: uuid.uuid4().hex))  # noqa: B010


def _forgets_fanout() -> None:
    """One kind of instance is never run."""
    find = Profile.find_orchestration

    def without_fanout(self: Profile, name: str, version: str) -> Any:
        return None if name == "fanout" else find(self, name, version)

    setattr(Profile, "find_orchestration", without_fanout)  # noqa: B010


WAYS: dict[str, Callable[[], None]] = {
    "loses a start": _loses_a_start,
    "keeps what was consumed": _keeps_what_was_consumed,
    "applies twice": _applies_twice,
    "gives new keys": _gives_new_keys,
    "forgets fanout": _forgets_fanout,
}
