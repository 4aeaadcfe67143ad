"""The tutorial on writing a connector, run as its readers run it: its files are written, its commands are given, in the order of the page.

A file is a block whose first line is a comment with its path. In a `console` block a line with `$` is a command, and the lines below
it are in what it prints. Other blocks are for reading.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "own-connector.md"
_BLOCK = re.compile(r"^(?P<fence>`{3,})(?P<language>\w+)\n(?P<text>.*?)^(?P=fence)$", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"(?:# |<!-- )(?P<path>[\w./-]+\.(?:py|md|toml))(?: -->)?\n")
_PACKAGE = "dtf_connector_mail"
_CACHES = shutil.ignore_patterns("__pycache__", ".*_cache")

pytestmark = pytest.mark.timeout(300)  # it builds a wheel


class File(NamedTuple):
    path: str
    text: str


class Command(NamedTuple):
    line: str
    prints: list[str]


def steps(page: str) -> Iterator[File | Command]:
    for block in _BLOCK.finditer(page):
        if block["language"] == "console":
            for given in block["text"].removeprefix("$ ").split("\n$ "):
                line, *prints = given.splitlines()
                yield Command(line, prints)
        elif named := _PATH.match(block["text"]):
            first = "" if block["language"] == "markdown" else named[0]
            yield File(named["path"], first + block["text"][named.end() :])


class Reader:
    """Somebody with an environment of their own, in which the runtime and pytest are, and a folder to work in."""

    def __init__(self, base: Path) -> None:
        self.folder = base / "work"
        self.folder.mkdir(parents=True)
        self.python = base / "env" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", base / "env"], check=True, timeout=100)
        inner = "import sysconfig; print(sysconfig.get_path('purelib'))"
        packages = Path(subprocess.check_output([self.python, "-c", inner], text=True, timeout=60).strip())
        ours = [sysconfig.get_path("purelib"), str(ROOT)]
        (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours))
        command = self.python.with_name("dtf")
        command.write_text(f"#!{self.python}\nimport sys\nfrom dtf_runtime.cli import main\nsys.exit(main())\n")
        command.chmod(0o755)

    def run(self, line: str) -> subprocess.CompletedProcess[str]:
        hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DTF_HUB", "PYTEST_ADDOPTS"}
        environment = {name: value for name, value in os.environ.items() if name not in hidden}
        environment |= {"PATH": f"{self.python.parent}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "200"}
        return subprocess.run(
            line, shell=True, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=200
        )

    def follow(self, step: File | Command) -> None:
        if isinstance(step, File):
            (self.folder / step.path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / step.path).write_text(step.text, encoding="utf-8")
        elif step.line.startswith("cd "):
            self.folder = self.folder / step.line.removeprefix("cd ")
        else:
            ended = self.run(step.line)
            said = f"$ {step.line}\n{ended.stdout}\n{ended.stderr}"
            assert ended.returncode == 0, said
            assert [words for words in step.prints if words not in ended.stdout] == [], said


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """One who has followed the page to its end."""
    reader = Reader(tmp_path_factory.mktemp("own"))
    for step in steps(PAGE.read_text(encoding="utf-8")):
        reader.follow(step)
    return reader


def test_each_command_does_what_the_page_says_and_nothing_of_the_skeleton_is_left(reader: Reader) -> None:
    written = {path.name: path.read_text() for path in reader.folder.glob(f"{_PACKAGE}/*.py")}
    shown = [step.path for step in steps(PAGE.read_text()) if isinstance(step, File)]
    assert sorted(written) == sorted(Path(path).name for path in shown if path.startswith(_PACKAGE))
    assert not [name for name, text in written.items() if "create_item" in text]


def test_its_wheel_has_the_package_and_its_fake_and_no_tests(reader: Reader) -> None:
    (wheel,) = (reader.folder / "dist").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        members = archive.namelist()
    assert {member.split("/")[0] for member in members} == {_PACKAGE, f"{_PACKAGE}-0.1.0.dist-info"}
    assert f"{_PACKAGE}/testing.py" in members


def test_it_is_found_by_its_entry_point(reader: Reader) -> None:
    listed = json.loads(reader.run("cd / && dtf connectors list --json").stdout)
    (mail,) = [each for each in listed if each["name"] == "mail"]
    assert (mail["distribution"], mail["activities"], mail["error"]) == ("dtf-connector-mail 0.1.0", 1, "")
    where = reader.run(f"cd / && python -c 'import {_PACKAGE}; print({_PACKAGE}.__file__)'").stdout
    assert Path(where.strip()).is_relative_to(reader.python.parents[1])


def test_it_is_typed_and_clean(reader: Reader) -> None:
    known = 'lint.isort.known-third-party=["connectors","dtf_runtime"]'
    rules = "--isolated --line-length 120"
    for line in (
        f"python -m ruff check {rules} --config '{known}' --select E,F,I,B,UP,SIM,RUF --ignore E501 .",
        f"python -m ruff format {rules} --check .",
        f"python -m mypy --strict --follow-imports=silent {_PACKAGE} tests",
    ):
        ended = reader.run(line)
        assert ended.returncode == 0, ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("file", "right", "wrong", "noticed"),
    [
        ("activities.py", "call_key(call)", "__import__('uuid').uuid4()", "can_be_told_by_its_message_id"),
        ("client.py", "lost=Ambiguous", "lost=Transient", "whose_answer_was_lost_is_not_sent_again"),
        ("activities.py", "Effect.AT_LEAST_ONCE", "Effect.NATURAL", "it_conforms"),
        ("errors.py", '"452": Throttled', '"452": Permanent', "every_row_of_the_table"),
    ],
)
def test_its_tests_notice_what_the_page_says_they_notice(
    reader: Reader, tmp_path: Path, file: str, right: str, wrong: str, noticed: str
) -> None:
    broken = Path(shutil.copytree(reader.folder, tmp_path / "broken", ignore=_CACHES))
    text = (broken / _PACKAGE / file).read_text()
    assert right in text
    (broken / _PACKAGE / file).write_text(text.replace(right, wrong))
    ended = reader.run(f"cd {broken} && python -m pytest -q -p no:cacheprovider")
    assert ended.returncode == 1, ended.stdout + ended.stderr
    assert re.search(rf"^FAILED .*{noticed}", ended.stdout, re.MULTILINE), ended.stdout


def test_a_page_with_a_wrong_promise_is_noticed(reader: Reader) -> None:
    for step in steps("```console\n$ echo one\ntwo\n$ false\n```\n"):
        with pytest.raises(AssertionError):
            reader.follow(step)
