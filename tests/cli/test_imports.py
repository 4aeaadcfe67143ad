"""The command is there, and costs those who don't use it nothing."""

import subprocess
import sys

import pytest

from tests.cli.conftest import ENVIRONMENT, PATIENCE, Dtf

_COMMANDS = (
    *("run", "worker", "start", "list", "show", "history", "tail", "wait"),
    *("raise", "terminate", "cancel", "suspend", "resume", "rewind", "restart"),
    *("purge", "backup", "cookbook", "connectors", "doctor", "emulator"),
)


def _modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import dtf_runtime", "from dtf_runtime.cli import main"])
def test_the_library_does_not_load_the_terminal_libraries(statement: str) -> None:
    assert not {"typer", "rich", "rich.console", "dtf_runtime.cli.app"} & _modules_after(statement)


def test_every_command_is_there_and_nothing_that_is_not_built(dtf: Dtf) -> None:
    import typer.main

    from dtf_runtime.cli.app import app

    group = typer.main.get_command(app)
    assert sorted(group.commands) == sorted(_COMMANDS)  # type: ignore[attr-defined]


@pytest.mark.parametrize("command", _COMMANDS)
def test_every_command_has_help(dtf: Dtf, command: str) -> None:
    assert "Usage" in dtf(command, "--help").stdout


def test_the_version_is_told(dtf: Dtf) -> None:
    assert dtf("--version").stdout.startswith("dtf ")
