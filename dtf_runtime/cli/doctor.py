"""`dtf doctor`: is this machine, this installation, this hub in order? It opens a hub for reading only and repairs
nothing.
"""

import platform
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict

import typer

from dtf_runtime.cli import check_connectors, check_hub, versions
from dtf_runtime.cli.commands import Session, command
from dtf_runtime.cli.exits import Exit
from dtf_runtime.cli.findings import Finding, ok, problem
from dtf_runtime.cli.terminal import emit, show, table, text

_OLDEST_PYTHON = (3, 11)
_OLDEST_SQLITE = (3, 35)  # RETURNING
_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "bold red")}


def register(app: typer.Typer) -> None:
    @command(app)
    def doctor(session: Session) -> Exit:
        """Check Python, the installation, the connectors and the hub.

        Exit code 1: something needs fixing; 5: the hub does.
        """
        machine = [*_python(), *_packages(), check_connectors.check()]
        hub = list(check_hub.check(session.hub))
        _show(session, [*machine, *hub])
        if any(finding.state == "problem" for finding in hub):
            return Exit.HUB
        return Exit.FAILED if any(finding.state == "problem" for finding in machine) else Exit.OK


def _show(session: Session, findings: list[Finding]) -> None:
    if session.json:
        emit([asdict(finding) for finding in findings])
        return
    rows = []
    for finding in findings:
        mark, style = _MARKS[finding.state]
        rows.append((text(f"{mark} {finding.check}", style), text(finding.detail)))
        if finding.fix:
            rows.append((text(""), text(f"-> {finding.fix}", style)))
    show(table(("check", "found"), rows))


def _python() -> Iterator[Finding]:
    found = f"{platform.python_version()} at {sys.executable}"
    if sys.version_info < _OLDEST_PYTHON:
        yield problem("python", found, "use Python 3.11 or newer")
    else:
        yield ok("python", found)
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        yield problem("sqlite", sqlite3.sqlite_version, "use a Python that is built with SQLite 3.35 or newer")
    else:
        yield ok("sqlite", sqlite3.sqlite_version)


def _packages() -> Iterator[Finding]:
    needed = ", ".join(
        f"{name} {versions.installed(name) or 'missing'}" for name in ("msgspec", "typer", "rich", "filelock")
    )
    yield ok("dtf-runtime", f"{versions.runtime_version()}, with {needed}")
    for extra in versions.extras():
        if extra.missing:
            lack = f"not installed (lacks {', '.join(extra.missing)})"
            yield ok(f"extra {extra.name}", f"{lack}; when you need it: pip install 'dtf-runtime[{extra.name}]'")
        else:
            yield ok(f"extra {extra.name}", "installed")
