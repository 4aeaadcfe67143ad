"""`dtf cookbook` hands out recipes and never writes over anything unasked."""

from pathlib import Path

import pytest

from dtf_runtime.cli import cookbook
from tests.cli.conftest import Dtf


def _recipe() -> str:
    return sorted(cookbook.recipes())[0]


def test_each_recipe_is_listed_with_a_line_that_says_what_it_does(dtf: Dtf) -> None:
    listed = dtf.json("cookbook", "list")
    assert {"greetings", "site_report"} <= {recipe["name"] for recipe in listed}
    for recipe in listed:
        assert recipe["description"].strip(), f"{recipe['name']} has no docstring"
        assert recipe["name"] in dtf("cookbook", "list").stdout


def test_files_with_an_underscore_are_no_recipes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("hello.py", "_helper.py", "__init__.py", "notes.txt"):
        (tmp_path / name).write_text('"""Hello."""')
    monkeypatch.setattr(cookbook, "folder_of_recipes", lambda: tmp_path)
    assert list(cookbook.recipes()) == ["hello"]


def test_a_recipe_is_copied_as_it_is(dtf: Dtf) -> None:
    name = _recipe()
    result = dtf("cookbook", "copy", name, dtf.folder / "new" / "folder")
    copied = dtf.folder / "new" / "folder" / f"{name}.py"
    assert copied.read_bytes() == cookbook.recipes()[name].read_bytes()
    assert str(copied) in result.stderr


def test_a_file_in_the_way_stays_unless_forced(dtf: Dtf) -> None:
    name = _recipe()
    mine = dtf.folder / f"{name}.py"
    mine.write_text("mine")
    result = dtf("cookbook", "copy", name, dtf.folder, expect=4)
    assert "--force" in result.stderr
    assert mine.read_text() == "mine"
    dtf("cookbook", "copy", f"{name}.py", dtf.folder, "--force")
    assert mine.read_bytes() == cookbook.recipes()[name].read_bytes()


@pytest.mark.parametrize("name", ["greting", "../cli/app", "__init__", ""])
def test_an_unknown_recipe_is_not_found(dtf: Dtf, name: str) -> None:
    result = dtf("cookbook", "copy", name, dtf.folder / "out", expect=3)
    assert "did you mean" in result.stderr
    assert not (dtf.folder / "out").exists()


def test_a_near_miss_is_told_the_right_name(dtf: Dtf) -> None:
    assert "did you mean greetings" in dtf("cookbook", "copy", "greting", expect=3).stderr


def test_a_folder_that_can_not_be_made_is_bad_input(dtf: Dtf) -> None:
    (dtf.folder / "file").touch()
    assert "can't write" in dtf("cookbook", "copy", _recipe(), dtf.folder / "file" / "sub", expect=2).stderr
