"""Values to bytes and back: JSON, guided by type hints.

It must never store what it can't give back (NaN and infinities would become null), never fail at import because of an
odd annotation, and never hide where in a value the trouble is. It is on the hot path of every call: the walks that
explain an error run only once an encoder has refused.
"""

import math
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from json import JSONEncoder
from typing import Any, NoReturn, get_args

import msgspec

from dtf_runtime.errors import SerializationError, qualified_name

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
    if kind is object:
        return value
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
_NO_FLOATS = frozenset({str, int, bool, type(None)})


def encode(value: Any, what: str, *, root: str | None = None) -> bytes:
    """The JSON of a value. `what` says in errors which value it is, `root` begins the paths into it.

    Raises SerializationError, with the path and the type of the culprit (`input.items[3].price`), for what JSON can't
    hold: other objects, NaN, infinities, cycles, lone surrogates.
    """
    if value is None:
        return b"null"
    try:
        data = _encode(value)
        if b"null" in data:
            _refuse_nan(value)
    except Exception as error:
        _refuse(value, what, root or _root(what), error)
    return data


def decode(data: bytes | msgspec.Raw, type_: Any, what: str, *, root: str | None = None) -> Any:
    """The value that JSON bytes stand for, as `type_` (Any: plain JSON values).

    Raises SerializationError when the bytes are no JSON or not of that type, or when the type itself is one that JSON
    can't be made into.
    """
    prepared = type(type_) is Prepared
    decoder: Callable[[Any], Any] = type_.decoder if prepared else _decoder(type_, what)
    try:
        return decoder(data)
    except Exception as error:
        raise SerializationError(_mismatch(data, what, root, error)) from error


class Prepared:
    """A type hint with its decoder at hand, for `decode`: hashing a union to look one up costs more than decoding.

    A hint that no value can be decoded as: SerializationError, when it is prepared.
    """

    __slots__ = ("decoder", "hint")

    def __init__(self, hint: Any, what: str) -> None:
        self.hint = hint
        self.decoder = _decoder(hint, what)


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


# == Decoders =========================================================================================================


def _decoder(type_: Any, what: str) -> Callable[[Any], Any]:
    if type_ is Any:
        return _decode_plain
    try:
        return _cached_decoder(type_)
    except Exception as error:
        refused = error
    if not _is_hashable(type_):
        try:
            return _build_decoder(type_)
        except Exception as error:
            refused = error
    raise SerializationError(f"{what}: no value can be decoded as {type_!r}: {refused}") from refused


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
        if pydantic is None or not _mentions(type_, pydantic.BaseModel):
            raise
        try:  # unions of models, which msgspec has no way to tell apart
            adapter = pydantic.TypeAdapter(type_)
        except Exception:
            adapter = None
        if adapter is None:
            raise
        return lambda data: adapter.validate_json(bytes(data))


def _mentions(type_: Any, base: type[Any]) -> bool:
    if isinstance(type_, type) and issubclass(type_, base):
        return True
    return any(_mentions(part, base) for part in get_args(type_))


_cached_decoder = lru_cache(maxsize=2048)(_build_decoder)


def _mismatch(data: Any, what: str, root: str | None, error: Exception) -> str:
    if root is None:
        root = _root(what)
    else:
        what = f"{what}: {root}"
    if isinstance(error, msgspec.ValidationError):
        text = re.sub(r" - at `\$(.*)`$", lambda path: f" - at {root}{path[1]}", str(error), flags=re.DOTALL)
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
        bad = _first_refused(culprit)
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


def _first_refused(value: Any) -> tuple[str, Any] | None:
    try:
        return next(((step, child) for step, child in _children(value) if not _encodable(child)), None)
    except Exception:  # a value too odd to look into: it is the culprit itself
        return None


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
