"""The state of a hub in memory and everything that changes it, except turns (turns.py). One loop, no await: each operation is one step.

Every change of an instance ends with `refresh`, which puts it where it now belongs: ready, waiting for its alarm, or neither.
"""

import heapq
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import count
from weakref import WeakSet

from msgspec import UNSET, Raw

from dtf_runtime.errors import (
    FailureDetails,
    InstanceNotFoundError,
    InvalidStateError,
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationTerminatedError,
)
from dtf_runtime.model import history as h
from dtf_runtime.model.messages import ActivityTask, ChildResult, Control, Message, StartExecution, TimerDue
from dtf_runtime.model.state import OrchestrationQuery, OrchestrationStatus, ParentLink, PurgeResult
from dtf_runtime.providers.memory import queries
from dtf_runtime.providers.memory.queues import ReadyQueue, Schedule
from dtf_runtime.providers.memory.records import Execution, Instance, Letter, Task
from dtf_runtime.providers.memory.watches import MemoryWatch
from dtf_runtime.tracing import events as trace


class Hub:
    """`work_came` is called when something became ready; `plans_changed` when the next due time may have moved."""

    def __init__(
        self, now: Callable[[], datetime], work_came: Callable[[], None], plans_changed: Callable[[], None]
    ) -> None:
        self.now = now
        self._work_came = work_came
        self._plans_changed = plans_changed
        self._sequence = count(1)
        self.instances: dict[str, Instance] = {}
        self.children: dict[str, dict[str, None]] = {}  # by the parent's id
        self.schedule = Schedule()
        self.ready: ReadyQueue[Instance] = ReadyQueue()
        self.queued: ReadyQueue[Task] = ReadyQueue()
        self.watches: dict[str, WeakSet[MemoryWatch]] = {}
        self.running: dict[int, Task] = {}  # handed out, by sequence

    # -- where an instance belongs
    def refresh(self, instance: Instance) -> None:
        wake = None if instance.lease is not None else _wakes(instance)
        if instance.alarm is not None and (wake is None or instance.alarm.due != wake):
            self.schedule.silence(instance.alarm)
            instance.alarm = None
            self._plans_changed()
        if wake is not None and wake <= self.now():
            if instance.ready_since is None:
                instance.ready_since = next(self._sequence)
                self.ready.add(instance.kind, instance.ready_since, instance)
                self._work_came()
            return
        self.take_out(instance)
        if wake is not None and instance.alarm is None:
            instance.alarm = self.schedule.add(wake, lambda: self._alarm_rang(instance))
            self._plans_changed()

    def _alarm_rang(self, instance: Instance) -> None:
        instance.alarm = None
        self.refresh(instance)

    def take_out(self, instance: Instance) -> None:
        """Out of the ready ones; also needed before its name or version change."""
        if instance.ready_since is not None:
            self.ready.remove(instance.kind, instance.ready_since)
            instance.ready_since = None

    # -- messages
    def post(self, instance: Instance, message: Message, due: datetime) -> None:
        letter = Letter(due, next(self._sequence), message)
        heapq.heappush(instance.letters, letter)
        if isinstance(message, TimerDue):
            instance.timers[message.number] = letter
        self.refresh(instance)

    def deliver(self, instance_id: str, message: Message, sender_id: str = "") -> None:
        """To whoever is to have it, else dropped and traced."""
        instance = self.instances.get(instance_id)
        reason = _refusal(instance, message)
        if instance is None or reason:
            name = getattr(message, "name", "") or getattr(message, "action", "") or type(message).__name__
            trace.event_dropped(instance_id=instance_id, event_name=name, reason=reason, sender_id=sender_id)
        elif isinstance(message, Control) and message.action == "cancel" and self._is_before_start(instance):
            failure = FailureDetails.of(
                OrchestrationCancelledError(message.reason or "it was cancelled before it began")
            )
            self.end_now(instance, OrchestrationStatus.CANCELLED, failure)
        else:
            if instance.status == OrchestrationStatus.FAILED:
                _revive(instance)  # a rewind: whoever asks from now on waits for its next end
            self.post(instance, message, self.now())

    def _is_before_start(self, instance: Instance) -> bool:
        return instance.revision == 0 and instance.lease is None and instance.due > self.now()

    def send(self, instance_id: str, message: Message) -> None:
        instance = self.found(instance_id)
        if (
            isinstance(message, Control)
            and message.action == "rewind"
            and instance.status != OrchestrationStatus.FAILED
        ):
            raise InvalidStateError(f"instance {instance_id!r} is {instance.status}: only a failed one can be rewound.")
        self.deliver(instance_id, message)

    # -- activities
    def queue(self, instance: Instance, task: ActivityTask) -> None:
        queued = Task(next(self._sequence), instance, task)
        instance.tasks[queued.key] = queued
        self.offer(queued)

    def offer(self, task: Task) -> None:
        """To the workers, once it is due."""
        due = task.task.due
        task.item = task.worker = None
        self.running.pop(task.sequence, None)
        if due is not None and due > self.now():
            task.alarm = self.schedule.add(due, lambda: self.offer(task))
            self._plans_changed()
            return
        task.alarm = None
        self.queued.add((task.task.name, task.task.version), task.sequence, task)
        self._work_came()

    def cancel(self, task: Task) -> None:
        """A queued one is gone; a running one is told."""
        task.instance.tasks.pop(task.key, None)
        task.cancelled = True
        item = task.item
        if item is None:
            self._withdraw(task)
            return
        self.running.pop(task.sequence, None)
        if not item.cancelled:
            item.cancelled = True
            if item.on_cancel is not None:
                item.on_cancel()

    def _withdraw(self, task: Task) -> None:
        self.queued.remove((task.task.name, task.task.version), task.sequence)
        if task.alarm is not None:
            self.schedule.silence(task.alarm)
            task.alarm = None
            self._plans_changed()

    def cancel_all(self, instance: Instance) -> None:
        for task in list(instance.tasks.values()):
            self.cancel(task)

    # -- life of an instance
    def found(self, instance_id: str) -> Instance:
        instance = self.instances.get(instance_id)
        if instance is None:
            raise InstanceNotFoundError(
                f"there is no instance {instance_id!r} in this hub. `dtf list` shows those that are."
            )
        return instance

    def create(self, start: StartExecution, reuse: frozenset[OrchestrationStatus]) -> None:
        old = self.instances.get(start.instance_id)
        if old is None:
            self.add(start)
            return
        if old.status not in reuse:
            raise OrchestrationAlreadyExistsError(
                f"instance {start.instance_id!r} exists already and is {old.status}. Choose another instance_id, purge it, or allow "
                f"that status in `reuse`."
            )
        if not old.status.is_final:
            replaced = OrchestrationTerminatedError("it was replaced by a new start with the same id")
            self.end_now(old, OrchestrationStatus.TERMINATED, FailureDetails.of(replaced))
        self.replace(old, start)

    def add(self, start: StartExecution) -> None:
        instance = Instance(next(self._sequence), start, self.now())
        self.instances[start.instance_id] = instance
        self._enter_family(instance)
        self.refresh(instance)

    def replace(self, instance: Instance, start: StartExecution) -> None:
        """A new execution in the place of one that has ended."""
        self.cancel_all(instance)
        self.leave_family(instance)
        instance.lease = None
        self.ended(instance)
        instance.earlier.append(instance.execution)
        instance.begin(start, self.now())
        self._enter_family(instance)
        self.refresh(instance)

    def _enter_family(self, instance: Instance) -> None:
        if instance.parent is not None:
            self.children.setdefault(instance.parent.instance_id, {})[instance.instance_id] = None

    def leave_family(self, instance: Instance) -> None:
        parent_id = "" if instance.parent is None else instance.parent.instance_id
        siblings = self.children.get(parent_id)
        if siblings is not None and siblings.pop(instance.instance_id, "gone") is None and not siblings:
            del self.children[parent_id]

    def end_now(self, instance: Instance, status: OrchestrationStatus, failure: FailureDetails) -> None:
        """Ends a live instance without running its code, and tells its parent. A turn that is under way finds its lock lost."""
        at, execution = self.now(), instance.execution
        event: h.HistoryEvent
        if status == OrchestrationStatus.TERMINATED:
            event = h.ExecutionTerminated(event_id=execution.length, timestamp=at, reason=failure.message)
        else:
            event = h.ExecutionCompleted(
                event_id=execution.length, timestamp=at, number=1, status=status, failure=failure
            )
        execution.rows.append(h.encode_events([event]))
        execution.length += 1
        execution.status, execution.completed, execution.failure = status, at, failure
        instance.updated = at
        instance.revision += 1
        instance.lease = None
        self.cancel_all(instance)
        self.ended(instance)
        if instance.parent is not None:
            self.deliver(instance.parent.instance_id, _ended_child(instance.parent, execution), instance.instance_id)

    def ended(self, instance: Instance) -> None:
        """Nothing waits for it any more, and those who wait for its end learn of it."""
        instance.letters.clear()
        instance.timers.clear()
        self.refresh(instance)
        for watch in self.watches.pop(instance.instance_id, ()):
            watch.resolve(instance.execution.outcome())

    def terminate(self, instance_id: str, reason: str, recursive: bool) -> None:
        self.found(instance_id)
        failure = FailureDetails.of(OrchestrationTerminatedError(reason or "it was terminated"))
        for one in self._with_descendants([instance_id]) if recursive else [instance_id]:
            instance = self.instances.get(one)
            if instance is not None and not instance.status.is_final:
                self.end_now(instance, OrchestrationStatus.TERMINATED, failure)

    def _with_descendants(self, ids: list[str]) -> Iterator[str]:
        seen: set[str] = set()
        waiting = list(ids)
        while waiting:
            one = waiting.pop()
            if one not in seen:
                seen.add(one)
                waiting.extend(self.children.get(one, ()))
                yield one

    def purge(self, which: str | OrchestrationQuery, recursive: bool) -> PurgeResult:
        if isinstance(which, str):
            instance = self.found(which)
            if not instance.status.is_final:
                raise InvalidStateError(
                    f"instance {which!r} is {instance.status}: only finished instances are purged. Terminate it first."
                )
            chosen, complete = [which], True
        else:
            ended = [one for one in self.instances.values() if one.status.is_final]
            ids = [one.instance_id for one in queries.chosen(ended, which)]
            chosen = ids if which.limit is None else ids[: which.limit]
            complete = len(chosen) == len(ids)
        deleted = 0
        for one in list(self._with_descendants(chosen)) if recursive else chosen:
            found = self.instances.get(one)
            if found is not None and found.status.is_final:
                self._forget(found)
                deleted += 1
        return PurgeResult(deleted=deleted, is_complete=complete)

    def _forget(self, instance: Instance) -> None:
        for task in list(instance.tasks.values()):
            if task.item is None:
                self.cancel(task)
        self.leave_family(instance)
        instance.lease = None
        self.ended(instance)
        del self.instances[instance.instance_id]


def _wakes(instance: Instance) -> datetime | None:
    """When it next has something to do; None: not before something comes."""
    letters = instance.letters
    while letters and letters[0].message is None:
        heapq.heappop(letters)
    if instance.status == OrchestrationStatus.PENDING and instance.revision == 0:
        wake = instance.due
    elif letters:
        wake = letters[0].due
    else:
        return None
    return wake if instance.not_before is None else max(wake, instance.not_before)


def _refusal(instance: Instance | None, message: Message) -> str:
    """Why a message does not reach its addressee, or ""."""
    if instance is None:
        return "there is no such instance"
    if message.execution_id and message.execution_id != instance.execution.execution_id:
        return "it is for another execution"
    if isinstance(message, Control) and message.action == "rewind":
        return (
            ""
            if instance.status == OrchestrationStatus.FAILED
            else f"the instance is {instance.status}, only a failed one is rewound"
        )
    return f"the instance is {instance.status}" if instance.status.is_final else ""


def _revive(instance: Instance) -> None:
    execution = instance.execution
    execution.status, execution.completed, execution.failure = OrchestrationStatus.RUNNING, None, None


def _ended_child(link: ParentLink, execution: Execution) -> ChildResult:
    return ChildResult(
        execution_id=link.execution_id,
        number=link.number,
        attempt=link.attempt,
        status=execution.status,
        result=UNSET if execution.output is None else Raw(execution.output),
        failure=execution.failure,
    )
