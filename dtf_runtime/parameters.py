"""Calls of one function to bytes and back, compiled from its signature and its type hints.

It must never resolve a hint before a value is decoded by it, so that a program whose hints can't be resolved still
imports, and says which hint it was at the first use.
"""

import inspect
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from typing import Any, Never, NoReturn, get_args, get_origin, get_type_hints

import msgspec

from dtf_runtime.converter import Prepared, decode, encode
from dtf_runtime.errors import InvalidArgumentError, SerializationError


class _WithKeywords(msgspec.Struct):
    args: list[msgspec.Raw]
    kwargs: dict[str, msgspec.Raw]


_WITH_KEYWORDS = Prepared(_WithKeywords, "a call")
_RAW_LIST = Prepared(list[msgspec.Raw], "a call")
_LONGEST_ARRAY = 16  # arguments


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
        self._positional: tuple[str, ...] = ()
        self._variadic: str | None = None
        self._signature: inspect.Signature | None = None
        self._hints: dict[str, Prepared] = {}
        self._array: Prepared | None = None
        self._arrays: dict[int, Prepared | None] = {}

    @property
    def signature(self) -> inspect.Signature:
        """The function's signature, without the context."""
        return self._signature or self._compile()

    @property
    def result_type(self) -> Prepared:
        """The return hint, as `decode` takes it; Any when there is none. It can't be resolved: SerializationError."""
        return self._hints.get("return") or self._prepare("return", f"the result of {self._name}")

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
            call = decode(data, _WITH_KEYWORDS, what)
            return self._arguments(call.args, what), {
                name: self._argument(name, raw, what) for name, raw in call.kwargs.items()
            }
        if self._array is not None:
            try:
                return self._array.decoder(data), {}
            except Exception:  # another number of arguments than last time, or a mismatch: found out below, by name
                pass
        raws = decode(data, _RAW_LIST, what)
        args = self._arguments(raws, what)
        self._array = self._array_of(len(raws), what)
        return args, {}

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
        self._positional = tuple(p.name for p in positional)
        self._variadic = next((p.name for p in parameters if p.kind is p.VAR_POSITIONAL), None)
        if not required_keywords:
            self._fewest = sum(p.default is p.empty for p in positional)
            self._most = sys.maxsize if self._variadic else len(positional)
        self._signature = signature
        return signature

    def _array_of(self, count: int, what: str) -> Prepared | None:
        """One hint for a whole array of so many arguments, each decoded before: a third of the cost."""
        if not 0 < count <= _LONGEST_ARRAY:
            return None
        if count not in self._arrays:
            hints = tuple(self._hints[name].hint for name in self._names(count)[:count])
            try:
                self._arrays[count] = Prepared(tuple[hints], what)  # type: ignore[valid-type]
            except SerializationError:  # fine one by one, but not together
                self._arrays[count] = None
        return self._arrays[count]

    def _names(self, count: int) -> Sequence[str]:
        """The parameters that `count` positional arguments belong to."""
        names = self._positional
        if count > len(names):  # calls that older code made may have more than there are parameters now
            more = (self._variadic or f"#{index + 1}" for index in range(len(names), count))
            names = (*names, *more)
        return names

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        yield from zip(self._names(len(args)), args, strict=False)
        yield from kwargs.items()

    def _arguments(self, raws: list[msgspec.Raw], what: str) -> tuple[Any, ...]:
        if self._signature is None:
            self._compile()
        return tuple([self._argument(name, raw, what) for name, raw in zip(self._names(len(raws)), raws, strict=False)])

    def _argument(self, name: str, data: bytes | msgspec.Raw, what: str) -> Any:
        return decode(data, self._hints.get(name) or self._prepare(name, what), what, root=name)

    def _prepare(self, name: str, what: str) -> Prepared:
        prepared = self._hints[name] = Prepared(self._resolved(name, what), what)
        return prepared

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
