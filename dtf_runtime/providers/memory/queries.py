"""Which instances a query means, and its pages: by (created, position), which nothing that is written meanwhile can move."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime

from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus
from dtf_runtime.providers.memory.records import Instance


def chosen(instances: Iterable[Instance], query: OrchestrationQuery) -> list[Instance]:
    """All that fulfil it, in its order."""
    found = [instance for instance in instances if _fulfils(instance, query)]
    found.sort(key=_place, reverse=query.newest_first)
    return found


def page(
    instances: Iterable[Instance], query: OrchestrationQuery, continuation: str | None
) -> tuple[list[InstanceState], str | None]:
    found = chosen(instances, query)
    if continuation is not None:
        last = _parsed(continuation)
        found = [one for one in found if (_place(one) < last if query.newest_first else _place(one) > last)]
    shown = found[: query.page_size]
    more = len(found) > len(shown)
    return [one.state(one.execution) for one in shown], _token(shown[-1]) if more and shown else None


def counted(instances: Iterable[Instance], query: OrchestrationQuery) -> dict[OrchestrationStatus, int]:
    return dict(Counter(one.status for one in instances if _fulfils(one, query)))


def _place(instance: Instance) -> tuple[datetime, int]:
    return instance.created, instance.position


def _token(instance: Instance) -> str:
    return f"{instance.created.isoformat()} {instance.position}"


def _parsed(continuation: str) -> tuple[datetime, int]:
    created, _, position = continuation.partition(" ")
    try:
        return datetime.fromisoformat(created), int(position)
    except ValueError:
        raise InvalidArgumentError(f"{continuation!r} is no continuation token of this hub") from None


def _fulfils(instance: Instance, query: OrchestrationQuery) -> bool:
    parent_id = None if instance.parent is None else instance.parent.instance_id
    return (
        (not query.statuses or instance.status in query.statuses)
        and query.name in (None, instance.name)
        and query.version in (None, instance.execution.version)
        and query.parent_id in (None, parent_id)
        and instance.instance_id.startswith(query.instance_id_prefix or "")
        and _within(instance.created, query.created_after, query.created_before)
        and _within(instance.updated, query.updated_after, query.updated_before)
        and _within(instance.execution.completed, query.completed_after, query.completed_before)
        and all(instance.tags.get(key) == value for key, value in query.tags.items())
    )


def _within(moment: datetime | None, after: datetime | None, before: datetime | None) -> bool:
    if moment is None:
        return after is None and before is None
    return (after is None or moment >= after) and (before is None or moment <= before)
