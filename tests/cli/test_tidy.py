"""`purge` and `backup`."""

import sqlite3
from contextlib import closing

import pytest

from tests.cli.conftest import FLOWS, PATIENCE, Dtf


@pytest.fixture
def busy(live: Dtf) -> Dtf:
    """Two completed, one failed, one that is pending."""
    for number in range(2):
        live("start", "pid", "--id", f"p{number}", "--wait")
    live("start", "broken", "--input", '"tea"', "--id", "b")
    live("wait", "b", expect=1)
    live("start", "pid", "--id", "later", "--at", "1d")
    return live


def _ids(dtf: Dtf) -> set[str]:
    return {state["instance_id"] for state in dtf.json("list")}


def test_one_instance_goes_by_its_id(busy: Dtf) -> None:
    assert busy.json("purge", "p0") == {"deleted": 1, "is_complete": True}
    assert _ids(busy) == {"p1", "b", "later"}


def test_a_live_instance_is_never_purged(busy: Dtf) -> None:
    assert "later" in busy("purge", "later", expect=4).stderr
    assert busy.json("purge", "--all", "--yes")["deleted"] == 3
    assert _ids(busy) == {"later"}
    assert "only finished instances" in busy("purge", "--status", "pending", "--yes", expect=2).stderr


def test_filters_choose_what_goes(busy: Dtf) -> None:
    assert busy.json("purge", "--status", "failed", "--yes")["deleted"] == 1
    assert busy.json("purge", "--completed-before", "1d", "--yes")["deleted"] == 0
    assert busy.json("purge", "--prefix", "p", "--yes")["deleted"] == 2
    assert _ids(busy) == {"later"}


def test_nothing_goes_unless_it_is_said_what_and_confirmed(busy: Dtf) -> None:
    assert "say what to purge" in busy("purge", expect=2).stderr
    assert "say what to purge" in busy("purge", "p0", "--all", expect=2).stderr
    assert "3 instances would be purged: --yes" in busy("purge", "--all", expect=2).stderr
    assert len(_ids(busy)) == 4


def test_a_backup_of_a_live_hub_is_a_hub(busy: Dtf) -> None:
    copy = busy.folder / "copy.db"
    assert str(copy) in busy("backup", copy).stderr
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    there = Dtf(f"sqlite:///{copy}", busy.folder)
    assert _ids(there) == _ids(busy)
    assert there.json("show", "p0") == busy.json("show", "p0")
    with there.process("run", f"{FLOWS}:pid", "--id", "new") as process:
        assert process.wait(PATIENCE) == 0
    assert _ids(there) == _ids(busy) | {"new"}


def test_a_backup_does_not_write_over_a_file_unasked(busy: Dtf) -> None:
    other = busy.folder / "other.db"
    other.write_text("mine")
    assert "--force" in busy("backup", other, expect=4).stderr
    assert other.read_text() == "mine"
    answer = busy.json("backup", other, "--force")
    assert answer == {"file": str(other), "bytes": other.stat().st_size}
    assert _ids(Dtf(f"sqlite:///{other}", busy.folder)) == _ids(busy)


def test_a_hub_is_never_copied_onto_itself(busy: Dtf) -> None:
    before = _ids(busy)
    assert "is the hub itself" in busy("backup", busy.folder / "hub.db", "--force", expect=2).stderr
    assert _ids(busy) == before


def test_a_hub_without_a_backup_says_so(dtf: Dtf) -> None:
    assert "only SQLite hubs" in dtf("backup", dtf.folder / "b", "--hub", "memory://", expect=2).stderr


def test_a_backup_into_nowhere_is_a_clear_error(busy: Dtf) -> None:
    errors = busy("backup", busy.folder / "no" / "such" / "folder.db", expect=2).stderr
    assert errors.startswith("error: ") and errors.count("\n") == 1
