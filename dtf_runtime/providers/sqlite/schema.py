"""Tables, pragmas and migrations of the SQLite provider.

Keys are integers made by the process that inserts (its owner id in the upper bits), so that a row can be named before it is written. History is
an append-only heap with a small index: clustering it by instance would write one page a turn (measured: 25 us a row against 9).
"""

import sqlite3
from pathlib import Path
from urllib.parse import unquote, urlsplit

from dtf_runtime.errors import InvalidArgumentError, ProviderError
from dtf_runtime.tracing import events as trace

SCHEMA_VERSION = 1
_SMALLEST_PAGE = 512  # bytes; no SQLite database is shorter
APPLICATION_ID = 0x44544631  # "DTF1"

_V1 = """
create table owners(
  id integer primary key autoincrement,
  name text not null,
  expires real not null
);
create table instances(
  n integer primary key,
  id text not null unique,
  x integer not null,
  execution text not null,
  name text not null,
  version text not null,
  status text not null,
  revision integer not null,
  owner integer,
  due integer,
  created integer not null,
  updated integer not null,
  completed integer,
  scheduled integer,
  parent text,
  length integer not null,
  deliveries integer not null,
  tags text,
  custom text
);
create index instances_created on instances(created, n);
create index instances_due on instances(due) where owner is null and due is not null;
create index instances_parent on instances(parent) where parent is not null;
create table executions(
  x integer primary key,
  n integer not null,
  execution text not null,
  version text not null,
  status text not null,
  created integer not null,
  completed integer,
  length integer not null,
  parent text,
  carried text,
  recent text,
  input text,
  output text,
  failure text,
  earlier integer
);
create index executions_earlier on executions(n, x) where earlier is not null;
create table history(k integer primary key, x integer not null, revision integer not null, events text not null);
create index history_x on history(x, revision);
create table messages(
  k integer primary key,
  n integer not null,
  execution text not null,
  due integer not null,
  number integer,
  body text not null
);
create index messages_due on messages(due, k);
create index messages_n on messages(n);
create table tasks(
  k integer primary key,
  n integer not null,
  execution text not null,
  number integer not null,
  attempt integer not null,
  due integer not null,
  owner integer,
  deliveries integer not null,
  heartbeat text,
  body text not null
);
create index tasks_n on tasks(n);
create index tasks_due on tasks(due, k) where owner is null;
"""
_MIGRATIONS: dict[int, str] = {1: _V1}  # to this version from the one before


def open_database(path: str, *, synchronous: str = "full") -> sqlite3.Connection:
    """A connection for one thread at a time. ProviderError for anything that is not a hub of ours."""
    try:
        _refuse_other_files(path)
        db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30.0, cached_statements=256)
        db.execute("pragma busy_timeout=30000")
        try:
            _refuse_other_programs(db, path)
        except BaseException:
            db.close()
            raise
        db.execute("pragma journal_mode=wal")
        db.execute(f"pragma synchronous={synchronous}")
        db.execute("pragma wal_autocheckpoint=4000")
        db.execute("pragma temp_store=memory")
        db.text_factory = _text
        return db
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise provider_error(path, "open", error) from error


def _text(data: bytes) -> str:
    """A damaged text must not take down the statement that reads it beside others: whoever needs it finds it out."""
    return data.decode("utf-8", "surrogateescape")


def _refuse_other_files(path: str) -> None:
    """SQLite itself would take a very short file for an empty database, and write over it; a longer foreign one it refuses.

    By size alone: the file must never be opened but by SQLite. Closing any descriptor of it drops all locks that this process holds on it
    (POSIX), and the next client that leaves would then delete the write-ahead log under a live worker."""
    file = Path(path)
    if file.is_file() and 0 < file.stat().st_size < _SMALLEST_PAGE:
        raise ProviderError(f"{path} is not an SQLite database: it is left alone. Name another file.")


def _refuse_other_programs(db: sqlite3.Connection, path: str) -> None:
    """Before anything is set: even the journal mode is written into the file."""
    known = db.execute("pragma application_id").fetchone()[0]
    tables = db.execute("select count(*) from sqlite_master").fetchone()[0]
    if known != APPLICATION_ID and (known or tables):
        raise ProviderError(f"{path} is an SQLite database of another program: it is left alone. Name another file.")


def migrate(db: sqlite3.Connection, path: str) -> None:
    """Brings the file to this version, in one transaction. A newer file than the code is refused."""
    try:
        if _is_current(db, path):
            return
        db.execute("begin immediate")
        try:
            version = db.execute("pragma user_version").fetchone()[0]
            for target in range(version + 1, SCHEMA_VERSION + 1):
                for statement in _MIGRATIONS[target].split(";"):
                    if statement.strip():
                        db.execute(statement)
            db.execute(f"pragma application_id={APPLICATION_ID}")
            db.execute(f"pragma user_version={SCHEMA_VERSION}")
            db.execute("commit")
        except BaseException:
            db.execute("rollback")
            raise
        if version:
            trace.hub_migrated(hub=path, old=version, new=SCHEMA_VERSION)
        else:
            trace.hub_created(hub=path, schema_version=SCHEMA_VERSION)
    except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
        raise provider_error(path, "migrate", error) from error


def delete(path: str) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(path + suffix).unlink(missing_ok=True)


def copy(db: sqlite3.Connection, target: str) -> None:
    """An online backup: other connections go on writing."""
    if Path(target).exists():
        raise InvalidArgumentError(f"{target} exists already: choose another file, a backup overwrites nothing")
    copied = sqlite3.connect(target)
    try:
        db.backup(copied, pages=1_000, sleep=0.001)
    finally:
        copied.close()


def _is_current(db: sqlite3.Connection, path: str) -> bool:
    version = db.execute("pragma user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        raise ProviderError(
            f"{path} was written by a newer dtf-runtime (schema {version}, this one knows {SCHEMA_VERSION}). Upgrade this program; the file "
            f"is left as it is."
        )
    return bool(version == SCHEMA_VERSION)


def provider_error(path: str, doing: str, error: BaseException) -> ProviderError:
    """Says what to do for the usual causes."""
    text = str(error) if isinstance(error, (sqlite3.Error, OSError)) else f"{type(error).__name__}: {error}"
    if any(sign in text for sign in ("not a database", "malformed", "encrypted", "UnicodeDecodeError")):
        hint = "The file is damaged or foreign and was kept: restore a backup beside it (`dtf backup` makes one), or `sqlite3 FILE .recover`."
    elif "full" in text:
        hint = "Free some space: nothing was lost, work goes on from the last commit."
    elif "locked" in text or "busy" in text:
        hint = "Another program holds the file locked; close it."
    elif "unable to open" in text:
        hint = f"Check that the folder exists and is writable: {Path(path).absolute().parent}"
    elif "readonly" in text:
        hint = "Make the file and its folder writable."
    else:
        hint = "The file was kept as it is."
    return ProviderError(f"{path}: could not {doing}: {text}. {hint}")


def path_of(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or parts.netloc or parts.query or parts.fragment:
        raise InvalidArgumentError(f"{url!r} is not of the form sqlite:///orders.db (or sqlite:////var/lib/orders.db)")
    path = unquote(parts.path)[1:]
    if not path or path.startswith(":memory:"):
        raise InvalidArgumentError(
            f"{url!r} names no file: write sqlite:///orders.db, or memory:// for a hub without one"
        )
    return path
