"""TaskHubClient: starts instances, waits for them, asks and tells them things.

It stores nothing itself and runs nothing: everything is one call of the service. Arguments are checked before anything is stored.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from types import TracebackType, UnionType
from typing import Any, Generic, Literal, Self, TypeVar, overload

from msgspec import UNSET, Raw

from dtf_runtime.checks import check_instance_id, check_tags, check_text, check_version
from dtf_runtime.clock import utc
from dtf_runtime.converter import decode, encode
from dtf_runtime.definitions import ChildCall, Orchestration
from dtf_runtime.dispatchers.arguments import (
    EVERY_INSTANCE,
    checked_execution_id,
    checked_query,
    checked_reason,
    checked_statuses,
)
from dtf_runtime.dispatchers.connecting import as_service
from dtf_runtime.errors import (
    Duration,
    FailureDetails,
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidStateError,
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationFailedError,
    OrchestrationTerminatedError,
    seconds,
)
from dtf_runtime.ids import unique_id
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.messages import Control, ExternalEvent, StartExecution
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus, PurgeResult
from dtf_runtime.service import OrchestrationService, Outcome, Watch

_R = TypeVar("_R")
_I = TypeVar("_I")
_T = TypeVar("_T")
_NONE: Any = object()
_FINAL = frozenset(status for status in OrchestrationStatus if status.is_final)

Decode = Callable[[bytes, str], Any]


class OrchestrationHandle(Generic[_R]):
    """One instance, by its id: of whichever execution it has."""

    instance_id: str

    def __init__(
        self, service: OrchestrationService, instance_id: str, decode: Decode, watch: Watch | None = None
    ) -> None:
        self.instance_id = instance_id
        self._service = service
        self._decode = decode
        self._watch = watch

    async def result(self, timeout: Duration | None = None) -> _R:
        """What it returned. `timeout` in seconds or as a timedelta.

        Raises OrchestrationFailedError, OrchestrationTerminatedError, OrchestrationCancelledError, TimeoutError (it runs on),
        InstanceNotFoundError, and SerializationError when the result is not of the type asked for.
        """
        outcome = await self._outcome(timeout)
        if outcome.status != OrchestrationStatus.COMPLETED:
            raise _error(self.instance_id, outcome)
        if outcome.output is None:
            return None  # type: ignore[return-value]
        result: _R = self._decode(outcome.output, f"the result of {self.instance_id!r}")
        return result

    async def wait(self, timeout: Duration | None = None) -> InstanceState:
        """Its state once it has finished, however that was. Raises TimeoutError and InstanceNotFoundError."""
        await self._outcome(timeout)
        return await self.state()

    async def state(self) -> InstanceState:
        """As it is now. InstanceNotFoundError."""
        return await _state(self._service, self.instance_id)

    async def _outcome(self, timeout: Duration | None) -> Outcome:
        if timeout is None:
            return await self._ended()
        limit = seconds(timeout, "timeout")
        try:
            async with asyncio.timeout(limit) as scope:
                return await self._ended()
        except TimeoutError:
            if not scope.expired():
                raise
            raise TimeoutError(
                f"orchestration {self.instance_id!r} has not finished within {limit:g} s; it goes on, and can be waited for again"
            ) from None

    async def _ended(self) -> Outcome:
        if self._watch is not None:
            outcome, self._watch = await self._watch.outcome(), None
            if outcome.status == OrchestrationStatus.COMPLETED:
                return outcome  # any other end may have been rewound or restarted since
        watch = self._service.watch(self.instance_id)  # before the look, so that no end falls between the two
        state = await _state(self._service, self.instance_id)
        if state.status.is_final:
            return Outcome(state.status, state.output_json, state.failure)
        return await watch.outcome()

    def __repr__(self) -> str:
        return f"<handle of orchestration {self.instance_id!r}>"


class TaskHubClient:
    """Open between `async with`; several may share one service, with workers or without."""

    def __init__(self, service: OrchestrationService | str) -> None:
        self._hub = as_service(service)
        self._entered = 0

    async def __aenter__(self) -> Self:
        await self._hub.start()
        self._entered += 1
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._entered -= 1
        await self._hub.stop()

    @property
    def _service(self) -> OrchestrationService:
        if not self._entered:
            raise InvalidStateError(
                "this TaskHubClient is not open; write `async with TaskHubClient(service) as client:` and use it inside"
            )
        return self._hub

    # -- instances
    @overload
    async def start(
        self,
        orchestration: Callable[[], ChildCall[_R]],
        /,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] = ...,
        start_at: datetime | None = None,
        reuse: Collection[OrchestrationStatus] = (),
    ) -> OrchestrationHandle[_R]: ...
    @overload
    async def start(
        self,
        orchestration: Callable[[_I], ChildCall[_R]],
        input: _I,
        /,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] = ...,
        start_at: datetime | None = None,
        reuse: Collection[OrchestrationStatus] = (),
    ) -> OrchestrationHandle[_R]: ...
    @overload
    async def start(
        self,
        orchestration: str,
        input: object = ...,
        /,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] = ...,
        start_at: datetime | None = None,
        reuse: Collection[OrchestrationStatus] = (),
    ) -> OrchestrationHandle[Any]: ...
    async def start(
        self,
        orchestration: Any,
        input: Any = _NONE,
        /,
        *,
        instance_id: str | None = None,
        version: str | None = None,
        tags: Mapping[str, str] | None = None,
        start_at: datetime | None = None,
        reuse: Collection[OrchestrationStatus] = (),
    ) -> OrchestrationHandle[Any]:
        """Starts an orchestration, or one that is known here by name only. It is durable when this returns.

        `instance_id` defaults to a new unique one, `version` to the definition's own. `start_at` (aware) in the past means now. An id
        that exists raises OrchestrationAlreadyExistsError, unless its status is in `reuse`: then the old execution, live or not, is
        replaced in one step. Raises InvalidArgumentError and SerializationError.
        """
        service = self._service
        inputs = () if input is _NONE else (input,)
        message, decode_result = _start_message(orchestration, inputs, instance_id, version, tags)
        if start_at is not None:
            message.due = utc(start_at, "start_at")
        watch = await service.create(message, checked_statuses(reuse, "reuse") if reuse else frozenset(), watch=True)
        return OrchestrationHandle(service, message.instance_id, decode_result, watch)

    @overload
    def handle(self, instance_id: str) -> OrchestrationHandle[Any]: ...
    @overload
    def handle(self, instance_id: str, result_type: type[_T]) -> OrchestrationHandle[_T]: ...
    @overload
    def handle(self, instance_id: str, result_type: UnionType) -> OrchestrationHandle[Any]: ...
    def handle(self, instance_id: str, result_type: Any = Any) -> OrchestrationHandle[Any]:
        """Of an instance that was started elsewhere; nothing is asked yet. The result is decoded as `result_type`."""
        return OrchestrationHandle(self._service, check_instance_id(instance_id), _decoder(result_type))

    def taken_up(self, orchestration: Orchestration[..., _R] | str, instance_id: str) -> OrchestrationHandle[_R]:
        """The runtime's: a handle of an instance that exists, with the result type of its orchestration."""
        if isinstance(orchestration, str):
            return OrchestrationHandle(self._service, instance_id, _decoder(Any))
        return OrchestrationHandle(self._service, instance_id, orchestration.parameters.decode_result)

    async def get_state(self, instance_id: str, execution_id: str | None = None) -> InstanceState | None:
        """None when there is no such instance, or no such execution of it; by default its latest."""
        return await self._service.get(check_instance_id(instance_id), checked_execution_id(execution_id))

    async def get_history(self, instance_id: str, execution_id: str | None = None) -> list[HistoryEvent]:
        """In order; empty until its first turn. InstanceNotFoundError."""
        service, execution = self._service, checked_execution_id(execution_id)
        history = await service.history(check_instance_id(instance_id), execution)
        if not history:
            await _state(service, instance_id, execution)
        return history

    def query(self, query: OrchestrationQuery = EVERY_INSTANCE) -> AsyncIterator[InstanceState]:
        """The instances that answer it, page by page as they are asked for, newest first by default."""
        return self._pages(self._service, checked_query(query))

    async def _pages(self, service: OrchestrationService, query: OrchestrationQuery) -> AsyncIterator[InstanceState]:
        left, continuation = query.limit, None
        while left is None or left > 0:
            size = query.page_size if left is None else min(query.page_size, left)
            page, continuation = await service.query(replace(query, page_size=size), continuation)
            for state in page if left is None else page[:left]:
                yield state
            if continuation is None:
                return
            left = None if left is None else left - len(page)

    async def count(self, query: OrchestrationQuery = EVERY_INSTANCE) -> dict[OrchestrationStatus, int]:
        """How many, by status."""
        return await self._service.count(checked_query(query))

    # -- telling them something
    async def raise_event(self, instance_id: str, name: str, payload: object = None) -> None:
        """An external event, for `ctx.wait_for_event(name)`. To a finished instance: dropped and traced. InstanceNotFoundError."""
        await self._raise(instance_id, name, payload, unique_id())

    async def raise_event_once(self, instance_id: str, name: str, payload: object = None, *, delivery_id: str) -> None:
        """The kit's: as `raise_event`, but an event with a `delivery_id` that the instance has had is dropped and traced.

        Remembered for all of an execution, and for the last 100 messages over `continue_as_new`; not over a restart. So whoever was
        killed between sending and noting that it was sent may send again.
        """
        check_text(delivery_id, "delivery_id", longest=_LONGEST_NAME)
        message_id = blake2b(f"{name}\0{delivery_id}".encode(), digest_size=16).hexdigest()
        await self._raise(instance_id, name, payload, message_id)

    async def _raise(self, instance_id: str, name: str, payload: object, message_id: str) -> None:
        check_instance_id(instance_id)
        check_text(name, "the name of an event", longest=_LONGEST_NAME)
        data = encode(payload, f"the payload of event {name!r}", root="payload")
        await self._service.send(instance_id, ExternalEvent(id=message_id, name=name, payload=Raw(data)))

    async def terminate(self, instance_id: str, reason: str = "", *, recursive: bool = False) -> None:
        """Ends it at once, no code of it runs. `recursive`: its children too, also of one that has finished. InstanceNotFoundError."""
        await self._service.terminate(check_instance_id(instance_id), checked_reason(reason), bool(recursive))

    async def cancel(self, instance_id: str, reason: str = "") -> None:
        """Raises CancelledError where it waits: its `finally` and its compensations run. InstanceNotFoundError."""
        await self._control(instance_id, "cancel", reason)

    async def suspend(self, instance_id: str, reason: str = "") -> None:
        """What reaches it is kept until it is resumed. InstanceNotFoundError."""
        await self._control(instance_id, "suspend", reason)

    async def resume(self, instance_id: str, reason: str = "") -> None:
        """It gets what was kept, in order. InstanceNotFoundError."""
        await self._control(instance_id, "resume", reason)

    async def rewind(self, instance_id: str, reason: str = "") -> None:
        """Takes a failed one back to before the call that failed, and runs it on. Not FAILED: InvalidStateError. InstanceNotFoundError."""
        checked_reason(reason)
        state = await _state(self._service, check_instance_id(instance_id))
        if state.status != OrchestrationStatus.FAILED:
            raise InvalidStateError(
                f"orchestration {instance_id!r} can't be rewound: it is {state.status}, and only a failed one can; "
                f"a finished one can be restarted"
            )
        await self._control(instance_id, "rewind", reason)

    async def _control(
        self, instance_id: str, action: Literal["cancel", "suspend", "resume", "rewind"], reason: str
    ) -> None:
        control = Control(id=unique_id(), action=action, reason=checked_reason(reason))
        await self._service.send(check_instance_id(instance_id), control)

    async def restart(self, instance_id: str, *, new_id: bool = False) -> OrchestrationHandle[Any]:
        """Starts it anew with the input of its last execution, under its own id or a new one.

        Not finished and not `new_id`: InvalidStateError. InstanceNotFoundError.
        """
        service = self._service
        state = await _state(service, check_instance_id(instance_id))
        if not new_id and not state.status.is_final:
            raise _not_finished(instance_id, state.status)
        message = StartExecution(
            instance_id=unique_id() if new_id else instance_id,
            execution_id=unique_id(),
            name=state.name,
            version=state.version,
            input=Raw(state.input_json) if state.input_json else UNSET,
            tags=dict(state.tags),
        )
        try:
            watch = await service.create(message, frozenset() if new_id else _FINAL, watch=True)
        except OrchestrationAlreadyExistsError:  # somebody else restarted it meanwhile
            raise _not_finished(instance_id, (await _state(service, instance_id)).status) from None
        return OrchestrationHandle(service, message.instance_id, _decoder(Any), watch)

    async def purge(self, which: str | OrchestrationQuery, *, recursive: bool = False) -> PurgeResult:
        """Deletes finished instances with their history. A live one by id: InvalidStateError; by query: skipped. `recursive`: children too."""
        checked = checked_query(which) if isinstance(which, OrchestrationQuery) else check_instance_id(which, "which")
        return await self._service.purge(checked, bool(recursive))


_LONGEST_NAME = 200  # characters, as of a definition


def start_message(orchestration: Any, inputs: tuple[Any, ...], instance_id: str | None) -> StartExecution:
    """What `start` would send. For `run`, which needs to know the name before anything is stored."""
    return _start_message(orchestration, inputs, instance_id, None, None)[0]


def _start_message(
    orchestration: Any,
    inputs: tuple[Any, ...],
    instance_id: str | None,
    version: str | None,
    tags: Mapping[str, str] | None,
) -> tuple[StartExecution, Decode]:
    if isinstance(orchestration, Orchestration):
        name, own_version, own_tags = orchestration.name, orchestration.version, orchestration.tags
        instance_id = orchestration.instance_id if instance_id is None else instance_id
        data = orchestration.parameters.encode_input(inputs, f"the input of orchestration {name!r}")
        decode_result: Decode = orchestration.parameters.decode_result
    elif isinstance(orchestration, str):
        name = check_text(orchestration, "the name of an orchestration", longest=_LONGEST_NAME)
        own_version, own_tags, decode_result = "", {}, _decoder(Any)
        data = encode(inputs[0], f"the input of orchestration {name!r}", root="input") if inputs else b""
    else:
        raise InvalidArgumentError(
            f"start takes a function decorated with @orchestration, or the name of one, not {orchestration!r}"
        )
    message = StartExecution(
        instance_id=unique_id() if instance_id is None else check_instance_id(instance_id),
        execution_id=unique_id(),
        name=name,
        version=own_version if version is None else check_version(version),
        input=Raw(data) if data else UNSET,
        tags={**own_tags, **check_tags(tags)} if tags is not None else dict(own_tags),
    )
    return message, decode_result


def _decoder(result_type: Any) -> Decode:
    return lambda data, what: decode(data, result_type, what)


def _error(instance_id: str, outcome: Outcome) -> Exception:
    reason = outcome.failure.message if outcome.failure is not None else ""
    tail = f": {reason}" if reason else ""
    if outcome.status == OrchestrationStatus.TERMINATED:
        return OrchestrationTerminatedError(f"orchestration {instance_id!r} was terminated{tail}")
    if outcome.status == OrchestrationStatus.CANCELLED:
        return OrchestrationCancelledError(f"orchestration {instance_id!r} was cancelled{tail}")
    failure = outcome.failure or FailureDetails("builtins.Exception", "no cause was stored")
    return OrchestrationFailedError(failure, f"orchestration {instance_id!r}")


async def _state(service: OrchestrationService, instance_id: str, execution_id: str | None = None) -> InstanceState:
    state = await service.get(instance_id, execution_id)
    if state is None:
        which = "" if execution_id is None else f" with an execution {execution_id!r}"
        raise InstanceNotFoundError(
            f"there is no orchestration instance {instance_id!r}{which} in this task hub; it was never started, or it was purged"
        )
    return state


def _not_finished(instance_id: str, status: OrchestrationStatus) -> InvalidStateError:
    return InvalidStateError(
        f"orchestration {instance_id!r} can't be restarted: it is {status}; wait for its end, terminate it, or give new_id=True"
    )
