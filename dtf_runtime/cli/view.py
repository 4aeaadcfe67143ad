"""How instances, histories and failures look to a person. Draws only: nothing here asks a hub."""

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dtf_runtime import FailureDetails, InstanceState, OrchestrationStatus
from dtf_runtime.cli.terminal import brief, table, text, visible
from dtf_runtime.cli.timeline import Entry

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

STATUS_STYLE = {
    "pending": "dim",
    "running": "cyan",
    "suspended": "yellow",
    "completed": "green",
    "failed": "bold red",
    "cancelled": "magenta",
    "terminated": "red",
}
STEP = {  # state of a step: mark, style
    "pending": ("○", "dim"),
    "running": ("▶", "cyan"),
    "done": ("✓", "green"),
    "failed": ("✗", "bold red"),
    "undone": ("↶", "yellow"),
    "skipped": ("-", "dim"),
}
ENTRY = {"open": ("▶", "cyan"), "done": ("✓", "green"), "failed": ("✗", "bold red"), "note": ("·", "")}
_MARGIN = " " * 4
_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)


def elapsed(span: timedelta) -> str:
    """`850 ms`, `12.3 s`, `4m 05s`, `3h 12m`, `2d 04h`."""
    seconds = max(span.total_seconds(), 0.0)
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, whole = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m {whole:02}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02}m" if hours < 24 else f"{hours // 24}d {hours % 24:02}h"


def moment(value: datetime | None) -> str:
    """Local time, to the second."""
    return "" if value is None else value.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def status(value: OrchestrationStatus) -> "Text":
    return text(value.value, STATUS_STYLE.get(value.value, ""))


def instances(states: Sequence[InstanceState]) -> "RenderableType":
    rows = [
        (
            text(state.instance_id),
            text(f"{state.name} {state.version}".strip()),
            status(state.status),
            text(moment(state.created_at)),
            text(moment(state.updated_at)),
            text(_now_doing(state), "dim"),
        )
        for state in states
    ]
    return table(("instance", "orchestration", "status", "created", "updated", "now"), rows)


def _now_doing(state: InstanceState) -> str:
    if state.failure is not None:
        return headline(_beneath_wrappers(state.failure))[:60]
    found = steps(state.custom_status)
    if found is not None:
        done = sum(step["state"] in ("done", "skipped") for step in found)
        current = next((f": {step['name']}" for step in found if step["state"] == "running"), "")
        return f"{done} of {len(found)} steps{current}"
    return "" if state.custom_status is None or state.status.is_final else brief(state.custom_status, 40)


def _beneath_wrappers(failure: FailureDetails) -> FailureDetails:
    """What the user's code raised, when the failure only says that a call failed."""
    while failure.type.startswith("dtf_runtime.") and failure.inner_failure is not None:
        failure = failure.inner_failure
    return failure


def summary(state: InstanceState) -> "Text":
    """What is known of an instance, a line each."""
    head = text(state.instance_id, "bold") + text("  ") + status(state.status)
    rows = {
        "orchestration": f"{state.name} {state.version}".strip(),
        "execution": state.execution_id,
        "parent": state.parent_id,
        "created": moment(state.created_at),
        "starts at": moment(state.scheduled_at) if state.scheduled_at and state.status == "pending" else None,
        "updated": moment(state.updated_at) if state.completed_at is None else None,
        "ended": _ended(state),
        "tags": ", ".join(f"{key}={value}" for key, value in state.tags.items()),
        "input": None if state.input is None else brief(state.input, 200),
        "output": None if state.output is None else brief(state.output, 200),
    }
    if steps(state.custom_status) is None and state.custom_status is not None:
        rows["custom status"] = brief(state.custom_status, 200)
    for key, value in rows.items():
        if value:
            head += _break(1) + text(f"{key:<14}", "dim") + text(value)
    return head


def _ended(state: InstanceState) -> str | None:
    if state.completed_at is None:
        return None
    return f"{moment(state.completed_at)}, after {elapsed(state.completed_at - state.created_at)}"


def steps(custom_status: Any) -> list[dict[str, str]] | None:
    """The steps of a custom status `{"steps": [{"name", "state", "detail"}]}`; None when it has another shape."""
    listed = custom_status.get("steps") if isinstance(custom_status, Mapping) else None
    if not isinstance(listed, list) or not listed or not all(_is_step(step) for step in listed):
        return None
    return [{"name": step["name"], "state": step["state"], "detail": str(step.get("detail") or "")} for step in listed]


def _is_step(step: object) -> bool:
    if not isinstance(step, Mapping):
        return False
    name, state = step.get("name"), step.get("state")
    return isinstance(name, str) and isinstance(state, str) and state in STEP


def checklist(found: Sequence[Mapping[str, str]]) -> "Text":
    lines = text("")
    for index, step in enumerate(found):
        mark, style = STEP[step["state"]]
        lines += _break(index) + text(f"{mark} {step['name']}", style)
        if step["state"] in ("undone", "skipped"):
            lines += text(f" ({step['state']})", style)
        if step["detail"]:
            lines += text(f"  {step['detail']}", "dim")
    return lines


def _break(index: int) -> "Text":  # between lines, not before the first
    from rich.text import Text

    return Text("\n" if index else "")


def timeline(entries: Sequence[Entry], *, ended: bool) -> "RenderableType":
    """One line for each decision with its answer; `ended`: what is open will not be answered any more."""
    start = entries[0].at if entries else None
    rows = [
        (
            text("" if entry.number is None else entry.number, "dim"),
            text("" if start is None else f"+{elapsed(entry.at - start)}", "dim"),
            _entry_label(entry, ended),
            text(_took(entry, ended), "dim"),
            text(entry_detail(entry), "dim"),
        )
        for entry in entries
    ]
    return table(("#", "at", "what", "took", "detail"), rows)


def _entry_label(entry: Entry, ended: bool) -> "Text":
    mark, style = ("-", "dim") if entry.state == "open" and ended else ENTRY[entry.state]
    return text(f"{mark} {entry.kind} {entry.label}".rstrip(), style)


def _took(entry: Entry, ended: bool) -> str:
    if entry.duration is not None:
        return elapsed(entry.duration)
    if entry.state != "open":
        return ""
    return "not awaited" if ended else "open"


def entry_detail(entry: Entry) -> str:
    """Attempts, what failed, when it goes on, the value."""
    parts = [f"attempt {entry.attempts}"] if entry.attempts > 1 else []
    if entry.kind == "timer":
        parts.append(f"due {moment(entry.due)}")
    elif entry.due is not None:
        parts.append(f"tried again at {moment(entry.due)}")
    if entry.failures and entry.kind != "failed":
        parts.append(f"{'failed' if entry.state == 'failed' else 'before that'}: {headline(entry.failures[-1])}")
    if entry.value is not None:
        parts.append(brief(entry.value, 60))
    return ", ".join(parts)


def headline(failure: FailureDetails) -> str:
    """Type and message, on one line."""
    return visible(" ".join(f"{failure.type.removeprefix('builtins.')}: {failure.message}".split()))


def _where(failure: FailureDetails) -> str:
    """File, line and function that raised it, when its stack trace says so."""
    frames = _FRAME.findall(failure.stack_trace)
    return "" if not frames else f"  ({frames[-1][0]}:{frames[-1][1]}, in {frames[-1][2]})"


def failure_chain(failure: FailureDetails) -> "Text":
    """The failure and all that lies underneath, the cause indented below what it caused, each with its place."""
    lines = text("")
    for index, (depth, word, each) in enumerate(_chain(failure, 0, "")):
        lines += (
            _break(index)
            + text(f"{_MARGIN * depth}{word}", "dim")
            + text(headline(each), "red")
            + text(_where(each), "dim")
        )
    return lines


def _chain(failure: FailureDetails, depth: int, word: str) -> Iterator[tuple[int, str, FailureDetails]]:
    yield depth, word, failure
    for number, member in enumerate(failure.group, 1):
        yield from _chain(member, depth + 1, f"{number} of {len(failure.group)}: ")
    if failure.inner_failure is not None:
        yield from _chain(failure.inner_failure, depth + 1, "caused by ")
