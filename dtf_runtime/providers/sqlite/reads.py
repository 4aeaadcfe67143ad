"""Everything that only reads: state, history, queries, counts. Runs in the reader's thread, on a connection of its own."""

import json
import sqlite3
from typing import Any

import msgspec

from dtf_runtime.errors import FailureDetails, InvalidArgumentError, LockLostError, ProviderError
from dtf_runtime.model.commit import InstanceRecord
from dtf_runtime.model.history import HistoryEvent, decode_rows
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus
from dtf_runtime.providers.sqlite import instances
from dtf_runtime.providers.sqlite.rows import from_micros, to_micros
from dtf_runtime.tracing import events as trace

_LENGTH = "case when e.x=i.x then i.length else e.length end"
_STATE = (
    "i.id, e.execution, i.name, e.version, case when e.x=i.x then i.status else e.status end,"
    " case when e.x=i.x then i.created else e.created end, case when e.x=i.x then i.updated else e.completed end,"
    f" e.completed, i.scheduled, i.parent, i.tags, e.failure, {_LENGTH},"
    " e.input, e.output, i.custom"
)
_ANY = "e.x in (select i.x union all select x from executions where n=i.n and earlier is not null)"
_BOUNDS = (
    ("created_after", "i.created >= ?"),
    ("created_before", "i.created <= ?"),
    ("updated_after", "i.updated >= ?"),
    ("updated_before", "i.updated <= ?"),
    ("completed_after", "i.completed >= ?"),
    ("completed_before", "i.completed <= ?"),
)


def state_of(row: tuple[Any, ...]) -> InstanceState:
    """ProviderError for a row that can't be read: damage must not look like a state."""
    try:
        for value in row:
            if isinstance(value, str) and not value.isascii():
                value.encode()  # a text that was damaged in the file can't be
        if row[1] is None:
            raise ValueError("what it runs is missing")
        return _state_of(row)
    except (ValueError, TypeError, AttributeError, OverflowError) as error:
        trace.row_set_aside(table="instances", key=repr(row[0]), error=error, instance_id=repr(row[0]))
        raise ProviderError(
            f"the state of instance {row[0]!r} can't be read by this version: {error}. It is kept as it is: run the version that wrote "
            f"it, or restore a backup."
        ) from error


def _state_of(row: tuple[Any, ...]) -> InstanceState:
    (
        id_,
        execution,
        name,
        version,
        status,
        created,
        updated,
        completed,
        scheduled,
        parent,
        tags,
        failure,
        length,
        *values,
    ) = row
    data, output, custom = (None if value is None else value.encode() for value in values)
    return InstanceState(
        instance_id=id_,
        execution_id=execution,
        name=name,
        version=version,
        status=OrchestrationStatus(status),
        created_at=from_micros(created),
        updated_at=from_micros(updated),
        completed_at=None if completed is None else from_micros(completed),
        scheduled_at=None if scheduled is None else from_micros(scheduled),
        parent_id=parent,
        tags={} if tags is None else msgspec.json.decode(tags),
        failure=None if failure is None else msgspec.json.decode(failure, type=FailureDetails),
        history_length=length,
        input_json=data,
        output_json=output,
        custom_status_json=custom,
    )


_BY_ID = "i.n=(select n from instances where id=?)"  # so that `i.id` is what the row says, not the index


def get(db: sqlite3.Connection, instance_id: str, execution_id: str | None) -> InstanceState | None:
    if execution_id is None:
        row = db.execute(
            f"select {_STATE} from instances i left join executions e on e.x=i.x where {_BY_ID}", (instance_id,)
        ).fetchone()
    else:
        row = db.execute(
            f"select {_STATE} from instances i join executions e on {_ANY} where {_BY_ID} and e.execution=?",
            (instance_id, execution_id),
        ).fetchone()
    if row is None:
        return None
    state = state_of(row)
    if state.instance_id != instance_id:
        raise ProviderError(
            f"the index of the file leads from {instance_id!r} to another instance: restore a backup, or rebuild it with REINDEX."
        )
    return state


def history(db: sqlite3.Connection, instance_id: str, execution_id: str | None) -> list[HistoryEvent] | None:
    """None: no such execution."""
    row = db.execute(
        f"select e.x, {_LENGTH} from instances i join executions e on {_ANY if execution_id else 'e.x=i.x'} where {_BY_ID}"
        + (" and e.execution=?" if execution_id else ""),
        (instance_id,) if execution_id is None else (instance_id, execution_id),
    ).fetchone()
    return None if row is None else _events(db, row[0], instance_id, row[1])


def _events(db: sqlite3.Connection, x: int, instance_id: str, length: int) -> list[HistoryEvent]:
    """All of them, from 0, one after another, `length` at least: a hole, at the beginning too, must not look like a history."""
    # The index says which rows, each row says whose it is: a damaged index must not give one instance the history of another.
    rows = db.execute(
        "select h.events, h.x from history i join history h on h.k=i.k where i.x=? order by i.revision, i.k", (x,)
    ).fetchall()
    try:
        if any(whose != x for _, whose in rows):
            raise ValueError("the index of the file leads to rows of another instance")
        events = decode_rows(row for row, _ in rows)
        places = [event.event_id for event in events]
        if places != list(range(len(events))) or len(events) < length:
            raise ValueError(f"of its {length} events some are missing or not in their place")
        return events
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        trace.row_set_aside(table="history", key=str(x), error=error, instance_id=instance_id)
        raise ProviderError(
            f"the history of instance {instance_id!r} can't be read by this version: {error}. It is kept as it is: run the version that "
            f"wrote it, or restore a backup."
        ) from error


def load(
    db: sqlite3.Connection, instance_id: str, execution_id: str, revision: int
) -> tuple[InstanceRecord, list[HistoryEvent]]:
    db.execute("begin")
    try:
        row = db.execute(
            f"select i.x, i.revision, i.length, {instances.RECORD} from instances i join executions e on e.x=i.x where i.id=?",
            (instance_id,),
        ).fetchone()
        if row is None or row[1] != revision or row[4] != execution_id:
            raise LockLostError(
                f"instance {instance_id!r} has moved on since it was locked; another worker goes on with it"
            )
        return _record(row[3:], instance_id), _events(db, row[0], instance_id, row[2])
    finally:
        db.execute("commit")


def _record(row: tuple[Any, ...], instance_id: str) -> InstanceRecord:
    try:
        return instances.record_of(row)
    except (ValueError, TypeError) as error:
        trace.row_set_aside(table="executions", key=instance_id, error=error, instance_id=instance_id)
        raise ProviderError(
            f"instance {instance_id!r} can't be read by this version: {error}. It is kept as it is: run the version that wrote it, or "
            f"restore a backup."
        ) from error


def conditions(query: OrchestrationQuery) -> tuple[str, list[Any]]:
    """The WHERE of a query, without its paging."""
    parts: list[str] = ["1"]
    parameters: list[Any] = []
    if query.statuses:
        parts.append(f"i.status in ({','.join('?' * len(query.statuses))})")
        parameters.extend(OrchestrationStatus(status).value for status in query.statuses)
    for column, value in (("name", query.name), ("version", query.version), ("parent", query.parent_id)):
        if value is not None:
            parts.append(f"i.{column}=?")
            parameters.append(value)
    if query.instance_id_prefix:
        parts.append("substr(i.id, 1, ?)=?")
        parameters.extend((len(query.instance_id_prefix), query.instance_id_prefix))
    for name, condition in _BOUNDS:
        moment = getattr(query, name)
        if moment is not None:
            parts.append(condition)
            parameters.append(to_micros(moment))
    for key, value in query.tags.items():
        parts.append("exists(select 1 from json_each(i.tags) t where t.key=? and t.value=?)")
        parameters.extend((key, value))
    return " and ".join(parts), parameters


def page(
    db: sqlite3.Connection, query: OrchestrationQuery, continuation: str | None
) -> tuple[list[InstanceState], str | None]:
    """By (created, key), which never change: what is written meanwhile neither shifts nor repeats a page."""
    where, parameters = conditions(query)
    order, beyond = ("desc", "<") if query.newest_first else ("asc", ">")
    if continuation is not None:
        created, n = _parsed(continuation)
        where += f" and (i.created, i.n) {beyond} (?, ?)"
        parameters.extend((created, n))
    rows = db.execute(
        f"select i.created, i.n, {_STATE} from instances i left join executions e on e.x=i.x where {where}"
        f" order by i.created {order}, i.n {order} limit ?",
        (*parameters, query.page_size + 1),
    ).fetchall()
    found = [state_of(row[2:]) for row in rows[: query.page_size]]
    last = rows[query.page_size - 1] if len(rows) > query.page_size else None
    return found, None if last is None else json.dumps([last[0], last[1]])


def _parsed(continuation: str) -> tuple[int, int]:
    try:
        created, n = json.loads(continuation)
        return int(created), int(n)
    except (ValueError, TypeError):
        raise InvalidArgumentError(f"{continuation!r} is no continuation token of this hub") from None


def count(db: sqlite3.Connection, query: OrchestrationQuery) -> dict[OrchestrationStatus, int]:
    where, parameters = conditions(query)
    rows = db.execute(f"select i.status, count(*) from instances i where {where} group by i.status", parameters)
    return {OrchestrationStatus(status): number for status, number in rows}
