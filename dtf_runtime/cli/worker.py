"""`dtf worker`: a worker for the definitions of some modules, until SIGINT or SIGTERM."""

import asyncio
from typing import Annotated

import typer

from dtf_runtime import TaskHubWorker, WorkerOptions
from dtf_runtime.cli import reload, targets
from dtf_runtime.cli.commands import LogLevel, LogOption, Session, command
from dtf_runtime.cli.exits import Exit
from dtf_runtime.cli.terminal import note, safe_stderr
from dtf_runtime.tracing import configure_logging


def register(app: typer.Typer) -> None:
    @command(app)
    def worker(
        session: Session,
        modules: Annotated[list[str], typer.Argument(metavar="MODULE...", help="Modules or files with definitions.")],
        connector: Annotated[
            list[str] | None, typer.Option("--connector", help="Also run this connector's activities.")
        ] = None,
        activities: Annotated[int, typer.Option("--activities", min=1, help="How many at a time.")] = 100,
        watch: Annotated[bool, typer.Option("--reload", help="Start again when a loaded file changes.")] = False,
        log_level: LogOption = LogLevel.INFO,
        supervisor: Annotated[int, typer.Option("--reload-child", hidden=True)] = 0,
    ) -> int:
        """Run orchestrations and activities of the given modules until Ctrl-C. --json: log lines as JSON."""
        if watch and not supervisor:
            return reload.supervise()
        configure_logging(log_level.value, json=session.json, stream=safe_stderr())
        work = Work(session, modules, connector or [], activities)
        if supervisor:
            return reload.run_once(supervisor, work.load, work.run)
        work.load()
        asyncio.run(work.run())
        return Exit.OK


class Work:
    """Loads, then runs: two steps, since a file that can't be loaded is waited for under --reload."""

    def __init__(self, session: Session, modules: list[str], connectors: list[str], activities: int) -> None:
        self.session = session
        self.modules = modules
        self.connectors = connectors
        self.options = WorkerOptions(max_concurrent_activities=activities)
        self.worker: TaskHubWorker | None = None

    def load(self) -> None:
        registry = targets.registry_of([targets.load(place) for place in self.modules])
        self.worker = TaskHubWorker(self.session.hub, registry=registry, options=self.options)
        self.worker.add_connector(*self.connectors)

    async def run(self) -> None:
        assert self.worker is not None, "load() comes first"
        if not self.session.json:
            note(f"worker for {', '.join(self.modules)} on {self.session.hub}; Ctrl-C stops it")
        await self.worker.run()
