"""`make demo`: it kills its worker for real, and its verdict would notice a step that was lost or repeated."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cookbook._site_report_demo import Entry, half_way, in_flight, read_log, rows, tell
from tests.cookbook.conftest import ROOT, Kitchen


def test_the_demo_kills_its_worker_half_way_and_every_step_happens(kitchen: Kitchen) -> None:
    began = time.monotonic()
    paths = f"{kitchen.environment['PYTHONPATH']}{os.pathsep}{ROOT}"
    demo = subprocess.run(
        [sys.executable, "-m", "cookbook.site_report", "--demo"],
        cwd=ROOT,
        env={
            **kitchen.environment,
            "FORBIDDEN_IMPORT": "",
            "PYTHONPATH": paths,
        },
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    first = re.search(r"Worker (\d+) starts", demo.stdout)
    killed = re.search(r"kill -9 (\d+) after step (\d+) of (\d+): 1 in flight", demo.stdout)
    second = re.search(r"Worker (\d+) takes over", demo.stdout)
    assert first and killed and second, demo.stdout
    assert killed[1] == first[1] != second[1]
    assert int(killed[3]) // 2 <= int(killed[2]) < int(killed[3])
    assert "10 steps: 9 happened once, 1 twice, none was lost" in demo.stdout
    assert time.monotonic() - began < 60
    assert not kitchen.refused


# -- The verdict --------------------------------------------------------------------------------------------------


def served(path: str, key: str | None = "k") -> list[Entry]:
    return [Entry("asked", path, key), Entry("served", path, key)]


def exit_code(entries: list[Entry], flying: list[str], report: Path, mentioned: str = "/a /b") -> int:
    report.write_text("".join(f"- ok   http://x{page}: 200\n" for page in mentioned.split()))
    return tell(rows(entries, ["/a", "/b"], flying), report, ["http://x/a", "http://x/b"])


def test_once_each_and_twice_for_the_one_in_flight_is_well(tmp_path: Path) -> None:
    assert exit_code(served("/a") + served("/b", "other") + served("/b", "other"), ["/b"], tmp_path / "r") == 0


def test_a_refusal_is_no_second_time(tmp_path: Path) -> None:
    log = [Entry("asked", "/a", "k"), Entry("refused", "/a", "k"), *served("/a"), *served("/b")]
    assert exit_code(log, ["/b"], tmp_path / "r") == 0


@pytest.mark.parametrize(
    ("log", "flying"),
    [
        pytest.param(served("/a"), ["/a"], id="a step that never happened"),
        pytest.param(served("/a") + served("/a") + served("/b"), ["/b"], id="twice though it was not in flight"),
        pytest.param(served("/a") * 3 + served("/b"), ["/a"], id="three times"),
        pytest.param(served("/a", "k1") + served("/a", "k2") + served("/b"), ["/a"], id="twice with two keys"),
        pytest.param(served("/a", None) + served("/b"), ["/a"], id="without a key"),
        pytest.param(served("/a") + served("/b"), [], id="nothing was in flight"),
        pytest.param(served("/a") + served("/b") + served("/c") * 2, ["/a"], id="an unknown page twice"),
    ],
)
def test_anything_else_fails_the_demo(log: list[Entry], flying: list[str], tmp_path: Path) -> None:
    assert exit_code(log, flying, tmp_path / "r") == 1


def test_a_report_that_leaves_a_page_out_fails_the_demo(tmp_path: Path) -> None:
    assert exit_code(served("/a") + served("/b"), ["/a"], tmp_path / "r", mentioned="/a") == 1


def test_a_report_that_was_not_written_fails_the_demo(tmp_path: Path) -> None:
    table = rows(served("/a") + served("/b"), ["/a", "/b"], ["/a"])
    assert tell(table, tmp_path / "missing", ["http://x/a"]) == 1


# -- The moment of the kill ---------------------------------------------------------------------------------------


def test_in_flight_is_what_was_asked_for_and_neither_refused_nor_known_as_done() -> None:
    log = [
        *served("/a"),
        *served("/b"),
        Entry("asked", "/c", "k"),
        Entry("refused", "/c", "k"),
        Entry("asked", "/d", "k"),
    ]
    assert in_flight({"/a"}, log) == ["/b", "/d"]


def test_half_way_needs_half_of_the_steps_and_exactly_one_that_happened_unanswered() -> None:
    five = [entry for page in "abcde" for entry in served(f"/{page}")]
    done = {"/a", "/b", "/c", "/d", "/e"}
    assert half_way(done, [*five, *served("/f")])
    assert not half_way(done, five)
    assert not half_way(done, [*five, Entry("asked", "/f", "k")])
    assert not half_way(done, [*five, *served("/f"), *served("/g")])
    assert not half_way({"/a"}, served("/a") + served("/b"))


def test_a_line_that_is_still_being_written_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert read_log(log) == []
    log.write_text('{"what": "asked", "path": "/a", "key": "k"}\n{"what": "ser')
    assert read_log(log) == [Entry("asked", "/a", "k")]
