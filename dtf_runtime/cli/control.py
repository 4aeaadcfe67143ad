"""`raise`, `terminate`, `cancel`, `suspend`, `resume`, `rewind`, `restart`: tell an instance something."""

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from dtf_runtime import InstanceState, InvalidStateError, TaskHubClient
from dtf_runtime.cli import parse
from dtf_runtime.cli.commands import InstanceId, Reason, Session, command
from dtf_runtime.cli.look import state_of
from dtf_runtime.cli.terminal import emit, note, show, text

Send = Callable[[TaskHubClient], Awaitable[object]]


def register(app: typer.Typer) -> None:
    @command(app, "raise")
    async def raise_event(
        session: Session,
        instance_id: InstanceId,
        event: Annotated[str, typer.Argument(help="The event's name.")],
        payload: Annotated[
            str | None, typer.Option("--payload", metavar="JSON | @FILE", help="Its payload; none: null.")
        ] = None,
    ) -> None:
        """Raise an external event. It waits in the instance until somebody asks for it."""
        given = parse.json_input(payload, "--payload")
        async with session.client() as client:
            state = await state_of(client, instance_id)
            if state.status.is_final:
                raise InvalidStateError(
                    f"instance {instance_id} is {state.status.value} already: nobody would get the event {event!r}"
                )
            await client.raise_event(instance_id, event, None if given is parse.MISSING else given)
        _done(session, "raise", state, sent=True)

    @command(app)
    async def terminate(
        session: Session,
        instance_id: InstanceId,
        reason: Reason = "",
        recursive: Annotated[bool, typer.Option("--recursive", help="Its children too.")] = False,
    ) -> None:
        """End an instance at once: none of its code runs any more. (cancel lets it clean up.)"""
        await _control(
            session,
            "terminate",
            instance_id,
            lambda client: client.terminate(instance_id, reason, recursive=recursive),
            recursive,
        )

    @command(app)
    async def cancel(session: Session, instance_id: InstanceId, reason: Reason = "") -> None:
        """Ask an instance to end; its clean-up and compensation run."""
        await _control(session, "cancel", instance_id, lambda client: client.cancel(instance_id, reason))

    @command(app)
    async def suspend(session: Session, instance_id: InstanceId, reason: Reason = "") -> None:
        """Hold an instance; events wait until it is resumed."""
        await _control(session, "suspend", instance_id, lambda client: client.suspend(instance_id, reason))

    @command(app)
    async def resume(session: Session, instance_id: InstanceId, reason: Reason = "") -> None:
        """Let a suspended instance go on."""
        await _control(session, "resume", instance_id, lambda client: client.resume(instance_id, reason))

    @command(app)
    async def rewind(session: Session, instance_id: InstanceId, reason: Reason = "") -> None:
        """Let a failed instance go on from the call that failed."""
        async with session.client() as client:
            state = await state_of(client, instance_id)
            await client.rewind(instance_id, reason)
        _done(session, "rewind", state, sent=True)

    @command(app)
    async def restart(
        session: Session,
        instance_id: InstanceId,
        new_id: Annotated[bool, typer.Option("--new-id", help="As another instance; the old one stays.")] = False,
    ) -> None:
        """Run an instance anew, with the input of its last execution."""
        async with session.client() as client:
            handle = await client.restart(instance_id, new_id=new_id)
        emit({"instance_id": handle.instance_id}) if session.json else show(text(handle.instance_id))


async def _control(session: Session, what: str, instance_id: str, send: Send, even_if_ended: bool = False) -> None:
    """Sends it, unless the instance has ended: then it changes nothing, which is said and is no error."""
    async with session.client() as client:
        state = await state_of(client, instance_id)
        sent = even_if_ended or not state.status.is_final
        if sent:
            await send(client)
    _done(session, what, state, sent=sent)


def _done(session: Session, what: str, before: InstanceState, *, sent: bool) -> None:
    """The answer: what was sent, and the status just before. A worker acts on it; `dtf show` tells when it has."""
    if session.json:
        emit({"instance_id": before.instance_id, "command": what, "sent": sent, "status_before": before.status.value})
    elif sent:
        note(f"{what} sent to {before.instance_id} (was {before.status.value})")
    else:
        note(f"instance {before.instance_id} is {before.status.value} already: nothing to {what}")
