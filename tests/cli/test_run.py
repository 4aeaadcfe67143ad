"""`dtf run`: a result on stdout, everything else on stderr, and an instance that survives its process."""

import json
import os
import signal
import subprocess
from contextlib import suppress

import pytest

from tests.cli.conftest import ENVIRONMENT, FLOWS, ONE, PATIENCE, Dtf, dtf_words, line_with


def _run(dtf: Dtf, *words: object) -> tuple[int, str, str]:
    with dtf.process("run", *words) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


_ORDER = json.dumps({"id": 7, "items": ["tea", "cups"]})


def test_the_result_is_json_on_stdout(dtf: Dtf) -> None:
    code, output, errors = _run(dtf, f"{FLOWS}:order", "--input", _ORDER)
    assert code == 0, errors
    assert json.loads(output) == ["packed tea", "packed cups"]


def test_an_input_may_come_from_a_file(dtf: Dtf) -> None:
    (dtf.folder / "order.json").write_text(_ORDER)
    code, output, errors = _run(dtf, f"{FLOWS}:order", "--input", "@order.json")
    assert (code, json.loads(output)) == (0, ["packed tea", "packed cups"]), errors


def test_json_gives_the_whole_state(dtf: Dtf) -> None:
    code, output, _ = _run(dtf, f"{FLOWS}:order", "--input", _ORDER, "--id", "order-7", "--json")
    state = json.loads(output)
    assert code == 0
    assert (state["instance_id"], state["status"], state["name"]) == ("order-7", "completed", "order")
    assert state["input"] == json.loads(_ORDER)
    assert state["output"] == ["packed tea", "packed cups"]


def test_a_failure_is_told_with_its_causes_and_exit_code_1(dtf: Dtf) -> None:
    code, output, errors = _run(dtf, f"{FLOWS}:broken", "--id", "b")
    assert (code, output) == (1, "")
    assert "b failed" in errors
    assert "LookupError: no tea left" in errors
    assert "caused by OSError: the shelf is empty" in errors
    assert f"({FLOWS}:" in errors and ", in refuse)" in errors
    assert "Traceback" not in errors


def test_an_input_of_the_wrong_shape_fails_clearly(dtf: Dtf) -> None:
    code, output, errors = _run(dtf, f"{FLOWS}:order", "--input", '{"id": "seven", "items": []}')
    assert code in (1, 2)
    assert output == ""
    assert "id" in errors and "Traceback" not in errors


def test_what_the_program_prints_does_not_mix_with_the_result(dtf: Dtf) -> None:
    (dtf.folder / "loud.py").write_text("""
from dtf_runtime import OrchestrationContext, activity, orchestration

@activity
def shout() -> str:
    print("LOUD")
    return "done"

@orchestration
async def loud(ctx: OrchestrationContext) -> str:
    return await shout()
""")
    code, output, errors = _run(dtf, "loud.py")
    assert (code, output) == (0, '"done"\n')
    assert "LOUD" in errors


def test_an_id_that_has_ended_gives_its_result_again_without_running_anything(dtf: Dtf) -> None:
    first = _run(dtf, f"{FLOWS}:pid", "--id", "p")
    second = _run(dtf, f"{FLOWS}:pid", "--id", "p")
    assert first[0] == second[0] == 0
    assert first[1] == second[1]
    assert "instance p exists (completed): it has ended" in second[2]


def test_an_id_of_another_orchestration_is_refused(dtf: Dtf) -> None:
    assert _run(dtf, f"{FLOWS}:pid", "--id", "p")[0] == 0
    code, _, errors = _run(dtf, f"{FLOWS}:broken", "--id", "p")
    assert code == 4
    assert "instance p exists and runs pid, not broken" in errors


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_leaves_the_instance_resumable_and_says_how(dtf: Dtf, sent: signal.Signals, code: int) -> None:
    words = ("run", f"{FLOWS}:approval", "--id", "a")
    with dtf.process(*words) as process:
        line_with(process.stderr, "approve: running")
        process.send_signal(sent)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert f"dtf run {FLOWS}:approval --id a --hub {dtf.hub}" in errors
    assert dtf.json("show", "a")["instance"]["status"] == "running"

    dtf("raise", "a", "decided", "--payload", '"yes"')
    code, output, errors = _run(dtf, f"{FLOWS}:approval", "--id", "a")
    assert (code, output) == (0, '"yes"\n'), errors


def test_after_sigkill_the_same_command_goes_on_and_repeats_no_finished_step(dtf: Dtf) -> None:
    words = ("run", ONE, "--id", "one", "--input", json.dumps(str(dtf.folder)))
    with dtf.process(*words) as process:
        line_with(process.stderr, "hold: running")
        process.kill()
        process.communicate(timeout=PATIENCE)
    (dtf.folder / "gate").touch()
    code, output, errors = _run(dtf, *words[1:])
    assert (code, output) == (0, '"through"\n'), errors
    assert (dtf.folder / "log").read_text() == "begin\nend\n"
    assert "going on from there; the --input given now is not used" in errors


def test_each_step_of_a_checklist_is_told_once_as_it_moves(dtf: Dtf) -> None:
    words = ("run", ONE, "--id", "one", "--input", json.dumps(str(dtf.folder)))
    with dtf.process(*words) as process:
        seen = line_with(process.stderr, "hold: running")
        (dtf.folder / "gate").touch()
        _, rest = process.communicate(timeout=PATIENCE)
    assert "at the gate" in seen
    assert rest.count("hold: done") == 1


def test_a_terminal_gets_a_live_display_and_the_result_stays_clean(dtf: Dtf) -> None:
    """stderr is a terminal (pty), stdout a pipe."""
    ours, theirs = os.openpty()
    words = dtf_words("run", f"{FLOWS}:pid", "--hub", dtf.hub)
    environment = {**ENVIRONMENT, "TERM": "xterm"}
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, stderr=theirs) as process:
        os.close(theirs)
        drawn = _all_of(ours)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, drawn
    assert int(output) > 0
    assert "pid" in drawn and "\x1b[" in drawn


def _all_of(terminal: int) -> str:
    """What was written to a terminal until its last writer closed it (Linux: EIO, macOS: nothing more)."""
    seen = b""
    with os.fdopen(terminal, "rb", buffering=0) as reader, suppress(OSError):
        while chunk := reader.read(4096):
            seen += chunk
    return seen.decode()


def test_a_hub_in_memory_works_for_a_single_run(dtf: Dtf) -> None:
    code, output, errors = _run(dtf, f"{FLOWS}:order", "--input", _ORDER, "--hub", "memory://")
    assert (code, json.loads(output)) == (0, ["packed tea", "packed cups"]), errors
    assert not list(dtf.folder.iterdir())
