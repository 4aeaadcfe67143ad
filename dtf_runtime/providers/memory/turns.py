"""Locks on instances, and turns as changes of the hub: all of a commit or nothing of it."""

import heapq
from typing import Any

import msgspec

from dtf_runtime.errors import FailureDetails, LockLostError, OrchestrationAlreadyExistsError
from dtf_runtime.model.commit import Commit
from dtf_runtime.model.messages import ChildResult, StartExecution, TimerDue
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.providers.memory.hub import Hub
from dtf_runtime.providers.memory.records import Execution, Instance, Lease, Letter
from dtf_runtime.service import OrchestrationWorkItem
from dtf_runtime.tracing import events as trace

_TOLD = (OrchestrationStatus.FAILED, OrchestrationStatus.CANCELLED, OrchestrationStatus.TERMINATED)


def lock(hub: Hub, instance: Instance, worker: Any, max_delivery_count: int) -> OrchestrationWorkItem:
    """One that was just taken out of the ready ones."""
    instance.ready_since = None
    now = hub.now()
    letters = []
    while instance.letters and (instance.letters[0].message is None or instance.letters[0].due <= now):
        letter = heapq.heappop(instance.letters)
        if letter.message is not None:
            letters.append(letter)
    instance.lease = Lease(instance, letters, worker)
    return OrchestrationWorkItem(
        instance_id=instance.instance_id,
        execution_id=instance.execution.execution_id,
        revision=instance.revision,
        messages=[letter.message for letter in letters if letter.message is not None],
        record=instance.record() if instance.revision == 0 else None,
        deliveries=instance.deliveries,
        poisoned=instance.deliveries >= max_delivery_count,
        lease=instance.lease,
    )


def held(item: OrchestrationWorkItem) -> Instance:
    """The instance of an item. LockLostError when its lock is gone."""
    lease = item.lease
    if not isinstance(lease, Lease) or lease.instance.lease is not lease:
        raise LockLostError(
            f"the lock on instance {item.instance_id!r} is lost: it was ended, replaced or handed on meanwhile. Nothing was committed; "
            f"whoever holds it now goes on."
        )
    return lease.instance


def unlock(hub: Hub, instance: Instance) -> None:
    """Gives an instance back with the letters that went with its lock."""
    assert instance.lease is not None
    for letter in instance.lease.letters:
        heapq.heappush(instance.letters, letter)
    instance.lease = None
    hub.refresh(instance)


def apply(hub: Hub, item: OrchestrationWorkItem, commit: Commit) -> None:
    """LockLostError, and nothing has happened."""
    instance = held(item)
    execution, letters = instance.execution, item.lease.letters
    _consume(instance, letters)
    _record(instance, execution, commit)
    _queue_work(hub, instance, commit)
    if commit.next is not None:
        _continue_as_new(hub, instance, commit)
    elif commit.status.is_final and commit.status in _TOLD:
        hub.cancel_all(instance)
    if commit.next is not None or not commit.status.is_final:
        _reinject(hub, instance, letters, commit)
    for start in commit.starts:
        _start(hub, instance, execution, start)
    for send in commit.sends:
        hub.deliver(send.instance_id, send.message, instance.instance_id)
    instance.lease = None
    if instance.status.is_final:
        hub.ended(instance)
    else:
        hub.refresh(instance)


def _consume(instance: Instance, letters: list[Letter]) -> None:
    for letter in letters:
        if isinstance(letter.message, TimerDue) and instance.timers.get(letter.message.number) is letter:
            del instance.timers[letter.message.number]


def _record(instance: Instance, execution: Execution, commit: Commit) -> None:
    if commit.rewrite:
        execution.rows.clear()
    if commit.history:
        execution.rows.append(commit.history)
    execution.length = commit.history_length
    execution.status = commit.status
    is_final = commit.status.is_final
    execution.completed = commit.at if is_final else None
    execution.output = commit.output if is_final else None
    execution.failure = commit.failure if is_final else None
    if commit.custom_status is not None:
        instance.custom_status = commit.custom_status
    instance.updated = commit.at
    instance.revision += 1
    instance.deliveries = 0
    instance.not_before = None


def _queue_work(hub: Hub, instance: Instance, commit: Commit) -> None:
    execution_id = instance.execution.execution_id
    for number in commit.cancelled_tasks:
        task = instance.tasks.get((execution_id, number))
        if task is not None:
            hub.cancel(task)
    for task_data in commit.tasks:
        hub.queue(instance, task_data)
    for number in commit.withdrawn_timers:
        letter = instance.timers.pop(number, None)
        if letter is not None:
            letter.message = None
    for timer in commit.timers:
        due = TimerDue(execution_id=execution_id, number=timer.number, fire_at=timer.fire_at)
        hub.post(instance, due, timer.fire_at)


def _continue_as_new(hub: Hub, instance: Instance, commit: Commit) -> None:
    assert commit.next is not None
    instance.letters = [
        letter for letter in instance.letters if letter.message is not None and not letter.message.execution_id
    ]
    heapq.heapify(instance.letters)
    instance.timers.clear()
    instance.earlier.append(instance.execution)
    instance.enter(Execution.of_next(commit.next, commit.at), commit.at)


def _reinject(hub: Hub, instance: Instance, letters: list[Letter], commit: Commit) -> None:
    """What came with this turn goes back to its place, before what came meanwhile."""
    places = {id(letter.message): letter for letter in letters}
    for message in commit.reinject:
        letter = places.get(id(message))
        if letter is None:
            hub.post(instance, message, hub.now())
        else:
            heapq.heappush(instance.letters, letter)


def _start(hub: Hub, creator: Instance, execution: Execution, start: StartExecution) -> None:
    old = hub.instances.get(start.instance_id)
    link = start.parent
    if old is None:
        hub.add(start)
    elif link is None:
        trace.start_id_taken(
            instance_id=creator.instance_id,
            taken_id=start.instance_id,
            name=start.name,
            execution_id=execution.execution_id,
            detached=True,
        )
    elif old.status.is_final and old.parent is not None and old.parent.instance_id == link.instance_id:
        hub.replace(old, start)
    else:
        error = OrchestrationAlreadyExistsError(
            f"child {start.name!r} of {creator.instance_id!r} could not start: an instance {start.instance_id!r} exists already. Give it "
            f"another instance_id, or leave it out."
        )
        result = ChildResult(
            execution_id=link.execution_id,
            number=link.number,
            attempt=link.attempt,
            status=OrchestrationStatus.FAILED,
            failure=FailureDetails.of(error),
        )
        hub.deliver(link.instance_id, result, creator.instance_id)


def with_heartbeat(task: Any, heartbeat: Any) -> Any:
    """What the next delivery of an activity is given, or what its failure carries."""
    return msgspec.structs.replace(task, heartbeat=heartbeat)
