"""Durable orchestrations as ordinary async Python. The public names, and nothing else: no SDK is loaded here, and no provider.

What defines activities and orchestrations is here at once; what runs them is loaded when it is first asked for.
"""

from typing import TYPE_CHECKING, Any

from dtf_runtime.clock import Clock, Duration
from dtf_runtime.definitions import (
    Activity,
    Call,
    ChildCall,
    Orchestration,
    Registry,
    RetryPolicy,
    activity,
    default_registry,
    orchestration,
)
from dtf_runtime.dispatchers.activity_context import ActivityContext, activity_context
from dtf_runtime.errors import (
    DefinitionNotFoundError,
    DuplicateDefinitionError,
    DurableTaskError,
    FailureDetails,
    ForbiddenCallError,
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidStateError,
    LockLostError,
    NonDeterminismError,
    NonRetriableError,
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationFailedError,
    OrchestrationTerminatedError,
    OutsideActivityError,
    OutsideOrchestrationError,
    ProviderError,
    RetryAfter,
    SerializationError,
    SubOrchestrationFailedError,
    TaskFailedError,
)
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus, ParentInstance, PurgeResult
from dtf_runtime.plugins import ConnectorInfo
from dtf_runtime.replay.context import OrchestrationContext
from dtf_runtime.replay.saga import Saga
from dtf_runtime.service import InstanceStore, OrchestrationService

if TYPE_CHECKING:
    from dtf_runtime.client import OrchestrationHandle, TaskHubClient
    from dtf_runtime.hosting import connect, run
    from dtf_runtime.worker import NonDeterminismPolicy, TaskHubWorker, VersionPolicy, WorkerOptions

__all__ = [
    "Activity",
    "ActivityContext",
    "Call",
    "ChildCall",
    "Clock",
    "ConnectorInfo",
    "DefinitionNotFoundError",
    "DuplicateDefinitionError",
    "DurableTaskError",
    "Duration",
    "FailureDetails",
    "ForbiddenCallError",
    "HistoryEvent",
    "InstanceNotFoundError",
    "InstanceState",
    "InstanceStore",
    "InvalidArgumentError",
    "InvalidStateError",
    "LockLostError",
    "NonDeterminismError",
    "NonDeterminismPolicy",
    "NonRetriableError",
    "Orchestration",
    "OrchestrationAlreadyExistsError",
    "OrchestrationCancelledError",
    "OrchestrationContext",
    "OrchestrationFailedError",
    "OrchestrationHandle",
    "OrchestrationQuery",
    "OrchestrationService",
    "OrchestrationStatus",
    "OrchestrationTerminatedError",
    "OutsideActivityError",
    "OutsideOrchestrationError",
    "ParentInstance",
    "ProviderError",
    "PurgeResult",
    "Registry",
    "RetryAfter",
    "RetryPolicy",
    "Saga",
    "SerializationError",
    "SubOrchestrationFailedError",
    "TaskFailedError",
    "TaskHubClient",
    "TaskHubWorker",
    "VersionPolicy",
    "WorkerOptions",
    "activity",
    "activity_context",
    "connect",
    "default_registry",
    "orchestration",
    "run",
]

_LATER = {
    "dtf_runtime.client": ("OrchestrationHandle", "TaskHubClient"),
    "dtf_runtime.hosting": ("connect", "run"),
    "dtf_runtime.worker": ("NonDeterminismPolicy", "TaskHubWorker", "VersionPolicy", "WorkerOptions"),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for module, names in _LATER.items():
        if name in names:
            loaded = import_module(module)
            globals().update({each: getattr(loaded, each) for each in names})
            return globals()[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
