"""`history` and `tail`: every event, for people, for programs, and for `dtf_runtime.testing.replay`."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from dtf_runtime import NonDeterminismError
from dtf_runtime.testing import replay
from tests.cli.conftest import FLOWS, PATIENCE, Dtf


def _load(file: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


_STEPS = """
from dtf_runtime import OrchestrationContext, Registry, activity, orchestration

mine = Registry()

@activity(name="first", registry=mine)
def first() -> int:
    return 1

@activity(name="second", registry=mine)
def second() -> int:
    return 2

@orchestration(name="steps", registry=mine)
async def steps(ctx: OrchestrationContext) -> int:
    return {}
"""


def test_the_file_that_history_writes_is_the_one_that_replay_reads(dtf: Dtf, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = dtf.folder / "steps.py"
    flow.write_text(_STEPS.format("await first() + await second()"))
    with dtf.process("run", flow, "--id", "s") as process:
        assert process.communicate(timeout=PATIENCE)[0] == "3\n"
    recorded = dtf.folder / "history.json"
    recorded.write_text(dtf("history", "s", "--json").stdout, encoding="utf-8")

    replay(_load(flow, "cli_steps_same", monkeypatch).steps, recorded)

    flow.write_text(_STEPS.format("await second() + await first()"))
    with pytest.raises(NonDeterminismError):
        replay(_load(flow, "cli_steps_other", monkeypatch).steps, recorded)


def test_history_has_every_event_once_and_in_order(live: Dtf) -> None:
    live("start", "pid", "--id", "p", "--wait")
    events = live.json("history", "p")
    kinds = [event["kind"] for event in events]
    assert kinds[0] == "ExecutionStarted" and kinds[-1] == "ExecutionCompleted"
    assert {"TaskScheduled", "TaskCompleted"} <= set(kinds)
    assert [event["event_id"] for event in events] == list(
        range(events[0]["event_id"], events[0]["event_id"] + len(events))
    )
    assert len(events) == live.json("show", "p")["instance"]["history_length"]
    shown = live("history", "p").stdout
    assert shown.index("ExecutionStarted") < shown.index("TaskScheduled") < shown.index("ExecutionCompleted")


def _tail(live: Dtf, *words: str) -> list[Any]:
    with live.process("tail", *words, "--json") as process:
        output, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, errors
    return [json.loads(line) for line in output.splitlines()]


def test_tail_tells_every_event_of_an_ended_instance_and_ends(live: Dtf) -> None:
    live("start", "pid", "--id", "p", "--wait")
    lines = _tail(live, "p")
    assert [line["event"] for line in lines if "event" in line] == live.json("history", "p")
    assert [line["state"]["status"] for line in lines if "state" in line] == ["completed"]


def test_tail_follows_a_running_instance_to_its_end(live: Dtf) -> None:
    live("start", "approval", "--id", "a")
    with live.process("tail", "a", "--json") as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(json.loads(line))
            steps = (lines[-1].get("state", {}).get("custom_status") or {}).get("steps", [])
            if any(step["name"] == "approve" and step["state"] == "running" for step in steps):
                live("raise", "a", "decided")
        assert process.wait(PATIENCE) == 0
    assert [line["event"] for line in lines if "event" in line] == live.json("history", "a")
    statuses = [line["state"]["status"] for line in lines if "state" in line]
    assert statuses[-1] == "completed" and "running" in statuses


def test_tail_follows_through_continue_as_new_to_the_last_execution(live: Dtf) -> None:
    live("start", "countdown", "--input", "5", "--id", "c")
    lines = _tail(live, "c")
    assert lines[-1].get("event", lines[-2].get("event"))["kind"] == "ExecutionCompleted"
    last = [line["event"] for line in lines if "event" in line]
    assert last[-len(live.json("history", "c")) :] == live.json("history", "c")


def test_tail_shows_people_what_each_event_is_about(live: Dtf) -> None:
    live("start", "broken", "--input", '"tea"', "--id", "b")
    live("wait", "b", expect=1)
    with live.process("tail", "b") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 1
    assert "TaskScheduled" in output and "cli.refuse" in output
    assert "LookupError: no tea left" in output


def test_an_earlier_execution_that_is_not_there_is_not_found(live: Dtf) -> None:
    live("start", "pid", "--id", "p", "--wait")
    for command in ("show", "history"):
        assert "execution nope of instance p" in live(command, "p", "--execution", "nope", expect=3).stderr


def test_flows_are_recorded_with_the_names_that_workers_know(live: Dtf) -> None:
    live("start", "pid", "--id", "p", "--wait")
    names = [event["name"] for event in live.json("history", "p") if "name" in event]
    assert names == ["pid", "cli.pid"], f"as {FLOWS} gives them"
