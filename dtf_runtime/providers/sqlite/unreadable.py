"""Rows that this version can't read: noticed before anybody takes them, left where they are, reported once. The others must go on."""

import sqlite3
from functools import lru_cache
from typing import Any

import msgspec

from dtf_runtime.model.messages import decode_task
from dtf_runtime.providers.sqlite import instances
from dtf_runtime.tracing import events as trace


def readable_record(db: sqlite3.Connection, n: int) -> tuple[Any, ...] | None:
    """None: this version can't read it. It stays where it is, unclaimed, and the others go on."""
    row: tuple[Any, ...] | None = db.execute(
        f"select {instances.RECORD} from instances i join executions e on e.x=i.x where i.n=?", (n,)
    ).fetchone()
    if row is None:
        set_aside("executions", n, "", "it has no execution")
        return None
    try:
        instances.record_of(row)
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        set_aside("executions", n, row[0], str(error))
        return None
    return row


def is_text(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


@lru_cache(maxsize=1_000)
def set_aside(table: str, key: int, instance_id: str, error: str) -> None:
    """Said once, though each scan comes by."""
    trace.row_set_aside(table=table, key=str(key), error=error, instance_id=instance_id)


def definition(row: tuple[Any, ...]) -> tuple[str, str] | None:
    """None: this version can't read it. It stays where it is, and the others go on."""
    try:
        task = decode_task(row[6])
    except (msgspec.MsgspecError, ValueError, TypeError) as error:
        set_aside("tasks", row[0], row[2] or "", str(error))
        return None
    return task.name, task.version
