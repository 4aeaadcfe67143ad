"""Is the hub in order? A SQLite file is opened for reading only: nothing is created, migrated or repaired."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from dtf_runtime import DurableTaskError, connect
from dtf_runtime.cli.commands import sqlite_file
from dtf_runtime.cli.findings import Finding, ok, problem, warning
from dtf_runtime.providers.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION

_RESTORE = "keep the file; restore a backup (made with `dtf backup`), or recover what is readable with sqlite3 .recover"


def check(hub: str) -> Iterator[Finding]:
    try:
        connect(hub)  # opens nothing
    except DurableTaskError as error:
        yield problem("hub", str(error), "correct --hub or DTF_HUB")
        return
    file = sqlite_file(hub)
    if file is None:
        yield ok("hub", f"{hub}; only SQLite hubs are looked into")
    elif not file.exists():
        yield ok("hub", f"{file} does not exist yet; the first `dtf run`, `worker` or `start` creates it")
    else:
        yield from _sqlite(file.resolve())


def _sqlite(file: Path) -> Iterator[Finding]:
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True, timeout=5)) as database:
            yield from _inside(file, database)
    except sqlite3.Error as error:
        yield problem("hub", f"{file} can't be read: {error}", _RESTORE)


def _inside(file: Path, database: sqlite3.Connection) -> Iterator[Finding]:
    identity = _identity(file, database)
    yield identity
    if identity.state == "problem" or not _pragma(database, "user_version"):
        return
    yield _integrity(database)
    yield _journal(str(_pragma(database, "journal_mode")))
    counted = database.execute("SELECT status, count(*) FROM instances GROUP BY status ORDER BY status").fetchall()
    yield ok("instances", ", ".join(f"{number} {status}" for status, number in counted) or "none")
    waiting = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in ("messages", "tasks")}
    yield ok("waiting", f"{waiting['messages']} messages, {waiting['tasks']} activities")


def _identity(file: Path, database: sqlite3.Connection) -> Finding:
    """Is it a hub, and one that this version can open?"""
    version = int(_pragma(database, "user_version"))
    empty = not database.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    if empty:
        return warning("hub", f"{file} is an empty database; the next `dtf run`, `worker` or `start` makes it a hub")
    if _pragma(database, "application_id") != APPLICATION_ID:
        return problem(
            "hub", f"{file} is not a task hub, but a database of another program", "name another file with --hub"
        )
    found = f"{file}, {file.stat().st_size:,} bytes, schema version {version}"
    if version > SCHEMA_VERSION:
        return problem("hub", f"{found}; this dtf-runtime knows {SCHEMA_VERSION}", "upgrade dtf-runtime")
    if version < SCHEMA_VERSION:
        return warning("hub", f"{found}; the next `dtf run`, `worker` or `start` migrates it to {SCHEMA_VERSION}")
    return ok("hub", found)


def _integrity(database: sqlite3.Connection) -> Finding:
    wrong = [line for (line,) in database.execute("PRAGMA integrity_check(5)") if line != "ok"]
    return problem("integrity", "; ".join(wrong), _RESTORE) if wrong else ok("integrity", "every page is in order")


def _journal(mode: str) -> Finding:
    if mode == "wal":
        return ok("journal", "wal")
    return warning("journal", f"{mode} instead of wal", "the next worker sets it; a network drive can't hold a hub")


def _pragma(database: sqlite3.Connection, name: str) -> Any:
    return database.execute(f"PRAGMA {name}").fetchone()[0]
