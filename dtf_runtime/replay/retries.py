"""The verdict on a failed attempt (rule 16): computed once, live, and stored; replay never comes here."""

import random
from datetime import datetime, timedelta

from dtf_runtime.definitions import RetryPolicy
from dtf_runtime.errors import FailureDetails, qualified_name, seconds
from dtf_runtime.replay.futures import NumberedCall
from dtf_runtime.tracing import events as trace

_LONGEST = 10 * 365 * 86_400.0  # seconds; an exponent must not overflow a date
_WRAPPERS = ("dtf_runtime.TaskFailedError", "dtf_runtime.SubOrchestrationFailedError")


def verdict(call: NumberedCall, failure: FailureDetails, at: datetime, instance_id: str) -> datetime | None:
    """When the next attempt is due; None: this failure is final."""
    policy = call.policy
    if policy is None or call.attempt >= policy.max_attempts or not _may_repeat(policy, failure):
        return None
    delay = retry_delay(policy, call.attempt, failure.retry_after)
    retry_at = at + timedelta(seconds=delay)
    if policy.timeout is not None and retry_at.timestamp() > call.since + seconds(policy.timeout, "timeout"):
        return None
    trace.activity_retried(
        instance_id=instance_id,
        execution_id=call.execution.execution_id,
        name=call.name,
        task_id=call.number,
        attempt=call.attempt,
        delay=delay,
        error=f"{failure.type}: {failure.message}",
    )
    return retry_at


def retry_delay(policy: RetryPolicy, attempt: int, retry_after: float | None = None) -> float:
    """Seconds between attempt `attempt` (from 1) and the next."""
    if retry_after is not None:
        return min(max(retry_after, 0.0), _LONGEST)
    most = _LONGEST if policy.max_interval is None else seconds(policy.max_interval, "max_interval")
    first = seconds(policy.first_interval, "first_interval")
    try:
        delay = min(first * policy.backoff_coefficient ** (attempt - 1), most)
    except OverflowError:
        delay = most
    if policy.jitter:
        delay *= 1 + random.uniform(-policy.jitter, policy.jitter)
    return min(delay, _LONGEST)


def _may_repeat(policy: RetryPolicy, failure: FailureDetails) -> bool:
    inner: FailureDetails | None = failure
    while inner is not None:
        if inner.non_retriable:
            return False
        inner = inner.inner_failure if inner.type in _WRAPPERS else None
    cause = _cause(failure)
    for kind in policy.non_retriable:
        name = kind if isinstance(kind, str) else qualified_name(kind)
        for known in (cause.type, *cause.bases):
            if name in (known, known.rpartition(".")[2]):
                return False
    if policy.retry_if is None:
        return True
    try:
        return bool(policy.retry_if(failure))
    except Exception:
        return False


def _cause(failure: FailureDetails) -> FailureDetails:
    """What an activity or child failed with, below what merely carried it up."""
    while failure.type in _WRAPPERS and failure.inner_failure is not None:
        failure = failure.inner_failure
    return failure
