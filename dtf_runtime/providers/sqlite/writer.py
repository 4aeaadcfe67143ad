"""The one thread that writes. It gathers what has come in, applies it in one transaction (group commit), and only then answers.

Rules it must keep: an operation is answered after its group is on disk, never before; operations are applied in the order they came in; a turn
that is refused takes no other down; an error of the whole group (disk full, locked) fails its operations and keeps the file.
"""

import asyncio
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dtf_runtime.errors import DurableTaskError, LockLostError, ProviderError
from dtf_runtime.providers.sqlite import schema
from dtf_runtime.providers.sqlite.instances import CreateOp, Op, create_all
from dtf_runtime.providers.sqlite.turns import Refused, TurnOp, apply_turns
from dtf_runtime.providers.sqlite.work import take_over
from dtf_runtime.tracing import events as trace

GROUP = 64  # turns; more would make what a kill repeats longer
_FASTEST_POLL, _SLOWEST_POLL = 0.010, 0.250  # seconds; after a second of silence a bare wake-up is all that costs
_FIRST_TURN = 0.0005  # seconds that a group waits for the first turn of an instance that it creates
_CHECK_OTHERS = 0.5  # seconds between looks at the locks of other processes
_STOP: Any = object()


class Writer(threading.Thread):
    """`deliver` gets each answered group in the loop's thread; `changed` is called there when another process wrote, or died."""

    def __init__(
        self,
        path: str,
        synchronous: str,
        loop: asyncio.AbstractEventLoop,
        deliver: Callable[[list[Any]], None],
        changed: Callable[[], None],
        lost: Callable[[], None],
    ) -> None:
        super().__init__(name="dtf-sqlite-writer", daemon=True)
        self.path = path
        self.owner = 0
        self._known_owner = 0  # as the loop's thread knows it: what it computed under an older number is refused
        self.lease = 30.0
        self.watching = False  # somebody wants to know of other processes' writes
        self._synchronous = synchronous
        self._loop = loop
        self._deliver = deliver
        self._changed = changed
        self._lost = lost
        self._queue: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._db: sqlite3.Connection | None = None
        self._lock: FileLock | None = None
        self._renew_at = 0.0
        self._others_at = 0.0
        self._data_version = 0
        self._poll = _SLOWEST_POLL
        self._look_at = 0.0

    def submit(self, op: Any) -> None:
        if type(op) is TurnOp:
            op.owner = self._known_owner
        self._queue.put(op)

    def wake(self) -> None:
        """Settings have changed: look at them."""
        self._queue.put(None)

    def finish(self) -> None:
        self._queue.put(_STOP)

    # -- the thread
    def run(self) -> None:
        try:
            self._db = schema.open_database(self.path, synchronous=self._synchronous)
            self._data_version = self._read_data_version()
        except BaseException as error:
            self._fail_all(error)
            return
        going = True
        while going:
            batch = self._gather()
            if batch and batch[-1] is _STOP:
                batch.pop()
                going = False
            if batch:
                self._poll = _FASTEST_POLL
                self._commit(batch)
            self._keep_lease()
            self._look_around()
        self._give_up_owner()
        self._db.close()

    def _gather(self) -> list[Any]:
        try:
            first = self._queue.get(timeout=self._patience())
        except queue.Empty:
            return []
        batch = [] if first is None else [first]
        expected = _expected(batch)
        while len(batch) < GROUP and (not batch or batch[-1] is not _STOP):
            try:
                op = self._queue.get(timeout=_FIRST_TURN) if expected else self._queue.get_nowait()
            except queue.Empty:
                break
            if op is not None:
                batch.append(op)
                expected = expected - 1 if type(op) is TurnOp and op.owned.revision == 0 else expected + _expected([op])
        return batch

    def _patience(self) -> float | None:
        if self.watching:
            self._poll = min(self._poll * 1.25, _SLOWEST_POLL)
            return self._poll
        return None if not self.owner else max(0.0, self._renew_at - time.monotonic())

    # -- one group
    def _commit(self, batch: list[Any]) -> None:
        db = self._db
        assert db is not None
        try:
            with self._transaction(db):
                lost = self._check_owner(db)
                self._apply(db, batch)
        except BaseException as error:
            self._after_error(batch, error)
            return
        if lost:
            self._tell_lost()
        self._loop.call_soon_threadsafe(self._deliver, batch)

    @contextmanager
    def _transaction(self, db: sqlite3.Connection) -> Iterator[None]:
        """Of all of it or nothing, the number that this process may have taken in it included."""
        before = self.owner
        db.execute("begin immediate")
        try:
            yield
            db.execute("commit")
        except BaseException:
            if db.in_transaction:
                db.execute("rollback")
            if self.owner != before:
                self._drop_lock()
                self.owner = before
            raise

    def _after_error(self, batch: list[Any], error: BaseException) -> None:
        if len(batch) > 1 and not isinstance(error, (sqlite3.OperationalError, OSError)):
            for op in batch:  # one of them is at fault
                _reset(op)
                self._commit([op])
            return
        trace.provider_failed(hub=self.path, operation="commit", error=error)
        found = schema.provider_error(self.path, "write", error)
        for op in batch:
            op.error = found
        self._loop.call_soon_threadsafe(self._deliver, batch)

    def _apply(self, db: sqlite3.Connection, batch: list[Any]) -> None:
        start = 0
        while start < len(batch):
            end = start
            kind = type(batch[start])
            while end < len(batch) and type(batch[end]) is kind:
                end += 1
            if kind is TurnOp:
                self._apply_turns(db, batch[start:end])
            elif kind is CreateOp:
                self._create(db, batch[start:end])
            else:
                for op in batch[start:end]:
                    self._apply_one(db, op)
            start = end

    def _apply_turns(self, db: sqlite3.Connection, turns: list[TurnOp]) -> None:
        late = [op for op in turns if op.owner != self.owner]
        if late:
            for op in late:
                op.error = _refusal(op)
            turns = [op for op in turns if op.owner == self.owner]
        db.execute("savepoint turns")
        try:
            apply_turns(db, self.owner, turns)
        except Refused:
            db.execute("rollback to turns")
            if len(turns) == 1:
                turns[0].error = _refusal(turns[0])
            else:
                for op in turns:
                    _reset(op)
                    self._apply_turns(db, [op])
        db.execute("release turns")

    def _create(self, db: sqlite3.Connection, ops: list[CreateOp]) -> None:
        db.execute("savepoint creates")
        if not create_all(db, self.owner, ops):
            db.execute("rollback to creates")
            for op in ops:
                self._apply_one(db, op)
        db.execute("release creates")

    def _apply_one(self, db: sqlite3.Connection, op: Op) -> None:
        db.execute("savepoint one")
        try:
            op.result = op.apply(db, self.owner)
        except (DurableTaskError, LookupError) as error:
            db.execute("rollback to one")
            op.error = error
        db.execute("release one")

    # -- the lease
    def become_owner(self, lease: float) -> None:
        """Called through a RegisterOp, in this thread and inside its transaction."""
        db = self._db
        assert db is not None
        self.lease = lease
        expires = time.time() + lease
        cursor = db.execute("insert into owners(name, expires) values(?, ?)", (f"{os.getpid()}", expires))
        self.owner = int(cursor.lastrowid or 0)
        self._renew_at = time.monotonic() + lease / 3
        lock = FileLock(str(_lock_file(self.path, self.owner)), thread_local=False)
        lock.acquire(timeout=5)
        self._lock = lock

    def _check_owner(self, db: sqlite3.Connection) -> bool:
        """True: this process was taken for dead and its leases given away. It goes on under a new number; every old guard fails."""
        if not self.owner or db.execute("select 1 from owners where id=?", (self.owner,)).fetchone():
            return False
        trace.lease_lost(instance_id="*", owner=str(self.owner))
        self._drop_lock()
        self.become_owner(self.lease)
        return True

    def _keep_lease(self) -> None:
        if not self.owner or time.monotonic() < self._renew_at:
            return
        self._renew_at = time.monotonic() + self.lease / 3
        db = self._db
        assert db is not None
        try:
            with self._transaction(db):
                lost = self._check_owner(db)
                db.execute("update owners set expires=? where id=?", (time.time() + self.lease, self.owner))
        except (sqlite3.Error, OSError) as error:
            trace.renew_failed(instance_id="*", kind="owner", error=error)
            return
        if lost:
            self._tell_lost()

    def _tell_lost(self) -> None:
        self._loop.call_soon_threadsafe(self._announce_lost, self.owner)

    def _announce_lost(self, owner: int) -> None:
        """In the loop's thread."""
        self._known_owner = owner
        self._lost()

    def _give_up_owner(self) -> None:
        if not self.owner or self._db is None:
            return
        try:
            self._db.execute("delete from owners where id=?", (self.owner,))
        except sqlite3.Error as error:
            trace.renew_failed(instance_id="*", kind="owner", error=error)
        self._drop_lock()

    def _drop_lock(self) -> None:
        if self._lock is not None:
            file = Path(self._lock.lock_file)
            self._lock.release()
            file.unlink(missing_ok=True)
            self._lock = None

    # -- other processes
    def _look_around(self) -> None:
        now = time.monotonic()
        if not self.watching or self._db is None or now < self._look_at:
            return
        self._look_at = now + _FASTEST_POLL
        try:
            version = self._read_data_version()
            changed = version != self._data_version
            self._data_version = version
            if now >= self._others_at:
                self._others_at = now + _CHECK_OTHERS
                gone = self._gone()
                if gone:
                    self._take_over(gone)
                    changed = True
        except (sqlite3.Error, OSError) as error:
            trace.provider_failed(hub=self.path, operation="look around", error=error)
            return
        if changed:
            self._poll = _FASTEST_POLL
            self._loop.call_soon_threadsafe(self._changed)

    def _read_data_version(self) -> int:
        assert self._db is not None
        return int(self._db.execute("pragma data_version").fetchone()[0])

    def _gone(self) -> list[int]:
        """Owners whose process holds its lock file no more, or whose lease ran out."""
        assert self._db is not None
        rows = self._db.execute("select id, expires from owners where id<>?", (self.owner,)).fetchall()
        now = time.time()
        return [owner for owner, expires in rows if expires < now or _is_free(_lock_file(self.path, owner))]

    def _take_over(self, gone: list[int]) -> None:
        assert self._db is not None
        with self._transaction(self._db):
            instances, activities = take_over(self._db, gone)
        for owner in gone:
            trace.owner_dead(owner=str(owner), instances=instances, activities=activities)

    def _fail_all(self, error: BaseException) -> None:
        """The file can't be opened: everybody is told, until the service stops."""
        while (op := self._queue.get()) is not _STOP:
            if op is not None:
                op.error = error if isinstance(error, DurableTaskError) else ProviderError(str(error))
                self._loop.call_soon_threadsafe(self._deliver, [op])


def _expected(ops: list[Any]) -> int:
    """New instances of this process have their first turn on its way: it goes into the same group, and saves it a write to the disk."""
    return sum(type(op) is CreateOp and op.ours for op in ops)


class RegisterOp(Op):
    """Makes this process an owner: the first thing that writes does."""

    __slots__ = ("lease", "writer")

    def __init__(self, writer: Writer, lease: float) -> None:
        super().__init__()
        self.writer, self.lease = writer, lease

    def apply(self, db: sqlite3.Connection, owner: int) -> int:
        if not self.writer.owner:
            self.writer.become_owner(self.lease)
            self.writer._known_owner = self.writer.owner
        return self.writer.owner


def _refusal(op: TurnOp) -> LockLostError:
    return LockLostError(
        f"the turn of instance {op.owned.id!r} was refused: another worker or a client has changed it since it was locked"
    )


def _reset(op: Any) -> None:
    op.error = None
    if isinstance(op, TurnOp):
        op.lost_sends.clear()
        op.lost_children.clear()


def _lock_file(path: str, owner: int) -> Path:
    folder = Path(f"{path}.locks")
    folder.mkdir(exist_ok=True)
    return folder / f"{owner}.lock"


def _is_free(file: Path) -> bool:
    """Nobody holds it: its process has ended, however."""
    if not file.exists():
        return True
    lock = FileLock(str(file), thread_local=False)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    lock.release()
    file.unlink(missing_ok=True)
    return True
