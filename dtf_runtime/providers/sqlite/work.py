"""Work items and leases, as operations of the writer: scan for what is due, take it, give it back.

A process owns the instances it runs (`instances.owner`) and the activities it runs (`tasks.owner`). The owner id is the fencing number: whoever
takes over sets it to null, and from then on every guard of the old owner fails.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from dtf_runtime.errors import InvalidStateError
from dtf_runtime.model.state import OrchestrationQuery, PurgeResult
from dtf_runtime.providers.sqlite import instances, reads
from dtf_runtime.providers.sqlite.instances import Op
from dtf_runtime.providers.sqlite.rows import FRESH_KEY, select_rows
from dtf_runtime.providers.sqlite.unreadable import definition, is_text, readable_record, set_aside

SUSPECT = 3  # deliveries after which work runs alone, so that it takes no neighbour with it
_NEXT_SUSPECT = 20_000  # microseconds until it is looked whether the next suspected activity may run
_MOST_ROWS = 5_000
_PURGE_BATCH = 1_000
_INSTANCE = "i.n, i.id, i.x, i.execution, i.name, i.version, i.revision, i.deliveries"


class ScanOp(Op):
    """What is due now, for this process or for nobody yet. Answers with itself, filled in."""

    __slots__ = (
        "busy_suspect",
        "claimed",
        "knows_activity",
        "knows_orchestration",
        "messages",
        "more",
        "most_instances",
        "most_tasks",
        "next_due",
        "now",
        "suspects_wait",
        "tasks",
    )

    def __init__(
        self,
        now: int,
        most_instances: int,
        most_tasks: int,
        busy_suspect: bool,
        knows_orchestration: Callable[[str, str], bool],
        knows_activity: Callable[[str, str], bool],
    ) -> None:
        super().__init__()
        self.now, self.most_instances, self.most_tasks, self.busy_suspect = (
            now,
            most_instances,
            most_tasks,
            busy_suspect,
        )
        self.knows_orchestration, self.knows_activity = knows_orchestration, knows_activity
        self.claimed: list[tuple[Any, ...]] = []
        self.messages: list[tuple[int, int, str]] = []  # (key, n, body), in order
        self.tasks: list[tuple[Any, ...]] = []
        self.next_due: int | None = None
        self.more = False
        self.suspects_wait = False  # activities that must run alone, after one another

    def apply(self, db: sqlite3.Connection, owner: int) -> "ScanOp":
        wanted: dict[int, tuple[Any, ...]] = {}
        self._look_at_messages(db, owner, wanted)
        pending = db.execute(
            f"select {_INSTANCE} from instances i where i.owner is null and i.due<=? order by i.due", (self.now,)
        )
        for row in pending:
            if self._may_claim(row, wanted):
                wanted[row[0]] = row
        self._claim(db, owner, wanted)
        self._claim_tasks(db, owner)
        self.next_due = self._next(db)
        return self

    def _look_at_messages(self, db: sqlite3.Connection, owner: int, wanted: dict[int, tuple[Any, ...]]) -> None:
        rows = db.execute(
            f"select m.k, m.body, i.owner, i.due, {_INSTANCE} from messages m join instances i on i.n=m.n"
            " where m.due<=? and (i.owner=? or i.owner is null) order by m.due, m.k",
            (self.now, owner),
        )
        for key, body, holder, due, *instance in rows:
            n = instance[0]
            if not is_text(body):
                set_aside("messages", key, instance[1], "its text is damaged")
                continue
            if holder is None and n not in wanted:
                if (due is not None and due > self.now) or not self._may_claim(instance, wanted):
                    continue
                wanted[n] = tuple(instance)
            self.messages.append((key, n, body))
            if len(self.messages) >= _MOST_ROWS:
                self.more = True
                return

    def _may_claim(self, row: Any, wanted: dict[int, tuple[Any, ...]]) -> bool:
        n, name, version, deliveries = row[0], row[4], row[5], row[7]
        if n in wanted:
            return False
        if len(wanted) >= self.most_instances:
            self.more = True
            return False
        if not self.knows_orchestration(name, version):
            return False
        if deliveries >= SUSPECT:
            if self.busy_suspect:
                return False
            self.busy_suspect = True
        return True

    def _claim(self, db: sqlite3.Connection, owner: int, wanted: dict[int, tuple[Any, ...]]) -> None:
        for n, row in wanted.items():
            record = None
            if row[6] == 0:
                record = readable_record(db, n)
                if record is None:
                    continue
            suspect = row[7] >= SUSPECT
            db.execute(
                "update instances set owner=?, deliveries=deliveries+? where n=? and owner is null", (owner, suspect, n)
            )
            self.claimed.append((*row, suspect, record))

    def _claim_tasks(self, db: sqlite3.Connection, owner: int) -> None:
        if self.most_tasks <= 0:
            return
        taken: list[tuple[Any, ...]] = []
        suspect_runs: bool | None = None
        rows = db.execute(
            "select t.k, t.n, i.id, t.execution, t.deliveries, t.heartbeat, t.body"
            " from tasks t left join instances i on i.n=t.n where t.owner is null and t.due<=? order by t.due, t.k",
            (self.now,),
        )
        for row in rows:
            name_and_version = definition(row)
            if name_and_version is None or not self.knows_activity(*name_and_version):
                continue
            if row[4] >= SUSPECT:
                if suspect_runs is None:
                    suspect_runs = _runs_suspect(db, owner)
                if suspect_runs:
                    self.suspects_wait = True
                    continue
                suspect_runs = True
            taken.append(row)
            if len(taken) >= self.most_tasks:
                break
        for row in taken:
            db.execute(
                "update tasks set owner=?, deliveries=deliveries+? where k=?", (owner, row[4] >= SUSPECT, row[0])
            )
        self.tasks = taken

    def _next(self, db: sqlite3.Connection) -> int | None:
        found = [
            db.execute("select min(due) from messages where due>?", (self.now,)).fetchone()[0],
            db.execute("select min(due) from instances where owner is null and due>?", (self.now,)).fetchone()[0],
            db.execute("select min(due) from tasks where owner is null and due>?", (self.now,)).fetchone()[0],
        ]
        if self.suspects_wait:
            found.append(self.now + _NEXT_SUSPECT)
        return min((due for due in found if due is not None), default=None)


def _runs_suspect(db: sqlite3.Connection, owner: int) -> bool:
    """One that was suspected when it was taken, so counted then."""
    return db.execute("select 1 from tasks where owner=? and deliveries>?", (owner, SUSPECT)).fetchone() is not None


class AbandonOp(Op):
    """Gives an instance back. Results that were handed over in memory become rows first."""

    __slots__ = ("counts", "n", "results", "until")

    def __init__(self, n: int, results: list[tuple[int, str, str]], until: int, counts: bool) -> None:
        super().__init__()
        self.n, self.results, self.until, self.counts = n, results, until, counts

    def apply(self, db: sqlite3.Connection, owner: int) -> None:
        for key, execution, body in self.results:
            keep_result(db, owner, key, self.n, execution, body, self.until)
        db.execute(
            "update instances set owner=null, deliveries=deliveries+?, due=case when due is null then null else max(due, ?) end"
            " where n=? and owner=?",
            (self.counts, self.until, self.n, owner),
        )
        db.execute("update messages set due=max(due, ?) where n=?", (self.until, self.n))


def keep_result(db: sqlite3.Connection, owner: int, key: int, n: int, execution: str, body: str, due: int) -> bool:
    """A result in the place of its task, if that is still ours and somebody waits for it."""
    if not db.execute("delete from tasks where k=? and owner=?", (key, owner)).rowcount:
        return False
    added = db.execute(
        f"insert into messages(k, n, execution, due, body) select {FRESH_KEY}, n, ?, ?, ? from instances"
        " where n=? and execution=? and status in ('pending','running','suspended')",
        (execution, due, body, n, execution),
    )
    return bool(added.rowcount)


class FinishTaskOp(Op):
    """A result for an instance that this process does not hold. Answers with whether somebody waits for it. No body: only drops the task."""

    __slots__ = ("body", "due", "execution", "key", "n")

    def __init__(self, key: int, n: int, execution: str, body: str | None, due: int) -> None:
        super().__init__()
        self.key, self.n, self.execution, self.body, self.due = key, n, execution, body, due

    def apply(self, db: sqlite3.Connection, owner: int) -> bool:
        if self.body is None:
            return bool(db.execute("delete from tasks where k=? and owner=?", (self.key, owner)).rowcount)
        return keep_result(db, owner, self.key, self.n, self.execution, self.body, self.due)


class ReturnTaskOp(Op):
    """Gives an activity back to whoever takes it next."""

    __slots__ = ("counts", "key")

    def __init__(self, key: int, counts: bool) -> None:
        super().__init__()
        self.key, self.counts = key, counts

    def apply(self, db: sqlite3.Connection, owner: int) -> None:
        db.execute(
            "update tasks set owner=null, deliveries=deliveries+? where k=? and owner=?", (self.counts, self.key, owner)
        )


class RenewTaskOp(Op):
    """Keeps heartbeat details. Answers with whether the activity should stop."""

    __slots__ = ("details", "key")

    def __init__(self, key: int, details: str | None) -> None:
        super().__init__()
        self.key, self.details = key, details

    def apply(self, db: sqlite3.Connection, owner: int) -> bool:
        if self.details is not None:
            db.execute("update tasks set heartbeat=? where k=? and owner=?", (self.details, self.key, owner))
        return db.execute("select 1 from tasks where k=? and owner=?", (self.key, owner)).fetchone() is None


class ReleaseOp(Op):
    """Gives back everything this process holds, or some of it."""

    __slots__ = ("instances_", "results")

    def __init__(self, results: list[tuple[int, int, str, str]], instances_: list[int] | None, now: int) -> None:
        super().__init__()
        self.results = [(*result, now) for result in results]
        self.instances_ = instances_

    def apply(self, db: sqlite3.Connection, owner: int) -> None:
        for key, n, execution, body, now in self.results:
            keep_result(db, owner, key, n, execution, body, now)
        if self.instances_ is None:
            db.execute("update instances set owner=null where owner=?", (owner,))
            db.execute("update tasks set owner=null where owner=?", (owner,))
        else:
            for n in self.instances_:
                db.execute("update instances set owner=null where n=? and owner=?", (n, owner))


class TakeoverOp(Op):
    """The leases of owners that are gone become free. Answers with (instances, activities)."""

    __slots__ = ("gone",)

    def __init__(self, gone: list[int]) -> None:
        super().__init__()
        self.gone = gone

    def apply(self, db: sqlite3.Connection, owner: int) -> tuple[int, int]:
        return take_over(db, self.gone)


def take_over(db: sqlite3.Connection, gone: list[int]) -> tuple[int, int]:
    """Counts a delivery for what may have been running, below the number from which work runs alone and is counted when taken."""
    for owner in gone:
        db.execute("delete from owners where id=?", (owner,))
    freed = db.execute(
        "update instances set owner=null, deliveries=deliveries+(deliveries<? and (due is not null or exists"
        "(select 1 from messages m where m.n=instances.n) or exists(select 1 from tasks t where t.n=instances.n)))"
        " where owner is not null and owner not in (select id from owners)",
        (SUSPECT,),
    ).rowcount
    tasks = db.execute(
        "update tasks set owner=null, deliveries=deliveries+(deliveries<?) where owner is not null"
        " and owner not in (select id from owners)",
        (SUSPECT,),
    ).rowcount
    return freed, tasks


class WatchOp(Op):
    """Which of these have ended: [(id, status, output, failure)]."""

    __slots__ = ("ids",)

    def __init__(self, ids: list[str]) -> None:
        super().__init__()
        self.ids = ids

    def apply(self, db: sqlite3.Connection, owner: int) -> list[tuple[Any, ...]]:
        return list(
            select_rows(
                db,
                "select i.id, i.status, e.output, e.failure from instances i join executions e on e.x=i.x"
                " where i.id in ({marks}) and i.status in ('completed','failed','cancelled','terminated')",
                self.ids,
            )
        )


class PurgeOp(Op):
    """Deletes finished instances and all they had. A batch at a time by query, so that nobody waits long."""

    __slots__ = ("recursive", "which")

    def __init__(self, which: str | OrchestrationQuery, recursive: bool) -> None:
        super().__init__()
        self.which, self.recursive = which, recursive

    def apply(self, db: sqlite3.Connection, owner: int) -> PurgeResult:
        if isinstance(self.which, str):
            n, status = instances._found(db, self.which, "n, status")
            if status not in instances._FINAL_NAMES:
                raise InvalidStateError(
                    f"instance {self.which!r} is {status}: only finished instances are purged. Terminate it first."
                )
            chosen, complete = [(n, self.which)], True
        else:
            chosen, complete = self._chosen(db, self.which)
        deleted, seen = 0, set()
        while chosen:
            n, id_ = chosen.pop()
            if n in seen:
                continue
            seen.add(n)
            if self.recursive:
                children = db.execute(
                    "select n, id from instances where parent=? and status in ('completed','failed','cancelled','terminated')",
                    (id_,),
                )
                chosen.extend(children.fetchall())
            _delete(db, n)
            deleted += 1
        return PurgeResult(deleted=deleted, is_complete=complete)

    def _chosen(self, db: sqlite3.Connection, query: OrchestrationQuery) -> tuple[list[tuple[int, str]], bool]:
        where, parameters = reads.conditions(query)
        most = _PURGE_BATCH if query.limit is None else min(query.limit, _PURGE_BATCH)
        rows = db.execute(
            f"select i.n, i.id from instances i where {where} and i.status in ('completed','failed','cancelled','terminated')"
            " order by i.created limit ?",
            (*parameters, most + 1),
        ).fetchall()
        return rows[:most], len(rows) <= most


def _delete(db: sqlite3.Connection, n: int) -> None:
    earlier = db.execute("select x from executions where n=? and earlier is not null", (n,)).fetchall()
    for x in [*earlier, db.execute("select x from instances where n=?", (n,)).fetchone()]:
        db.execute("delete from history where x=?", x)
        db.execute("delete from executions where x=?", x)
    db.execute("delete from messages where n=?", (n,))
    db.execute("delete from tasks where n=?", (n,))
    db.execute("delete from instances where n=?", (n,))
