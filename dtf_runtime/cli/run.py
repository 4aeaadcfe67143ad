"""`dtf run`: worker and client in one, for a file or a module. Killed or interrupted, the same command with the same
id goes on.
"""

import asyncio
import shlex
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any

import typer

from dtf_runtime import (
    InstanceState,
    InvalidStateError,
    OrchestrationAlreadyExistsError,
    OrchestrationHandle,
    TaskHubClient,
    TaskHubWorker,
    connect,
)
from dtf_runtime.cli import parse, progress, shapes, targets, view
from dtf_runtime.cli.commands import LogLevel, LogOption, Session, command
from dtf_runtime.cli.exits import Exit
from dtf_runtime.cli.terminal import emit, note, safe_stderr
from dtf_runtime.tracing import configure_logging


@dataclass
class Job:
    """One `dtf run`. `spec` is what was typed; `instance_id` is empty until it is known."""

    session: Session
    spec: str
    target: targets.Target
    input: Any
    instance_id: str

    def resume_command(self) -> str:
        words = ["dtf", "run", self.spec, "--id", self.instance_id, "--hub", self.session.hub]
        return shlex.join(words)


def register(app: typer.Typer) -> None:
    @command(app)
    def run(
        session: Session,
        target: Annotated[
            str,
            typer.Argument(metavar="FILE[:ORCHESTRATION] | MODULE:NAME", help="What to run.", show_default=False),
        ],
        input: Annotated[str | None, typer.Option("--input", metavar="JSON | @FILE", help="Its input.")] = None,
        instance_id: Annotated[
            str, typer.Option("--id", help="Its instance id. One that exists is taken up where it stands.")
        ] = "",
        log_level: LogOption = LogLevel.ERROR,
    ) -> Exit:
        """Run an orchestration here, worker and client in one, and print its result.

        Ctrl-C stops it, not the instance: the same command with --id goes on.
        """
        configure_logging(log_level.value, stream=safe_stderr())
        given = parse.json_input(input, "--input")
        found = targets.orchestration(target)
        targets.check_input(found.orchestration, given is not parse.MISSING)
        job = Job(session, target, found, given, instance_id)
        try:
            return asyncio.run(_run(job))
        except (KeyboardInterrupt, asyncio.CancelledError):
            _say_how_to_go_on(job)
            raise


def _say_how_to_go_on(job: Job) -> None:
    if job.instance_id and not job.session.hub.startswith("memory:"):
        note(
            f"\nStopped. Instance {job.instance_id} stands where it was; go on with:\n  {job.resume_command()}",
            lines=True,
        )


async def _run(job: Job) -> Exit:
    _stop_on_sigterm()
    service = connect(job.session.hub)
    with progress.display(quiet=job.session.json) as draw:
        async with TaskHubClient(service) as client, TaskHubWorker(service, registry=job.target.registry):
            handle = await _take_up(client, job)
            drawing = asyncio.create_task(progress.follow(client, handle.instance_id, draw))
            try:
                state = await handle.wait()
                draw(state)
            finally:
                drawing.cancel()
                with suppress(asyncio.CancelledError):
                    await drawing
    return report(job.session, state)


def _stop_on_sigterm() -> None:
    """As Ctrl-C: the worker hands its work back before the process ends. (Windows has no such signal.)"""
    task = asyncio.current_task()
    if task is not None:
        with suppress(NotImplementedError):
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


async def _take_up(client: TaskHubClient, job: Job) -> OrchestrationHandle[Any]:
    """Starts it, or takes up the instance that has the id."""
    orchestration = job.target.orchestration
    given = () if job.input is parse.MISSING else (job.input,)
    try:
        handle = await client.start(
            orchestration.name, *given, instance_id=job.instance_id or None, version=orchestration.version or None
        )
    except OrchestrationAlreadyExistsError:
        state = await client.get_state(job.instance_id)
        if state is None:
            raise
        _check_same(state, job)
        handle = client.handle(job.instance_id)
    job.instance_id = handle.instance_id
    return handle


def _check_same(state: InstanceState, job: Job) -> None:
    if state.name != job.target.orchestration.name:
        wanted = job.target.orchestration.name
        raise InvalidStateError(
            f"instance {state.instance_id} exists and runs {state.name}, not {wanted}: use another --id"
        )
    stands = "it has ended" if state.status.is_final else "going on from there"
    ignored = "" if job.input is parse.MISSING else "; the --input given now is not used"
    note(f"instance {state.instance_id} exists ({state.status.value}): {stands}{ignored}")


def report(session: Session, state: InstanceState) -> Exit:
    """The end of an instance: its output on stdout, a failure on stderr, and the exit code."""
    if session.json:
        emit(shapes.state(state))
    elif state.status == "completed":
        emit(state.output)
    else:
        progress.tell_status(state)
        if state.failure is not None:
            note(view.failure_chain(state.failure).plain, lines=True)
    return Exit.OK if state.status == "completed" else Exit.FAILED
