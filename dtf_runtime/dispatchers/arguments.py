"""Arguments of the client, checked before anything is stored, in the form in which providers get them."""

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from dtf_runtime.checks import check_count, check_tags, check_text
from dtf_runtime.clock import utc
from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.model.state import OrchestrationQuery, OrchestrationStatus

EVERY_INSTANCE = OrchestrationQuery()
_INSTANTS = (
    "created_after",
    "created_before",
    "updated_after",
    "updated_before",
    "completed_after",
    "completed_before",
)


def checked_execution_id(value: str | None) -> str | None:
    return None if value is None else check_text(value, "execution_id", longest=500)


def checked_reason(value: str) -> str:
    if not isinstance(value, str):
        raise InvalidArgumentError(f"reason must be a str, not {value!r} ({type(value).__name__})")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidArgumentError(f"reason has a lone surrogate, which can't be stored: {error}") from None
    return value


def checked_statuses(values: Any, what: str) -> frozenset[OrchestrationStatus]:
    known = ", ".join(f"OrchestrationStatus.{status.name}" for status in OrchestrationStatus)
    if isinstance(values, str) or not isinstance(values, Collection):
        raise InvalidArgumentError(f"{what} must be a collection of statuses ({known}), not {values!r}")
    try:
        return frozenset(OrchestrationStatus(value) for value in values)
    except (ValueError, TypeError):
        raise InvalidArgumentError(f"{what} must hold statuses ({known}), not {list(values)!r}") from None


def checked_query(query: OrchestrationQuery) -> OrchestrationQuery:
    """The same query in the form that providers get: statuses a tuple, instants in UTC."""
    if query is EVERY_INSTANCE:
        return query
    if not isinstance(query, OrchestrationQuery):
        raise InvalidArgumentError(f"query must be an OrchestrationQuery, not {query!r} ({type(query).__name__})")
    changes: dict[str, Any] = {"statuses": tuple(sorted(checked_statuses(query.statuses, "statuses")))}
    for name in _INSTANTS:
        value = getattr(query, name)
        if value is not None:
            changes[name] = utc(value, name)
    for name in ("name", "version", "parent_id", "instance_id_prefix"):
        value = getattr(query, name)
        if value is not None and value != "":
            check_text(value, name, longest=500)
    changes["tags"] = check_tags(query.tags)
    check_count(query.page_size, "page_size")
    if query.limit is not None:
        check_count(query.limit, "limit")
    return replace(query, **changes)
