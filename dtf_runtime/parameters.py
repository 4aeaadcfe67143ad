"""Calls of one function to bytes and back, compiled from its signature and its type hints.

It must never resolve a hint before a value is decoded by it, so that a program whose hints can't be resolved still
imports, and says which hint it was at the first use.
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from typing import Any, Never, NoReturn, get_args, get_origin, get_type_hints

import msgspec

from dtf_runtime.converter import decode, encode
from dtf_runtime.errors import InvalidArgumentError, SerializationError

_UNKNOWN: Any = object()


class _WithKeywords(msgspec.Struct):
    args: list[msgspec.Raw]
    kwargs: dict[str, msgspec.Raw]


class Parameters:
    """How calls of one function are stored, compiled from its signature at first use.

    A call without keywords is a JSON array of its arguments, one with keywords `{"args": [...], "kwargs": {...}}`. The
    input of an orchestration stands alone, and none is no bytes at all. `name` names the function in errors;
    `skip_first` leaves out the context of an orchestration, whose hint is never resolved.
    """

    def __init__(self, fn: Callable[..., Any], name: str, *, skip_first: bool = False) -> None:
        self._fn = fn
        self._name = name
        self._skip_first = skip_first
        self._fewest = 1  # until compiled nothing fits, so that the fast path compiles
        self._most = 0
        self._signature: inspect.Signature | None = None
        self._hints: dict[str, Any] = {}
        self._array_hint: Any = _UNKNOWN
        self._result_type: Any = _UNKNOWN

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature, without the context."""
        return self._signature or self._compile()

    @property
    def result_type(self) -> Any:
        """The return hint, for `decode`; Any when there is none. It can't be resolved: SerializationError."""
        if self._result_type is _UNKNOWN:
            self._result_type = self._resolved("return", f"the result of {self._name}")
        return self._result_type

    # -- an activity's call

    def encode_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str) -> bytes:
        """The JSON of a call's arguments. They don't fit the signature: InvalidArgumentError. See `encode`."""
        if kwargs or not self._fewest <= len(args) <= self._most:
            self._check(args, kwargs)
        try:
            return encode({"args": args, "kwargs": kwargs} if kwargs else args, what)
        except SerializationError:
            for name, value in self._named(args, kwargs):
                encode(value, what, root=name)  # the same again, with the argument's name
            raise

    def decode_call(self, data: bytes, what: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a stored call, as the hints say. SerializationError as in `decode`."""
        if data == b"[]":
            return (), {}
        if data[:1] == b"{":
            call = decode(data, _WithKeywords, what)
            return self._arguments(call.args, what), {
                name: self._argument(name, raw, f"{what}: {name}") for name, raw in call.kwargs.items()
            }
        exact = self._array_hint if self._array_hint is not _UNKNOWN else self._compile_array()
        if exact is not None:
            try:
                return decode(data, exact, what), {}
            except SerializationError:  # found out below: which argument it was
                pass
        return self._arguments(decode(data, list[msgspec.Raw], what), what), {}

    def encode_result(self, value: Any, what: str = "result") -> bytes:
        """The JSON of a result; see `encode`."""
        return encode(value, what)

    def decode_result(self, data: bytes, what: str = "result") -> Any:
        """A stored result, as the function's return hint says; see `decode`."""
        return decode(data, self.result_type, what)

    # -- an orchestration's input

    def encode_input(self, args: tuple[Any, ...], what: str = "input") -> bytes:
        """The JSON of the one input, `b""` for none. They don't fit the signature: InvalidArgumentError."""
        return self.encode_input_call(args, {}, what)

    def encode_input_call(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], what: str = "input") -> bytes:
        """As `encode_input`, where the input may also be given by its name."""
        if kwargs or not self._fewest <= len(args) <= self._most:
            self._check(args, kwargs)
        if args:
            return encode(args[0], what)
        return encode(next(iter(kwargs.values())), what) if kwargs else b""

    def decode_input(self, data: bytes, what: str = "input") -> tuple[Any, ...]:
        """The positional arguments that follow the context: `()` or `(input,)`, as the hint says."""
        if not data:
            return ()
        names = list(self.signature.parameters)
        if not names:
            if data == b"null":
                return ()
            raise SerializationError(f"{what}: {self._name} takes no input, but {len(data)} bytes of it were given")
        return (self._argument(names[0], data, what),)

    # -- compiling

    def _check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidArgumentError(f"{self._name}{self.signature} can't be called so: {error}") from None

    def _compile(self) -> inspect.Signature:
        signature = _signature(self._fn)
        parameters = list(signature.parameters.values())[1 if self._skip_first else 0 :]
        signature = signature.replace(parameters=parameters)
        required_keywords = any(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters)
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if not required_keywords:
            self._fewest = sum(p.default is p.empty for p in positional)
            self._most = sys.maxsize if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(positional)
        self._signature = signature
        return signature

    def _compile_array(self) -> Any:
        """One hint for the whole array, where the number of arguments is always the same; else None."""
        parameters = list(self.signature.parameters.values())
        fixed = parameters and all(
            p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters
        )
        self._array_hint = None
        if fixed:
            try:
                self._array_hint = tuple[tuple(self._hint(p.name) for p in parameters)]  # type: ignore[misc]
            except Exception:  # said clearly when that argument is decoded
                self._array_hint = None
        return self._array_hint

    def _names(self, count: int) -> list[str]:
        """The parameters that `count` positional arguments belong to."""
        names: list[str] = []
        for parameter in self.signature.parameters.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                names.extend([parameter.name] * (count - len(names)))
            elif parameter.kind is not parameter.KEYWORD_ONLY and parameter.kind is not parameter.VAR_KEYWORD:
                names.append(parameter.name)
        names.extend(f"#{index + 1}" for index in range(len(names), count))
        return names[:count]

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        yield from zip(self._names(len(args)), args, strict=True)
        yield from kwargs.items()

    def _arguments(self, raws: list[msgspec.Raw], what: str) -> tuple[Any, ...]:
        names = self._names(len(raws))
        return tuple(self._argument(name, raw, f"{what}: {name}") for name, raw in zip(names, raws, strict=True))

    def _argument(self, name: str, data: bytes | msgspec.Raw, what: str) -> Any:
        hint = self._hints.get(name, _UNKNOWN)
        if hint is _UNKNOWN:
            hint = self._hints[name] = self._resolved(name, what)
        return decode(data, hint, what, root=name)

    def _resolved(self, name: str, what: str) -> Any:
        try:
            return self._hint(name)
        except Exception as error:
            raise SerializationError(
                f"{what}: the type hint of {name!r} in {self._name} can't be resolved "
                f"({type(error).__name__}: {error}); the names in it must exist in its module while the program runs, "
                "not only under TYPE_CHECKING"
            ) from error

    def _hint(self, name: str) -> Any:
        annotations = _annotations(self._fn)
        if name != "return" and name not in self.signature.parameters:
            rest = [p.name for p in self.signature.parameters.values() if p.kind is p.VAR_KEYWORD]
            name = rest[0] if rest else name
        if name not in annotations:
            return Any
        hint = _resolve(self._fn, annotations[name])
        gives_awaitable = name == "return" and not inspect.iscoroutinefunction(self._fn)
        if gives_awaitable and get_origin(hint) in (Coroutine, Awaitable):
            return get_args(hint)[-1]
        return Any if hint in (NoReturn, Never) else hint


class _Holder:
    """Something with annotations, to resolve one hint at a time: one bad hint must not spoil the others."""

    def __init__(self, hint: Any) -> None:
        self.__annotations__ = {"hint": hint}


def _resolve(fn: Callable[..., Any], hint: Any) -> Any:
    plain = _plain(fn)
    scope = getattr(plain, "__globals__", {})
    names = getattr(getattr(plain, "__code__", None), "co_freevars", ())
    cells = getattr(plain, "__closure__", None) or ()
    local: dict[str, Any] = {}
    for name, cell in zip(names, cells, strict=False):
        try:
            local[name] = cell.cell_contents
        except ValueError:  # not filled yet
            continue
    return get_type_hints(_Holder(hint), scope, local, include_extras=True)["hint"]


def _plain(fn: Callable[..., Any]) -> Any:
    return getattr(inspect.unwrap(fn), "func", inspect.unwrap(fn))


def _annotations(fn: Callable[..., Any]) -> Mapping[str, Any]:
    if sys.version_info >= (3, 14):
        import annotationlib

        return annotationlib.get_annotations(_plain(fn), format=annotationlib.Format.FORWARDREF)
    return getattr(_plain(fn), "__annotations__", {})


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    if sys.version_info >= (3, 14):
        import annotationlib

        return inspect.signature(fn, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(fn)
