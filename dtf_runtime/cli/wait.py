"""`start`, `wait`, `tail`: begin an instance, wait for its end, follow it."""

import asyncio
from typing import Annotated, Any

import typer

from dtf_runtime import HistoryEvent, InstanceState, TaskHubClient
from dtf_runtime.cli import parse, progress, shapes, timeline, view
from dtf_runtime.cli.commands import InstanceId, Session, command
from dtf_runtime.cli.exits import Exit
from dtf_runtime.cli.look import state_of
from dtf_runtime.cli.run import report
from dtf_runtime.cli.terminal import emit, show, text

Timeout = Annotated[str | None, typer.Option("--timeout", metavar="DURATION", help="Give up after it (exit code 124).")]
_POLL = 0.25  # seconds


def register(app: typer.Typer) -> None:
    @command(app)
    async def start(
        session: Session,
        name: Annotated[str, typer.Argument(help="The orchestration's name, as a worker registers it.")],
        input: Annotated[str | None, typer.Option("--input", metavar="JSON | @FILE", help="Its input.")] = None,
        instance_id: Annotated[str, typer.Option("--id", help="Default: a new one.", show_default=False)] = "",
        version: Annotated[str | None, typer.Option("--version", help="Default: the unversioned one.")] = None,
        at: Annotated[
            str | None, typer.Option("--at", metavar="WHEN", help="Not before: an instant, or 10m from now.")
        ] = None,
        tag: Annotated[list[str] | None, typer.Option("--tag", metavar="KEY=VALUE", help="A tag (repeat it).")] = None,
        reuse: Annotated[
            list[str] | None, typer.Option("--reuse", metavar="STATUS", help="Replace an instance in it.")
        ] = None,
        wait: Annotated[bool, typer.Option("--wait", help="Until it has ended, as `dtf wait` does.")] = False,
    ) -> Exit:
        """Start an orchestration by name. A worker elsewhere runs it."""
        given = parse.json_input(input, "--input")
        async with session.client(create=True) as client:
            handle = await client.start(
                name,
                *(() if given is parse.MISSING else (given,)),
                instance_id=instance_id or None,
                version=version,
                tags=parse.tags(tag),
                start_at=parse.future(at),
                reuse=parse.statuses(reuse),
            )
            if wait:
                return report(session, await handle.wait())
        emit({"instance_id": handle.instance_id}) if session.json else show(text(handle.instance_id))
        return Exit.OK

    @command(app)
    async def wait(session: Session, instance_id: InstanceId, timeout: Timeout = None) -> Exit:
        """Wait until an instance has ended; print its output. Exit code 0, 1 (failed, cancelled, terminated) or 124."""
        limit = None if timeout is None else parse.duration(timeout)
        async with session.client() as client:
            await state_of(client, instance_id)
            try:
                state = await client.handle(instance_id).wait(limit)
            except TimeoutError as error:
                raise TimeoutError(f"instance {instance_id} has not ended within {timeout}; it goes on") from error
        return report(session, state)

    @command(app)
    async def tail(session: Session, instance_id: InstanceId) -> Exit:
        """Follow an instance, status and history, until it has ended. --json: one JSON object a line."""
        async with session.client() as client:
            state = await _follow(client, session, instance_id)
        if not session.json:
            progress.tell_status(state)
        return Exit.OK if state.status == "completed" else Exit.FAILED


async def _follow(client: TaskHubClient, session: Session, instance_id: str) -> InstanceState:
    """Every event once, through continue-as-new. The state is read first: what it counts is in the history then."""
    tell = _Lines() if session.json else _Sentences()
    seen, execution = 0, ""
    while True:
        state = await state_of(client, instance_id)
        if state.execution_id != execution:
            seen, execution = 0, state.execution_id
        tell.state(state)
        if state.history_length > seen:
            events = await client.get_history(instance_id, execution)
            tell.events(events[seen:])
            seen = max(seen, len(events))
        if state.status.is_final:
            return state
        await asyncio.sleep(_POLL)


class _Lines:
    """For programs: {"state": ...} when it has changed, {"event": ...} for each event."""

    def __init__(self) -> None:
        self._last: dict[str, Any] = {}

    def state(self, state: InstanceState) -> None:
        found = shapes.state(state)
        if found != self._last:
            self._last = found
            emit({"state": found}, indent=None)

    def events(self, events: list[HistoryEvent]) -> None:
        import msgspec

        for event in events:
            emit({"event": msgspec.json.decode(msgspec.json.encode(event))}, indent=None)


class _Sentences:
    """For people: a line an event; the checklist and the status as they change."""

    def __init__(self) -> None:
        self._changes = progress.Changes()
        self._names: dict[int, str] = {}

    def state(self, state: InstanceState) -> None:
        self._changes(state)

    def events(self, events: list[HistoryEvent]) -> None:
        for event in events:
            line = f"{view.moment(event.timestamp)}  {event.kind:<26} {timeline.one_line(event, self._names)}"
            show(text(line.rstrip()))
