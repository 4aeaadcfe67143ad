"""The deliveries that were accepted, in a SQLite file of the app's own: none is lost between its acceptance and its event, none is raised twice.

A delivery is written down before its event is raised, and marked when that is durable in the hub. What a kill leaves unmarked is raised again at
the next start, under the same message id, which the instance recognises (`raise_event_once`). Marked ones are kept without their payload for some
days, so that a sender which repeats itself late, even after the instance was restarted, is recognised too.

Several processes may share a file. Must never be handed a delivery that was not verified.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, NamedTuple

from filelock import FileLock

_SCHEMA = """
create table if not exists deliveries(
  id text primary key, digest text not null, instance_id text not null, event text not null,
  payload blob, raised integer not null, received real not null
) without rowid;
create index if not exists waiting on deliveries(received) where raised = 0;
"""
_BUSY = 10.0  # seconds


class Delivery(NamedTuple):
    id: str
    """Hex digits, made of the route and the sender's id."""
    digest: str
    """Of what was sent: another one under the same id is another thing."""
    instance_id: str
    event: str
    payload: bytes
    """JSON."""


Known = Literal["new", "waiting", "raised", "other"]
"""`other`: the id was used for something else."""


class Inbox:
    """Its methods block for a write to disk: call them in a thread, one at a time."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self.path, os.O_CREAT | os.O_RDWR, 0o600))  # payloads are nobody else's business
        self._db = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None, check_same_thread=False)
        # One at a time: SQLite does not wait for others when a new file is switched to its write-ahead log.
        with FileLock(f"{self.path}.lock"):
            self._db.execute("pragma journal_mode=wal")
            self._db.execute("pragma synchronous=full")
            self._db.executescript(_SCHEMA)

    def close(self) -> None:
        self._db.close()

    def accept(self, delivery: Delivery, now: float) -> Known:
        """On disk when this returns; `now` in seconds since 1970."""
        with self._transaction():
            row = self._db.execute("select digest, raised from deliveries where id=?", (delivery.id,)).fetchone()
            if row is not None:
                return "other" if row[0] != delivery.digest else "raised" if row[1] else "waiting"
            self._db.execute("insert into deliveries values(?,?,?,?,?,0,?)", (*delivery, now))
        return "new"

    def knows(self, delivery_id: str) -> bool:
        return self._db.execute("select 1 from deliveries where id=?", (delivery_id,)).fetchone() is not None

    def raised(self, delivery_id: str) -> None:
        self._db.execute("update deliveries set raised=1, payload=null where id=?", (delivery_id,))

    def forget(self, delivery_id: str) -> None:
        """It led nowhere: whoever sends it again is heard again."""
        self._db.execute("delete from deliveries where id=?", (delivery_id,))

    def waiting(self, most: int = 1_000) -> list[Delivery]:
        """Accepted and not known to be raised, oldest first."""
        rows = self._db.execute(
            "select id, digest, instance_id, event, payload from deliveries where raised=0 order by received limit ?",
            (most,),
        )
        return [Delivery(*row) for row in rows]

    def prune(self, before: float) -> int:
        """Forgets what was raised from a delivery before that."""
        return self._db.execute("delete from deliveries where raised=1 and received<?", (before,)).rowcount

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
        except BaseException:
            self._db.execute("rollback")
            raise
        self._db.execute("commit")
