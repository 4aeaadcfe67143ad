"""The event catalogue, in the style of an EventSource: everything the runtime has to say, each with id, level and typed fields.

    from dtf_runtime.tracing import events as trace
    trace.turn_committed(instance_id=instance_id, execution_id=execution_id, events=3)

An entry goes through logger `dtf_runtime.worker`, `.dispatcher`, `.orchestration`, `.activity` or `.provider`; a record
carries `dtf_event` (the name), `dtf_event_id` and `dtf` (the fields). Off, a call costs one `isEnabledFor`. `error` takes
the exception itself, whose traceback then goes with the record, or a text. Durations are in seconds. Ids: 10-19 worker,
20-39 dispatcher, 40-59 orchestration, 60-67 activity, 68-79 suspend, locks and leases, 80-99 the rest. An id is never reused.
The entries are data: ids, names and ranges follow the event sources of the C# Durable Task Framework.
"""

from logging import DEBUG, ERROR, INFO, WARNING

from dtf_runtime.tracing._define import Source

_worker = Source("worker")
_dispatcher = Source("dispatcher")
_orchestration = Source("orchestration")
_activity = Source("activity")
_provider = Source("provider")

# == Worker: 10-19 ================================================================================================


@_worker(10, INFO, "worker %(worker)s started on %(hub)s")
def worker_started(*, worker: str, hub: str, orchestrations: int = 0, activities: int = 0) -> None:
    """It takes work from now on; the counts are those of the definitions it can run."""


@_worker(11, INFO, "worker %(worker)s is stopping, grace %(grace)s s")
def worker_stopping(*, worker: str, grace: float, reason: str = "") -> None:
    """It takes no new work and waits for what runs."""


@_worker(12, INFO, "worker %(worker)s stopped")
def worker_stopped(*, worker: str, handed_back: int = 0) -> None:
    """Nothing of it runs any more."""


@_worker(13, ERROR, "worker %(worker)s: %(where)s failed: %(error)s")
def worker_error(*, worker: str, where: str, error: BaseException | str) -> None:
    """Something of the worker itself failed, not of one instance; it goes on if it can."""


# == Dispatchers: 20-39 ===========================================================================================


@_dispatcher(20, INFO, "%(dispatcher)s dispatcher of worker %(worker)s started, %(slots)s slots")
def dispatcher_started(*, dispatcher: str, worker: str, slots: int = 0) -> None:
    """`dispatcher` is `orchestration` or `activity`; 0 slots: no limit."""


@_dispatcher(21, WARNING, "%(dispatcher)s dispatcher could not lock work, next try in %(delay)s s: %(error)s")
def lock_failed(*, dispatcher: str, delay: float, error: BaseException | str) -> None:
    """The provider failed when it was asked for work."""


@_dispatcher(22, WARNING, "commit of instance %(instance_id)s refused: %(reason)s; the turn is dropped and run again from what is stored")
def commit_refused(*, instance_id: str, execution_id: str, reason: str = "the lock was lost") -> None:
    """Another worker has or had the instance; what this one computed is not stored."""


@_dispatcher(23, ERROR, "a turn of instance %(instance_id)s failed: %(error)s")
def turn_failed(*, instance_id: str, execution_id: str = "", name: str = "", error: BaseException | str) -> None:
    """The turn, not the instance: it stays as it is stored and is tried again."""


@_dispatcher(24, WARNING, "work of instance %(instance_id)s abandoned for %(delay)s s: %(reason)s")
def work_abandoned(*, instance_id: str, reason: str, delay: float, execution_id: str = "", name: str = "") -> None:
    """Given back to the provider, to be taken again after `delay` by any worker; `name` when it is an activity's."""


@_dispatcher(25, WARNING, "no code here for %(kind)s %(name)s %(version)s, which instance %(instance_id)s needs; register it, or start a worker that has it")
def missing_definition(*, kind: str, name: str, version: str, instance_id: str, execution_id: str = "", delay: float = 0.0) -> None:
    """`kind` is `orchestration` or `activity`; the work waits for a worker that has the code."""


@_dispatcher(26, ERROR, "instance %(instance_id)s failed as poison after %(deliveries)s deliveries, message set aside: %(error)s")
def poison_set_aside(*, instance_id: str, deliveries: int, error: BaseException | str, execution_id: str = "", message_id: str = "") -> None:
    """Delivered `max_delivery_count` times and never finished: the instance ends, its queue goes on."""


@_dispatcher(27, WARNING, "a turn of instance %(instance_id)s (%(name)s) has held the worker's thread for %(seconds).1f s:\n%(stack)s")
def blocked_thread(*, instance_id: str, seconds: float, stack: str, execution_id: str = "", name: str = "") -> None:
    """Longer than `blocked_after`; `stack` is where it hangs. Move blocking work into an activity."""


@_provider(28, ERROR, "a row of %(table)s (%(key)s) can't be read and was set aside: %(error)s")
def row_set_aside(*, table: str, key: str, error: BaseException | str, instance_id: str = "") -> None:
    """This version can't read it; it is kept, and its instance does not run."""


@_dispatcher(29, WARNING, "the worker's event loop was %(seconds).2f s late; something blocks it")
def loop_lag(*, seconds: float, worker: str = "") -> None:
    """Timers and renewals of every instance here were late by that much."""


@_dispatcher(30, INFO, "%(dispatcher)s dispatcher of worker %(worker)s stopped")
def dispatcher_stopped(*, dispatcher: str, worker: str) -> None:
    """It takes no more work; what it held is committed or given back."""


# == Orchestrations: 40-59 ========================================================================================


@_orchestration(40, INFO, "orchestration %(name)s started as %(instance_id)s")
def orchestration_started(
    *, instance_id: str, execution_id: str, name: str, version: str = "", parent_id: str = ""
) -> None:
    """Its first turn, live."""


@_orchestration(41, INFO, "orchestration %(name)s %(instance_id)s completed")
def orchestration_completed(*, instance_id: str, execution_id: str, name: str, seconds: float = 0.0) -> None:
    """With a result; `seconds` since it was created."""


@_orchestration(42, WARNING, "orchestration %(name)s %(instance_id)s failed: %(error)s")
def orchestration_failed(
    *, instance_id: str, execution_id: str, name: str, error: BaseException | str, seconds: float = 0.0
) -> None:
    """An error escaped it, or it was failed from outside (stuck, poison, non-determinism)."""


@_orchestration(43, INFO, "orchestration %(name)s %(instance_id)s cancelled")
def orchestration_cancelled(
    *, instance_id: str, execution_id: str, name: str, reason: str = "", seconds: float = 0.0
) -> None:
    """A cancel was asked for and the code let it through, compensation included."""


@_orchestration(44, INFO, "orchestration %(name)s %(instance_id)s terminated: %(reason)s")
def orchestration_terminated(
    *, instance_id: str, execution_id: str, name: str, reason: str = "", seconds: float = 0.0
) -> None:
    """Ended at once, no code of it was run."""


@_orchestration(45, INFO, "orchestration %(name)s %(instance_id)s continues as new execution %(new_execution_id)s")
def continued_as_new(
    *, instance_id: str, execution_id: str, new_execution_id: str, name: str, version: str = "", carried_events: int = 0
) -> None:
    """`version` is that of the new execution."""


@_orchestration(46, DEBUG, "turn of %(instance_id)s: %(messages)s new messages, %(history)s events to replay")
def turn_started(*, instance_id: str, execution_id: str, messages: int, history: int = 0, name: str = "") -> None:
    """`history` is 0 when the live orchestration was still in memory."""


@_orchestration(47, DEBUG, "turn of %(instance_id)s committed: %(events)s new events")
def turn_committed(
    *, instance_id: str, execution_id: str, events: int, messages: int = 0, status: str = "", seconds: float = 0.0
) -> None:
    """It is durable; `messages` is what it sends."""


@_orchestration(48, WARNING, "event %(event_name)s for instance %(instance_id)s dropped: %(reason)s")
def event_dropped(*, instance_id: str, event_name: str, reason: str, execution_id: str = "", sender_id: str = "") -> None:
    """An external event that reaches nobody: unknown or ended instance, another execution."""


@_orchestration(49, INFO, "%(kind)s of task %(task_id)s of %(instance_id)s dropped: %(reason)s")
def result_dropped(*, instance_id: str, execution_id: str, kind: str, task_id: int, reason: str) -> None:
    """A repeated or late completion; `kind` is the event's, such as `TaskCompleted` or `TimerFired`."""


@_orchestration(50, INFO, "event %(event_name)s raised to %(instance_id)s")
def event_raised(*, instance_id: str, event_name: str, execution_id: str = "", sender_id: str = "") -> None:
    """An external event was accepted."""


@_orchestration(51, ERROR, "orchestration %(name)s %(instance_id)s is not deterministic: %(error)s")
def non_determinism(
    *, instance_id: str, execution_id: str, name: str, error: BaseException | str, policy: str = "", delay: float = 0.0
) -> None:
    """The error says what history holds and what the code did; `policy` is `block` (tried again in `delay`) or `fail`."""


@_orchestration(52, WARNING, "%(instance_id)s ended with a failure that nobody awaited (%(call)s): %(error)s")
def unawaited_failure(*, instance_id: str, execution_id: str, call: str, error: BaseException | str) -> None:
    """Once for each, at the end of the execution; `call` names the activity, child or task."""


@_orchestration(53, DEBUG, "%(instance_id)s evicted from memory: %(reason)s")
def instance_evicted(*, instance_id: str, execution_id: str, reason: str) -> None:
    """Its next turn replays from history."""


@_orchestration(54, WARNING, "decision %(number)s of %(instance_id)s (%(call)s) has other arguments than in history; history's stand")
def arguments_changed(*, instance_id: str, execution_id: str, number: int, call: str) -> None:
    """On replay the same call was made with other arguments: the code is not deterministic, or was changed."""


@_orchestration(55, WARNING, "%(instance_id)s could not start %(name)s as %(taken_id)s: that id is taken")
def start_id_taken(*, instance_id: str, taken_id: str, name: str, execution_id: str = "", detached: bool = False) -> None:
    """A detached start is left alone; a child's parent gets the failure as well."""


@_orchestration(56, WARNING, "cancel of %(instance_id)s dropped: %(reason)s")
def cancel_dropped(*, instance_id: str, execution_id: str = "", reason: str) -> None:
    """A second one, or one for an ended instance. `terminate` ends an instance that does not let itself be cancelled."""


@_orchestration(57, INFO, "%(instance_id)s rewound: %(removed)s events cut, %(reason)s")
def rewound(*, instance_id: str, execution_id: str, removed: int, reason: str = "") -> None:
    """Failed results went, what came after them is fed again, open calls are scheduled again."""


@_orchestration(58, ERROR, "a coroutine of %(instance_id)s would not close: %(coroutine)s; it is kept in memory so that its cleanup can't run here")
def coroutine_would_not_close(*, instance_id: str, execution_id: str, coroutine: str) -> None:
    """It awaits again and again while it is evicted. Look for an `except BaseException` or a `finally` that loops."""


# == Activities: 60-67 ============================================================================================


@_activity(60, DEBUG, "activity %(name)s started, task %(task_id)s of %(instance_id)s, attempt %(attempt)s")
def activity_started(
    *, instance_id: str, execution_id: str, name: str, task_id: int, attempt: int = 1, version: str = ""
) -> None:
    """Its function is about to be called here."""


@_activity(61, DEBUG, "activity %(name)s completed, task %(task_id)s of %(instance_id)s, %(seconds).3f s")
def activity_completed(
    *, instance_id: str, execution_id: str, name: str, task_id: int, attempt: int = 1, seconds: float = 0.0
) -> None:
    """Its result is encoded; it counts once the provider has it."""


@_activity(62, WARNING, "activity %(name)s failed, task %(task_id)s of %(instance_id)s, attempt %(attempt)s: %(error)s")
def activity_failed(
    *, instance_id: str, execution_id: str, name: str, task_id: int, error: BaseException | str, attempt: int = 1,
    seconds: float = 0.0,
) -> None:
    """One attempt; whether another follows is the policy's."""


@_activity(63, INFO, "%(name)s, task %(task_id)s of %(instance_id)s, is tried again in %(delay).3f s, attempt %(attempt)s: %(error)s")
def activity_retried(
    *, instance_id: str, execution_id: str, name: str, task_id: int, attempt: int, delay: float,
    error: BaseException | str = "",
) -> None:
    """The policy's verdict, stored; `attempt` is the one that follows. Children too."""


@_activity(64, INFO, "activity %(name)s cancelled, task %(task_id)s of %(instance_id)s: %(reason)s")
def activity_cancelled(
    *, instance_id: str, execution_id: str, name: str, task_id: int, reason: str = "", attempt: int = 1
) -> None:
    """It was told; its result, if one still comes, is dropped."""


@_activity(65, WARNING, "activity %(name)s timed out after %(timeout)s s, task %(task_id)s of %(instance_id)s, attempt %(attempt)s")
def activity_timed_out(
    *, instance_id: str, execution_id: str, name: str, task_id: int, timeout: float, attempt: int = 1,
    kind: str = "timeout",
) -> None:
    """`kind` is `timeout` or `heartbeat_timeout`."""


@_activity(66, INFO, "activity %(name)s handed back, task %(task_id)s of %(instance_id)s: %(reason)s")
def activity_handed_back(
    *, instance_id: str, execution_id: str, name: str, task_id: int, reason: str = "the worker stops", attempt: int = 1
) -> None:
    """Another worker runs it again, with its last heartbeat."""


@_activity(67, WARNING, "a heartbeat of activity %(name)s was not stored, task %(task_id)s of %(instance_id)s: %(error)s")
def heartbeat_failed(
    *, instance_id: str, execution_id: str, name: str, task_id: int, error: BaseException | str
) -> None:
    """Its details were refused or the provider failed; the activity runs on."""


# == Suspend, locks and leases: 68-79 =============================================================================


@_orchestration(68, INFO, "%(instance_id)s suspended: %(reason)s")
def suspended(*, instance_id: str, execution_id: str = "", reason: str = "") -> None:
    """Events queue until it is resumed."""


@_orchestration(69, INFO, "%(instance_id)s resumed: %(reason)s")
def resumed(*, instance_id: str, execution_id: str = "", reason: str = "", queued: int = 0) -> None:
    """`queued` events are fed now, in the order they came."""


@_dispatcher(70, DEBUG, "%(kind)s lock of %(instance_id)s renewed")
def lock_renewed(*, instance_id: str, kind: str, task_id: int = 0, seconds: float = 0.0) -> None:
    """`kind` is `orchestration` or `activity`; `seconds` is how long it now lasts."""


@_dispatcher(71, WARNING, "%(kind)s lock of %(instance_id)s not renewed: %(error)s")
def renew_failed(*, instance_id: str, kind: str, error: BaseException | str, task_id: int = 0) -> None:
    """Tried again until the lock has run out."""


@_provider(72, WARNING, "worker %(owner)s is dead; took over %(instances)s instances and %(activities)s activities")
def owner_dead(*, owner: str, instances: int = 0, activities: int = 0) -> None:
    """Its file lock was free, so its leases are too."""


@_provider(73, DEBUG, "another process changed %(hub)s")
def foreign_change(*, hub: str) -> None:
    """Noticed by the provider's poll; it looks for work."""


@_provider(74, WARNING, "lease of %(instance_id)s lost to %(owner)s")
def lease_lost(*, instance_id: str, owner: str = "another worker", execution_id: str = "", task_id: int = 0) -> None:
    """It ran out, or this process was taken for dead. What is in flight can't be committed."""


# == The rest: 80-99 ==============================================================================================


@_provider(80, INFO, "hub %(hub)s created")
def hub_created(*, hub: str, schema_version: int = 0) -> None:
    """There was none at that place."""


@_provider(81, INFO, "hub %(hub)s opened, schema version %(schema_version)s")
def hub_opened(*, hub: str, schema_version: int = 0) -> None:
    """The first client or worker was entered."""


@_provider(82, INFO, "hub %(hub)s closed")
def hub_closed(*, hub: str) -> None:
    """The last client or worker was left."""


@_provider(83, WARNING, "hub %(hub)s migrated from schema version %(old)s to %(new)s")
def hub_migrated(*, hub: str, old: int, new: int) -> None:
    """Older code refuses it from now on."""


@_provider(84, WARNING, "%(operation)s failed on %(hub)s, next try in %(delay)s s: %(error)s")
def provider_retried(*, hub: str, operation: str, delay: float, error: BaseException | str) -> None:
    """A passing trouble, such as a database that is locked."""


@_provider(85, ERROR, "%(operation)s failed on %(hub)s: %(error)s")
def provider_failed(*, hub: str, operation: str, error: BaseException | str, instance_id: str = "") -> None:
    """Disk full, file damaged, server gone: the caller gets the error too, and nothing half-done is stored."""


@_provider(86, DEBUG, "%(turns)s turns and %(results)s results in one transaction, %(seconds).4f s")
def group_committed(*, turns: int, results: int = 0, seconds: float = 0.0) -> None:
    """One write of the group commit."""


@_orchestration(87, WARNING, "forbidden call in %(name)s %(instance_id)s: %(call)s; move it into an activity")
def forbidden_call(*, instance_id: str, execution_id: str, name: str, call: str) -> None:
    """File, socket or subprocess in orchestration code; the code got a ForbiddenCallError."""


@_orchestration(88, INFO, "%(count)s instances purged from %(hub)s")
def instances_purged(*, hub: str, count: int) -> None:
    """Ended ones, with their history."""


@_worker(89, WARNING, "%(what)s failed in tracing and was left out: %(error)s")
def tracing_failed(*, what: str, error: BaseException | str) -> None:
    """A span sink raised; the work it watched goes on."""
