"""One live orchestration: its loop, its open calls, and the decisions of the turn it is in.

`replay` feeds a history, `receive` a new message; both feed one event and drain (rule 7). A decision takes its number when it is made: while
replaying it must be the one that history holds there (rule 8), else it is added to the turn. Nothing here does I/O or asks for the time.
"""

import asyncio
import hashlib
import platform
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET, Raw

from dtf_runtime.converter import decode
from dtf_runtime.definitions import Activity, Orchestration, RetryPolicy
from dtf_runtime.errors import (
    DurableTaskError,
    FailureDetails,
    ForbiddenCallError,
    NonDeterminismError,
    OrchestrationCancelledError,
    OrchestrationTerminatedError,
    OutsideOrchestrationError,
    SerializationError,
    SubOrchestrationFailedError,
    TaskFailedError,
)
from dtf_runtime.model import history as h
from dtf_runtime.model import messages as m
from dtf_runtime.model.commit import InstanceRecord, Send, Timer
from dtf_runtime.model.state import OrchestrationStatus, ParentLink
from dtf_runtime.replay import ending, guard, matching, retries, rewinding
from dtf_runtime.replay.context import OrchestrationContext
from dtf_runtime.replay.futures import (
    ActivityCall,
    ContinueAsNew,
    DurableChildCall,
    EventCall,
    NumberedCall,
    ReplayExit,
)
from dtf_runtime.replay.loop import DurableLoop, Handle
from dtf_runtime.replay.turn import Turn
from dtf_runtime.tracing import events as trace

PYTHON = ".".join(platform.python_version_tuple()[:2])
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RUNNING, ENDED, EVICTING = range(3)
Decoder = Callable[[Any, str], Any]


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
        self.held: list[h.HistoryEvent] = []  # fed when resumed
        self.cancel_requested: h.CancelRequested | None = None
        self.deferred_cancel: h.CancelRequested | None = None
        self.next_input: tuple[bytes | None, str | None, bool] | None = None  # latched by continue_as_new
        self.custom_status: bytes | None = None
        self.fatal: BaseException | None = (
            None  # the turn (non-determinism, spinning) or the instance (forbidden call) fails
        )
        self.patches: dict[str, bool] = {}
        self.seen: dict[str, None] = dict.fromkeys(record.recent)
        self.open: dict[int, NumberedCall] = {}
        self.timers: dict[int, Handle] = {}
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

    # -- the state others read
    @property
    def is_running(self) -> bool:
        return self.mode == RUNNING

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
        self.matcher.python = (groups.python, PYTHON)
        self.python = groups.python
        self.event_count = groups.length
        self.loop.steps_left = self.max_steps
        for event, decisions in groups.inputs:
            rewound = self.matcher.expect(decisions, open_end=is_rewind and event is groups.inputs[-1][0])
            if rewound is not None:
                rewinding.apply(self, rewound)
            self._feed(event)
            self.matcher.all_made(self)
            self.raise_if_failed()
        self.matcher.live()

    def begin(self, at: datetime) -> None:
        """A live turn: `at` is the timestamp of what it records."""
        self.turn = Turn(at=at)
        self.loop.steps_left = self.max_steps

    def start(self) -> None:
        """The first event of an execution."""
        record = self.record
        self._accept(
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
        _RECEIVERS[type(message)](self, message)

    def append(self, event: h.HistoryEvent) -> None:
        event.event_id = self.event_count
        self.event_count += 1
        self.turn.events.append(event)

    def _accept(self, event: h.HistoryEvent) -> None:
        self.append(event)
        if self.python != PYTHON:
            self.python = PYTHON
            self.append(h.OrchestratorStarted(event_id=0, timestamp=self.turn.at, python=PYTHON))
        self._feed(event)
        self.raise_if_failed()

    def raise_if_failed(self) -> None:
        if self.fatal is not None and not isinstance(self.fatal, ForbiddenCallError):
            raise self.fatal

    def _feed(self, event: h.HistoryEvent) -> None:
        loop = self.loop
        stamp = event.timestamp.timestamp()
        if stamp > loop.now:
            loop.now = stamp
        if self.suspended and type(event) is not h.ExecutionResumed:
            if type(event) is not h.ExecutionSuspended:
                self.held.append(event)
            return
        self.fed += 1
        _FEEDERS[type(event)](self, event)
        self._drain()

    def _drain(self) -> None:
        if self.mode != RUNNING or self.main is None:
            return
        asyncio._set_running_loop(self.loop)
        guard.at(self)
        try:
            self.loop.drain()
            if self.main.done() or self.fatal is not None:
                self._end()
            elif not (self.open or self.timers or self.suspended) and not any(self.lines.values()):
                self.outcome = ending.stuck(self)
                self._end()
        finally:
            guard.at(None)

    def _end(self) -> None:
        if self.fatal is not None and not isinstance(self.fatal, ForbiddenCallError):
            return
        self.mode = ENDED
        ending.conclude(self)

    # -- inputs
    def _started(self, event: h.ExecutionStarted) -> None:
        for carried in event.carried:
            self.buffered.setdefault(carried.name, deque()).append(carried)
        self.seen.update(dict.fromkeys(event.recent))
        data = b"" if event.input is UNSET else bytes(event.input)
        asyncio._set_running_loop(self.loop)
        self.main = self.loop.context.run(self._create_main, data)

    def _create_main(self, data: bytes) -> Any:
        return self.loop.create_task(self._main(data), name="main")

    async def _main(self, data: bytes) -> Any:
        definition = self.definition
        arguments = definition.parameters.decode_input(data, f"the input of orchestration {self.instance_id!r}")
        return await definition.fn(self.context, *arguments)

    def _task_completed(self, event: h.TaskCompleted) -> None:
        self._complete(event.number, event.result)

    def _complete(self, number: int, result: Any) -> None:
        call = self.open.pop(number, None)
        if call is None or call.done():
            return
        try:
            value = call.decode(result, call.name)
        except SerializationError as error:
            call.fail(error)
            return
        call.set_result(value)
        if isinstance(call, DurableChildCall):
            call.pay_cancels()

    def _task_failed(self, event: h.TaskFailed) -> None:
        call = self.open.get(event.number)
        if call is None:
            return
        if event.retry_at is not None:
            call.attempt = event.attempt + 1
            return
        del self.open[event.number]
        call.fail(TaskFailedError(event.failure))

    def _child_completed(self, event: h.SubOrchestrationCompleted) -> None:
        self._complete(event.number, event.result)

    def _child_failed(self, event: h.SubOrchestrationFailed) -> None:
        call = self.open.get(event.number)
        if call is None:
            return
        if event.retry_at is not None:
            call.attempt = event.attempt + 1
            return
        del self.open[event.number]
        if event.cancelled and isinstance(call, DurableChildCall) and call.cancel_requested:
            call.end_cancelled()
        else:
            call.fail(SubOrchestrationFailedError(event.failure))

    def _timer_fired(self, event: h.TimerFired) -> None:
        due = event.fire_at.timestamp()
        if due > self.loop.now:
            self.loop.now = due
        handle = self.timers.pop(event.number, None)
        if handle is not None:
            self.loop.make_ready(handle)

    def _event_raised(self, event: h.EventRaised) -> None:
        if event.message_id:
            self.seen[event.message_id] = None
        line = self.lines.get(event.name)
        if line:
            self._give(line.popleft(), event.payload)
        else:
            carried = h.CarriedEvent(event.name, event.payload, event.message_id)
            self.buffered.setdefault(event.name, deque()).append(carried)

    def _give(self, call: EventCall, payload: Raw) -> None:
        try:
            call.set_result(decode(bytes(payload), call.result_type, f"event {call.name!r} of {self.instance_id!r}"))
        except SerializationError as error:
            call.fail(error)

    def _cancel(self, event: h.CancelRequested) -> None:
        if event.message_id:
            self.seen[event.message_id] = None
        if self.next_input is not None:
            self.deferred_cancel = event  # the next execution's
            return
        self.cancel_requested = event
        self.main.cancel()

    def _suspend(self, event: h.ExecutionSuspended) -> None:
        if event.message_id:
            self.seen[event.message_id] = None
        self.suspended = True

    def _resume(self, event: h.ExecutionResumed) -> None:
        if event.message_id:
            self.seen[event.message_id] = None
        self.suspended = False
        held, self.held = self.held, []
        for position, waiting in enumerate(held):
            self._feed(waiting)
            if self.suspended or self.mode != RUNNING:
                self.held = held[position + 1 :]
                return

    # -- messages, judged against what is open (rule 9)
    def _drop(self, message: m.Message, why: str) -> None:
        number = getattr(message, "number", 0)
        trace.result_dropped(
            instance_id=self.instance_id,
            execution_id=self.execution_id,
            kind=type(message).__name__,
            task_id=number,
            reason=why,
        )

    def _open_call(self, message: m.ActivityResult | m.ChildResult) -> NumberedCall | None:
        call = self.open.get(message.number)
        if message.execution_id != self.execution_id:
            self._drop(message, "it is for another execution")
        elif call is None or call.attempt != message.attempt:
            self._drop(message, "nobody waits for it (any more)")
        else:
            return call
        return None

    def _activity_result(self, message: m.ActivityResult) -> None:
        call = self._open_call(message)
        if not isinstance(call, ActivityCall):
            return
        at = self.turn.at
        if message.failure is None:
            result = Raw(b"null") if message.result is UNSET else message.result
            self._accept(h.TaskCompleted(event_id=0, timestamp=at, number=message.number, result=result))
            return
        failure = msgspec.structs.replace(message.failure, number=message.number)
        retry_at = retries.verdict(call, failure, at, self.instance_id)
        if retry_at is not None:
            task: m.ActivityTask = call.task
            again = msgspec.structs.replace(
                task, attempt=message.attempt + 1, due=retry_at, heartbeat=message.heartbeat
            )
            self.turn.tasks[(message.number, message.attempt + 1)] = again
        self._accept(
            h.TaskFailed(
                event_id=0,
                timestamp=at,
                number=message.number,
                attempt=message.attempt,
                failure=failure,
                retry_at=retry_at,
            )
        )

    def _child_result(self, message: m.ChildResult) -> None:
        call = self._open_call(message)
        if not isinstance(call, DurableChildCall):
            return
        at = self.turn.at
        if message.status == OrchestrationStatus.COMPLETED:
            result = Raw(b"null") if message.result is UNSET else message.result
            self._accept(h.SubOrchestrationCompleted(event_id=0, timestamp=at, number=message.number, result=result))
            return
        failure = msgspec.structs.replace(message.failure or _no_details(message.status), number=message.number)
        cancelled = message.status == OrchestrationStatus.CANCELLED
        retry_at = None
        if message.status == OrchestrationStatus.FAILED and not call.cancel_requested:
            retry_at = retries.verdict(call, failure, at, self.instance_id)
        if retry_at is not None:
            self.turn.starts.append(self.child_start(call, message.attempt + 1, retry_at))
        self._accept(
            h.SubOrchestrationFailed(
                event_id=0,
                timestamp=at,
                number=message.number,
                attempt=message.attempt,
                failure=failure,
                cancelled=cancelled,
                retry_at=retry_at,
            )
        )

    def _timer_due(self, message: m.TimerDue) -> None:
        if message.execution_id != self.execution_id:
            self._drop(message, "it is for another execution")
        elif message.number not in self.timers:
            self._drop(message, "it was cancelled or has fired")
        else:
            self._accept(
                h.TimerFired(event_id=0, timestamp=self.turn.at, number=message.number, fire_at=message.fire_at)
            )

    def _is_repeated(self, message: m.ExternalEvent | m.Control) -> bool:
        if message.id in self.seen:
            self._drop(message, "it was delivered before")
            return True
        if message.execution_id and message.execution_id != self.execution_id:
            self._drop(message, "it is for another execution")
            return True
        self.seen[message.id] = None
        return False

    def _external_event(self, message: m.ExternalEvent) -> None:
        if self._is_repeated(message):
            return
        trace.event_raised(instance_id=self.instance_id, execution_id=self.execution_id, event_name=message.name)
        self._accept(
            h.EventRaised(
                event_id=0, timestamp=self.turn.at, name=message.name, payload=message.payload, message_id=message.id
            )
        )

    def _control(self, message: m.Control) -> None:
        if message.action == "rewind" or self._is_repeated(message):
            return
        if message.action == "cancel" and self.next_input is None and self._has_cancel():
            trace.cancel_dropped(instance_id=self.instance_id, execution_id=self.execution_id, reason=message.reason)
            return
        kind = _CONTROLS[message.action]
        if (kind is h.ExecutionSuspended) == self.suspended and kind is not h.CancelRequested:
            return
        self._accept(kind(event_id=0, timestamp=self.turn.at, reason=message.reason, message_id=message.id))

    def _has_cancel(self) -> bool:
        return self.cancel_requested is not None or any(isinstance(event, h.CancelRequested) for event in self.held)

    # -- decisions
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

    def decide(self, event: h.HistoryEvent, payload: bytes = b"") -> bool:
        """Records a decision under the number it carries. False: history holds it already."""
        self.number = event.number  # type: ignore[attr-defined]
        if self.matcher.replaying:
            try:
                rewound = self.matcher.match(event, payload)
            except NonDeterminismError as error:
                self.fatal = error
                raise
            if rewound is not None:
                rewinding.apply(self, rewound)
            return False
        self.append(event)
        return True

    def call_activity(
        self, activity: Activity[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> ActivityCall:
        self.check_open()
        data = activity.parameters.encode_call(args, kwargs, f"an argument of activity {activity.name!r}")
        return self.schedule_activity(
            m.ActivityTask(
                number=self.number + 1,
                name=activity.name,
                version=activity.version,
                input=Raw(data),
                timeout=activity.timeout,
                heartbeat_timeout=activity.heartbeat_timeout,
                tags=dict(activity.tags) if activity.tags else {},
            ),
            activity.retry,
            activity.parameters.decode_result,
        )

    def schedule_activity(self, task: m.ActivityTask, policy: RetryPolicy | None, decoder: Decoder) -> ActivityCall:
        number = task.number
        event = h.TaskScheduled(
            event_id=0, timestamp=self.turn.at, number=number, name=task.name, version=task.version, input=task.input
        )
        if self.decide(event, bytes(task.input) if self.matcher.replaying else b""):
            self.turn.tasks[(number, 1)] = task
        call = ActivityCall(self, number, task.name, decoder, policy, self.loop.now)
        call.task = task
        self.open[number] = call
        return call

    def cancel_activity(self, call: ActivityCall) -> None:
        if self.open.pop(call.number, None) is not None and self.mode == RUNNING and not self.matcher.replaying:
            if self.turn.tasks.pop((call.number, call.attempt), None) is None:
                self.turn.cancelled_tasks.append(call.number)

    def call_orchestration(
        self, child: Orchestration[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> DurableChildCall:
        self.check_open()
        return self.schedule_child(
            name=child.name,
            version=child.version,
            data=child.parameters.encode_input_call(args, kwargs, f"the input of orchestration {child.name!r}"),
            instance_id=child.instance_id,
            tags=dict(child.tags),
            policy=child.retry,
            decoder=child.parameters.decode_result,
        )

    def schedule_child(
        self,
        *,
        name: str,
        version: str,
        data: bytes,
        instance_id: str | None,
        tags: dict[str, str],
        policy: RetryPolicy | None,
        decoder: Decoder,
    ) -> DurableChildCall:
        number = self.number + 1
        call = DurableChildCall(self, number, name, decoder, policy, self.loop.now)
        record = self.record
        call.start = m.StartExecution(
            instance_id=instance_id or "",
            execution_id="",
            name=name,
            version=version,
            input=Raw(data) if data else UNSET,
            tags=tags,
            parent=ParentLink(record.instance_id, record.execution_id, record.name, record.version, number),
        )
        start = self.child_start(call, 1, None)
        if self.decide(self._child_created(number, start, detached=False), data):
            self.turn.starts.append(start)
        self.open[number] = call
        return call

    def start_detached(
        self, name: str, version: str, data: bytes, instance_id: str | None, tags: dict[str, str]
    ) -> str:
        number = self.number + 1
        start = m.StartExecution(
            instance_id=instance_id or f"{self.execution_id}.{number}",
            execution_id=derived(self.execution_id, number, 1),
            name=name,
            version=version,
            input=Raw(data) if data else UNSET,
            tags=tags,
        )
        if self.decide(self._child_created(number, start, detached=True), data):
            self.turn.starts.append(start)
        return start.instance_id

    def _child_created(self, number: int, start: m.StartExecution, *, detached: bool) -> h.SubOrchestrationCreated:
        return h.SubOrchestrationCreated(
            event_id=0,
            timestamp=self.turn.at,
            number=number,
            name=start.name,
            version=start.version,
            instance_id=start.instance_id,
            input=start.input,
            detached=detached,
        )

    def child_start(self, call: DurableChildCall, attempt: int, due: datetime | None) -> m.StartExecution:
        template: m.StartExecution = call.start
        assert template.parent is not None
        derived_id = f"{self.execution_id}.{call.number}" + (f"~{attempt}" if attempt > 1 else "")
        return msgspec.structs.replace(
            template,
            instance_id=template.instance_id or derived_id,
            execution_id=derived(self.execution_id, call.number, attempt, call.restarts),
            parent=msgspec.structs.replace(template.parent, attempt=attempt),
            due=due,
        )

    def cancel_child(self, call: DurableChildCall) -> None:
        """Also at the end of a failed or cancelled parent."""
        if self.matcher.replaying:
            return
        start = self.child_start(call, call.attempt, None)
        control = m.Control(
            execution_id=start.execution_id,
            id=f"{start.execution_id}:cancel",
            action="cancel",
            reason=f"its parent {self.instance_id!r} cancelled it",
        )
        self.turn.sends.append(Send(start.instance_id, control))

    def create_timer(self, handle: Handle, due: int) -> None:
        self.check_open()
        handle.number = number = self.number + 1
        handle.due = due
        fire_at = self.moment(due)
        if self.decide(h.TimerCreated(event_id=0, timestamp=self.turn.at, number=number, fire_at=fire_at)):
            self.turn.timers[number] = Timer(number, fire_at)
        self.timers[number] = handle

    def withdraw_timer(self, number: int) -> None:
        if self.timers.pop(number, None) is None or self.mode != RUNNING or self.matcher.replaying:
            return
        if self.turn.timers.pop(number, None) is None:
            self.turn.withdrawn_timers.append(number)

    def send_event(self, instance_id: str, name: str, payload: bytes) -> None:
        self.check_open()
        number = self.number + 1
        event = h.EventSent(
            event_id=0, timestamp=self.turn.at, number=number, instance_id=instance_id, name=name, payload=Raw(payload)
        )
        if self.decide(event, payload):
            message = m.ExternalEvent(id=f"{self.execution_id}:{number}", name=name, payload=Raw(payload))
            self.turn.sends.append(Send(instance_id, message))

    def wait_for_event(self, name: str, result_type: Any) -> EventCall:
        self.check_open()
        call = EventCall(self, name, result_type)
        waiting = self.buffered.get(name)
        if waiting:
            self._give(call, waiting.popleft().payload)
        else:
            self.lines.setdefault(name, deque()).append(call)
        return call

    def leave_line(self, call: EventCall) -> None:
        line = self.lines.get(call.name)
        if line and call in line:
            line.remove(call)

    def patched(self, change_id: str) -> bool:
        self.check_open()
        known = self.patches.get(change_id)
        if known is None:
            known = self.patches[change_id] = not self.matcher.replaying
            if known:
                self.append(h.PatchRecorded(event_id=0, timestamp=self.turn.at, change_id=change_id))
        return known

    def continue_as_new(self, data: bytes | None, version: str | None, carry_events: bool) -> None:
        self.check_open()
        if asyncio.current_task(self.loop) is not self.main:
            raise RuntimeError(
                f"continue_as_new was called in a side task of {self.instance_id!r}. Call it in the orchestration function itself."
            )
        if self.next_input is None:
            self.next_input = (data, version, carry_events)
        raise ContinueAsNew

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

    def failed_unseen(self, task: Any) -> None:
        self.failed_calls.append(task)

    def exception_reported(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, BaseException) and not isinstance(error, ReplayExit):
            self.stray_failures.append(error)

    def evict(self) -> None:
        """Drops the live instance without running any of its code (rule 21). The caller is inside `turns()`."""
        ending.evict(self)


def derived(execution_id: str, number: int, attempt: int = 1, restarts: int = 0) -> str:
    """An execution id of a child or of the next generation (rule 18). `restarts`: by rewinds of the parent."""
    text = f"{execution_id}/{number}/{attempt}" + (f"/{restarts}" if restarts else "")
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _no_details(status: OrchestrationStatus) -> FailureDetails:
    ended = OrchestrationCancelledError if status == OrchestrationStatus.CANCELLED else OrchestrationTerminatedError
    return FailureDetails.of(ended(f"the child ended {status}"))


_CONTROLS: dict[str, type[h.CancelRequested] | type[h.ExecutionSuspended] | type[h.ExecutionResumed]] = {
    "cancel": h.CancelRequested,
    "suspend": h.ExecutionSuspended,
    "resume": h.ExecutionResumed,
}
_RECEIVERS: dict[type, Any] = {
    m.ActivityResult: Execution._activity_result,
    m.ChildResult: Execution._child_result,
    m.TimerDue: Execution._timer_due,
    m.ExternalEvent: Execution._external_event,
    m.Control: Execution._control,
}
_FEEDERS: dict[type, Any] = {
    h.ExecutionStarted: Execution._started,
    h.TaskCompleted: Execution._task_completed,
    h.TaskFailed: Execution._task_failed,
    h.SubOrchestrationCompleted: Execution._child_completed,
    h.SubOrchestrationFailed: Execution._child_failed,
    h.TimerFired: Execution._timer_fired,
    h.EventRaised: Execution._event_raised,
    h.CancelRequested: Execution._cancel,
    h.ExecutionSuspended: Execution._suspend,
    h.ExecutionResumed: Execution._resume,
}
