"""`dtf worker`: serves until it is told to stop; with --reload it follows the code."""

import json
import os
import signal
from pathlib import Path

import pytest

from tests.cli.conftest import FLOWS, ONE, PATIENCE, STARTED, Dtf, line_with

_FLOW = """
from dtf_runtime import OrchestrationContext, activity, orchestration
{imports}

@orchestration(name="flow")
async def flow(ctx: OrchestrationContext) -> str:
    return "{answer}"
"""


def _write(file: Path, answer: str, imports: str = "") -> None:
    """A whole new file at once, as editors save, with a time of change of its own."""
    fresh = file.with_suffix(".new")
    fresh.write_text(_FLOW.format(answer=answer, imports=imports))
    fresh.replace(file)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_gracefully_when_told(dtf: Dtf, sent: signal.Signals) -> None:
    with dtf.process("worker", FLOWS) as process:
        dtf("start", "pid", "--wait")
        process.send_signal(sent)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors


def test_it_serves_several_files_and_modules(dtf: Dtf) -> None:
    _write(dtf.folder / "flow.py", "served")
    with dtf.worker("flow", FLOWS, ONE):
        assert dtf("start", "flow", "--wait").stdout == '"served"\n'
        dtf("start", "pid", "--wait")


def test_code_that_can_not_be_loaded_ends_it_with_one_line(dtf: Dtf) -> None:
    (dtf.folder / "flow.py").write_text("x = (")
    with dtf.process("worker", "flow.py") as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert errors.startswith("error: can't load flow.py: SyntaxError") and errors.count("\n") == 1


def test_an_unknown_connector_ends_it_with_one_line(dtf: Dtf) -> None:
    with dtf.process("worker", FLOWS, "--connector", "carrier-pigeon") as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    assert "carrier-pigeon" in errors and errors.count("\n") == 1


def test_with_json_every_log_line_is_an_object(dtf: Dtf) -> None:
    with dtf.process("worker", FLOWS, "--json", "--log-level", "debug") as process:
        dtf("start", "pid", "--wait")
        process.terminate()
        _, errors = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in errors.splitlines()]
    assert any(line["logger"].startswith("dtf_runtime") for line in lines)


def test_reload_serves_the_changed_code(dtf: Dtf) -> None:
    flow = dtf.folder / "flow.py"
    _write(flow, "old")
    with dtf.process("worker", "flow.py", "--reload") as process:
        line_with(process.stderr, STARTED)
        assert dtf("start", "flow", "--wait").stdout == '"old"\n'
        _write(flow, "new")
        line_with(process.stderr, "starting again")
        line_with(process.stderr, STARTED)
        assert dtf("start", "flow", "--wait").stdout == '"new"\n'
        process.terminate()
        assert process.wait(PATIENCE) == 0


def test_reload_watches_what_the_file_imports(dtf: Dtf) -> None:
    (dtf.folder / "words.py").write_text("WORD = 1")
    _write(dtf.folder / "flow.py", "served", "import words")
    with dtf.process("worker", "flow.py", "--reload") as process:
        line_with(process.stderr, STARTED)
        (dtf.folder / "words.py").write_text("WORD = 22")
        line_with(process.stderr, "starting again")
        process.terminate()
        process.communicate(timeout=PATIENCE)


def test_reload_waits_for_broken_code_to_be_mended(dtf: Dtf) -> None:
    flow = dtf.folder / "flow.py"
    _write(flow, "old")
    with dtf.process("worker", "flow.py", "--reload") as process:
        line_with(process.stderr, STARTED)
        flow.write_text("x = (")
        line_with(process.stderr, "waiting for a change")
        _write(flow, "mended")
        line_with(process.stderr, STARTED)
        assert dtf("start", "flow", "--wait").stdout == '"mended"\n'
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE)
    assert process.returncode == 0


def test_ctrl_c_ends_a_reloading_worker_and_its_child(dtf: Dtf) -> None:
    with dtf.process("worker", FLOWS, "--reload") as process:
        line_with(process.stderr, STARTED)
        child = int(dtf("start", "pid", "--wait").stdout)
        assert child != process.pid
        os.kill(child, signal.SIGINT)  # a terminal sends it to both
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE) == 0


def test_a_child_does_not_outlive_its_supervisor(dtf: Dtf) -> None:
    with dtf.process("worker", FLOWS, "--reload") as process:
        line_with(process.stderr, STARTED)
        process.kill()
        assert process.stderr is not None
        process.stderr.read()  # ends when the child, too, has closed it
