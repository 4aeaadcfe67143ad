"""Catalogue entries of one orchestration instance's life. Import them from `events`."""

from logging import DEBUG, ERROR, INFO, WARNING

from dtf_runtime.tracing._define import Source

_orchestration = Source("orchestration")


@_orchestration(110, INFO, "orchestration %(name)s started as %(instance_id)s")
def orchestration_started(
    *, instance_id: str, execution_id: str, name: str, version: str = "", parent_id: str = ""
) -> None:
    """Its first turn, live."""


@_orchestration(49, INFO, "orchestration %(name)s %(instance_id)s completed")
def orchestration_completed(*, instance_id: str, execution_id: str, name: str, seconds: float = 0.0) -> None:
    """With a result; `seconds` since it was created."""


@_orchestration(111, WARNING, "orchestration %(name)s %(instance_id)s failed: %(error)s")
def orchestration_failed(
    *, instance_id: str, execution_id: str, name: str, error: BaseException | str, seconds: float = 0.0
) -> None:
    """An error escaped it, or it was failed from outside (stuck, poison, non-determinism)."""


@_orchestration(112, INFO, "orchestration %(name)s %(instance_id)s cancelled")
def orchestration_cancelled(
    *, instance_id: str, execution_id: str, name: str, reason: str = "", seconds: float = 0.0
) -> None:
    """A cancel was asked for and the code let it through, compensation included."""


@_orchestration(42, INFO, "orchestration %(name)s %(instance_id)s terminated: %(reason)s")
def orchestration_terminated(
    *, instance_id: str, execution_id: str, name: str, reason: str = "", seconds: float = 0.0
) -> None:
    """Ended at once, no code of it was run."""


@_orchestration(113, INFO, "orchestration %(name)s %(instance_id)s continues as new execution %(new_execution_id)s")
def continued_as_new(
    *, instance_id: str, execution_id: str, new_execution_id: str, name: str, version: str = "", carried_events: int = 0
) -> None:
    """`version` is that of the new execution."""


@_orchestration(51, DEBUG, "turn of %(instance_id)s: %(messages)s new messages, %(history)s events to replay")
def turn_started(*, instance_id: str, execution_id: str, messages: int, history: int = 0, name: str = "") -> None:
    """`history` is 0 when the live orchestration was still in memory."""


@_orchestration(52, DEBUG, "turn of %(instance_id)s committed: %(events)s new events")
def turn_committed(
    *, instance_id: str, execution_id: str, events: int, messages: int = 0, status: str = "", seconds: float = 0.0
) -> None:
    """It is durable; `messages` is what it sends."""


@_orchestration(54, WARNING, "event %(event_name)s for instance %(instance_id)s dropped: %(reason)s")
def event_dropped(
    *, instance_id: str, event_name: str, reason: str, execution_id: str = "", sender_id: str = ""
) -> None:
    """An external event that reaches nobody: unknown or ended instance, another execution."""


@_orchestration(114, INFO, "%(kind)s of task %(task_id)s of %(instance_id)s dropped: %(reason)s")
def result_dropped(*, instance_id: str, execution_id: str, kind: str, task_id: int, reason: str) -> None:
    """A repeated or late completion; `kind` is the event's, such as `TaskCompleted` or `TimerFired`."""


@_orchestration(41, INFO, "event %(event_name)s raised to %(instance_id)s")
def event_raised(*, instance_id: str, event_name: str, execution_id: str = "", sender_id: str = "") -> None:
    """An external event was accepted."""


@_orchestration(115, ERROR, "orchestration %(name)s %(instance_id)s is not deterministic: %(error)s")
def non_determinism(
    *, instance_id: str, execution_id: str, name: str, error: BaseException | str, policy: str = "", delay: float = 0.0
) -> None:
    """The error shows history's side and the code's; `policy` is `block` (tried again in `delay`) or `fail`."""


@_orchestration(116, WARNING, "%(instance_id)s ended with a failure that nobody awaited (%(call)s): %(error)s")
def unawaited_failure(*, instance_id: str, execution_id: str, call: str, error: BaseException | str) -> None:
    """Once for each, at the end of the execution; `call` names the activity, child or task."""


@_orchestration(117, DEBUG, "%(instance_id)s evicted from memory: %(reason)s")
def instance_evicted(*, instance_id: str, execution_id: str, reason: str) -> None:
    """Its next turn replays from history."""


@_orchestration(
    118,
    WARNING,
    "decision %(number)s of %(instance_id)s (%(call)s) has other arguments than in history; history's stand",
)
def arguments_changed(*, instance_id: str, execution_id: str, number: int, call: str) -> None:
    """On replay the same call was made with other arguments: the code is not deterministic, or was changed."""


@_orchestration(119, WARNING, "%(instance_id)s could not start %(name)s as %(taken_id)s: that id is taken")
def start_id_taken(
    *, instance_id: str, taken_id: str, name: str, execution_id: str = "", detached: bool = False
) -> None:
    """A detached start is left alone; a child's parent gets the failure as well."""


@_orchestration(120, WARNING, "cancel of %(instance_id)s dropped: %(reason)s")
def cancel_dropped(*, instance_id: str, execution_id: str = "", reason: str) -> None:
    """A second one, or one for an ended instance. `terminate` ends an instance that resists."""


@_orchestration(121, INFO, "%(instance_id)s rewound: %(removed)s events cut, %(reason)s")
def rewound(*, instance_id: str, execution_id: str, removed: int, reason: str = "") -> None:
    """Failed results went, what came after them is fed again, open calls are scheduled again."""


@_orchestration(
    122,
    ERROR,
    "a coroutine of %(instance_id)s would not close: %(coroutine)s; it is kept in memory so that its "
    "cleanup can't run here",
)
def coroutine_would_not_close(*, instance_id: str, execution_id: str, coroutine: str) -> None:
    """It awaits again and again while it is evicted. Look for an `except BaseException` or a `finally` that loops."""


@_orchestration(68, INFO, "%(instance_id)s suspended: %(reason)s")
def suspended(*, instance_id: str, execution_id: str = "", reason: str = "") -> None:
    """Events queue until it is resumed."""


@_orchestration(69, INFO, "%(instance_id)s resumed: %(reason)s")
def resumed(*, instance_id: str, execution_id: str = "", reason: str = "", queued: int = 0) -> None:
    """`queued` events are fed now, in the order they came."""


@_orchestration(123, WARNING, "forbidden call in %(name)s %(instance_id)s: %(call)s; move it into an activity")
def forbidden_call(*, instance_id: str, execution_id: str, name: str, call: str) -> None:
    """File, socket or subprocess in orchestration code; the code got a ForbiddenCallError."""


@_orchestration(124, INFO, "%(count)s instances purged from %(hub)s")
def instances_purged(*, hub: str, count: int) -> None:
    """Ended ones, with their history."""
