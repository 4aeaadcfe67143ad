"""One instance without a provider: messages in, commits out, its history kept as stored bytes.

It drives the engine as a dispatcher does, so that a test can say which message comes when, in which turn, and when the instance leaves memory.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from dtf_runtime import FailureDetails, Orchestration, OrchestrationStatus
from dtf_runtime.dispatchers import commits
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.state import ParentLink
from dtf_runtime.replay.execution import Execution
from dtf_runtime.replay.loop import turns

MADE: list["Instance"] = []  # in this test; none may be left to the garbage collector (rule 21)
START = datetime(2030, 1, 1, 12, tzinfo=UTC)


class Instance:
    """`now` is the time that the next turn will have; `live` the execution in memory, None when it was evicted or has ended."""

    def __init__(
        self,
        orchestration: Orchestration[..., Any],
        *inputs: object,
        instance_id: str = "an instance",
        execution_id: str = "e1",
        parent: ParentLink | None = None,
        carried: tuple[h.CarriedEvent, ...] = (),
        recent: tuple[str, ...] = (),
        max_steps: int = 1_000_000,
    ) -> None:
        self.orchestration = orchestration
        self.record = InstanceRecord(
            instance_id=instance_id,
            execution_id=execution_id,
            name=orchestration.name,
            version=orchestration.version,
            input=msgspec.json.encode(inputs[0]) if inputs else None,
            parent=parent,
            carried=carried,
            recent=recent,
        )
        self.max_steps = max_steps
        self.now = START
        self.rows: list[bytes] = []
        self.commits: list[Commit] = []
        self.live: Execution | None = None
        MADE.append(self)

    # -- turns
    def turn(self, *messages: m.Message, after: float = 0.0) -> Commit:
        """`after` so many seconds. Replays first when the instance is not in memory."""
        return self._run(messages, after, lambda live, stored, at: commits.turn(live, stored, messages, at))

    def rewind(self, *messages: m.Message, after: float = 0.0) -> Commit:
        control = self.control("rewind")
        return self._run(
            messages, after, lambda live, stored, at: commits.rewind(live, stored, [control, *messages], at)
        )

    def _run(
        self,
        messages: Sequence[m.Message],
        after: float,
        work: Callable[[Execution, list[h.HistoryEvent], datetime], Commit],
    ) -> Commit:
        self.now += timedelta(seconds=after)
        stored = self.history if self.live is None else []
        execution = self.live or self._execution()
        with turns():
            try:
                commit = work(execution, stored, self.now)
            except BaseException:
                execution.evict()
                self.live = None
                raise
        execution.revision += 1
        self.rows = [commit.history] if commit.rewrite else [*self.rows, commit.history]
        self.commits.append(commit)
        self.live = execution if execution.is_running else None
        return commit

    def _execution(self, *, strict: bool = False) -> Execution:
        execution = Execution(self.record, self.orchestration, max_steps=self.max_steps, strict=strict)
        execution.revision = len(self.commits)
        return execution

    def evict(self) -> None:
        """As a worker does to make room."""
        if self.live is not None:
            with turns():
                self.live.evict()
            self.live = None

    def replay(self, orchestration: Orchestration[..., Any] | None = None) -> None:
        """Strictly, by `orchestration` in place of the code that recorded it."""
        execution = Execution(self.record, orchestration or self.orchestration, strict=True)
        with turns():
            try:
                execution.replay(self.history)
            finally:
                execution.evict()

    # -- what came of it
    @property
    def history(self) -> list[h.HistoryEvent]:
        return h.decode_rows(row for row in self.rows if row)

    @property
    def last(self) -> Commit:
        return self.commits[-1]

    @property
    def status(self) -> OrchestrationStatus:
        return self.last.status

    @property
    def output(self) -> Any:
        assert self.last.output is not None, self.last.failure
        return msgspec.json.decode(self.last.output)

    @property
    def failure(self) -> FailureDetails:
        assert self.last.failure is not None, self.last.output
        return self.last.failure

    def kinds(self) -> list[str]:
        return [event.kind for event in self.history]

    def of_kind(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.history if isinstance(event, kind)]

    # -- messages to it
    def completed(self, number: int, result: object = 0, attempt: int = 1) -> m.ActivityResult:
        return m.ActivityResult(
            execution_id=self.record.execution_id, number=number, attempt=attempt, result=_raw(result)
        )

    def failed(self, number: int, error: BaseException, attempt: int = 1) -> m.ActivityResult:
        return m.ActivityResult(
            execution_id=self.record.execution_id, number=number, attempt=attempt, failure=FailureDetails.of(error)
        )

    def child_ended(
        self,
        number: int,
        status: OrchestrationStatus = OrchestrationStatus.COMPLETED,
        result: object = 0,
        error: BaseException | None = None,
        attempt: int = 1,
    ) -> m.ChildResult:
        return m.ChildResult(
            execution_id=self.record.execution_id,
            number=number,
            attempt=attempt,
            status=status,
            result=_raw(result) if status == OrchestrationStatus.COMPLETED else UNSET,
            failure=None if error is None else FailureDetails.of(error),
        )

    def due(self, number: int) -> m.TimerDue:
        """The message of a timer that history holds."""
        created = next(e for e in self.of_kind(h.TimerCreated) if e.number == number)
        return m.TimerDue(execution_id=self.record.execution_id, number=number, fire_at=created.fire_at)

    def control(self, action: Any, message_id: str = "", reason: str = "") -> m.Control:
        return m.Control(id=message_id or f"{action}-{len(self.commits)}", action=action, reason=reason)


def raised(name: str, payload: object = None, message_id: str = "") -> m.ExternalEvent:
    return m.ExternalEvent(id=message_id or f"{name}:{payload}", name=name, payload=_raw(payload))


def _raw(value: object) -> Raw:
    return Raw(msgspec.json.encode(value))
