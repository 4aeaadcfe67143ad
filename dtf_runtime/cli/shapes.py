"""The JSON that programs get: stable shapes, described in docs/command.md. A field may be added, never renamed or
dropped.
"""

from datetime import UTC, datetime
from typing import Any

from dtf_runtime import FailureDetails, InstanceState


def instant(value: datetime | None) -> str | None:
    """ISO 8601 in UTC with microseconds: sorts as text."""
    return None if value is None else value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def state(value: InstanceState) -> dict[str, Any]:
    return {
        "instance_id": value.instance_id,
        "execution_id": value.execution_id,
        "name": value.name,
        "version": value.version,
        "status": value.status.value,
        "input": value.input,
        "output": value.output,
        "failure": failure(value.failure),
        "custom_status": value.custom_status,
        "created_at": instant(value.created_at),
        "updated_at": instant(value.updated_at),
        "completed_at": instant(value.completed_at),
        "scheduled_at": instant(value.scheduled_at),
        "parent_id": value.parent_id,
        "tags": dict(value.tags),
        "history_length": value.history_length,
    }


def failure(value: FailureDetails | None) -> dict[str, Any] | None:
    if value is None:
        return None
    return {
        "type": value.type,
        "message": value.message,
        "stack_trace": value.stack_trace,
        "inner_failure": failure(value.inner_failure),
        "group": [failure(member) for member in value.group],
        "non_retriable": value.non_retriable,
        "retry_after": value.retry_after,
        "properties": dict(value.properties),
    }
