"""What was sent, by which call: a small file that the workers of a machine share. It makes a send effectively once.

Twilio shows no key of ours on a message or a call, so two identical texts look alike there. Here each call notes that it begins *before* it
sends, and what became of it. So a delivery after a crash knows that an earlier one had begun, and what one call has got no other call adopts.
Holds no numbers and no texts: keys, digests and SIDs. Rows are kept for 45 days.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from filelock import FileLock

from connectors.core import InvalidRequest

KEPT = 45 * 86_400.0
"""Seconds: longer than the 35 days that a message can be scheduled ahead."""

_SCHEMA = """
create table if not exists sends (
  key text primary key, likeness text not null, since real not null, latest real, state text not null, sid text, touched real not null
) without rowid;
create index if not exists sends_likeness on sends (likeness);
create index if not exists sends_sid on sends (sid);
"""


@dataclass(frozen=True)
class Entry:
    """One call's. Times are the server's, seconds since 1970."""

    since: float
    """When it first began: nothing made earlier is its."""
    latest: float | None
    """The last moment at which it may have sent. None: the server's time was not known then."""
    state: str
    """`sending`: a delivery began and has not come back; `unsure`: it got no answer; `done`."""
    sid: str
    """What it got; empty while unknown."""
    is_new: bool


class Ledger:
    """From any thread and process."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # One at a time: SQLite does not wait for others when a new file is switched to its write-ahead log.
            with FileLock(f"{path}.lock"), self._open() as db:
                db.execute("pragma journal_mode = wal")
                db.executescript(_SCHEMA)
                db.execute("delete from sends where touched < ?", (time.time() - KEPT,))
        except (OSError, sqlite3.OperationalError) as error:
            raise InvalidRequest(
                f"the ledger of sent messages can't be kept at {path}: {error}; set the connection's `ledger`"
            ) from None

    def begin(self, key: str, likeness: str, since: float, latest: float | None) -> Entry:
        """Durable when it returns. `likeness`: a digest of what the server shows of it, so that calls that look alike there share it."""
        with self._write() as db:
            found = "select since, latest, state, sid from sends where key = ?"
            row = db.execute(found, (key,)).fetchone()
            if row is not None:
                return Entry(row[0], row[1], row[2], row[3] or "", is_new=False)
            db.execute(
                "insert into sends values (?, ?, ?, ?, 'sending', null, ?)", (key, likeness, since, latest, time.time())
            )
        return Entry(since, latest, "sending", "", is_new=True)

    def again(self, key: str, latest: float | None) -> None:
        """It is sent once more: what may have been sent earlier is known not to be there."""
        self._update("state = 'sending', latest = ?", key, latest)

    def unsure(self, key: str, latest: float | None) -> None:
        """No answer came, and none will: it can have happened until then."""
        self._update("state = 'unsure', latest = ?", key, latest)

    def settle(self, key: str, sid: str) -> None:
        """The call got this one."""
        self._update("state = 'done', sid = ?", key, sid)

    def heard(self, key: str, sid: str) -> None:
        """The service itself said which one is the call's: its key came back in a callback."""
        self._update("state = 'done', sid = ?", key, sid, "and sid is null")

    def forget(self, key: str) -> None:
        """Nothing happened, or it is for others to find out."""
        with self._write() as db:
            db.execute("delete from sends where key = ? and sid is null", (key,))

    def adopt(self, key: str, likeness: str, sids: Sequence[str], patience: float) -> str | None:
        """The first of these that no other call has got becomes this call's. Empty: there is none. None: not to be said yet, since another call
        that looks alike is sending right now, and one of these may be its. `patience`, seconds: a sender that old has died."""
        with self._write() as db:
            for sid in sids:
                if db.execute("select 1 from sends where sid = ? and key <> ?", (sid, key)).fetchone() is None:
                    break
            else:
                return ""
            sending = "select 1 from sends where likeness = ? and key <> ? and state = 'sending' and touched > ?"
            if db.execute(sending, (likeness, key, time.time() - patience)).fetchone() is not None:
                return None
            db.execute("update sends set state = 'done', sid = ? where key = ?", (sid, key))
            return sid

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30.0, isolation_level=None)) as db:
            db.execute("pragma synchronous = full")
            yield db

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        with self._open() as db:
            db.execute("begin immediate")
            yield db
            db.execute("commit")

    def _update(self, change: str, key: str, value: float | str | None, only: str = "") -> None:
        with self._write() as db:
            db.execute(f"update sends set {change}, touched = ? where key = ? {only}", (value, time.time(), key))


@lru_cache(maxsize=64)
def ledger(path: Path) -> Ledger:
    """Raises InvalidRequest when there can be none."""
    return Ledger(path)
