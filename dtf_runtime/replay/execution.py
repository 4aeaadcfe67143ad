"""One live orchestration: its loop, its open calls, and the decisions of the turn it is in.

`replay` feeds a history, `receive` a new message; both feed one event and drain (rule 7). What an input does is in inputs.py, what a message
becomes in receiving.py, what the code may ask for in decisions.py. Nothing here does I/O or asks for the time.
"""

import asyncio
import hashlib
import platform
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import UNSET, Raw

from dtf_runtime.definitions import Orchestration
from dtf_runtime.errors import DurableTaskError, ForbiddenCallError, NonDeterminismError, OutsideOrchestrationError
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import InstanceRecord
from dtf_runtime.replay import closing, decisions, ending, guard, matching, rewinding
from dtf_runtime.replay.context import OrchestrationContext
from dtf_runtime.replay.futures import EventCall, NumberedCall, ReplayExit
from dtf_runtime.replay.inputs import FEEDERS, hold
from dtf_runtime.replay.loop import DurableLoop, TimerHandle
from dtf_runtime.replay.receiving import RECEIVERS
from dtf_runtime.replay.turn import Turn

PYTHON = ".".join(platform.python_version_tuple()[:2])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MANY = 64  # spent objects before they are looked for
RUNNING, ENDED, EVICTING = range(3)


class Execution:
    """See the module. `strict`: other arguments than history holds are an error, not a warning (`testing.replay`)."""

    def __init__(
        self,
        record: InstanceRecord,
        definition: Orchestration[..., Any],
        *,
        max_steps: int = 1_000_000,
        strict: bool = False,
    ) -> None:
        self.record = record
        self.instance_id = record.instance_id
        self.execution_id = record.execution_id
        self.definition = definition
        self.max_steps = max_steps
        self.matcher = matching.Matcher(record.instance_id, record.execution_id, definition.fn, strict)
        self.mode = RUNNING
        self.revision = 0
        self.event_count = 0  # of the stored history
        self.fed = 0
        self.number = 0
        self.python = ""  # that recorded the last OrchestratorStarted
        self.status = record.status
        self.suspended = False
        self.held: deque[h.HistoryEvent] = deque()  # fed when resumed
        self.answered: set[int] = set()  # numbers whose answer is held
        self.cancel_requested: h.CancelRequested | None = None
        self.deferred_cancel: h.CancelRequested | None = None
        self.next_input: tuple[bytes | None, str | None, bool] | None = None  # latched by continue_as_new
        self.custom_status: bytes | None = None
        # The turn fails (non-determinism, spinning), or the instance does (a forbidden call).
        self.fatal: BaseException | None = None
        self.patches: dict[str, bool] = {}
        self.seen: dict[str, None] = dict.fromkeys(record.recent)
        self.open: dict[int, NumberedCall] = {}
        self.timers: dict[int, TimerHandle] = {}
        self.buffered: dict[str, deque[h.CarriedEvent]] = {}
        self.lines: dict[str, deque[EventCall]] = {}
        self.failed_calls: list[Any] = []
        self.stray_failures: list[BaseException] = []
        self.turn = Turn()
        self.outcome: ending.Outcome | None = None
        digest = hashlib.blake2b(record.execution_id.encode(), digest_size=8).digest()
        self.loop = DurableLoop(self, int.from_bytes(digest, "big") & ((1 << 36) - 1))
        self.context = OrchestrationContext(self)
        self.main: Any = None
        self._stamped: datetime | None = None

    # -- what code asks for, through calls, timers and the context
    call_activity = decisions.call_activity
    call_orchestration = decisions.call_orchestration
    schedule_activity = decisions.schedule_activity
    schedule_child = decisions.schedule_child
    start_detached = decisions.start_detached
    child_start = decisions.child_start
    cancel_activity = decisions.cancel_activity
    cancel_child = decisions.cancel_child
    create_timer = decisions.create_timer
    withdraw_timer = decisions.withdraw_timer
    send_event = decisions.send_event
    wait_for_event = decisions.wait_for_event
    leave_line = decisions.leave_line
    patched = decisions.patched
    continue_as_new = decisions.continue_as_new

    # -- the state others read
    @property
    def is_running(self) -> bool:
        return self.mode == RUNNING

    @property
    def is_live(self) -> bool:
        """So that what is done now is new, and told."""
        return self.mode == RUNNING and not self.matcher.replaying

    @property
    def replaying(self) -> bool:
        return self.matcher.replaying

    def now(self) -> datetime:
        return _EPOCH + timedelta(microseconds=round(self.loop.now * 1_000_000))

    @staticmethod
    def moment(milliseconds: int) -> datetime:
        return _EPOCH + timedelta(milliseconds=milliseconds)

    # -- feeding
    def replay(self, history: Iterable[h.HistoryEvent], *, is_rewind: bool = False) -> None:
        """NonDeterminismError when the code does not repeat it. `is_rewind`: history ends with an ExecutionRewound that was just made, and the
        last drain may go on where the old code failed."""
        groups = matching.grouped(history)
        self.patches.update(groups.patches)
        matcher = self.matcher
        matcher.python = (groups.python, PYTHON)
        self.python = groups.python
        self.event_count = groups.length
        last = len(groups.inputs) - 1
        for position, (event, made) in enumerate(groups.inputs):
            self.loop.steps_left = self.max_steps
            matcher.expect(made, open_end=is_rewind and position == last)
            if matcher.rewound is not None:
                rewinding.apply(self, matcher.take_rewound())
            self.feed(event)
            if self.fatal is not None:
                self.raise_if_failed()
            matcher.all_made(self)
        matcher.live()

    def begin(self, at: datetime) -> None:
        """A live turn: `at` is the timestamp of what it records."""
        self.turn = Turn(at=at)
        self.loop.steps_left = self.max_steps

    def start(self) -> None:
        """The first event of an execution."""
        record = self.record
        self.accept(
            h.ExecutionStarted(
                event_id=0,
                timestamp=self.turn.at,
                name=record.name,
                version=record.version,
                execution_id=record.execution_id,
                input=UNSET if record.input is None else Raw(record.input),
                parent=record.parent,
                tags=record.tags,
                carried=record.carried,
                recent=record.recent,
            )
        )

    def receive(self, message: m.Message) -> None:
        """One message: recorded and fed, or dropped as late or repeated. Not after the end: see `is_running`."""
        RECEIVERS[type(message)](self, message)

    def append(self, event: h.HistoryEvent) -> None:
        event.event_id = self.event_count
        self.event_count += 1
        self.turn.events.append(event)

    def accept(self, event: h.HistoryEvent) -> None:
        """Records a new input and feeds it."""
        self.append(event)
        if self.python != PYTHON:
            self.python = PYTHON
            self.append(h.OrchestratorStarted(event_id=0, timestamp=self.turn.at, python=PYTHON))
        self.feed(event)
        if self.fatal is not None:
            self.raise_if_failed()

    def raise_if_failed(self) -> None:
        if self.fatal is not None and not isinstance(self.fatal, ForbiddenCallError):
            raise self.fatal

    def feed(self, event: h.HistoryEvent) -> None:
        """One input, one drain."""
        at = event.timestamp
        if at is not self._stamped:  # a live turn has one moment for all its events
            self._stamped = at
            stamp = at.timestamp()
            if stamp > self.loop.now:
                self.loop.now = stamp
        if self.suspended and type(event) is not h.ExecutionResumed:
            hold(self, event)
            return
        self.fed += 1
        FEEDERS[type(event)](self, event)
        self._drain()

    def _drain(self) -> None:
        if self.mode != RUNNING or self.main is None:
            return
        asyncio._set_running_loop(self.loop)
        watched = guard.at(self)
        try:
            self.loop.drain()
            if self.main.done() or self.fatal is not None:
                self._end()
            elif not (self.open or self.timers or self.suspended) and not any(self.lines.values()):
                self.outcome = ending.stuck(self)
                self._end()
        finally:
            watched.execution = None

    def _end(self) -> None:
        if self.fatal is not None and not isinstance(self.fatal, ForbiddenCallError):
            return
        self.mode = ENDED
        ending.conclude(self)

    # -- deciding
    def check_open(self) -> None:
        """Raises in code that must do nothing durable any more, or that runs somewhere else."""
        if self.fatal is not None:
            raise self.fatal
        if self.mode != RUNNING:
            raise ReplayExit
        if asyncio._get_running_loop() is not self.loop:
            raise OutsideOrchestrationError(
                f"the context of orchestration {self.instance_id!r} was used outside of it. Pass values to activities, not the context."
            )

    def repeat(self, kind: type[h.HistoryEvent], number: int, label: str, payload: Any) -> Any:
        """The decision that history holds under this number, which must be of that kind and label."""
        self.number = number
        matcher = self.matcher
        try:
            held = matcher.match(kind, number, label, payload)
        except NonDeterminismError as error:
            self.fatal = error
            raise
        if matcher.rewound is not None:
            rewinding.apply(self, matcher.take_rewound())
        return held

    # -- trouble
    def forbidden(self, error: ForbiddenCallError) -> ForbiddenCallError:
        """Remembered beside being raised, since user code may swallow it."""
        if self.fatal is None and self.mode == RUNNING:
            self.fatal = error
        return error

    def spinning(self) -> None:
        self.fatal = DurableTaskError(
            f"orchestration {self.instance_id!r} ran {self.max_steps} steps in one turn without waiting for anything durable. "
            f"Await an activity, a timer or an event in its loop, or raise WorkerOptions.max_steps_per_turn."
        )

    def callback_failed(self, callback: Any, error: BaseException) -> None:
        self.stray_failures.append(error)

    def failed_unseen(self, call: Any) -> None:
        """A task or a call that failed; whether somebody looks is known at the end. Those that were looked at are let go."""
        self.failed_calls.append(call)
        if len(self.failed_calls) % _MANY == 0:
            self.failed_calls = [failed for failed in self.failed_calls if failed._log_traceback]

    def exception_reported(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException) and not isinstance(error, ReplayExit):
            self.stray_failures.append(error)

    def let_go(self) -> None:
        """After its end is on disk. Without these three the rest refers to nothing in a circle, so no collector has to come for it."""
        self.loop = self.context = self.main = None  # type: ignore[assignment]

    def evict(self) -> None:
        """Drops the live instance without running any of its code (rule 21). The caller is inside `turns()`."""
        self.mode = EVICTING
        closing.close_all(self)
