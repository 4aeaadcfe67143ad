"""Turns as SQL: many of them in few statements, each guarded by its instance's revision and owner.

`apply_turns` either applies all it is given or raises Refused, with nothing kept by its caller's savepoint; the caller then tries them one by one,
so that a turn that lost its lock takes no other with it. There is no second code path for one turn.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from dtf_runtime.errors import FailureDetails, OrchestrationAlreadyExistsError
from dtf_runtime.model.commit import Commit
from dtf_runtime.model.messages import ChildResult, Control, StartExecution, encode_message
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.providers.sqlite import instances
from dtf_runtime.providers.sqlite.rows import FRESH_KEY, execute_rows, select_rows, text, to_micros
from dtf_runtime.tracing import events as trace

_LIVE = "('pending','running','suspended')"
_TOLD = (OrchestrationStatus.FAILED, OrchestrationStatus.CANCELLED, OrchestrationStatus.TERMINATED)
KEEP_EXECUTIONS = 10  # earlier ones of an instance


class Refused(Exception):
    """The guard of a turn did not hold."""


class TurnOp:
    """A turn on its way to disk. Keys were given out when it was made; `lost_*` are filled in when it is applied."""

    __slots__ = (
        "answered",
        "children",
        "commit",
        "done",
        "error",
        "execution",
        "lost_children",
        "lost_sends",
        "messages",
        "next_x",
        "owned",
        "owner",
        "reinjects",
        "sends",
        "task_keys",
        "tasks",
        "timers",
    )

    def __init__(
        self,
        owned: Any,
        commit: Commit,
        done: Callable[[BaseException | None], None],
        answered: "Callable[[TurnOp], None]",
    ) -> None:
        self.answered = answered  # in the loop's thread, when its group is on disk or failed
        self.owned = owned
        self.owner = 0  # the number under which the process held the instance; the writer fills it in
        self.execution: str = owned.execution
        self.commit = commit
        self.done = done
        self.error: BaseException | None = None
        self.messages: list[int] = []  # consumed rows
        self.task_keys: list[int] = []  # consumed activities
        self.tasks: list[tuple[int, Any, bool]] = []  # (key, task, ours to run)
        self.timers: list[tuple[int, Any]] = []
        self.children: list[tuple[int, int, StartExecution, bool]] = []  # (n, x, start, ours)
        self.sends: list[tuple[int, Any]] = []
        self.reinjects: list[tuple[int, Any]] = []
        self.next_x = 0
        self.lost_sends: set[int] = set()
        self.lost_children: set[int] = set()


def apply_turns(db: sqlite3.Connection, owner: int, turns: list[TurnOp]) -> None:
    """One statement a table, whatever the number of turns. Raises Refused."""
    _guard(db, owner, turns)
    _consume(db, owner, turns)
    _write_history(db, turns)
    _queue_work(db, owner, turns)
    _take_back(db, turns)
    _end(db, turns)
    _start_children(db, owner, turns)
    _send(db, turns)


def _guard(db: sqlite3.Connection, owner: int, turns: list[TurnOp]) -> None:
    rows = []
    for op in turns:
        owned, commit = op.owned, op.commit
        at = to_micros(commit.at)
        final = commit.status.is_final
        rows.append(
            (
                owned.n,
                owned.x,
                owned.revision,
                commit.status.value,
                at,
                commit.history_length,
                text(commit.custom_status),
                at if final else None,
                None if final and commit.next is None else owner,
            )
        )
    changed = execute_rows(
        db,
        "update instances set revision=v.column3+1, status=v.column4, updated=v.column5, length=v.column6,"
        " custom=coalesce(v.column7, custom), completed=v.column8, owner=v.column9, due=null, deliveries=0"
        " from (values {rows}) v where instances.n=v.column1 and instances.x=v.column2 and instances.revision=v.column3"
        " and instances.owner=?",
        rows,
        owner,
    )
    if changed != len(turns):
        raise Refused


def _consume(db: sqlite3.Connection, owner: int, turns: list[TurnOp]) -> None:
    tasks = [(key,) for op in turns for key in op.task_keys]
    if execute_rows(db, "delete from tasks where k in ({marks}) and owner=?", tasks, owner) != len(tasks):
        raise Refused
    messages = [(key,) for op in turns for key in op.messages]
    if execute_rows(db, "delete from messages where k in ({marks})", messages) != len(messages):
        raise Refused


def _write_history(db: sqlite3.Connection, turns: list[TurnOp]) -> None:
    for op in turns:
        if op.commit.rewrite:
            db.execute("delete from history where x=?", (op.owned.x,))
    rows = [(op.owned.x, op.owned.revision, text(op.commit.history)) for op in turns if op.commit.history]
    execute_rows(db, "insert into history(x, revision, events) values {rows}", rows)


def _queue_work(db: sqlite3.Connection, owner: int, turns: list[TurnOp]) -> None:
    tasks, messages = [], []
    for op in turns:
        n, execution, at = op.owned.n, op.owned.execution, to_micros(op.commit.at)
        for key, task, ours in op.tasks:
            due = at if task.due is None else to_micros(task.due)
            body = text(encode_message(task))
            tasks.append((key, n, execution, task.number, task.attempt, due, owner if ours else None, 0, body))
        for key, timer in op.timers:
            due = to_micros(timer.fire_at)
            messages.append((key, n, execution, due, timer.number, instances.timer_body(execution, timer)))
    execute_rows(
        db, "insert into tasks(k, n, execution, number, attempt, due, owner, deliveries, body) values {rows}", tasks
    )
    execute_rows(db, "insert into messages(k, n, execution, due, number, body) values {rows}", messages)


def _take_back(db: sqlite3.Connection, turns: list[TurnOp]) -> None:
    for op in turns:
        n, execution = op.owned.n, op.owned.execution
        for number in op.commit.withdrawn_timers:
            db.execute("delete from messages where n=? and execution=? and number=?", (n, execution, number))
        for number in op.commit.cancelled_tasks:
            instances.cancel_tasks(db, "n=? and execution=? and number=?", (n, execution, number))


def _end(db: sqlite3.Connection, turns: list[TurnOp]) -> None:
    rows, ended, told = [], [], []
    for op in turns:
        commit, owned = op.commit, op.owned
        if commit.rewrite:
            db.execute(
                "update executions set status='running', completed=null, output=null, failure=null where x=?",
                (owned.x,),
            )
        if not commit.status.is_final:
            continue
        failure = None if commit.failure is None else text(instances.encode(commit.failure))
        rows.append(
            (owned.x, commit.status.value, to_micros(commit.at), commit.history_length, text(commit.output), failure)
        )
        if commit.next is None:
            ended.append((owned.n,))
            if commit.status in _TOLD:
                told.append((owned.n,))
        else:
            _continue_as_new(db, op)
    execute_rows(
        db,
        "update executions set status=v.column2, completed=v.column3, length=v.column4, output=v.column5, failure=v.column6"
        " from (values {rows}) v where executions.x=v.column1",
        rows,
    )
    execute_rows(db, "delete from messages where n in ({marks})", ended)
    for (n,) in told:
        instances.cancel_tasks(db, "n=?", (n,))


def _continue_as_new(db: sqlite3.Connection, op: TurnOp) -> None:
    owned, coming = op.owned, op.commit.next
    assert coming is not None
    at = to_micros(op.commit.at)
    db.execute("delete from messages where n=? and execution=?", (owned.n, owned.execution))
    db.execute(
        "insert into executions(x, n, execution, version, status, created, length, parent, carried, recent, input)"
        " select ?, n, ?, ?, 'pending', ?, 0, parent, ?, ?, ? from executions where x=?",
        (
            op.next_x,
            coming.execution_id,
            coming.version,
            at,
            text(instances.encode(coming.carried)) if coming.carried else None,
            text(instances.encode(coming.recent)) if coming.recent else None,
            text(coming.input),
            owned.x,
        ),
    )
    db.execute("update executions set earlier=1 where x=?", (owned.x,))
    db.execute(
        "update instances set x=?, execution=?, version=?, status='pending', revision=0, due=?, completed=null, length=0 where n=?",
        (op.next_x, coming.execution_id, coming.version, at, owned.n),
    )
    instances.prune(db, owned.n, KEEP_EXECUTIONS)


def _start_children(db: sqlite3.Connection, owner: int, turns: list[TurnOp]) -> None:
    rows: list[tuple[Any, ...]] = []
    starts: dict[int, tuple[TurnOp, int, StartExecution]] = {}
    for op in turns:
        at = to_micros(op.commit.at)
        for n, x, start, ours in op.children:
            rows.append(instances.instance_row(n, x, start, at, owner if ours else None))
            starts[n] = (op, x, start)
    if not rows:
        return
    if execute_rows(db, instances.INSERT_OR_IGNORE, rows) != len(rows):
        there = {n for (n,) in select_rows(db, "select n from instances where n in ({marks})", starts)}
        for n in [n for n in starts if n not in there]:
            op, x, start = starts.pop(n)
            op.lost_children.add(n)
            _id_is_taken(db, op, x, start)
    execute_rows(
        db,
        instances.INSERT_EXECUTION,
        [instances.execution_row(n, x, start, to_micros(op.commit.at)) for n, (op, x, start) in starts.items()],
    )


def _id_is_taken(db: sqlite3.Connection, op: TurnOp, x: int, start: StartExecution) -> None:
    """By an ended child of the same parent: replaced. By anything else: the parent is told, a detached start is only traced."""
    n, status, parent = db.execute(
        "select n, status, parent from instances where id=?", (start.instance_id,)
    ).fetchone()
    link = start.parent
    if link is not None and parent == link.instance_id and OrchestrationStatus(status).is_final:
        instances.replace(db, n, x, start, to_micros(op.commit.at))
        return
    if link is None:
        trace.start_id_taken(
            instance_id=op.owned.id,
            taken_id=start.instance_id,
            name=start.name,
            execution_id=op.owned.execution,
            detached=True,
        )
        return
    error = OrchestrationAlreadyExistsError(
        f"child {start.name!r} of {op.owned.id!r} could not start: an instance {start.instance_id!r} exists already. Give it another "
        f"instance_id, or leave it out."
    )
    result = ChildResult(
        execution_id=link.execution_id,
        number=link.number,
        attempt=link.attempt,
        status=OrchestrationStatus.FAILED,
        failure=FailureDetails.of(error),
    )
    db.execute(
        f"insert into messages(k, n, execution, due, body) values({FRESH_KEY},?,?,?,?)",
        (op.owned.n, link.execution_id, to_micros(op.commit.at), text(encode_message(result))),
    )


def _send(db: sqlite3.Connection, turns: list[TurnOp]) -> None:
    rows, ops = [], {}
    for op in turns:
        at = to_micros(op.commit.at)
        for key, send in op.sends:
            message = send.message
            if isinstance(message, Control) and instances.cancel_pending(db, send.instance_id, message, at):
                op.lost_sends.add(key)
                continue
            rows.append((key, send.instance_id, message.execution_id, at, text(encode_message(message))))
            ops[key] = op
            if isinstance(message, Control) and message.action == "rewind":
                instances.revive(db, send.instance_id, message.execution_id)
        for key, message in op.reinjects:
            db.execute(
                "insert into messages(k, n, execution, due, body) values(?,?,?,?,?)",
                (key, op.owned.n, message.execution_id, at, text(encode_message(message))),
            )
    inserted = execute_rows(
        db,
        "insert into messages(k, n, execution, due, body) select v.column1, i.n, v.column3, v.column4, v.column5"
        " from (values {rows}) v join instances i on i.id=v.column2"
        f" where (v.column3='' or v.column3=i.execution) and i.status in {_LIVE}",
        rows,
    )
    if inserted != len(rows):
        there = {k for (k,) in select_rows(db, "select k from messages where k in ({marks})", ops)}
        for key, op in ops.items():
            if key not in there:
                op.lost_sends.add(key)
                _trace_lost(op, key)


def _trace_lost(op: TurnOp, key: int) -> None:
    send = next(send for known, send in op.sends if known == key)
    trace.event_dropped(
        instance_id=send.instance_id,
        event_name=getattr(send.message, "name", "") or type(send.message).__name__,
        reason="there is no such instance, or it has ended or runs another execution",
        sender_id=op.owned.id,
    )
