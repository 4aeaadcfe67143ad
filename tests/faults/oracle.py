"""What really happened, in a file that the hub knows nothing of: append-only, on disk before the caller goes on.

A line is one JSON object written by one `write`. A kill can tear that at the border of a page, and a reader can see half of it: such a line was
never acknowledged to who wrote it, so what it says has not happened. Must never be read by anything that is under test.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class Oracle:
    """The writing end. `line` is on disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        self._count = 0

    def line(self, what: str, **fields: Any) -> str:
        """Gives the line's token: no other line, of whichever process, has it."""
        self._count += 1
        token = f"{os.getpid()}-{self._count}"
        data = (
            "\n" + json.dumps({"what": what, "token": token, "pid": os.getpid(), **fields}) + "\n"
        )  # apart from a torn one
        if os.write(self._file, data.encode()) != len(data):
            raise OSError("the oracle's line was not written whole")
        os.fsync(self._file)
        return token


@dataclass(frozen=True)
class Run:
    """One time that an activity ran: its side effect."""

    token: str
    pid: int
    instance: str
    execution: str
    step: str
    attempt: int
    key: str
    heartbeat: Any = None


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The whole lines."""
    if not path.exists():
        return []
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            found += [json.loads(line)] if line else []
        except ValueError:  # torn
            continue
    return found


def runs_of(path: Path) -> list[Run]:
    found = []
    for line in lines_of(path):
        if line.pop("what") == "ran":
            found.append(Run(**line))
    return found


def accepted_of(path: Path) -> list[str]:
    """The instances whose start was acknowledged to the process that wrote this."""
    return [line["instance"] for line in lines_of(path) if line["what"] == "accepted"]
