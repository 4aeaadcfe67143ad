"""History against code (rule 8): the decisions that history holds, and whether the code makes them again."""

import sys
from collections import deque
from collections.abc import Iterable
from types import FrameType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import UNSET

from dtf_runtime.errors import NonDeterminismError
from dtf_runtime.model import history as h
from dtf_runtime.tracing import events as trace

if TYPE_CHECKING:
    from dtf_runtime.replay.execution import Execution

_SILENT = (h.OrchestratorStarted, h.PatchRecorded, h.ExecutionTerminated)
_OWN = ("dtf_runtime.", "asyncio", "contextlib")


class Grouped(msgspec.Struct):
    """Inputs, each with the decisions that followed it; an ExecutionRewound stands among those, where numbering jumped."""

    inputs: list[tuple[h.HistoryEvent, list[h.HistoryEvent]]]
    patches: dict[str, bool]
    python: str = ""
    length: int = 0


def grouped(history: Iterable[h.HistoryEvent]) -> Grouped:
    result = Grouped([], {})
    for event in history:
        result.length += 1
        if isinstance(event, h.OrchestratorStarted):
            result.python = event.python
        elif isinstance(event, h.PatchRecorded):
            result.patches[event.change_id] = True
        elif isinstance(event, (*h.DECISIONS, h.ExecutionRewound)):
            if not result.inputs:
                raise NonDeterminismError(
                    f"the history is damaged: it begins with {event.kind}, not with ExecutionStarted"
                )
            result.inputs[-1][1].append(event)
        elif not isinstance(event, _SILENT):
            result.inputs.append((event, []))
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
        self._expected: deque[h.HistoryEvent] = deque()
        self._open_end = False

    def expect(self, decisions: list[h.HistoryEvent], *, open_end: bool = False) -> h.ExecutionRewound | None:
        """What follows the next input. `open_end`: then the code may go on, live. Answers with a rewind that stands before all of them."""
        self.replaying = True
        self._open_end = open_end
        self._expected = deque(decisions)
        return self._rewound()

    def live(self) -> None:
        self.replaying = False

    def match(self, made: Any, payload: bytes) -> h.ExecutionRewound | None:
        """NonDeterminismError when history holds another decision there. Answers with a rewind that follows it."""
        if not self._expected:
            raise self._error(
                f"the code did {_described(made)} as its decision #{made.number}, but history holds no such decision"
            )
        held: Any = self._expected.popleft()
        if type(held) is not type(made) or held.number != made.number or not _same(held, made):
            raise self._error(
                f"decision #{made.number}: history holds {_described(held)}, but the code did {_described(made)}"
            )
        if payload and _payload(held) != payload:
            self._arguments_changed(held, made)
        return self._rewound()

    def all_made(self, execution: "Execution") -> None:
        """After a drain: history must hold nothing more."""
        if self.replaying and self._expected and execution.fatal is None:
            held: Any = self._expected[0]
            raise self._error(
                f"history holds {_described(held)} as decision #{held.number}, but the code did not do that (any more)",
                at=False,
            )

    def _rewound(self) -> h.ExecutionRewound | None:
        found = None
        while self._expected and isinstance(self._expected[0], h.ExecutionRewound):
            found = self._expected.popleft()
        if found is not None and not self._expected and self._open_end:
            self.replaying = False
        return found  # type: ignore[return-value]

    def _arguments_changed(self, held: Any, made: Any) -> None:
        if self._strict:
            raise self._error(
                f"decision #{made.number}, {_described(made)}: history holds other arguments than the code gave"
            )
        trace.arguments_changed(
            instance_id=self._instance_id, execution_id=self._execution_id, number=made.number, call=_described(made)
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


def _same(held: Any, made: Any) -> bool:
    if isinstance(held, (h.TaskScheduled, h.EventSent)):
        return bool(held.name == made.name)
    if isinstance(held, h.SubOrchestrationCreated):
        return bool(held.name == made.name and held.detached == made.detached)
    return True


def _payload(event: Any) -> bytes:
    data = event.payload if isinstance(event, h.EventSent) else getattr(event, "input", UNSET)
    return b"" if data is UNSET else bytes(data)


def _described(event: Any) -> str:
    name = getattr(event, "name", "") or getattr(event, "status", "")
    return f"{event.kind}({name!s})" if name else event.kind


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
