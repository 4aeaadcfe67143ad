"""`list`, `show`, `history`: what is in a hub. They change nothing."""

from dataclasses import asdict
from typing import Annotated, Any

import typer

from dtf_runtime import HistoryEvent, InstanceNotFoundError, InstanceState, TaskHubClient
from dtf_runtime.cli import shapes, timeline, view
from dtf_runtime.cli.commands import InstanceId, Session, command
from dtf_runtime.cli.filters import Filters
from dtf_runtime.cli.terminal import brief, emit, emit_encoded, json_safe, note, show, table, text
from dtf_runtime.model.history import encode_events

Execution = Annotated[str | None, typer.Option("--execution", metavar="ID", help="An earlier execution.")]


def register(app: typer.Typer) -> None:
    @command(app, "list")
    async def list_instances(
        session: Session,
        filters: Filters,
        limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
        oldest_first: Annotated[bool, typer.Option("--oldest-first", help="Instead of newest first.")] = False,
        count: Annotated[bool, typer.Option("--count", help="Only how many there are, by status.")] = False,
    ) -> None:
        """List instances, newest first."""
        query = filters.query(limit=None if count else limit, newest_first=not oldest_first)
        async with session.client() as client:
            if count:
                _show_counts(session, await client.count(query))
            else:
                _show_list(session, [state async for state in client.query(query)], limit)

    @command(app, "show")
    async def show_instance(session: Session, instance_id: InstanceId, execution: Execution = None) -> None:
        """Show one instance: its state, its checklist, its history as a timeline."""
        async with session.client() as client:
            state = await state_of(client, instance_id, execution)
            entries = timeline.build(await client.get_history(instance_id, execution))
        if session.json:
            emit({"instance": shapes.state(state), "timeline": [_entry(entry) for entry in entries]})
        else:
            _draw(state, entries)

    @command(app)
    async def history(session: Session, instance_id: InstanceId, execution: Execution = None) -> None:
        """Show the history event by event; --json writes the file that dtf_runtime.testing.replay reads."""
        async with session.client() as client:
            await state_of(client, instance_id, execution)
            events = await client.get_history(instance_id, execution)
        if session.json:
            emit_encoded(json_safe(encode_events(events).decode()))
        else:
            rows = [
                (text(event.event_id), text(view.moment(event.timestamp)), text(event.kind), text(_fields(event)))
                for event in events
            ]
            show(table(("event", "time", "kind", "fields"), rows))


async def state_of(client: TaskHubClient, instance_id: str, execution: str | None = None) -> InstanceState:
    """InstanceNotFoundError instead of None."""
    state = await client.get_state(instance_id, execution)
    if state is None:
        which = f"execution {execution} of instance {instance_id}" if execution else f"instance {instance_id}"
        raise InstanceNotFoundError(f"there is no {which} in this hub: `dtf list` shows what there is")
    return state


def _show_counts(session: Session, counts: dict[Any, int]) -> None:
    found = {str(status): number for status, number in counts.items()}
    if session.json:
        emit(found)
    else:
        show(table(("status", "instances"), [(text(name), text(number)) for name, number in found.items()]))


def _show_list(session: Session, states: list[InstanceState], limit: int) -> None:
    if session.json:
        emit([shapes.state(state) for state in states])
        return
    show(view.instances(states)) if states else note("no instances")
    if len(states) == limit:
        note(f"the first {limit}; --limit N shows more")


def _draw(state: InstanceState, entries: list[timeline.Entry]) -> None:
    show(view.summary(state), text(""))
    steps = view.steps(state.custom_status)
    if steps is not None:
        show(view.checklist(steps), text(""))
    show(view.timeline(entries, ended=state.status.is_final))
    if state.failure is not None:
        show(text(""), view.failure_chain(state.failure))


def _fields(event: HistoryEvent) -> str:
    """All of an event beside its position and time, as JSON."""
    import msgspec

    plain = msgspec.json.decode(msgspec.json.encode(event))
    return brief({key: value for key, value in plain.items() if key not in ("kind", "event_id", "timestamp")}, 160)


def _entry(entry: timeline.Entry) -> dict[str, Any]:
    found = {key: value for key, value in asdict(entry).items() if key != "failures"}
    for key in ("at", "ended_at", "due"):
        found[key] = shapes.instant(found[key])
    return {**found, "failures": [shapes.failure(failure) for failure in entry.failures]}
