"""`dtf doctor` notices what is wrong, says what to do, and touches nothing."""

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import ENVIRONMENT, FLOWS, PATIENCE, ROOT, Dtf, dtf_words


def _finding(findings: list[dict[str, Any]], check: str) -> dict[str, Any]:
    return next(finding for finding in findings if finding["check"] == check)


@pytest.fixture
def used(dtf: Dtf) -> Dtf:
    """A hub in which one orchestration has run."""
    with dtf.process("run", f"{FLOWS}:pid") as process:
        assert process.wait(PATIENCE) == 0
    return dtf


@pytest.fixture(autouse=True)
def _in_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)


def test_all_is_well_with_a_hub_in_use(used: Dtf) -> None:
    findings = used.json("doctor")
    assert {finding["state"] for finding in findings} == {"ok"}
    checks = {finding["check"] for finding in findings}
    assert {"python", "sqlite", "dtf-runtime", "connectors", "hub", "integrity", "journal", "instances"} <= checks
    assert _finding(findings, "instances")["detail"] == "1 completed"
    assert _finding(findings, "journal")["detail"] == "wal"
    assert "schema version" in _finding(findings, "hub")["detail"]


def test_people_get_a_table(used: Dtf) -> None:
    shown = used("doctor").stdout
    assert "✓ connectors" in shown and "1 completed" in shown


def test_a_hub_that_is_not_there_yet_is_not_created(dtf: Dtf) -> None:
    assert "does not exist yet" in _finding(dtf.json("doctor"), "hub")["detail"]
    assert not list(dtf.folder.iterdir())


def test_a_file_that_is_something_else_is_a_problem(dtf: Dtf) -> None:
    other = dtf.folder / "hub.db"
    other.write_bytes(b"not a database" * 100)
    finding = _finding(dtf.json("doctor", expect=5), "hub")
    assert finding["state"] == "problem" and finding["fix"]
    assert other.read_bytes() == b"not a database" * 100


def test_an_empty_file_is_worth_a_warning(dtf: Dtf) -> None:
    (dtf.folder / "hub.db").touch()
    assert _finding(dtf.json("doctor"), "hub")["state"] == "warning"
    assert (dtf.folder / "hub.db").stat().st_size == 0


def test_a_hub_of_a_newer_version_is_a_problem(used: Dtf) -> None:
    with closing(sqlite3.connect(used.folder / "hub.db")) as database:
        database.execute("PRAGMA user_version = 1000")
    finding = _finding(used.json("doctor", expect=5), "hub")
    assert "schema version 1000" in finding["detail"] and finding["fix"] == "upgrade dtf-runtime"


def test_another_programs_database_is_a_problem(dtf: Dtf) -> None:
    with closing(sqlite3.connect(dtf.folder / "hub.db")) as database:
        database.execute("CREATE TABLE instances (id)")
    assert "is not a task hub" in _finding(dtf.json("doctor", expect=5), "hub")["detail"]


def test_a_damaged_hub_is_a_problem_and_the_file_is_kept(used: Dtf) -> None:
    file = used.folder / "hub.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    damaged = bytearray(file.read_bytes())
    damaged[4096 * 2 : 4096 * 4] = b"\xff" * 4096 * 2
    file.write_bytes(damaged)
    findings = used.json("doctor", expect=5)
    wrong = [finding for finding in findings if finding["state"] == "problem"]
    assert wrong and all("backup" in finding["fix"] for finding in wrong)
    assert file.read_bytes() == bytes(damaged)


@pytest.mark.parametrize("hub", ["nonsense", "gopher://hub", ""])
def test_an_address_that_is_none_is_a_problem(dtf: Dtf, hub: str) -> None:
    findings = dtf.json("doctor", "--hub", hub, expect=5)
    assert _finding(findings, "hub")["state"] == "problem"


def _doctor_in(folder: Path, hub: str) -> tuple[int, str]:
    words = dtf_words("doctor", "--hub", hub)
    done = subprocess.run(words, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout


@pytest.mark.parametrize("impostor", ["connectors.py", f"connectors{os.sep}__init__.py"])
def test_a_package_of_somebody_else_called_connectors_is_noticed(dtf: Dtf, impostor: str) -> None:
    file = dtf.folder / impostor
    file.parent.mkdir(exist_ok=True)
    file.touch()
    code, output = _doctor_in(dtf.folder, dtf.hub)
    found = file if file.name != "__init__.py" else file.parent
    assert code == 1
    assert f"finds {found}, ours is at {ROOT / 'connectors'}" in output
    assert f"rename {found}" in output


def test_a_distribution_that_wrote_over_our_connectors_is_noticed(dtf: Dtf) -> None:
    """As pip leaves it: two distributions that claim one folder."""
    site = dtf.folder / "site"
    metadata = site / "connectors-9.0.dist-info"
    for folder in (site / "connectors", metadata):
        folder.mkdir(parents=True)
    (site / "connectors" / "__init__.py").touch()
    (site / "dtf_runtime").symlink_to(ROOT / "dtf_runtime")
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: connectors\nVersion: 9.0\n")
    (metadata / "RECORD").write_text("connectors/__init__.py,,\nconnectors-9.0.dist-info/METADATA,,\n")
    code, output = _doctor_with_path(site, dtf)
    assert code == 1
    assert f"{site / 'connectors'} belongs to connectors as well" in output
    assert "pip uninstall connectors && pip install --force-reinstall" in output


def _doctor_with_path(site: Path, dtf: Dtf) -> tuple[int, str]:
    environment = {**ENVIRONMENT, "PYTHONPATH": str(site)}
    words = dtf_words("doctor", "--hub", dtf.hub)
    done = subprocess.run(words, cwd=dtf.folder, env=environment, capture_output=True, text=True, timeout=PATIENCE)
    return done.returncode, done.stdout
