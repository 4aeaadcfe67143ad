"""What a shell command does, as far as tests of Run Command need: `echo`, `sleep`, `exit` and `>&2`. Everything else succeeds in silence."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

_LINE = re.compile(r"\s*(?:;|&&)\s*|\n")


@dataclass(frozen=True)
class Outcome:
    exit_code: int
    seconds: float
    """0 when the script doesn't say."""
    stdout: str
    stderr: str


def run_script(commands: Sequence[str]) -> Outcome:
    stdout, stderr, seconds = "", "", 0.0
    for command in commands:
        for line in _LINE.split(command):
            word, _, rest = line.strip().partition(" ")
            if word == "echo":
                to_error = ">&2" in rest
                text = rest.replace(">&2", "").strip().strip("\"'") + "\n"
                stdout, stderr = (stdout, stderr + text) if to_error else (stdout + text, stderr)
            elif word == "sleep":
                seconds += float(rest or 0)
            elif word in ("exit", "false"):
                return Outcome(int(rest or 1), seconds, stdout, stderr)
    return Outcome(0, seconds, stdout, stderr)
