"""`purge`, `backup`: care for a hub."""

import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from dtf_runtime import InvalidArgumentError, InvalidStateError, OrchestrationQuery, OrchestrationStatus, connect
from dtf_runtime.cli.commands import Session, command, require_hub, sqlite_file
from dtf_runtime.cli.filters import Filters
from dtf_runtime.cli.terminal import emit, note

FINISHED = (
    OrchestrationStatus.COMPLETED,
    OrchestrationStatus.FAILED,
    OrchestrationStatus.CANCELLED,
    OrchestrationStatus.TERMINATED,
)


def register(app: typer.Typer) -> None:
    @command(app)
    async def purge(
        session: Session,
        filters: Filters,
        instance_id: Annotated[
            str | None, typer.Argument(metavar="[ID]", help="One instance.", show_default=False)
        ] = None,
        every: Annotated[bool, typer.Option("--all", help="All finished instances.")] = False,
        recursive: Annotated[bool, typer.Option("--recursive", help="Their children too.")] = False,
        yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask.")] = False,
    ) -> None:
        """Delete finished instances for good: one by id, or those that match. Running ones are never touched."""
        _check_choice(instance_id, filters.are_given, every)
        which: str | OrchestrationQuery = instance_id or _finished(filters.query())
        async with session.client() as client:
            if not isinstance(which, str):
                _confirm(sum((await client.count(which)).values()), yes)
            result = await client.purge(which, recursive=recursive)
        if session.json:
            emit({"deleted": result.deleted, "is_complete": result.is_complete})
        else:
            note(f"{result.deleted} purged" + ("" if result.is_complete else "; there are more"))

    @command(app)
    async def backup(
        session: Session,
        file: Annotated[Path, typer.Argument(help="Where to; must not exist.", show_default=False)],
        force: Annotated[bool, typer.Option("--force", help="Replace it.")] = False,
    ) -> None:
        """Copy the hub to a file while it is in use: one consistent state, usable as a hub."""
        require_hub(session.hub)
        service = connect(session.hub)
        save = getattr(service, "backup", None)
        if save is None:
            raise InvalidArgumentError(
                f"{session.hub} has no backup of its own: only SQLite hubs can be copied to a file"
            )
        _check_target(file, session.hub, force)
        await service.start()
        try:
            await _replace_whole(save, file)
        finally:
            await service.stop()
        size = file.stat().st_size
        emit({"file": str(file), "bytes": size}) if session.json else note(
            f"{session.hub} copied to {file}, {size:,} bytes"
        )


async def _replace_whole(save: Callable[[str], Awaitable[None]], file: Path) -> None:
    """Writes beside the file and renames: what was there stays until the new copy is complete."""
    partial = file.with_name(f"{file.name}.{os.getpid()}.partial")
    try:
        await save(str(partial))
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def _check_target(file: Path, hub: str, force: bool) -> None:
    source = sqlite_file(hub)
    if file.exists() and source is not None and file.samefile(source):
        raise InvalidArgumentError(f"{file} is the hub itself: give another name")
    if file.exists() and not force:
        raise InvalidStateError(f"{file} exists: give another name, or --force to replace it")
    if not file.absolute().parent.is_dir():
        raise InvalidArgumentError(f"there is no folder {file.parent} to write the backup into")


def _check_choice(instance_id: str | None, narrowed: bool, every: bool) -> None:
    if sum((instance_id is not None, narrowed, every)) != 1:
        raise InvalidArgumentError("say what to purge: an ID, or options such as --completed-before 30d, or --all")


def _finished(query: OrchestrationQuery) -> OrchestrationQuery:
    """The query, without what is still live: so that the number in the question is the number that goes."""
    chosen = [status for status in FINISHED if not query.statuses or status in query.statuses]
    if not chosen:
        raise InvalidArgumentError("only finished instances can be purged: completed, failed, cancelled or terminated")
    return replace(query, statuses=chosen)


def _confirm(count: int, yes: bool) -> None:
    if yes or count == 0:
        return
    if not sys.stdin.isatty():
        raise InvalidArgumentError(f"{count} instances would be purged: --yes confirms it where nobody can be asked")
    if not typer.confirm(f"Purge {count} instances for good?", err=True):
        raise typer.Exit(0)
