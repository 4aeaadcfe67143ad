"""All commands, put together. Each module of commands has a `register(app)`."""

from typing import Annotated

import typer

from dtf_runtime.cli import connectors, control, cookbook, doctor, emulator, look, run, tidy, wait, worker
from dtf_runtime.cli.versions import runtime_version

app = typer.Typer(
    name="dtf",
    help="Durable orchestrations: run them, look at them, tell them what to do.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"dtf {runtime_version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print it.")
    ] = False,
) -> None: ...


for group in (run, worker, wait, look, control, tidy, cookbook, connectors, doctor, emulator):
    group.register(app)
