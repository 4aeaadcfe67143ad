"""What clients do to instances, as operations of the writer. Each runs in its own savepoint and answers through a future."""

import sqlite3
from typing import Any

import msgspec
from msgspec import UNSET

from dtf_runtime.errors import (
    FailureDetails,
    InstanceNotFoundError,
    InvalidStateError,
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationTerminatedError,
)
from dtf_runtime.model import history as h
from dtf_runtime.model.commit import InstanceRecord, Timer
from dtf_runtime.model.messages import ChildResult, Control, Message, StartExecution, TimerDue, encode_message
from dtf_runtime.model.state import OrchestrationStatus, ParentLink
from dtf_runtime.providers.sqlite.rows import FRESH_KEY, execute_rows, from_micros, text, to_micros
from dtf_runtime.service import Outcome
from dtf_runtime.tracing import events as trace

encode = msgspec.json.Encoder().encode
_COLUMNS = (
    "n, id, x, execution, name, version, status, revision, owner, due, created, updated, scheduled, parent, length,"
    " deliveries, tags"
)
INSERT_OR_IGNORE = f"insert or ignore into instances({_COLUMNS}) values {{rows}}"
INSERT_EXECUTION = (
    "insert into executions(x, n, execution, version, status, created, length, parent, input) values {rows}"
)
_ONE_ROW = "(" + ",".join("?" * 17) + ")"
_FINAL_NAMES = ("completed", "failed", "cancelled", "terminated")


def instance_row(n: int, x: int, start: StartExecution, at: int, owner: int | None) -> tuple[Any, ...]:
    due = at if start.due is None else to_micros(start.due)
    return (
        n,
        start.instance_id,
        x,
        start.execution_id,
        start.name,
        start.version,
        "pending",
        0,
        owner,
        due,
        at,
        at,
        None if start.due is None else due,
        None if start.parent is None else start.parent.instance_id,
        0,
        0,
        text(encode(start.tags)) if start.tags else None,
    )


def execution_row(n: int, x: int, start: StartExecution, at: int) -> tuple[Any, ...]:
    parent = None if start.parent is None else text(encode(start.parent))
    data = None if start.input is UNSET else text(memoryview(start.input))
    return (x, n, start.execution_id, start.version, "pending", at, 0, parent, data)


def record_of(row: tuple[Any, ...]) -> InstanceRecord:
    """From (id, execution, name, version, status, tags, parent, carried, recent, input)."""
    id_, execution, name, version, status, tags, parent, carried, recent, data = row
    return InstanceRecord(
        instance_id=id_,
        execution_id=execution,
        name=name,
        version=version,
        status=OrchestrationStatus(status),
        input=None if data is None else data.encode(),
        tags={} if tags is None else msgspec.json.decode(tags),
        parent=None if parent is None else msgspec.json.decode(parent, type=ParentLink),
        carried=() if carried is None else msgspec.json.decode(carried, type=tuple[h.CarriedEvent, ...]),
        recent=() if recent is None else msgspec.json.decode(recent, type=tuple[str, ...]),
    )


RECORD = "i.id, i.execution, i.name, i.version, i.status, i.tags, e.parent, e.carried, e.recent, e.input"


def timer_body(execution: str, timer: Timer) -> str | None:
    return text(encode_message(TimerDue(execution_id=execution, number=timer.number, fire_at=timer.fire_at)))


def cancel_tasks(db: sqlite3.Connection, where: str, parameters: tuple[Any, ...]) -> None:
    """Nobody waits for them any more. One that runs learns of it at its next renewal, when its row is gone."""
    db.execute(f"delete from tasks where {where}", parameters)


def prune(db: sqlite3.Connection, n: int, keep: int) -> None:
    """Forgets all but the last earlier executions."""
    old = db.execute(
        "select x from executions where n=? and earlier is not null order by created desc, x desc limit -1 offset ?",
        (n, keep),
    )
    for (gone,) in old.fetchall():
        db.execute("delete from history where x=?", (gone,))
        db.execute("delete from executions where x=?", (gone,))


def replace(db: sqlite3.Connection, n: int, x: int, start: StartExecution, at: int, keep: int = 10) -> None:
    """A new execution in the place of an old one; whatever was on its way to that is gone."""
    db.execute("delete from messages where n=?", (n,))
    cancel_tasks(db, "n=?", (n,))
    row = instance_row(n, x, start, at, None)
    db.execute("update executions set earlier=1 where x=(select x from instances where n=?)", (n,))
    db.execute(
        "update instances set x=?, execution=?, name=?, version=?, status='pending', revision=0, owner=null, due=?, created=?,"
        " updated=?, completed=null, scheduled=?, parent=?, length=0, deliveries=0, tags=?, custom=null where n=?",
        (x, row[3], row[4], row[5], row[9], at, at, row[12], row[13], row[16], n),
    )
    db.execute(INSERT_EXECUTION.replace("{rows}", "(?,?,?,?,?,?,?,?,?)"), execution_row(n, x, start, at))
    prune(db, n, keep)


class Op:
    """Something for the writer to do. `apply` runs in its thread; `future` is answered in the loop's."""

    __slots__ = ("answered", "error", "future", "result")

    def __init__(self) -> None:
        self.answered: Any = None  # called in the loop's thread before anything later is handed over
        self.future: Any = None
        self.result: Any = None
        self.error: BaseException | None = None

    def apply(self, db: sqlite3.Connection, owner: int) -> Any:
        raise NotImplementedError


class CreateOp(Op):
    """Answers with the key of a replaced instance, else None."""

    __slots__ = ("at", "n", "ours", "reuse", "start", "x")

    def __init__(
        self, n: int, x: int, start: StartExecution, reuse: frozenset[OrchestrationStatus], at: int, ours: bool
    ) -> None:
        super().__init__()
        self.n, self.x, self.start, self.reuse, self.at, self.ours = n, x, start, reuse, at, ours

    def row(self, owner: int) -> tuple[Any, ...]:
        return instance_row(self.n, self.x, self.start, self.at, owner if self.ours else None)

    def apply(self, db: sqlite3.Connection, owner: int) -> int | None:
        row = self.row(owner)
        if db.execute(INSERT_OR_IGNORE.replace("{rows}", _ONE_ROW), row).rowcount:
            db.execute(
                INSERT_EXECUTION.replace("{rows}", "(?,?,?,?,?,?,?,?,?)"),
                execution_row(self.n, self.x, self.start, self.at),
            )
            return None
        n, status = db.execute("select n, status from instances where id=?", (self.start.instance_id,)).fetchone()
        if OrchestrationStatus(status) not in self.reuse:
            raise OrchestrationAlreadyExistsError(
                f"instance {self.start.instance_id!r} exists already and is {status}. Choose another instance_id, purge it, or allow that "
                f"status in `reuse`."
            )
        if status not in _FINAL_NAMES:
            ended = OrchestrationTerminatedError("it was replaced by a new start with the same id")
            end_now(db, n, OrchestrationStatus.TERMINATED, FailureDetails.of(ended), self.at)
        replace(db, n, self.x, self.start, self.at)
        return int(n)


def create_all(db: sqlite3.Connection, owner: int, ops: list[CreateOp]) -> bool:
    """Many in two statements. False: one of the ids is taken, nothing is kept by the caller's savepoint."""
    if execute_rows(db, INSERT_OR_IGNORE, [op.row(owner) for op in ops]) != len(ops):
        return False
    execute_rows(db, INSERT_EXECUTION, [execution_row(op.n, op.x, op.start, op.at) for op in ops])
    return True


class SendOp(Op):
    """Answers with (n, key of the message or None when dropped, Outcome when a cancel ended it at once)."""

    __slots__ = ("at", "instance_id", "key", "message")

    def __init__(self, key: int, instance_id: str, message: Message, at: int) -> None:
        super().__init__()
        self.key, self.instance_id, self.message, self.at = key, instance_id, message, at

    def apply(self, db: sqlite3.Connection, owner: int) -> tuple[int, int | None, Outcome | None]:
        n, status, revision, due = _found(db, self.instance_id, "n, status, revision, due")
        message = self.message
        action = message.action if isinstance(message, Control) else ""
        if action == "rewind":
            if status != "failed":
                raise InvalidStateError(f"instance {self.instance_id!r} is {status}: only a failed one can be rewound.")
            revive(db, self.instance_id, "")
        elif status in _FINAL_NAMES:
            name = action or getattr(message, "name", "")
            trace.event_dropped(instance_id=self.instance_id, event_name=name, reason=f"the instance is {status}")
            return n, None, None
        elif action == "cancel" and revision == 0 and due is not None and due > self.at:
            assert isinstance(message, Control)
            failure = FailureDetails.of(
                OrchestrationCancelledError(message.reason or "it was cancelled before it began")
            )
            end_now(db, n, OrchestrationStatus.CANCELLED, failure, self.at)
            return n, None, Outcome(OrchestrationStatus.CANCELLED, None, failure)
        due = max(self.at, due) if revision == 0 and due is not None else self.at
        db.execute(
            "insert into messages(k, n, execution, due, body) values(?,?,?,?,?)",
            (self.key, n, message.execution_id, due, text(encode_message(message))),
        )
        return n, self.key, None


class TerminateOp(Op):
    """Answers with the (n, id, Outcome) of all that ended."""

    __slots__ = ("at", "instance_id", "reason", "recursive")

    def __init__(self, instance_id: str, reason: str, recursive: bool, at: int) -> None:
        super().__init__()
        self.instance_id, self.reason, self.recursive, self.at = instance_id, reason, recursive, at

    def apply(self, db: sqlite3.Connection, owner: int) -> list[tuple[int, str, Outcome]]:
        _found(db, self.instance_id, "n")
        failure = FailureDetails.of(OrchestrationTerminatedError(self.reason or "it was terminated"))
        outcome = Outcome(OrchestrationStatus.TERMINATED, None, failure)
        ended, waiting, seen = [], [self.instance_id], set()
        while waiting:
            id_ = waiting.pop()
            if id_ in seen:
                continue
            seen.add(id_)
            row = db.execute("select n, status from instances where id=?", (id_,)).fetchone()
            if row is not None and row[1] not in _FINAL_NAMES:
                end_now(db, row[0], OrchestrationStatus.TERMINATED, failure, self.at)
                ended.append((row[0], id_, outcome))
            if self.recursive:
                waiting.extend(child for (child,) in db.execute("select id from instances where parent=?", (id_,)))
        return ended


def cancel_pending(db: sqlite3.Connection, instance_id: str, message: Control, at: int) -> bool:
    """A cancel of an instance that begins later ends it at once."""
    if message.action != "cancel":
        return False
    row = db.execute(
        "select n from instances where id=? and ? in ('', execution) and status='pending' and revision=0 and due>?",
        (instance_id, message.execution_id, at),
    ).fetchone()
    if row is None:
        return False
    failure = FailureDetails.of(OrchestrationCancelledError(message.reason or "it was cancelled before it began"))
    end_now(db, row[0], OrchestrationStatus.CANCELLED, failure, at)
    return True


def revive(db: sqlite3.Connection, instance_id: str, execution: str) -> None:
    """A failed instance that will be rewound runs from the moment that was accepted: who asks for its result waits for the new end."""
    revived = db.execute(
        "update instances set status='running', completed=null where id=? and status='failed' and ? in ('', execution)",
        (instance_id, execution),
    )
    if revived.rowcount:
        db.execute(
            "update executions set status='running', completed=null, failure=null"
            " where x=(select x from instances where id=?)",
            (instance_id,),
        )


def end_now(db: sqlite3.Connection, n: int, status: OrchestrationStatus, failure: FailureDetails, at: int) -> None:
    """Ends a live instance without running its code, and tells its parent."""
    x, length, revision, link = db.execute(
        "select i.x, i.length, i.revision, e.parent from instances i join executions e on e.x=i.x where i.n=?",
        (n,),
    ).fetchone()
    event: h.HistoryEvent
    if status == OrchestrationStatus.TERMINATED:
        event = h.ExecutionTerminated(event_id=length, timestamp=from_micros(at), reason=failure.message)
    else:
        event = h.ExecutionCompleted(
            event_id=length, timestamp=from_micros(at), number=1, status=status, failure=failure
        )
    db.execute("insert into history(x, revision, events) values(?,?,?)", (x, revision, text(h.encode_events([event]))))
    db.execute(
        "update instances set status=?, revision=revision+1, owner=null, due=null, updated=?, completed=?, length=length+1 where n=?",
        (status.value, at, at, n),
    )
    db.execute(
        "update executions set status=?, completed=?, length=?, failure=? where x=?",
        (status.value, at, length + 1, text(encode(failure)), x),
    )
    db.execute("delete from messages where n=?", (n,))
    cancel_tasks(db, "n=?", (n,))
    if link is not None:
        _tell_parent(db, msgspec.json.decode(link, type=ParentLink), status, failure, at)


def _tell_parent(
    db: sqlite3.Connection, link: ParentLink, status: OrchestrationStatus, failure: FailureDetails, at: int
) -> None:
    result = ChildResult(
        execution_id=link.execution_id, number=link.number, attempt=link.attempt, status=status, failure=failure
    )
    db.execute(
        f"insert into messages(k, n, execution, due, body) select {FRESH_KEY}, n, ?, ?, ? from instances where id=? and execution=?"
        " and status in ('pending','running','suspended')",
        (link.execution_id, at, text(encode_message(result)), link.instance_id, link.execution_id),
    )


def _found(db: sqlite3.Connection, instance_id: str, columns: str) -> tuple[Any, ...]:
    row = db.execute(f"select {columns} from instances where id=?", (instance_id,)).fetchone()
    if row is None:
        raise InstanceNotFoundError(
            f"there is no instance {instance_id!r} in this hub. `dtf list` shows those that are."
        )
    return tuple(row)
