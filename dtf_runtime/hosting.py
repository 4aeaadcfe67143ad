"""`connect` and `run`: from a URL to a service, and a whole task hub in one line for a script."""

from collections.abc import Callable
from typing import Any, TypeVar, overload

from dtf_runtime.client import OrchestrationHandle, TaskHubClient, start_message
from dtf_runtime.definitions import ChildCall, Registry, default_registry
from dtf_runtime.dispatchers.connecting import as_service
from dtf_runtime.dispatchers.connecting import connect as connect
from dtf_runtime.errors import DefinitionNotFoundError, OrchestrationAlreadyExistsError
from dtf_runtime.service import OrchestrationService
from dtf_runtime.worker import DEFAULT_OPTIONS, TaskHubWorker, WorkerOptions

_R = TypeVar("_R")
_I = TypeVar("_I")
_NONE: Any = object()


@overload
async def run(
    orchestration: Callable[[], ChildCall[_R]],
    /,
    *,
    service: OrchestrationService | str = "sqlite:///dtf.db",
    instance_id: str | None = None,
    registry: Registry = ...,
    options: WorkerOptions = ...,
) -> _R: ...
@overload
async def run(
    orchestration: Callable[[_I], ChildCall[_R]],
    input: _I,
    /,
    *,
    service: OrchestrationService | str = "sqlite:///dtf.db",
    instance_id: str | None = None,
    registry: Registry = ...,
    options: WorkerOptions = ...,
) -> _R: ...
async def run(
    orchestration: Any,
    input: Any = _NONE,
    /,
    *,
    service: OrchestrationService | str = "sqlite:///dtf.db",
    instance_id: str | None = None,
    registry: Registry = default_registry,
    options: WorkerOptions = DEFAULT_OPTIONS,
) -> Any:
    """Worker and client in one call: starts the orchestration, works until it has finished, gives its result or raises as `handle.result` does.

    An `instance_id` that exists is taken up where it stands, so the same script goes on after a crash; a finished one gives its result
    again. DefinitionNotFoundError, before anything is stored, when `registry` lacks the orchestration.
    """
    hub = as_service(service)
    inputs = () if input is _NONE else (input,)
    wanted = start_message(orchestration, inputs, instance_id)
    worker = TaskHubWorker(hub, registry=registry, options=options)
    if not worker.knows(wanted.name, wanted.version):
        raise DefinitionNotFoundError(
            f"run can't work on orchestration {wanted.name!r} version {wanted.version!r}: the registry it was given has no such "
            f"definition; give it the registry that the function was decorated with"
        )
    async with TaskHubClient(hub) as client, worker:
        handle = await _begun(client, orchestration, inputs, wanted.name, instance_id)
        return await handle.result()


async def _begun(
    client: TaskHubClient, orchestration: Any, inputs: tuple[Any, ...], name: str, instance_id: str | None
) -> OrchestrationHandle[Any]:
    """Started, or taken up. Looks first: an id that one knows is there is no reason to try a start."""
    wanted = instance_id or getattr(orchestration, "instance_id", None)
    state = None if wanted is None else await client.get_state(wanted)
    if state is None:
        try:
            return await client.start(orchestration, *inputs, instance_id=wanted)
        except OrchestrationAlreadyExistsError:  # somebody else was quicker
            state = None if wanted is None else await client.get_state(wanted)
            if state is None:
                raise
    if state.name != name:
        raise OrchestrationAlreadyExistsError(
            f"run can't take up instance {state.instance_id!r} as {name!r}: it is one of {state.name!r}; choose another instance_id"
        )
    return client.taken_up(orchestration, state.instance_id)
