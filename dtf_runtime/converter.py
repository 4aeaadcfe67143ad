"""Values to bytes and back: JSON, guided by type hints.

It must never store what it can't give back (NaN and infinities would become null), never fail at import because of an
odd annotation, and never hide where in a value the trouble is. It is on the hot path of every call: the walks that
explain an error run only once an encoder has refused.
"""

import inspect
import math
import re
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from functools import lru_cache
from json import JSONEncoder
from typing import Any, Never, NoReturn, get_args, get_origin, get_type_hints

import msgspec

from dtf_runtime.errors import InvalidArgumentError, SerializationError, qualified_name

_SCALARS = (str, int, float)
_HOW = (
    "use JSON values, dataclasses, msgspec Structs, attrs or pydantic models; in place of an object that lives in "
    "memory give its id or its path"
)


def _enc_hook(value: Any) -> Any:
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    for scalar in _SCALARS:  # msgspec knows the exact classes only; numpy's floats and the like are subclasses
        if isinstance(value, scalar):
            return scalar(value)
    raise TypeError("no encoder knows it")


def _dec_hook(kind: Any, value: Any) -> Any:
    if isinstance(kind, type):
        pydantic = sys.modules.get("pydantic")
        if pydantic is not None and issubclass(kind, pydantic.BaseModel):
            return kind.model_validate_json(msgspec.json.encode(value))  # type: ignore[attr-defined]
        if issubclass(kind, _SCALARS) and isinstance(value, _SCALARS):
            return kind(value)
    name = qualified_name(kind) if isinstance(kind, type) else str(kind)
    raise TypeError(f"values of type {name} can't be made from JSON")


_encode = msgspec.json.Encoder(enc_hook=_enc_hook).encode
_strict_json = JSONEncoder(allow_nan=False, check_circular=False).encode
_decode_plain = msgspec.json.Decoder().decode
_decode_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class _WithKeywords(msgspec.Struct):
    args: list[msgspec.Raw]
    kwargs: dict[str, msgspec.Raw]


_decode_with_keywords = msgspec.json.Decoder(_WithKeywords).decode


def encode(value: Any, what: str) -> bytes:
    """The JSON of a value. `what` names the value in errors: `input.items[3].price`.

    Raises SerializationError, with the path and the type of the culprit, for what JSON can't hold: other objects,
    NaN, infinities, cycles, lone surrogates.
    """
    if value is None:
        return b"null"
    try:
        data = _encode(value)
        if b"null" in data:
            _refuse_nan(value)
    except Exception as error:
        _refuse(value, what, _root(what), error)
    return data


_UNKNOWN: Any = object()
_NO_FLOATS = frozenset({str, int, bool, type(None)})


def _refuse_nan(value: Any) -> None:
    """A null in the output is a None, a text, or a NaN that was lost: only a second look tells. Raises ValueError."""
    kind = type(value)
    if kind in _NO_FLOATS:
        return
    if kind is tuple or kind is list:
        for item in value:
            _refuse_nan(item)
    elif kind is dict:
        for item in value.values():
            _refuse_nan(item)
    elif kind is float:
        if not math.isfinite(value):
            raise ValueError("not a finite number")
    else:
        _strict_json(msgspec.to_builtins(value, str_keys=True, enc_hook=_enc_hook))


def decode(data: bytes, type_: Any, what: str) -> Any:
    """The value that JSON bytes stand for, as `type_` (Any: plain JSON values).

    Raises SerializationError when the bytes are no JSON or not of that type, or when the type itself is one that JSON
    can't be made into.
    """
    decoder = _decode_plain if type_ is Any else _decoder(type_, what)
    try:
        return decoder(data)
    except Exception as error:
        raise SerializationError(_mismatch(data, what, error)) from error


# == Decoders =========================================================================================================


def _decoder(type_: Any, what: str) -> Callable[[Any], Any]:
    try:
        return (_cached_decoder if _is_hashable(type_) else _build_decoder)(type_)
    except Exception as error:
        raise SerializationError(f"{what}: no value can be decoded as {type_!r}: {error}") from error


def _is_hashable(type_: Any) -> bool:
    try:
        hash(type_)
    except TypeError:  # Annotated with metadata such as a dict
        return False
    return True


def _build_decoder(type_: Any) -> Callable[[Any], Any]:
    try:
        return msgspec.json.Decoder(type_, dec_hook=_dec_hook).decode
    except TypeError:
        pydantic = sys.modules.get("pydantic")
        if pydantic is None:
            raise
        try:  # unions of models, which msgspec has no way to tell apart
            adapter = pydantic.TypeAdapter(type_)
        except Exception:
            adapter = None
        if adapter is None:
            raise
        return lambda data: adapter.validate_json(bytes(data))


_cached_decoder = lru_cache(maxsize=2048)(_build_decoder)


def _mismatch(data: Any, what: str, error: Exception) -> str:
    if isinstance(error, msgspec.ValidationError):
        text = re.sub(r" - at `\$(.*)`$", lambda path: f" - at {_root(what)}{path[1]}", str(error), flags=re.DOTALL)
        return f"{what} is not what the type hint says: {text}"
    if isinstance(error, msgspec.DecodeError):
        return f"{what} is no JSON ({error}); it has {len(bytes(data))} bytes"
    return f"{what} can't be decoded: {type(error).__name__}: {error}"


# == Explaining a refusal ==============================================================================================


def _root(what: str) -> str:
    return what if what.isidentifier() else "value"


def _refuse(value: Any, what: str, root: str, error: Exception) -> NoReturn:
    """Finds the innermost part that can't be encoded, and says so."""
    path, culprit, seen = root, value, {id(value)}
    for _ in range(100):  # deeper than that a path is no help
        bad = next(((step, child) for step, child in _children(culprit) if not _encodable(child)), None)
        if bad is None:
            break
        path, culprit = path + bad[0], bad[1]
        if id(culprit) in seen:
            kind = qualified_name(type(culprit))
            raise SerializationError(f"{what} can't be stored: {path} ({kind}) contains itself") from error
        seen.add(id(culprit))
    kind = qualified_name(type(culprit))
    if isinstance(culprit, float):
        reason = f"{path} is {culprit!r}, which JSON can't hold; use None or a text"
    elif isinstance(error, RecursionError):
        reason = f"{path[:100]}... is nested too deeply; give it a flatter shape"
    elif isinstance(error, UnicodeEncodeError):
        reason = f"{path} ({kind}) has a lone surrogate, which UTF-8 can't hold; send bytes, or repair the text"
    elif isinstance(culprit, Mapping):
        reason = f"{path} ({kind}) has a key that JSON can't hold ({error}); use str keys"
    else:
        reason = f"{path} is of type {kind}, which has no JSON form ({error}); {_HOW}"
    raise SerializationError(f"{what} can't be stored: {reason}") from error


def _encodable(value: Any) -> bool:
    try:
        data = _encode(value)
        if b"null" in data:
            _refuse_nan(value)
    except Exception:
        return False
    return True


def _children(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, child in value.items():
            yield (f".{key}" if isinstance(key, str) and key.isidentifier() else f"[{key!r}]"), child
    elif isinstance(value, (list, tuple, set, frozenset)):
        for index, child in enumerate(value):
            yield f"[{index}]", child
    elif not isinstance(value, type):
        kind = type(value)
        names = getattr(kind, "__struct_fields__", None) or getattr(kind, "__dataclass_fields__", None)
        names = names or getattr(kind, "model_fields", None) or [a.name for a in getattr(kind, "__attrs_attrs__", ())]
        for name in names:
            child = getattr(value, name, None)
            yield f".{name}", child


# == Parameters ========================================================================================================


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
        self._decoders: dict[str, Callable[[Any], Any]] = {}
        self._exact: Callable[[bytes], Any] | None = None
        self._exact_known = False
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
            data = _encode({"args": args, "kwargs": kwargs} if kwargs else args)
            if b"null" in data:
                _refuse_nan((args, kwargs))
            return data
        except Exception as error:
            for name, value in self._named(args, kwargs):
                if not _encodable(value):
                    _refuse(value, what, name, error)
            _refuse((args, kwargs), what, "arguments", error)

    def decode_call(self, data: bytes, what: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments of a stored call, as the hints say. SerializationError as in `decode`."""
        if data == b"[]":
            return (), {}
        exact = self._exact if self._exact_known else self._compile_exact()
        if exact is not None:
            try:
                return exact(data), {}
            except Exception:  # fewer arguments, keywords, or a mismatch: the slow way finds out which
                pass
        try:
            if data[:1] == b"{":
                call = _decode_with_keywords(data)
                raws, keywords = call.args, call.kwargs
            else:
                raws, keywords = _decode_raws(data), {}
        except Exception as error:
            raise SerializationError(_mismatch(data, what, error)) from error
        names = self._names(len(raws))
        args = tuple(self._argument(name, raw, f"{what}: {name}") for name, raw in zip(names, raws, strict=True))
        return args, {name: self._argument(name, raw, f"{what}: {name}") for name, raw in keywords.items()}

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

    def _compile_exact(self) -> Callable[[bytes], Any] | None:
        """One decoder for the whole array, where the number of arguments is always the same."""
        signature = self.signature
        parameters = list(signature.parameters.values())
        if parameters and all(
            p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty for p in parameters
        ):
            try:
                hints = tuple(self._hint(p.name) for p in parameters)
                self._exact = msgspec.json.Decoder(tuple[hints], dec_hook=_dec_hook).decode  # type: ignore[valid-type]
            except Exception:
                self._exact = None  # said clearly, by argument, when that argument is decoded
        self._exact_known = True
        return self._exact

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

    def _argument(self, name: str, data: bytes | msgspec.Raw, what: str) -> Any:
        decoder = self._decoders.get(name)
        if decoder is None:
            hint = self._resolved(name, what)
            decoder = self._decoders[name] = _decode_plain if hint is Any else _decoder(hint, what)
        try:
            return decoder(data)
        except Exception as error:
            raise SerializationError(_mismatch(data, what, error)) from error

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
        return Any if hint in (NoReturn, Never, object) else hint


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
