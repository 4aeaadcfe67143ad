"""Connections by name. An activity's input says *which* connection, never what is in it: the worker that runs it knows.

Looked for in this order: what `using(...)` gives in this context (scripts, tests), what the worker was given
(`TaskHubWorker(..., connections=[...])`), the environment (`DTF_CONNECTION_<CONNECTOR>_<NAME>_<FIELD>`), and last what the connector's
class makes of the name alone, its SDK's own chain of credentials, say.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self, TypeVar

from connectors.core.errors import ConnectionMissing
from connectors.core.secret import Secret
from dtf_runtime import OutsideActivityError, activity_context

_C = TypeVar("_C", bound="Connection")
_given: ContextVar[tuple["Connection", ...]] = ContextVar("connections given", default=())
_TRUE, _FALSE = frozenset({"1", "true", "yes", "on"}), frozenset({"0", "false", "no", "off"})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Connection:
    """Base of every connector's own class: a frozen dataclass whose fields all have defaults.

    A field's `metadata={"help": "..."}` is what `dtf connectors describe` prints. Credentials are of type `Secret | None`. Equal
    connections share a client, so anything that a client depends on is a field.
    """

    connector: ClassVar[str]
    name: str = "default"

    @classmethod
    def from_chain(cls, name: str) -> Self | None:
        """What to do when nothing was registered and no variable is set. None: the connection is missing."""
        return None


@contextmanager
def using(*connections: Connection) -> Iterator[None]:
    """These come first, for calls made within: in a script or a test, where no worker has been given any."""
    token = _given.set((*connections, *_given.get()))
    try:
        yield
    finally:
        _given.reset(token)


def resolve(cls: type[_C], name: str = "default") -> _C:
    """The connection of that name. Raises ConnectionMissing, which says what there is and what to set."""
    known = [*_given.get(), *_of_worker()]
    for connection in known:
        if isinstance(connection, cls) and connection.name == name:
            return connection
    found = from_environment(cls, name) or cls.from_chain(name)
    if found is not None:
        return found
    names = ", ".join(sorted({repr(c.name) for c in known if isinstance(c, cls)})) or "none"
    fields = ", ".join(variable(cls, name, field.name) for field in settings(cls))
    raise ConnectionMissing(
        f"this worker has no {cls.connector} connection {name!r} (it was given: {names}). Give it one, "
        f"TaskHubWorker(..., connections=[{cls.__name__}(name={name!r}, ...)]), or set some of {fields}"
    )


def _of_worker() -> tuple[Any, ...]:
    try:
        return activity_context().connections
    except OutsideActivityError:
        return ()


def settings(cls: type[Connection]) -> list["dataclasses.Field[Any]"]:
    """Its fields but the name."""
    return [field for field in dataclasses.fields(cls) if field.name != "name"]


def variable(cls: type[Connection], name: str, field: str) -> str:
    """The environment variable of one field."""
    plain = "".join(c if c.isalnum() else "_" for c in name)
    return f"DTF_CONNECTION_{cls.connector}_{plain}_{field}".upper()


def from_environment(cls: type[_C], name: str, environment: Mapping[str, str] = os.environ) -> _C | None:
    """None when not one of its variables is set. Raises ConnectionMissing for a value that can't be read.

    The same object as long as the variables say the same: it is asked for at every call.
    """
    kind: Any = cls  # mypy takes no type[_C] for hashable
    texts = tuple(environment.get(key) for key in _variables(kind, name))
    if all(text is None for text in texts):
        return None
    made: _C = _made_of(kind, name, texts)
    return made


@lru_cache(maxsize=256)
def _variables(cls: type[Connection], name: str) -> tuple[str, ...]:
    return tuple(variable(cls, name, field.name) for field in settings(cls))


@lru_cache(maxsize=256)
def _made_of(cls: type[_C], name: str, texts: tuple[str | None, ...]) -> _C:
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field, text in zip(settings(cls), texts, strict=True):
        if text is None:
            continue
        try:
            values[field.name] = _read(text, hints[field.name])
        except ValueError as error:
            raise ConnectionMissing(f"{variable(cls, name, field.name)} can't be read: {error}") from None
    return cls(name=name, **values)


def _read(text: str, hint: Any) -> Any:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if hint is bool:
        if text.lower() not in _TRUE | _FALSE:
            raise ValueError("write true or false")
        return text.lower() in _TRUE
    if typing.get_origin(hint) is tuple:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    if typing.get_origin(hint) is typing.Literal:
        if text not in typing.get_args(hint):
            raise ValueError(f"write one of {', '.join(map(str, typing.get_args(hint)))}")
        return text
    if hint in (str, int, float, Path, Secret):
        try:
            return hint(text)
        except ValueError:
            raise ValueError(f"it must be a {hint.__name__}") from None  # never the text: it may be a secret
    raise ValueError(f"this field can't come from the environment ({hint})")
