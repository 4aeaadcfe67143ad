"""History against code (rule 8): the decisions that history holds, and whether the code makes them again."""

import sys
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

import msgspec
from msgspec import UNSET

from dtf_runtime.errors import NonDeterminismError
from dtf_runtime.model import history as h
from dtf_runtime.tracing import events as trace

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_SILENT: frozenset[type[h.HistoryEvent]] = frozenset((h.OrchestratorStarted, h.PatchRecorded, h.ExecutionTerminated))
_MADE = frozenset((*h.DECISIONS, h.ExecutionRewound))
_OWN = ("dtf_runtime.", "asyncio", "contextlib")


class Grouped(msgspec.Struct):
    """Inputs, each with the decisions that followed it; an ExecutionRewound stands among those, where numbering jumped."""

    inputs: list[tuple[h.HistoryEvent, list[h.HistoryEvent]]]
    patches: dict[str, bool]
    python: str = ""
    length: int = 0


def grouped(history: Iterable[h.HistoryEvent]) -> Grouped:
    result = Grouped([], {})
    inputs = result.inputs
    made: list[h.HistoryEvent] | None = None
    for event in history:
        result.length += 1
        kind = type(event)
        if kind in _MADE:
            if made is None:
                raise NonDeterminismError(
                    f"the history is damaged: it begins with {event.kind}, not with ExecutionStarted"
                )
            made.append(event)
        elif kind not in _SILENT:
            made = []
            inputs.append((event, made))
        elif isinstance(event, h.OrchestratorStarted):
            result.python = event.python
        elif isinstance(event, h.PatchRecorded):
            result.patches[event.change_id] = True
    return result


class Matcher:
    """Replaying until `live` is called. `python`: the version that recorded the history, and this one."""

    def __init__(self, instance_id: str, execution_id: str, fn: Any, strict: bool) -> None:
        self.replaying = False
        self.python = ("", "")
        self._instance_id = instance_id
        self._execution_id = execution_id
        self._first_line = _first_line(fn)
        self._strict = strict
        self.rewound: h.ExecutionRewound | None = None  # stands where the code has come to: see take_rewound
        self._expected: list[h.HistoryEvent] = []
        self._next = 0
        self._open_end = False

    def expect(self, decisions: list[h.HistoryEvent], *, open_end: bool = False) -> None:
        """What follows the next input. `open_end`: then the code may go on, live."""
        self.replaying = True
        self._open_end = open_end
        self._expected = decisions
        self._next = 0
        if decisions:
            self._look_for_rewind()

    def live(self) -> None:
        self.replaying = False

    def match(self, kind: type[h.HistoryEvent], number: int, label: str, payload: Any) -> Any:
        """What history holds there. NonDeterminismError when that is another decision. `label`: see below; `payload`: what was encoded, a timer's
        deadline, None when there is nothing to compare."""
        if self._next == len(self._expected):
            raise self._error(
                f"the code did {_described(kind, label)} as its decision #{number}, but history holds no such decision"
            )
        held: Any = self._expected[self._next]
        if held.number != number or type(held) is not kind or _label(held) != label:
            raise self._error(
                f"decision #{number}: history holds {_described(type(held), _label(held))}, "
                f"but the code did {_described(kind, label)}"
            )
        self._next += 1
        if payload is not None and not _same_payload(_payload(held), payload):
            self._arguments_changed(number, _described(kind, label))
        if self._next < len(self._expected):
            self._look_for_rewind()
        return held

    def take_rewound(self) -> h.ExecutionRewound:
        assert self.rewound is not None
        found, self.rewound = self.rewound, None
        return found

    def all_made(self, execution: "Execution") -> None:
        """After a drain: history must hold nothing more."""
        if self.replaying and self._next < len(self._expected) and execution.fatal is None:
            held: Any = self._expected[self._next]
            raise self._error(
                f"history holds {_described(type(held), _label(held))} as decision #{held.number}, but the code did not do that (any more)",
                at=False,
            )

    def _look_for_rewind(self) -> None:
        expected, position = self._expected, self._next
        while position < len(expected) and type(expected[position]) is h.ExecutionRewound:
            self.rewound = cast(h.ExecutionRewound, expected[position])
            position += 1
        if position != self._next:
            self._next = position
            if self._open_end and position == len(expected):
                self.replaying = False

    def _arguments_changed(self, number: int, call: str) -> None:
        if self._strict:
            raise self._error(f"decision #{number}, {call}: history holds other arguments than the code gave")
        trace.arguments_changed(
            instance_id=self._instance_id, execution_id=self._execution_id, number=number, call=call
        )

    def _error(self, what: str, *, at: bool = True) -> NonDeterminismError:
        line = (at and _user_line()) or self._first_line
        where = f" (at {line})" if line else ""
        recorded, here = self.python
        pythons = f" Recorded by Python {recorded}, replayed by {here}." if recorded and recorded != here else ""
        return NonDeterminismError(
            f"orchestration {self._instance_id!r} does not repeat its history: {what}{where}.{pythons} Its state is kept. Deploy code that "
            f"makes the same calls in the same order, guard the change with ctx.patched(...), or start a new version."
        )


def _label(event: Any) -> str:
    """What must be the same beside the kind: a name, how a start is meant, how the execution ended."""
    kind = type(event)
    if kind is h.TaskScheduled or kind is h.EventSent:
        return str(event.name)
    if kind is h.SubOrchestrationCreated:
        return f"{event.name}, detached" if event.detached else str(event.name)
    return str(event.status) if kind is h.ExecutionCompleted else ""


def _same_payload(held: Any, made: Any) -> bool:
    """Byte for byte, as they were stored; or the same value, in a history that was written to a file to be read."""
    if held == made or not isinstance(held, bytes):
        return bool(held == made)
    return bool(held and made and msgspec.json.decode(held) == msgspec.json.decode(made))


def _payload(event: Any) -> Any:
    if type(event) is h.TimerCreated:
        return event.fire_at
    data = getattr(event, _PAYLOADS.get(type(event), "input"))
    return b"" if data is UNSET else bytes(data)


_PAYLOADS: dict[type, str] = {h.EventSent: "payload", h.ExecutionCompleted: "result"}


def _described(kind: type[h.HistoryEvent], label: str) -> str:
    return f"{kind.__name__}({label})" if label else kind.__name__


def _user_line() -> str:
    """Where the user's code is, "" when it has ended."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_name != "_drain":
        module = frame.f_globals.get("__name__") or ""
        if not module.startswith(_OWN):
            return f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back
    return ""


def _first_line(fn: Any) -> str:
    code = getattr(fn, "__code__", None)
    return "" if code is None else f"{code.co_filename}:{code.co_firstlineno} in {code.co_name}"
