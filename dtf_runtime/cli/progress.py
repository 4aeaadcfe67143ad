"""What `dtf run` shows while it waits: a live display on a terminal, a line for each change elsewhere. To stderr, so
that stdout is the result.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from dtf_runtime import InstanceState, TaskHubClient
from dtf_runtime.cli import view
from dtf_runtime.cli.terminal import brief, console, note, text

if TYPE_CHECKING:
    from rich.console import RenderableType

_POLL = 0.2  # seconds
Draw = Callable[[InstanceState], None]


async def follow(client: TaskHubClient, instance_id: str, draw: Draw) -> None:
    """Draws the state at each poll until cancelled, or until the instance has ended."""
    while True:
        state = await client.get_state(instance_id)
        if state is not None:
            draw(state)
            if state.status.is_final:
                return
        await asyncio.sleep(_POLL)


@contextmanager
def display(*, quiet: bool) -> Iterator[Draw]:
    """What the program itself prints goes to stderr as well, above the display."""
    if quiet:
        with redirect_stdout(sys.stderr):
            yield lambda state: None
    elif sys.stderr.isatty():
        with _live() as draw:
            yield draw
    else:
        with redirect_stdout(sys.stderr):
            yield Changes()


@contextmanager
def _live() -> Iterator[Draw]:
    from rich.live import Live

    with Live(console=console(error=True), refresh_per_second=8, transient=True) as live:
        yield lambda state: live.update(_picture(state))


def _picture(state: InstanceState) -> "RenderableType":
    from rich.console import Group
    from rich.spinner import Spinner

    line = text(f"{state.name} ", "bold") + view.status(state.status)
    age = (state.completed_at or datetime.now(UTC)) - state.created_at
    line += text(f"  {view.elapsed(age)}, {state.history_length} events, instance {state.instance_id}", "dim")
    found = view.steps(state.custom_status)
    if found is not None:
        return Group(view.checklist(found), Spinner("dots", line))
    if state.custom_status is not None:
        return Group(text(brief(state.custom_status, 200)), Spinner("dots", line))
    return Spinner("dots", line)


def tell_status(state: InstanceState) -> None:
    note(f"{state.instance_id} {state.status.value}", view.STATUS_STYLE.get(state.status.value, ""))


class Changes:
    """A line for each step that moved, each other custom status, each new status but the last."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[str, str]] = {}
        self._status = ""
        self._custom: object = None

    def __call__(self, state: InstanceState) -> None:
        if state.status.value != self._status and not state.status.is_final:
            self._status = state.status.value
            tell_status(state)
        if state.custom_status == self._custom:
            return
        self._custom = state.custom_status
        found = view.steps(state.custom_status)
        if found is None:
            note(brief(state.custom_status, 200))
            return
        for step in found:
            if self._steps.get(step["name"]) != step:
                self._steps[step["name"]] = step
                if step["state"] != "pending":
                    note(f"{view.STEP[step['state']][0]} {step['name']}: {step['state']} {step['detail']}".rstrip())
