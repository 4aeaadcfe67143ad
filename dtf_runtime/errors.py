"""Every public error, and `FailureDetails`, the shape in which an error is stored and sent.

The lowest layer: it imports nothing of this package, and must never raise while it describes somebody else's error.

    DurableTaskError
    ├── InvalidArgumentError (ValueError)        a wrong argument; nothing was stored
    ├── InvalidStateError                        the instance is not in a state that allows this
    ├── InstanceNotFoundError (LookupError)      no such instance
    ├── OrchestrationAlreadyExistsError          the instance id is taken
    ├── DefinitionNotFoundError (LookupError)    no such activity or orchestration is registered
    ├── DuplicateDefinitionError                 two definitions of one name and version
    ├── OutsideOrchestrationError                only an orchestration may do this
    ├── OutsideActivityError                     only an activity may do this
    ├── ForbiddenCallError                       I/O, threads, subprocesses in an orchestration
    ├── NonDeterminismError                      the code no longer does what its history says
    ├── SerializationError                       a value can't be stored, or isn't what a hint asks for
    ├── LockLostError                            the lease went to another worker
    ├── ProviderError                            the storage or transport failed
    ├── OrchestrationTerminatedError             the instance was terminated
    ├── OrchestrationCancelledError              the instance was cancelled
    ├── TaskFailedError          .failure        an activity failed, its retries included
    ├── SubOrchestrationFailedError .failure     a child failed, was cancelled or was terminated
    └── OrchestrationFailedError .failure        the instance failed, for those who wait for its result
    NonRetriableError (Exception)                raised by an activity: no policy tries again
    RetryAfter (Exception) .delay                raised by an activity: try again, not sooner
"""

import asyncio
import builtins
import json
import math
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, TypeVar

import msgspec

Duration = timedelta | float

MAX_DEPTH = 20  # causes and groups below one failure
MAX_FAILURES = 100  # failures below one failure, all branches together
MAX_MESSAGE = 32_000  # characters
MAX_STACK_TRACE = 16_000  # characters
MAX_FRAMES = 100  # the innermost ones
MAX_PROPERTIES = 32_000  # characters of JSON, of one failure

_T = TypeVar("_T")


def qualified_name(kind: builtins.type[Any]) -> str:
    """`shop.errors.Declined`: what history stores for a class, the same in every process."""
    return f"{kind.__module__}.{kind.__qualname__}"


class FailureDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is known of an error after it was stored: data, without its class.

    `type` is qualified (`shop.errors.Declined`, `builtins.ValueError`, `dtf_runtime.TaskFailedError`), `bases` are the
    qualified names of its base classes. `inner_failure` is its cause (`raise ... from`), or what a child or an activity
    failed with; `group` holds the members of an ExceptionGroup. `retry_after` is in seconds. `properties` are the
    exception's own JSON values, from its `failure_properties()` method. `number` is the number of the call, inside the
    orchestration, that this failure came from.
    """

    type: str
    message: str = ""
    stack_trace: str = ""
    inner_failure: "FailureDetails | None" = None
    group: "tuple[FailureDetails, ...]" = ()
    non_retriable: bool = False
    retry_after: float | None = None
    properties: Mapping[str, Any] = msgspec.field(default_factory=dict)
    bases: tuple[str, ...] = ()
    number: int | None = None

    @staticmethod
    def of(exc: BaseException) -> "FailureDetails":
        """Describes an exception with its causes and members. Bounded in depth and size; never raises."""
        return _Describer().describe(exc, ())

    def is_caused_by(self, kind: builtins.type[BaseException] | str) -> bool:
        """Whether this failure, or one underneath, is of that class or of a subclass.

        A str is the qualified name (`shop.errors.Declined`) or the last part of it (`Declined`).
        Raises InvalidArgumentError for anything that is neither a class nor a str.
        """
        if isinstance(kind, str):
            wanted, last_only = kind, "." not in kind
        elif isinstance(kind, builtins.type):
            wanted, last_only = qualified_name(kind), False
        else:
            raise InvalidArgumentError(f"is_caused_by takes an exception class or its name, not {kind!r}")
        return any(
            wanted == (name.rpartition(".")[2] if last_only else name)
            for failure in self._self_and_below()
            for name in (failure.type, *failure.bases)
        )

    @property
    def call_number(self) -> int | None:
        """The number of the call that this failure came from: its own, else the first one found underneath."""
        return next((failure.number for failure in self._self_and_below() if failure.number is not None), None)

    def _self_and_below(self) -> "list[FailureDetails]":
        found: list[FailureDetails] = []
        todo = [self]
        while todo:
            failure = todo.pop()
            found.append(failure)
            todo.extend(reversed(failure.group))
            if failure.inner_failure is not None:
                todo.append(failure.inner_failure)
        return found


class DurableTaskError(Exception):
    """The base class of every error of this library."""


class InvalidArgumentError(DurableTaskError, ValueError):
    """An argument has a wrong type or value. Nothing was stored."""


class InvalidStateError(DurableTaskError):
    """The instance is not in a state that allows this, such as a rewind of one that has not failed."""


class InstanceNotFoundError(DurableTaskError, LookupError):
    """There is no instance of that id in the task hub."""


class OrchestrationAlreadyExistsError(DurableTaskError):
    """The instance id is taken, and its status is not among those that `reuse` allows to replace."""


class DefinitionNotFoundError(DurableTaskError, LookupError):
    """No activity or orchestration of that name and version is registered."""


class DuplicateDefinitionError(DurableTaskError):
    """Two different functions were registered under one name and version."""


class OutsideOrchestrationError(DurableTaskError):
    """Something that only works inside an orchestration was used elsewhere."""


class OutsideActivityError(DurableTaskError):
    """`activity_context()` was called where no activity runs."""


class ForbiddenCallError(DurableTaskError):
    """An orchestration did I/O, or used threads or subprocesses: move that into an activity."""


class NonDeterminismError(DurableTaskError):
    """The code of an orchestration no longer makes the decisions that its history holds."""


class SerializationError(DurableTaskError):
    """A value can't be encoded, or stored bytes are not of the type that a hint asks for."""


class LockLostError(DurableTaskError):
    """The lease on a work item expired or went to another worker; nothing was committed."""


class ProviderError(DurableTaskError):
    """The storage or the transport failed, or holds what this version can't read."""


class OrchestrationTerminatedError(DurableTaskError):
    """The instance was terminated; the text has the reason."""


class OrchestrationCancelledError(DurableTaskError):
    """The instance was cancelled; the text has the reason."""


class _CarriesFailure(DurableTaskError):
    """An error whose cause is data: what failed elsewhere is in `failure`, and `number` is the call it answers."""

    failure: FailureDetails
    number: int | None

    def __init__(self, failure: FailureDetails, what: str = "", *, number: int | None = None) -> None:
        self.failure = failure
        self.number = failure.number if number is None else number
        self._what = what
        text = failure.type.removeprefix("builtins.")
        if failure.message:
            text = f"{text}: {failure.message}"
        super().__init__(f"{what} failed: {text}" if what else text)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.failure, self._what), {"number": self.number}


class TaskFailedError(_CarriesFailure):
    """An activity failed and no policy tries again; `failure` has what it raised."""


class SubOrchestrationFailedError(_CarriesFailure):
    """A child failed, was cancelled or was terminated (`failure.type` tells which)."""


class OrchestrationFailedError(_CarriesFailure):
    """The instance that was waited for has failed; `failure` has what escaped it."""


class NonRetriableError(Exception):
    """Raised by an activity: no policy tries again."""


class RetryAfter(Exception):
    """Raised by an activity: try again, not sooner than in `delay` (seconds). It counts as an attempt."""

    delay: float

    def __init__(self, delay: Duration, message: str = "") -> None:
        self.delay = seconds(delay, "the delay of RetryAfter")
        super().__init__(delay, message)
        self._message = message

    def __str__(self) -> str:
        return self._message or f"try again in {self.delay:g} s"


def seconds(duration: Duration, what: str) -> float:
    """A Duration (timedelta or seconds) as seconds. Negative, NaN, infinite or not a duration: InvalidArgumentError."""
    if isinstance(duration, timedelta):
        value = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        try:
            value = float(duration)
        except OverflowError:
            value = math.inf
    else:
        raise InvalidArgumentError(
            f"{what} must be a timedelta or a number of seconds, not {duration!r} ({type(duration).__name__})"
        )
    if not 0 <= value < math.inf:
        raise InvalidArgumentError(f"{what} must be finite and not negative, not {duration!r}")
    return value


class _Describer:
    """Turns one exception and what is below it into FailureDetails, within a budget."""

    def __init__(self) -> None:
        self._left = MAX_FAILURES

    def describe(self, exc: BaseException, path: tuple[int, ...]) -> FailureDetails:
        self._left -= 1
        path = (*path, id(exc))
        carried = exc.failure if isinstance(exc, _CarriesFailure) and _is_carried(exc) else None
        properties, notes = _properties(exc)
        return FailureDetails(
            type=_safely(lambda: _clean(qualified_name(type(exc)), 1_000), "builtins.Exception"),
            message=_safely(lambda: _clean(str(exc), MAX_MESSAGE), "(its __str__ raised an error of its own)"),
            stack_trace=_stack_trace(exc, notes),
            inner_failure=carried or self._cause(exc, path),
            group=self._members(exc, path),
            non_retriable=isinstance(exc, NonRetriableError) or (carried is not None and carried.non_retriable),
            retry_after=getattr(exc, "delay", None) if isinstance(exc, RetryAfter) else None,
            properties=properties,
            bases=_safely(lambda: tuple(_clean(qualified_name(base), 1_000) for base in type(exc).__mro__[1:-1]), ()),
            number=exc.number if carried is not None and isinstance(exc, _CarriesFailure) else None,
        )

    def _cause(self, exc: BaseException, path: tuple[int, ...]) -> FailureDetails | None:
        cause = exc.__cause__
        if cause is None and not exc.__suppress_context__:
            cause = exc.__context__
        return self._below(cause, path)

    def _members(self, exc: BaseException, path: tuple[int, ...]) -> tuple[FailureDetails, ...]:
        if not isinstance(exc, BaseExceptionGroup):
            return ()
        described = (self._below(member, path) for member in exc.exceptions)
        return tuple(member for member in described if member is not None)

    def _below(self, exc: BaseException | None, path: tuple[int, ...]) -> FailureDetails | None:
        if exc is None or id(exc) in path or len(path) > MAX_DEPTH or self._left <= 0:
            return None
        return self.describe(exc, path)


def _is_carried(exc: _CarriesFailure) -> bool:
    """A subclass that never called `__init__` has neither attribute."""
    values = getattr(exc, "__dict__", {})
    return isinstance(values.get("failure"), FailureDetails) and "number" in values


def _safely(work: Callable[[], _T], otherwise: _T) -> _T:
    """Runs code of the user's exception, which may be as broken as what it reports."""
    try:
        return work()
    except (Exception, SystemExit, GeneratorExit, asyncio.CancelledError):
        return otherwise


def _clean(text: str, limit: int) -> str:
    """Text that UTF-8 can hold (file names bring lone surrogates) and that is no longer than `limit`."""
    if len(text) > limit:
        half = limit // 2 - 20
        text = f"{text[:half]}\n... {len(text) - 2 * half} characters left out ...\n{text[-half:]}"
    # str(): a subclass, or a text with surrogates, would make the failure itself unencodable.
    return str(text.encode("utf-8", "backslashreplace"), "utf-8")


def _stack_trace(exc: BaseException, notes: list[str]) -> str:
    def lines() -> str:
        frames = traceback.format_tb(exc.__traceback__, limit=-MAX_FRAMES)
        head = ["Traceback (most recent call last):\n", *frames] if frames else []
        text = "".join([*head, *traceback.format_exception_only(type(exc), exc), *(f"{note}\n" for note in notes)])
        return _clean(text, MAX_STACK_TRACE)

    return _safely(lines, "")


def _properties(exc: BaseException) -> tuple[dict[str, Any], list[str]]:
    """The exception's own values, and a note for each that JSON can't hold."""
    method = _safely(lambda: getattr(exc, "failure_properties", None), None)
    if method is None:
        return {}, []
    given = _safely(lambda: dict(method()), None)
    if given is None:
        return {}, ["(failure_properties() raised an error or gave no mapping: left out)"]
    kept: dict[str, Any] = {}
    notes: list[str] = []
    left = MAX_PROPERTIES
    for name, value in given.items():
        text = _safely(partial(_strict_json, value), None)
        if text is None or not isinstance(name, str) or len(text) + len(name) > left:
            notes.append(f"(property {_safely(partial(repr, name), '?')[:100]} left out: no JSON, or too large)")
            continue
        left -= len(text) + len(name)
        kept[_clean(name, 1_000)] = msgspec.json.decode(text)
    return kept, notes[:20]


def _strict_json(value: Any) -> str:
    text = json.dumps(msgspec.to_builtins(value, str_keys=True), allow_nan=False)
    msgspec.json.encode(msgspec.json.decode(text))  # lone surrogates are refused only here
    return text


def _name_as_public() -> None:
    # Stored type names must outlive a move of this module: `dtf_runtime.TaskFailedError`, without `errors`.
    for value in list(globals().values()):
        if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == __name__:
            value.__module__ = "dtf_runtime"


_name_as_public()
