"""Catalogue entries of what hosts instances: worker, dispatchers, locks, providers. Import them from `events`."""

from logging import DEBUG, ERROR, INFO, WARNING

from dtf_runtime.tracing._define import Source

_worker = Source("worker")
_dispatcher = Source("dispatcher")
_provider = Source("provider")


@_worker(11, INFO, "worker %(worker)s started on %(hub)s")
def worker_started(*, worker: str, hub: str, orchestrations: int = 0, activities: int = 0) -> None:
    """It takes work from now on; the counts are those of the definitions it can run."""


@_worker(12, INFO, "worker %(worker)s is stopping, grace %(grace)s s")
def worker_stopping(*, worker: str, grace: float, reason: str = "") -> None:
    """It takes no new work and waits for what runs."""


@_worker(13, INFO, "worker %(worker)s stopped")
def worker_stopped(*, worker: str, handed_back: int = 0) -> None:
    """Nothing of it runs any more."""


@_worker(100, ERROR, "worker %(worker)s: %(where)s failed: %(error)s")
def worker_error(*, worker: str, where: str, error: BaseException | str) -> None:
    """Something of the worker itself failed, not of one instance; it goes on if it can."""


@_dispatcher(20, INFO, "%(dispatcher)s dispatcher of worker %(worker)s started, %(slots)s slots")
def dispatcher_started(*, dispatcher: str, worker: str, slots: int = 0) -> None:
    """`dispatcher` is `orchestration` or `activity`; 0 slots: no limit."""


@_dispatcher(25, WARNING, "%(dispatcher)s dispatcher could not lock work, next try in %(delay)s s: %(error)s")
def lock_failed(*, dispatcher: str, delay: float, error: BaseException | str) -> None:
    """The provider failed when it was asked for work."""


@_dispatcher(
    101,
    WARNING,
    "commit of instance %(instance_id)s refused: %(reason)s; the turn is dropped and run again from what is stored",
)
def commit_refused(*, instance_id: str, execution_id: str, reason: str = "the lock was lost") -> None:
    """Another worker has or had the instance; what this one computed is not stored."""


@_dispatcher(29, ERROR, "a turn of instance %(instance_id)s failed: %(error)s")
def turn_failed(*, instance_id: str, execution_id: str = "", name: str = "", error: BaseException | str) -> None:
    """The turn, not the instance: it stays as it is stored and is tried again."""


@_dispatcher(102, WARNING, "work of instance %(instance_id)s abandoned for %(delay)s s: %(reason)s")
def work_abandoned(*, instance_id: str, reason: str, delay: float, execution_id: str = "", name: str = "") -> None:
    """Given back to the provider, to be taken again after `delay` by any worker; `name` when it is an activity's."""


@_dispatcher(
    103,
    WARNING,
    "no code here for %(kind)s %(name)s %(version)s, which instance %(instance_id)s needs; register it, "
    "or start a worker that has it",
)
def missing_definition(
    *, kind: str, name: str, version: str, instance_id: str, execution_id: str = "", delay: float = 0.0
) -> None:
    """`kind` is `orchestration` or `activity`; the work waits for a worker that has the code."""


@_dispatcher(
    104,
    ERROR,
    "instance %(instance_id)s failed as poison after %(deliveries)s deliveries, message set aside: %(error)s",
)
def poison_set_aside(
    *, instance_id: str, deliveries: int, error: BaseException | str, execution_id: str = "", message_id: str = ""
) -> None:
    """Delivered `max_delivery_count` times and never finished: the instance ends, its queue goes on."""


@_dispatcher(
    105,
    WARNING,
    "a turn of instance %(instance_id)s (%(name)s) has held the worker's thread for %(seconds).1f s:\n%(stack)s",
)
def blocked_thread(*, instance_id: str, seconds: float, stack: str, execution_id: str = "", name: str = "") -> None:
    """Longer than `blocked_after`; `stack` is where it hangs. Move blocking work into an activity."""


@_provider(150, ERROR, "a row of %(table)s (%(key)s) can't be read and was set aside: %(error)s")
def row_set_aside(*, table: str, key: str, error: BaseException | str, instance_id: str = "") -> None:
    """This version can't read it; it is kept, and its instance does not run."""


@_dispatcher(106, WARNING, "the worker's event loop was %(seconds).2f s late; something blocks it")
def loop_lag(*, seconds: float, worker: str = "") -> None:
    """Timers and renewals of every instance here were late by that much."""


@_dispatcher(21, INFO, "%(dispatcher)s dispatcher of worker %(worker)s stopped")
def dispatcher_stopped(*, dispatcher: str, worker: str) -> None:
    """It takes no more work; what it held is committed or given back."""


@_dispatcher(71, DEBUG, "%(kind)s lock of %(instance_id)s renewed")
def lock_renewed(*, instance_id: str, kind: str, task_id: int = 0, seconds: float = 0.0) -> None:
    """`kind` is `orchestration` or `activity`; `seconds` is how long it now lasts."""


@_dispatcher(72, WARNING, "%(kind)s lock of %(instance_id)s not renewed: %(error)s")
def renew_failed(*, instance_id: str, kind: str, error: BaseException | str, task_id: int = 0) -> None:
    """Tried again until the lock has run out."""


@_provider(151, WARNING, "worker %(owner)s is dead; took over %(instances)s instances and %(activities)s activities")
def owner_dead(*, owner: str, instances: int = 0, activities: int = 0) -> None:
    """Its file lock was free, so its leases are too."""


@_provider(152, DEBUG, "another process changed %(hub)s")
def foreign_change(*, hub: str) -> None:
    """Noticed by the provider's poll; it looks for work."""


@_provider(153, WARNING, "lease of %(instance_id)s lost to %(owner)s")
def lease_lost(*, instance_id: str, owner: str = "another worker", execution_id: str = "", task_id: int = 0) -> None:
    """It ran out, or this process was taken for dead. What is in flight can't be committed."""


@_provider(154, INFO, "hub %(hub)s created")
def hub_created(*, hub: str, schema_version: int = 0) -> None:
    """There was none at that place."""


@_provider(155, INFO, "hub %(hub)s opened, schema version %(schema_version)s")
def hub_opened(*, hub: str, schema_version: int = 0) -> None:
    """The first client or worker was entered."""


@_provider(156, INFO, "hub %(hub)s closed")
def hub_closed(*, hub: str) -> None:
    """The last client or worker was left."""


@_provider(157, WARNING, "hub %(hub)s migrated from schema version %(old)s to %(new)s")
def hub_migrated(*, hub: str, old: int, new: int) -> None:
    """Older code refuses it from now on."""


@_provider(158, WARNING, "%(operation)s failed on %(hub)s, next try in %(delay)s s: %(error)s")
def provider_retried(*, hub: str, operation: str, delay: float, error: BaseException | str) -> None:
    """A passing trouble, such as a database that is locked."""


@_provider(159, ERROR, "%(operation)s failed on %(hub)s: %(error)s")
def provider_failed(*, hub: str, operation: str, error: BaseException | str, instance_id: str = "") -> None:
    """Disk full, file damaged, server gone: the caller gets the error too, and nothing half-done is stored."""


@_provider(160, DEBUG, "%(turns)s turns and %(results)s results in one transaction, %(seconds).4f s")
def group_committed(*, turns: int, results: int = 0, seconds: float = 0.0) -> None:
    """One write of the group commit."""


@_worker(107, WARNING, "%(what)s failed in tracing and was left out: %(error)s")
def tracing_failed(*, what: str, error: BaseException | str) -> None:
    """A span sink raised; the work it watched goes on."""
