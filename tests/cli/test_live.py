"""The commands against a hub that a worker of another process serves."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import FLOWS, PATIENCE, Dtf, line_with

_ORDER = json.dumps({"id": 7, "items": ["tea", "cups"]})


def _waiting(live: Dtf, instance_id: str = "a") -> str:
    """Starts `approval` and follows it until it waits for its event."""
    live("start", "approval", "--id", instance_id)
    with live.process("tail", instance_id) as tail:
        line_with(tail.stderr, "approve: running")
    return instance_id


def test_start_gives_the_id_and_wait_the_output(live: Dtf) -> None:
    instance_id = live("start", "order", "--input", _ORDER).stdout.strip()
    assert json.loads(live("wait", instance_id, "--timeout", PATIENCE).stdout) == ["packed tea", "packed cups"]


def test_start_and_wait_in_one(live: Dtf) -> None:
    state = live.json("start", "order", "--input", _ORDER, "--id", "order-7", "--tag", "team=blue", "--wait")
    assert (state["status"], state["tags"], state["output"]) == (
        "completed",
        {"team": "blue"},
        ["packed tea", "packed cups"],
    )


def test_an_id_that_is_taken_is_a_conflict_unless_its_status_may_be_reused(live: Dtf) -> None:
    assert live.json("start", "order", "--input", _ORDER, "--id", "o") == {"instance_id": "o"}
    live("wait", "o")
    assert "o" in live("start", "order", "--input", _ORDER, "--id", "o", expect=4).stderr
    live("start", "order", "--input", _ORDER, "--id", "o", "--reuse", "failed", expect=4)
    before = live.json("show", "o")["instance"]["execution_id"]
    live("start", "order", "--input", _ORDER, "--id", "o", "--reuse", "failed,completed", "--wait")
    assert live.json("show", "o")["instance"]["execution_id"] != before


def test_a_scheduled_start_waits_for_its_time(live: Dtf) -> None:
    live("start", "order", "--input", _ORDER, "--id", "later", "--at", "1d")
    state = live.json("show", "later")["instance"]
    assert state["status"] == "pending"
    assert state["scheduled_at"] > state["created_at"]
    assert "starts at" in live("show", "later").stdout


def test_a_failure_ends_wait_with_exit_code_1(live: Dtf) -> None:
    live("start", "broken", "--input", '"tea"', "--id", "b")
    result = live("wait", "b", expect=1)
    assert result.stdout == ""
    assert "LookupError: no tea left" in result.stderr
    assert live.json("wait", "b", expect=1)["failure"]["type"] == "dtf_runtime.TaskFailedError"
    shown = live("show", "b").stdout
    assert "✗ activity cli.refuse" in shown
    assert "caused by OSError: the shelf is empty" in shown


def test_a_wait_that_takes_too_long_ends_with_124_and_the_instance_goes_on(live: Dtf) -> None:
    _waiting(live)
    assert "has not ended within 10ms" in live("wait", "a", "--timeout", "10ms", expect=124).stderr
    assert live.json("show", "a")["instance"]["status"] == "running"


def test_an_event_reaches_the_instance(live: Dtf) -> None:
    _waiting(live)
    sent = live.json("raise", "a", "decided", "--payload", '{"by": "Ada"}')
    assert sent == {"instance_id": "a", "command": "raise", "sent": True, "status_before": "running"}
    assert json.loads(live("wait", "a").stdout) == {"by": "Ada"}


def test_an_event_that_nobody_would_get_is_refused(live: Dtf) -> None:
    live("start", "pid", "--id", "p", "--wait")
    assert "nobody would get the event" in live("raise", "p", "decided", expect=4).stderr


def test_show_draws_a_checklist_and_a_timeline(live: Dtf) -> None:
    _waiting(live)
    shown = live("show", "a").stdout
    assert "✓ pack  packed tea" in shown
    assert "▶ approve  waiting for a decision" in shown
    assert "○ ship" in shown
    assert "✓ activity cli.pack" in shown
    assert '"packed tea"' in shown
    assert "1 of 3 steps: approve" in live("list").stdout
    live("raise", "a", "decided")
    live("wait", "a")
    shown = live("show", "a").stdout
    assert "- ship (skipped)  nothing to ship" in shown
    assert "· event decided" in shown
    assert "✓ completed" in shown


def test_attempts_are_drawn_with_what_went_wrong_before(live: Dtf) -> None:
    live("start", "retried", "--input", json.dumps(str(live.folder / "marker")), "--id", "r", "--wait")
    assert "attempt 2, before that: ConnectionError: not yet" in live("show", "r").stdout
    entry = next(entry for entry in live.json("show", "r")["timeline"] if entry["kind"] == "activity")
    assert (entry["attempts"], entry["state"], entry["value"]) == (2, "done", "second time lucky")
    assert entry["failures"][0]["type"] == "builtins.ConnectionError"


def test_a_cancel_lets_the_instance_clean_up(live: Dtf) -> None:
    _waiting(live)
    assert "cancel sent to a (was running)" in live("cancel", "a", "--reason", "changed my mind").stderr
    state = live.json("wait", "a", expect=1)
    assert state["status"] == "cancelled"
    assert "↶ approve (undone)" in live("show", "a").stdout
    assert "changed my mind" in live("show", "a").stdout


def test_terminate_ends_it_at_once(live: Dtf) -> None:
    _waiting(live)
    live("terminate", "a", "--reason", "no more", "--recursive")
    assert live.json("wait", "a", expect=1)["status"] == "terminated"
    assert "no more" in live("wait", "a", expect=1).stderr


@pytest.mark.parametrize("command", ["terminate", "cancel", "suspend", "resume"])
def test_a_control_of_an_ended_instance_changes_nothing_and_says_so(live: Dtf, command: str) -> None:
    live("start", "pid", "--id", "p", "--wait")
    before = live.json("show", "p")
    answer = live.json(command, "p")
    assert answer == {"instance_id": "p", "command": command, "sent": False, "status_before": "completed"}
    assert f"nothing to {command}" in live(command, "p").stderr
    assert live.json("show", "p") == before


def test_a_suspended_instance_keeps_its_events_for_later(live: Dtf) -> None:
    _waiting(live)
    live("suspend", "a", "--reason", "holiday")
    with live.process("tail", "a") as tail:
        line_with(tail.stderr, "a suspended")
        live("raise", "a", "decided", "--payload", "1")
        live("resume", "a")
        assert tail.wait(PATIENCE) == 0
    assert live("wait", "a").stdout == "1\n"
    shown = live("show", "a").stdout
    assert "· suspended holiday" in shown and "· resumed" in shown


def test_a_failed_instance_can_be_rewound_and_only_a_failed_one(live: Dtf) -> None:
    live("start", "broken", "--input", '"tea"', "--id", "b")
    live("wait", "b", expect=1)
    length = live.json("show", "b")["instance"]["history_length"]
    live("rewind", "b", "--reason", "try again")
    with live.process("tail", "b") as tail:
        assert tail.wait(PATIENCE) in (0, 1)
    assert "rewound try again" in live("show", "b").stdout
    assert live.json("show", "b")["instance"]["history_length"] >= length
    live("start", "pid", "--id", "p", "--wait")
    assert "p" in live("rewind", "p", expect=4).stderr


def test_restart_runs_it_anew_under_the_same_or_another_id(live: Dtf) -> None:
    live("start", "order", "--input", _ORDER, "--id", "o", "--wait")
    first = live.json("show", "o")["instance"]["execution_id"]
    assert live.json("restart", "o") == {"instance_id": "o"}
    assert live.json("wait", "o")["execution_id"] != first
    other = live("restart", "o", "--new-id").stdout.strip()
    assert other != "o"
    assert live.json("wait", other)["output"] == ["packed tea", "packed cups"]
    _waiting(live)
    live("restart", "a", expect=4)


@pytest.mark.parametrize(
    "words",
    [
        ("show", "x"),
        ("history", "x"),
        ("tail", "x"),
        ("wait", "x"),
        ("raise", "x", "event"),
        ("terminate", "x"),
        ("cancel", "x"),
        ("suspend", "x"),
        ("resume", "x"),
        ("rewind", "x"),
        ("restart", "x"),
        ("purge", "x"),
        ("show", "[red]x[/red]"),
    ],
    ids=" ".join,
)
def test_an_unknown_instance_is_exit_code_3_and_one_line(live: Dtf, words: tuple[str, ...]) -> None:
    live("start", "pid", "--id", "p", "--wait")
    errors = live(*words, expect=3).stderr
    assert errors.startswith("error: ") and errors.count("\n") == 1
    assert "\x1b" not in errors


@pytest.mark.parametrize(
    "words",
    [
        ("list",),
        ("show", "x"),
        ("wait", "x"),
        ("cancel", "x"),
        ("purge", "x"),
        ("purge", "--all", "--yes"),
        ("backup", "b"),
    ],
    ids=" ".join,
)
def test_looking_at_a_hub_that_is_not_there_does_not_make_one(dtf: Dtf, words: tuple[str, ...]) -> None:
    assert "there is no task hub at" in dtf(*words, expect=3).stderr
    assert not list(dtf.folder.iterdir())


@pytest.mark.parametrize(
    "words",
    [
        ("start", ""),
        ("start", "order", "--input", "{"),
        ("start", "order", "--id", "x" * 10_000),
        ("start", "order", "--id", "a\x00b"),
        ("start", "order", "--input", "1e999"),
        ("start", "order", "--at", "someday"),
        ("start", "order", "--tag", "team"),
        ("start", "order", "--reuse", "dead"),
        ("list", "--status", "dead"),
        ("list", "--limit", "0"),
        ("list", "--hub", "nonsense"),
        ("list", "--hub", "gopher://x"),
        ("show", "\x1b[31mred"),
        ("show", ""),
        ("cancel", "x" * 10_000),
        ("wait", "only", "--timeout", "-1"),
        ("raise", "only", "e", "--payload", "@missing"),
        ("raise", "only", "", "--payload", "1"),
        ("nonsense",),
    ],
    ids=lambda words: " ".join(words)[:40].replace("\x00", "NUL"),
)
def test_bad_input_is_exit_code_2_and_no_traceback(dtf: Dtf, words: tuple[str, ...]) -> None:
    dtf("start", "pid", "--id", "only")
    errors = dtf(*words, expect=2).stderr
    assert "Traceback" not in errors and "\x1b" not in errors and errors.strip()
    assert [state["instance_id"] for state in dtf.json("list")] == ["only"]


def test_a_file_that_is_no_hub_is_exit_code_5(dtf: Dtf) -> None:
    (dtf.folder / "hub.db").write_bytes(b"not a database" * 100)
    for words in (("list",), ("show", "x"), ("start", "order")):
        errors = dtf(*words, expect=5).stderr
        assert errors.startswith("error: ") and errors.count("\n") == 1
    assert "Traceback" in dtf("list", "--debug", expect=5).stderr
    assert (dtf.folder / "hub.db").read_bytes() == b"not a database" * 100


def test_list_filters_counts_and_orders(live: Dtf) -> None:
    for number in range(3):
        live("start", "pid", "--id", f"p-{number}", "--tag", f"odd={number % 2}", "--wait")
    live("start", "broken", "--input", '"tea"', "--id", "b")
    live("wait", "b", expect=1)

    def ids(*words: str) -> list[str]:
        return [state["instance_id"] for state in live.json("list", *words)]

    assert ids() == ["b", "p-2", "p-1", "p-0"]
    assert ids("--oldest-first", "--limit", "2") == ["p-0", "p-1"]
    assert ids("--status", "failed") == ["b"]
    assert ids("--name", "pid", "--tag", "odd=0") == ["p-2", "p-0"]
    assert ids("--prefix", "p-") == ["p-2", "p-1", "p-0"]
    assert ids("--created-after", "1h") == ["b", "p-2", "p-1", "p-0"]
    assert ids("--created-before", "1h") == []
    assert ids("--completed-after", "2020-01-01T00:00Z", "--status", "completed") == ["p-2", "p-1", "p-0"]
    assert live.json("list", "--count") == {"completed": 3, "failed": 1}
    assert "LookupError" in live("list").stdout
    assert "--limit N" in live("list", "--limit", "2").stderr
    assert "no instances" in live("list", "--name", "nothing").stderr


def test_nothing_in_a_hub_can_give_the_terminal_an_order(live: Dtf) -> None:
    live("start", "nasty", "--id", "n\u202e[red]")
    with live.process("tail", "n\u202e[red]") as tail:
        line_with(tail.stderr, r"\u001b]0;owned\u0007[red]status[/red]\x9b31m")
        live("raise", "n\u202e[red]", "go", "--payload", '"\\u001b[2J"')
        output, errors = tail.communicate(timeout=PATIENCE)
    told = [output, errors]
    for words in (("list",), ("show", "n\u202e[red]"), ("history", "n\u202e[red]"), ("list", "--json")):
        told.append(live(*words).stdout)
    told.append(live("wait", "n\u202e[red]", expect=1).stderr)
    for shown in told:
        assert not {"\x1b", "\x07", "\r", "\x9b", "\u202e"} & set(shown)
    assert r"ValueError: \x1b[31mred alert \u202eevil" in told[-1]
    assert "[red]status[/red]" in told[2] + told[3]


def test_a_reader_that_goes_away_early_is_no_error(live: Dtf) -> None:
    live("start", "pid", "--id", "p", "--wait")
    with live.process("history", "p") as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(PATIENCE) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""


def test_a_worker_for_something_else_leaves_the_instance_waiting(dtf: Dtf, tmp_path: Path) -> None:
    (tmp_path / "other.py").write_text("")
    with dtf.worker("other.py"):
        dtf("start", "pid", "--id", "p")
        dtf("wait", "p", "--timeout", "100ms", expect=124)
    with dtf.worker(FLOWS):
        assert int(dtf("wait", "p", "--timeout", PATIENCE).stdout) > 0
