"""`@activity`, `@orchestration`, their options, and the Registry that says which code a worker can run.

A definition is a function with a name and a version, as history stores them. Calling one inside an orchestration
schedules it through the scheduler of the running loop; this module knows that scheduler by a Protocol only, and must
never import replay. A Registry holds definitions; a running thing (a worker, a client) is never global.
"""

import asyncio
import inspect
import re
from asyncio.events import _get_running_loop
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, Self, TypeVar, cast, overload

from dtf_runtime.checks import (
    check_count,
    check_definition_name,
    check_function,
    check_instance_id,
    check_limit,
    check_orchestration,
    check_tags,
    check_version,
)
from dtf_runtime.errors import DuplicateDefinitionError, Duration, InvalidArgumentError, OutsideOrchestrationError
from dtf_runtime.parameters import Parameters
from dtf_runtime.retry import RetryPolicy as RetryPolicy
from dtf_runtime.retry import check_retry

if TYPE_CHECKING:
    from dtf_runtime.replay.context import OrchestrationContext

_P = ParamSpec("_P")
_R = TypeVar("_R")
_UNCHANGED: Any = object()


if TYPE_CHECKING:

    class Call(asyncio.Future[_R], Coroutine[Any, Any, _R]):
        """What a call in an orchestration gives: hot, its work is scheduled when the call is made."""

        def send(self, value: Any, /) -> Any: ...
        def throw(self, *error: Any) -> Any: ...
        def close(self) -> None: ...

    class ChildCall(Call[_R]):
        """A Call of a child: cancelling it cancels the child and waits until that has ended."""

else:

    class Call(asyncio.Future):
        """What a call in an orchestration gives: hot, its work is scheduled when the call is made."""

    class ChildCall(Call):
        """A Call of a child: cancelling it cancels the child and waits until that has ended."""


class Scheduler(Protocol):
    """What the loop of an orchestration has as its attribute `scheduler`."""

    def call_activity(
        self, activity: "Activity[..., Any]", args: tuple[Any, ...], kwargs: Mapping[str, Any], /
    ) -> Call[Any]: ...

    def call_orchestration(
        self, orchestration: "Orchestration[..., Any]", args: tuple[Any, ...], kwargs: Mapping[str, Any], /
    ) -> ChildCall[Any]: ...


class Activity(Generic[_P, _R]):
    """A function that does outside work. Called in an orchestration it is scheduled at once and gives a Call.

    Called elsewhere it runs the plain function and is awaited: an async one gives its coroutine, a plain def a
    coroutine that runs it. `fn` is the undecorated function, `version` is "" when none was given, `timeout` and
    `heartbeat_timeout` are seconds, of one attempt. Made by `@activity`.
    """

    name: str
    version: str
    fn: Callable[_P, Any]
    retry: RetryPolicy | None
    timeout: float | None
    heartbeat_timeout: float | None
    max_concurrency: int | None
    tags: Mapping[str, str]
    parameters: Parameters
    is_async: bool

    def __init__(
        self,
        fn: Callable[_P, Any],
        *,
        name: str | None = None,
        version: str = "",
        retry: RetryPolicy | None = None,
        timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        max_concurrency: int | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self.fn = fn
        self.name = check_definition_name(fn, name, "activity")
        self.version = check_version(version)
        check_function(fn, self.name, "activity")
        self.retry = check_retry(retry)
        self.timeout = check_limit(timeout, "timeout")
        self.heartbeat_timeout = check_limit(heartbeat_timeout, "heartbeat_timeout")
        if max_concurrency is not None:
            check_count(max_concurrency, "max_concurrency")
        self.max_concurrency = max_concurrency
        self.tags = check_tags(tags or {})
        self.parameters = Parameters(fn, self.name)
        self.is_async = inspect.iscoroutinefunction(fn)
        _look_like(self, fn)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> Call[_R]:
        scheduler: Scheduler | None = getattr(_get_running_loop(), "scheduler", None)
        if scheduler is not None:
            return scheduler.call_activity(self, args, kwargs)
        plain: Any = self.fn(*args, **kwargs) if self.is_async else _run_plain(self.fn, args, kwargs)
        return cast("Call[_R]", plain)

    def options(
        self,
        *,
        retry: RetryPolicy | None = _UNCHANGED,
        timeout: Duration | None = _UNCHANGED,
        heartbeat_timeout: Duration | None = _UNCHANGED,
        tags: Mapping[str, str] = _UNCHANGED,
    ) -> "Activity[_P, _R]":
        """A copy for one call or many; options not given stay as they are. `timeout` is of one attempt."""
        changed = object.__new__(Activity)
        fields = changed.__dict__
        fields.update(self.__dict__)
        if retry is not _UNCHANGED:
            fields["retry"] = check_retry(retry)
        if timeout is not _UNCHANGED:
            fields["timeout"] = check_limit(timeout, "timeout")
        if heartbeat_timeout is not _UNCHANGED:
            fields["heartbeat_timeout"] = check_limit(heartbeat_timeout, "heartbeat_timeout")
        if tags is not _UNCHANGED:
            fields["tags"] = check_tags(tags)
        return changed

    def __repr__(self) -> str:
        return f"<activity {_label(self)}>"


class Orchestration(Generic[_P, _R]):
    """A workflow. Called in an orchestration it is a child, scheduled at once, and gives a ChildCall.

    Called elsewhere it raises OutsideOrchestrationError. `fn` is the undecorated function: `fn(ctx, input)`.
    `instance_id`, `retry` and `tags` are options of calls. Made by `@orchestration`.
    """

    name: str
    version: str
    fn: "Callable[Concatenate[OrchestrationContext, _P], Coroutine[Any, Any, _R]]"
    parameters: Parameters
    instance_id: str | None
    retry: RetryPolicy | None
    tags: Mapping[str, str]

    def __init__(
        self,
        fn: "Callable[Concatenate[OrchestrationContext, _P], Coroutine[Any, Any, _R]]",
        *,
        name: str | None = None,
        version: str = "",
    ) -> None:
        self.fn = fn
        self.name = check_definition_name(fn, name, "orchestration")
        self.version = self._own_version = check_version(version)
        check_function(fn, self.name, "orchestration")
        self.parameters = Parameters(fn, self.name, skip_first=True)
        check_orchestration(fn, self.name)
        self.instance_id = None
        self.retry = None
        self.tags = {}
        _look_like(self, fn)

    def __call__(self, *args: _P.args, **kwargs: _P.kwargs) -> ChildCall[_R]:
        scheduler: Scheduler | None = getattr(_get_running_loop(), "scheduler", None)
        if scheduler is not None:
            return scheduler.call_orchestration(self, args, kwargs)
        short = self.fn.__name__ if hasattr(self.fn, "__name__") else self.name
        raise OutsideOrchestrationError(
            f"orchestration {self.name!r} was called outside an orchestration, where nothing could make it durable.\n"
            f"  not   await {short}(input)\n"
            f"  but   await client.start({short}, input)      # TaskHubClient, with a worker somewhere\n"
            f"  or    await run({short}, input)               # both in one line, for a script\n"
            f"In a test: TestHub, or the bare function {short}.fn(ctx, input)."
        )

    def options(
        self,
        *,
        instance_id: str | None = _UNCHANGED,
        version: str | None = _UNCHANGED,
        retry: RetryPolicy | None = _UNCHANGED,
        tags: Mapping[str, str] = _UNCHANGED,
    ) -> "Orchestration[_P, _R]":
        """A copy for calls as a child; options not given stay as they are. `version=None`: the definition's own.

        `instance_id` is derived from the parent's and unique by default; one that is taken fails the call.
        """
        changed = object.__new__(Orchestration)
        fields = changed.__dict__
        fields.update(self.__dict__)
        if instance_id is not _UNCHANGED:
            fields["instance_id"] = None if instance_id is None else check_instance_id(instance_id)
        if version is not _UNCHANGED:
            fields["version"] = fields["_own_version"] if version is None else check_version(version)
        if retry is not _UNCHANGED:
            fields["retry"] = check_retry(retry)
        if tags is not _UNCHANGED:
            fields["tags"] = check_tags(tags)
        return changed

    def __repr__(self) -> str:
        return f"<orchestration {_label(self)}>"


# == Decorators =======================================================================================================


class _ActivityDecorator(Protocol):
    @overload
    def __call__(self, fn: Callable[_P, Coroutine[Any, Any, _R]], /) -> Activity[_P, _R]: ...
    @overload
    def __call__(self, fn: Callable[_P, _R], /) -> Activity[_P, _R]: ...


class _OrchestrationDecorator(Protocol):
    def __call__(
        self, fn: "Callable[Concatenate[OrchestrationContext, _P], Coroutine[Any, Any, _R]]", /
    ) -> Orchestration[_P, _R]: ...


@overload
def activity(fn: Callable[_P, Coroutine[Any, Any, _R]], /) -> Activity[_P, _R]: ...
@overload
def activity(fn: Callable[_P, _R], /) -> Activity[_P, _R]: ...
@overload
def activity(
    *,
    name: str | None = None,
    version: str = "",
    retry: RetryPolicy | None = None,
    timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    max_concurrency: int | None = None,
    tags: Mapping[str, str] = ...,
    registry: "Registry | None" = None,
) -> _ActivityDecorator: ...
def activity(fn: Any = None, /, *, registry: "Registry | None" = None, **options: Any) -> Any:
    """Makes a function an activity and registers it. A plain def runs in a thread pool.

    `name` defaults to the function's `__qualname__`; history stores it. `timeout` and `heartbeat_timeout` are of one
    attempt, from its start on a worker. `max_concurrency` is of this activity, per worker. `registry` defaults to
    `default_registry`. Raises InvalidArgumentError and DuplicateDefinitionError.
    """

    def decorate(function: Callable[..., Any], /) -> Activity[..., Any]:
        made: Activity[..., Any] = Activity(function, **options)
        (default_registry if registry is None else registry).add(made)
        return made

    return decorate if fn is None else decorate(fn)


@overload
def orchestration(
    fn: "Callable[Concatenate[OrchestrationContext, _P], Coroutine[Any, Any, _R]]", /
) -> Orchestration[_P, _R]: ...
@overload
def orchestration(
    *, name: str | None = None, version: str = "", registry: "Registry | None" = None
) -> _OrchestrationDecorator: ...
def orchestration(fn: Any = None, /, *, registry: "Registry | None" = None, **options: Any) -> Any:
    """Makes an `async def` of the context and at most one input an orchestration, and registers it.

    `name` defaults to the function's `__qualname__`; history stores it. `registry` defaults to `default_registry`.
    Raises InvalidArgumentError and DuplicateDefinitionError.
    """

    def decorate(function: Callable[..., Any], /) -> Orchestration[..., Any]:
        made: Orchestration[..., Any] = Orchestration(function, **options)
        (default_registry if registry is None else registry).add(made)
        return made

    return decorate if fn is None else decorate(fn)


# == Registry =========================================================================================================

_D = TypeVar("_D", Activity[..., Any], Orchestration[..., Any])


class Registry:
    """Which code a worker can run. Two different definitions of one name and version: DuplicateDefinitionError."""

    def __init__(self, *definitions: Activity[..., Any] | Orchestration[..., Any]) -> None:
        self._activities: dict[tuple[str, str], Activity[..., Any]] = {}
        self._orchestrations: dict[tuple[str, str], Orchestration[..., Any]] = {}
        self.add(*definitions)

    def add(self, *definitions: Activity[..., Any] | Orchestration[..., Any]) -> Self:
        """Adds definitions; the same function again (its module was reloaded) replaces."""
        for definition in definitions:
            if isinstance(definition, Activity):
                _put(self._activities, definition)
            elif isinstance(definition, Orchestration):
                _put(self._orchestrations, definition)
            else:
                raise InvalidArgumentError(
                    f"a Registry takes functions decorated with @activity or @orchestration, not {definition!r}"
                )
        return self

    def update(self, other: "Registry") -> Self:
        """Adds all definitions of another registry."""
        if not isinstance(other, Registry):
            raise InvalidArgumentError(f"Registry.update takes a Registry, not {other!r}")
        return self.add(*other.activities(), *other.orchestrations())

    def get_activity(self, name: str, version: str = "") -> Activity[..., Any] | None:
        """The activity of exactly that name and version, or None."""
        return self._activities.get((name, version))

    def get_orchestration(self, name: str, version: str = "") -> Orchestration[..., Any] | None:
        """The orchestration of exactly that name and version, or None."""
        return self._orchestrations.get((name, version))

    def orchestration_versions(self, name: str) -> tuple[str, ...]:
        """The registered versions of an orchestration, oldest first in natural order (see `version_key`)."""
        versions = (version for known, version in list(self._orchestrations) if known == name)
        return tuple(sorted(versions, key=version_key))

    def activities(self) -> tuple[Activity[..., Any], ...]:
        """All activities, in the order they were added."""
        return tuple(self._activities.values())

    def orchestrations(self) -> tuple[Orchestration[..., Any], ...]:
        """All orchestrations, in the order they were added."""
        return tuple(self._orchestrations.values())


default_registry = Registry()


def version_key(version: str) -> tuple[tuple[int, int, str], ...]:
    """Sorts versions in natural order: "" before "2" before "10", "1.9" before "1.10"."""
    parts = re.split(r"([0-9]+)", version)
    return tuple((0, int(part), "") if part.isascii() and part.isdigit() else (1, 0, part) for part in parts if part)


def _put(known: dict[tuple[str, str], _D], new: _D) -> None:
    key = (new.name, new.version)
    old = known.get(key)
    if old is not None and not _same_function(old.fn, new.fn):
        raise DuplicateDefinitionError(
            f"{repr(new)[1:-1]} is already defined by {_where(old.fn)}, and now again by {_where(new.fn)}; "
            "give one of them another name= or version="
        )
    known[key] = new


def _same_function(old: Any, new: Any) -> bool:
    if old is new:
        return True
    place = getattr(new, "__module__", None), getattr(new, "__qualname__", None)
    if None in place or "<locals>" in str(place[1]):
        return False
    return place == (getattr(old, "__module__", None), getattr(old, "__qualname__", None))


def _where(fn: Any) -> str:
    code = getattr(inspect.unwrap(fn), "__code__", None)
    name = f"{getattr(fn, '__module__', '?')}.{getattr(fn, '__qualname__', repr(fn))}"
    return f"{name} ({code.co_filename}:{code.co_firstlineno})" if code is not None else name


async def _run_plain(fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    result = fn(*args, **kwargs)
    return await result if inspect.isawaitable(result) else result


def _label(definition: Activity[..., Any] | Orchestration[..., Any]) -> str:
    return f"{definition.name!r} version {definition.version!r}" if definition.version else repr(definition.name)


def _look_like(definition: Any, fn: Any) -> None:
    for attribute in ("__module__", "__name__", "__qualname__", "__doc__"):
        if hasattr(fn, attribute):
            setattr(definition, attribute, getattr(fn, attribute))
    definition.__wrapped__ = fn
