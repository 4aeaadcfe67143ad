"""A hub in a file, the command in this process, and a live worker in another one."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import pytest
from typer.testing import CliRunner, Result

from dtf_runtime.cli.app import app

PROGRAMS = Path(__file__).parent / "programs"
FLOWS = str(PROGRAMS / "flows.py")
ONE = str(PROGRAMS / "one.py")
ROOT = Path(__file__).parents[2]
PATIENCE = 30  # seconds; a command that takes longer hangs
STARTED = "started on"  # what a worker logs when it works and can be stopped gracefully

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "DTF_HUB": "", "PYTHONUNBUFFERED": "1"}


def dtf_words(*words: object) -> list[str]:
    return [sys.executable, "-m", "dtf_runtime.cli", *map(str, words)]


@dataclass
class Dtf:
    """The command on one hub. Called it runs in this process; `process` gives it a process of its own."""

    hub: str
    folder: Path
    runner: CliRunner = field(default_factory=CliRunner)

    def __call__(self, *words: object, expect: int = 0, stdin: str | None = None) -> Result:
        environment = {"DTF_HUB": self.hub, "NO_COLOR": "1"}
        result = self.runner.invoke(app, [str(word) for word in words], env=environment, input=stdin)
        assert result.exit_code == expect, f"exit code {result.exit_code}\n{result.stdout}\n{result.stderr}"
        return result

    def json(self, *words: object, expect: int = 0) -> Any:
        return json.loads(self(*words, "--json", expect=expect).stdout)

    @contextmanager
    def process(self, *words: object, cwd: Path | None = None) -> Iterator["subprocess.Popen[str]"]:
        environment = {**ENVIRONMENT, "DTF_HUB": self.hub}
        started = subprocess.Popen(
            dtf_words(*words),
            cwd=cwd or self.folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # A shell's background job ignores Ctrl-C, and so does all that it starts: these are to hear it.
            preexec_fn=None if sys.platform == "win32" else lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        with started:
            try:
                yield started
            finally:
                if started.poll() is None:
                    started.kill()

    @contextmanager
    def worker(self, *words: object) -> Iterator[int]:
        """A live worker in another process; its pid. Its log is read all the time: a full pipe would stop it."""
        with self.process("worker", *words) as started:
            line_with(started.stderr, STARTED)
            log = Draining(started.stderr)
            yield started.pid
            started.terminate()
            assert started.wait(PATIENCE) == 0, f"a worker ends gracefully on SIGTERM:\n{log.text()}"


class Draining(threading.Thread):
    """Reads a stream to its end beside the test."""

    def __init__(self, stream: IO[str] | None) -> None:
        super().__init__(daemon=True)
        assert stream is not None
        self._stream = stream
        self._seen: list[str] = []
        self.start()

    def run(self) -> None:
        self._seen.extend(self._stream)

    def text(self) -> str:
        """All of it; once the writer has ended."""
        self.join(PATIENCE)
        return "".join(self._seen)


def line_with(stream: IO[str] | None, words: str) -> str:
    """Reads the stream up to a line that holds the words; AssertionError with all of it when none does."""
    assert stream is not None
    seen: list[str] = []
    for line in stream:
        seen.append(line)
        if words in line:
            return line
    raise AssertionError(f"{words!r} never came:\n{''.join(seen)}")


@pytest.fixture
def dtf(tmp_path: Path) -> Dtf:
    return Dtf(f"sqlite:///{tmp_path / 'hub.db'}", tmp_path)


@pytest.fixture
def live(dtf: Dtf) -> Iterator[Dtf]:
    """The command on a hub for which a worker of another process runs `programs/flows.py`."""
    with dtf.worker(FLOWS):
        yield dtf
