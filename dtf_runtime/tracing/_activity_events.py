"""Catalogue entries of one activity's life. Import them from `events`."""

from logging import DEBUG, INFO, WARNING

from dtf_runtime.tracing._define import Source

_activity = Source("activity")


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
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    task_id: int,
    error: BaseException | str,
    attempt: int = 1,
    seconds: float = 0.0,
) -> None:
    """One attempt; whether another follows is the policy's."""


@_activity(
    140,
    INFO,
    "%(name)s, task %(task_id)s of %(instance_id)s, is tried again in %(delay).3f s, attempt %(attempt)s: %(error)s",
)
def activity_retried(
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    task_id: int,
    attempt: int,
    delay: float,
    error: BaseException | str = "",
) -> None:
    """The policy's verdict, stored; `attempt` is the one that follows. Children too."""


@_activity(141, INFO, "activity %(name)s cancelled, task %(task_id)s of %(instance_id)s: %(reason)s")
def activity_cancelled(
    *, instance_id: str, execution_id: str, name: str, task_id: int, reason: str = "", attempt: int = 1
) -> None:
    """It was told; its result, if one still comes, is dropped."""


@_activity(
    142,
    WARNING,
    "activity %(name)s timed out after %(timeout)s s, task %(task_id)s of %(instance_id)s, attempt %(attempt)s",
)
def activity_timed_out(
    *,
    instance_id: str,
    execution_id: str,
    name: str,
    task_id: int,
    timeout: float,
    attempt: int = 1,
    kind: str = "timeout",
) -> None:
    """`kind` is `timeout` or `heartbeat_timeout`."""


@_activity(63, INFO, "activity %(name)s handed back, task %(task_id)s of %(instance_id)s: %(reason)s")
def activity_handed_back(
    *, instance_id: str, execution_id: str, name: str, task_id: int, reason: str = "the worker stops", attempt: int = 1
) -> None:
    """Another worker runs it again, with its last heartbeat."""


@_activity(
    143,
    WARNING,
    "a heartbeat of activity %(name)s was not stored, task %(task_id)s of %(instance_id)s: %(error)s",
)
def heartbeat_failed(
    *, instance_id: str, execution_id: str, name: str, task_id: int, error: BaseException | str
) -> None:
    """Its details were refused or the provider failed; the activity runs on."""
