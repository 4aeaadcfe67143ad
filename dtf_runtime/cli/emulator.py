"""`dtf emulator`: a Service Bus namespace on this machine, in memory, until SIGINT or SIGTERM. For development and tests alone."""

import asyncio
import signal
from contextlib import suppress
from typing import Annotated

import typer

from dtf_runtime.cli.commands import Session, command
from dtf_runtime.cli.terminal import emit, note, show, text
from dtf_runtime.testing import ServiceBusEmulator


def register(app: typer.Typer) -> None:
    @command(app)
    async def emulator(
        session: Session,
        port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0: any free one.")] = 5672,
        key: Annotated[
            str | None, typer.Option("--key", envvar="DTF_EMULATOR_KEY", help="The root key; else a random one.")
        ] = None,
        queue: Annotated[list[str] | None, typer.Option("--queue", help="Create this queue.")] = None,
        session_queue: Annotated[
            list[str] | None, typer.Option("--session-queue", help="Create this queue, with sessions.")
        ] = None,
    ) -> None:
        """Run an Azure Service Bus emulator on 127.0.0.1 until Ctrl-C. It keeps nothing."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(NotImplementedError):  # on Windows Ctrl-C ends the loop itself
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with ServiceBusEmulator(port=port, key=key) as running:
            for name in queue or []:
                running.create_queue(name)
            for name in session_queue or []:
                running.create_queue(name, requires_session=True)
            _tell(session, running)
            await stop.wait()


def _tell(session: Session, running: ServiceBusEmulator) -> None:
    if session.json:
        address = {"connection_string": running.connection_string, "certificate_file": running.certificate_file}
        emit(address, indent=None)
        return
    show(text(running.connection_string))
    note(f"the administration client needs connection_verify={running.certificate_file}")
    note("Service Bus emulator; Ctrl-C stops it, and all that is in it is gone")
