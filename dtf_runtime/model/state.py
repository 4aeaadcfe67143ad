"""An instance as its client sees it: status, state, the queries over them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from dtf_runtime.errors import FailureDetails


class OrchestrationStatus(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    SUSPENDED = "suspended"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    TERMINATED = "terminated"
    CONTINUED_AS_NEW = "continued_as_new"  # of an earlier execution only

    @property
    def is_final(self) -> bool:
        return self in _FINAL


_FINAL = frozenset(
    {
        OrchestrationStatus.COMPLETED,
        OrchestrationStatus.FAILED,
        OrchestrationStatus.CANCELLED,
        OrchestrationStatus.TERMINATED,
        OrchestrationStatus.CONTINUED_AS_NEW,
    }
)


@dataclass(frozen=True)
class ParentInstance:
    """Who called this orchestration."""

    instance_id: str
    execution_id: str
    name: str
    version: str


class ParentLink(msgspec.Struct, frozen=True, omit_defaults=True):
    """The call in the parent that a child answers."""

    instance_id: str
    execution_id: str
    name: str
    version: str = ""
    number: int = 0
    attempt: int = 1


class InstanceState(msgspec.Struct, frozen=True, kw_only=True):
    """One execution of an instance. `input`, `output` and `custom_status` are plain JSON values, decoded when read."""

    instance_id: str
    execution_id: str
    name: str
    version: str
    status: OrchestrationStatus
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    scheduled_at: datetime | None = None
    parent_id: str | None = None
    tags: Mapping[str, str] = {}
    failure: FailureDetails | None = None
    history_length: int = 0
    input_json: bytes | None = None
    output_json: bytes | None = None
    custom_status_json: bytes | None = None

    @property
    def input(self) -> Any:
        return _plain(self.input_json)

    @property
    def output(self) -> Any:
        return _plain(self.output_json)

    @property
    def custom_status(self) -> Any:
        return _plain(self.custom_status_json)


def _plain(data: bytes | None) -> Any:
    return None if not data else msgspec.json.decode(data)


@dataclass(frozen=True, kw_only=True)
class OrchestrationQuery:
    """Which instances. All given conditions must hold, bounds are inclusive, the order is by creation."""

    statuses: Collection[OrchestrationStatus] = ()
    name: str | None = None
    version: str | None = None
    instance_id_prefix: str | None = None
    created_after: datetime | None = None
    created_before: datetime | None = None
    updated_after: datetime | None = None
    updated_before: datetime | None = None
    completed_after: datetime | None = None
    completed_before: datetime | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    parent_id: str | None = None
    page_size: int = 100
    limit: int | None = None
    newest_first: bool = True


@dataclass(frozen=True, kw_only=True)
class PurgeResult:
    deleted: int
    is_complete: bool
