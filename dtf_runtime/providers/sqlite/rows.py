"""Small tools for SQL: many rows in one statement, and instants as integers.

A statement that takes many rows runs in one step, without the interpreter lock: row by row, each step would have to win the lock back from
whatever else the process computes (measured beside a busy thread: 13 ms a turn, against 0.8).
"""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

_SIZES = (64, 16, 4, 1)
FRESH_KEY = (
    "(-1-abs(random()%4611686018427387904))"  # for a row nobody names beforehand; processes count theirs upwards
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@lru_cache(maxsize=512)
def _statement(template: str, columns: int, rows: int) -> str:
    row = "(" + ",".join("?" * columns) + ")"
    return template.replace("{rows}", ",".join([row] * rows)).replace("{marks}", ",".join("?" * rows))


def execute_rows(db: sqlite3.Connection, template: str, rows: Sequence[Sequence[Any]], *last: Any) -> int:
    """Runs `template` for all rows, in few statements; `{rows}` stands for "(?,?),(?,?)", `{marks}` for "?,?". Gives the changed rows."""
    if not rows:
        return 0
    changed, start, columns = 0, 0, len(rows[0])
    for size in _SIZES:
        statement = _statement(template, columns, size) if len(rows) - start >= size else ""
        while len(rows) - start >= size:
            parameters = [value for row in rows[start : start + size] for value in row]
            changed += db.execute(statement, (*parameters, *last)).rowcount
            start += size
    return changed


def select_rows(db: sqlite3.Connection, template: str, keys: Iterable[Any], *last: Any) -> Iterator[tuple[Any, ...]]:
    """The answers of `template` for all keys; `{marks}` stands for them."""
    known = list(keys)
    for start in range(0, len(known), 500):
        part = known[start : start + 500]
        yield from db.execute(_statement(template, 1, len(part)), (*part, *last)).fetchall()


def to_micros(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(value: int) -> datetime:
    return _EPOCH + timedelta(microseconds=value)


def text(data: bytes | memoryview | str | None) -> str | None:
    """JSON as it is stored: text, so that `sqlite3` on the command line shows it."""
    if data is None:
        return None
    return data if isinstance(data, str) else str(data, "utf-8")
