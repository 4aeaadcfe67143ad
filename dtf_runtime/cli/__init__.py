"""The `dtf` command: a task hub seen from a terminal or a script.

It goes through the public API like any other program and must never write to a hub behind it. typer and rich are
imported when a command runs, never by `import dtf_runtime`.
"""

__all__ = ["main"]


def main() -> None:
    """The console script. Exit codes: docs/command.md, or `dtf_runtime.cli.exits`."""
    from dtf_runtime.cli.app import app

    app()
