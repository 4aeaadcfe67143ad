"""`python -m tests.sabotage [NAME...]`: what `make sabotage` runs. Removes one guarantee at a time from a copy of the code and runs the tests that
should notice.

A removal is caught when those tests fail (pytest's exit code 1) or hang; one that keeps them from being collected proves nothing and counts as not
caught. First all of them must pass on the intact copy. The last line is `N sabotaged, N caught`; exit code 1 unless the two are the same.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.removals import Removal
from tests.removals_of_social import SOCIAL
from tests.removals_of_the_library import LIBRARY

ROOT = Path(__file__).parent.parent
_LONGEST = 240  # seconds for the tests of one removal
_SQLITE, _REPLAY = "dtf_runtime/providers/sqlite/", "dtf_runtime/replay/"
_CONFORMANCE = "tests/conformance/test_conformance.py"


REMOVALS = (
    Removal(
        "revision check", _SQLITE + "turns.py", " and instances.revision=v.column3", "", "tests/sqlite/test_guards.py"
    ),
    Removal(
        "lease check",
        _SQLITE + "turns.py",
        '        " and instances.owner=?",\n',
        '        " and ? is not null",\n',
        "tests/sqlite/test_guards.py",
    ),
    Removal(
        "task ownership check",
        _SQLITE + "turns.py",
        "({marks}) and owner=?",
        "({marks}) and ? is not null",
        "tests/sqlite/test_guards.py",
    ),
    Removal(
        "stale owner number",
        _SQLITE + "writer.py",
        "late = [op for op in turns if op.owner != self.owner]",
        "late = []",
        "tests/sqlite/test_leases.py",
    ),
    Removal(
        "lease renewal",
        _SQLITE + "writer.py",
        'db.execute("update owners set expires=? where id=?", (time.time() + self.lease, self.owner))',
        "pass",
        "tests/sqlite/test_leases.py",
    ),
    Removal(
        "message dedupe",
        _REPLAY + "receiving.py",
        "message.id in execution.seen",
        "False",
        "tests/replay/test_events_in.py",
    ),
    Removal(
        "repeated results",
        _REPLAY + "receiving.py",
        "call is None or call.attempt != message.attempt or number in execution.answered",
        "call is None",
        "tests/replay",
    ),
    Removal(
        "results of another execution",
        _REPLAY + "receiving.py",
        'message.execution_id != execution.execution_id:\n        _drop(execution, message, "it is for another execution")\n    elif call',
        "False:\n        pass\n    elif call",
        "tests/replay",
    ),
    Removal(
        "consumed results go with the turn",
        _SQLITE + "turns.py",
        "    _consume(db, owner, turns)\n",
        "",
        "tests/conformance/test_conformance.py tests/sqlite/test_guards.py",
    ),
    Removal(
        "hand-over only from applied turns",
        _SQLITE + "committing.py",
        "            self._refused(op, op.error)\n",
        "            self._hand_over(op)\n            self._refused(op, op.error)\n",
        "tests/sqlite/test_guards.py",
    ),
    Removal(
        "idempotency key",
        "dtf_runtime/dispatchers/activity_context.py",
        'call = f"{self._item.execution_id}/{self._item.task.number}"',
        'call = f"{self._item.execution_id}/{self._item.task.number}/{self.attempt}"',
        "tests/runtime/test_activity_context.py",
    ),
    Removal(
        "event order",
        _SQLITE + "work.py",
        "order by m.due, m.k",
        "order by m.due desc, m.k desc",
        _CONFORMANCE + " tests/scenarios/test_events.py tests/scenarios/test_suspend.py tests/sqlite",
    ),
    Removal(
        "decisions that the code never reaches",
        "dtf_runtime/replay/execution.py",
        "matcher.all_made(self)",
        "pass",
        "tests/replay/test_decisions.py",
    ),
    Removal(
        "deterministic hash",
        _REPLAY + "loop.py",
        "        return self._hash\n",
        "        return id(self)\n",
        "tests/replay/test_time_and_order.py",
    ),
    Removal(
        "timer not early, in memory",
        _SQLITE + "alarms.py",
        "due, now = to_micros(timer.fire_at), ",
        "due, now = to_micros(timer.fire_at) - 3_000_000, ",
        "tests/sqlite/test_alarms.py tests/scenarios/test_timers.py",
    ),
    Removal(
        "a withdrawn timer is not delivered",
        _SQLITE + "alarms.py",
        "and entry[0].number in gone",
        "and entry[0].number in ()",
        "tests/sqlite/test_alarms.py",
    ),
    Removal(
        "timer not early",
        _SQLITE + "work.py",
        '" where m.due<=? and (i.owner=? or',
        '" where m.due-3000000<=? and (i.owner=? or',
        _CONFORMANCE + " tests/scenarios/test_timers.py",
    ),
    Removal(
        "compensation order",
        _REPLAY + "saga.py",
        "for undo in reversed(undos)",
        "for undo in undos",
        "tests/scenarios/test_saga.py",
    ),
    Removal(
        "cancel reaches children",
        _REPLAY + "decisions.py",
        "    execution.turn.sends.append(Send(start.instance_id, control))\n",
        "",
        "tests/scenarios/test_cancel_reaches.py",
    ),
    Removal(
        "a cancel owed to the waiter",
        _REPLAY + "inputs.py",
        "        call.pay_cancels()\n",
        "        pass\n",
        "tests/replay/test_cancelling.py",
    ),
    Removal("forbidden calls", _REPLAY + "guard.py", '    "open": "opens a file",\n', "", "tests/replay/test_guard.py"),
    Removal(
        "the verdict is stored",
        _REPLAY + "receiving.py",
        "failure=failure, retry_at=retry_at)\n    )\n\n\ndef _child_result",
        "failure=failure)\n    )\n\n\ndef _child_result",
        "tests/scenarios/test_retries.py",
    ),
    Removal(
        "non-retriable errors",
        _REPLAY + "retries.py",
        "        if inner.non_retriable:\n            return False\n",
        "",
        "tests/scenarios/test_retries.py",
    ),
    Removal(
        "a taken id is refused",
        _SQLITE + "instances.py",
        "if OrchestrationStatus(status) not in self.reuse:",
        "if False:",
        "tests/scenarios/test_start_reuse.py",
    ),
    Removal(
        "a live instance is not purged",
        _SQLITE + "work.py",
        "if status not in instances._FINAL_NAMES:",
        "if False:",
        "tests/scenarios/test_purge.py",
    ),
    Removal(
        "a hole in a history",
        _SQLITE + "reads.py",
        "places != list(range(len(events))) or len(events) < length",
        "False",
        "tests/sqlite/test_set_aside.py",
    ),
    Removal(
        "the write-ahead log outlives clients",
        _SQLITE + "schema.py",
        "    file = Path(path)\n    if file.is_file() and 0 <",
        "    file = Path(path)\n    if file.is_file():\n        file.open().close()\n    if file.is_file() and 0 <",
        "tests/sqlite/test_write_ahead_log.py",
    ),
    Removal(
        "a cancelled activity is told",
        _SQLITE + "committing.py",
        "        self._hub.running.cancel(n, execution, wanted)\n",
        "",
        _CONFORMANCE,
    ),
)


def main() -> int:
    wanted = sys.argv[1:]
    removals = [removal for removal in (*REMOVALS, *LIBRARY, *SOCIAL) if not wanted or removal.name in wanted]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        _copy_to(copy)
        tests = sorted({test for removal in removals for test in removal.tests.split()})
        if _run(copy, tests, "-n", "2") != 0:
            print("the tests do not pass on the intact code: nothing can be said")
            return 1
        caught = sum(_is_caught(copy, removal) for removal in removals)
    print(f"{len(removals)} sabotaged, {caught} caught")
    return 0 if caught == len(removals) else 1


def _copy_to(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (ROOT / name).is_file():
            target = copy / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)


def _is_caught(copy: Path, removal: Removal) -> bool:
    file = copy / removal.file
    intact = file.read_text()
    if removal.old not in intact:
        print(f"{removal.name}: NOT FOUND in {removal.file}; the code has changed, so must this list", flush=True)
        return False
    file.write_text(intact.replace(removal.old, removal.new))
    try:
        code = _run(copy, removal.tests.split(), "-x")
    finally:
        file.write_text(intact)
    says = {0: "NOT NOTICED", 1: "caught", None: "caught (the tests hang)"}.get(
        code, f"proves nothing (pytest ended with {code})"
    )
    print(f"{removal.name}: {says}", flush=True)
    return code in (1, None)


def _run(copy: Path, tests: list[str], *options: str) -> int | None:
    """pytest's exit code; None when it took too long."""
    command = [sys.executable, "-m", "pytest", "-q", "--timeout", "40", "-p", "no:cacheprovider", *options, *tests]
    try:
        done = subprocess.run(command, cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=_LONGEST)
    except subprocess.TimeoutExpired:
        return None
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
