"""Who owns what was found: what one call made or adopted, no other call adopts.

A service without idempotency keys is asked whether an earlier delivery's post, message or draft is there; two calls that meant the same thing
find the same one. Whoever claims it first has it. Must never hold anything but ids and keys.
"""

import sqlite3
import threading
from collections import OrderedDict
from contextlib import closing
from functools import lru_cache
from pathlib import Path

_MOST = 100_000  # in memory
_KEPT = "-90 days"


class Claims:
    """From any thread. With a file also from any process of this machine, and after a crash; without, while this process lives."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._owners: OrderedDict[str, str] = OrderedDict()
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            with closing(self._connect()) as database, database:
                database.execute(
                    "create table if not exists claims (resource text primary key, key text not null, at text not null default current_timestamp)"
                )
                database.execute("delete from claims where at < datetime('now', ?)", (_KEPT,))

    def claim(self, resource: str, key: str) -> bool:
        """Whether `resource` (`twitter/post/17`) belongs to the call with this key: now, or since earlier."""
        if self._path is None:
            with self._lock:
                owner = self._owners.setdefault(resource, key)
                while len(self._owners) > _MOST:
                    self._owners.popitem(last=False)
            return owner == key
        with closing(self._connect()) as database, database:
            database.execute("insert or ignore into claims (resource, key) values (?, ?)", (resource, key))
            (stored,) = database.execute("select key from claims where resource = ?", (resource,)).fetchone()
        return bool(stored == key)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(str(self._path), timeout=30.0)


@lru_cache(maxsize=64)
def claims_of(path: Path | None) -> Claims:
    """The one of that file; None: of this process."""
    return Claims(path)
