"""Checks of arguments that come from users: names, versions, instance ids, tags, counts.

They run before anything is stored, and each raises InvalidArgumentError that names the argument.
"""

import inspect
import re
from collections.abc import Mapping
from typing import Any

from dtf_runtime.errors import Duration, InvalidArgumentError, seconds

MAX_NAME = 200  # characters, of a definition and of a version
MAX_INSTANCE_ID = 500  # characters
MAX_TAG = 1_000  # characters, of a key or a value

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def check_text(value: Any, what: str, *, longest: int) -> str:
    """A text that is not empty, has no control characters, and is no longer than that (characters)."""
    if not isinstance(value, str):
        raise InvalidArgumentError(f"{what} must be a str, not {type(value).__name__}: {str(value)[:100]!r}")
    if not value:
        raise InvalidArgumentError(f"{what} must not be empty")
    if len(value) > longest:
        raise InvalidArgumentError(
            f"{what} has {len(value)} characters, {longest} is the most; it begins {value[:50]!r}"
        )
    found = _CONTROL.search(value)
    if found:
        raise InvalidArgumentError(
            f"{what} has a control character ({found[0]!r} at position {found.start()}): {value[:100]!r}"
        )
    return str(value)


def check_version(value: Any, what: str = "version") -> str:
    """As `check_text`, but "" is fine: unversioned."""
    return "" if isinstance(value, str) and not value else check_text(value, what, longest=MAX_NAME)


def check_instance_id(value: Any, what: str = "instance_id") -> str:
    """An id that every provider can hold: any printable text of up to 500 characters."""
    return check_text(value, what, longest=MAX_INSTANCE_ID)


def check_tags(value: Any, what: str = "tags") -> dict[str, str]:
    """A copy of a mapping of texts."""
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"{what} must be a mapping of str to str, not {type(value).__name__}")
    checked: dict[str, str] = {}
    for key, text in value.items():
        name = check_text(key, f"a key of {what}", longest=MAX_TAG)
        checked[name] = "" if text == "" else check_text(text, f"{what}[{name!r}]", longest=MAX_TAG)
    return checked


def check_count(value: Any, what: str) -> int:
    """A whole number from 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidArgumentError(f"{what} must be a whole number from 1, not {value!r}")
    return value


def check_limit(duration: Duration | None, what: str) -> float | None:
    """A time limit in seconds, more than 0; None is none."""
    if duration is None:
        return None
    value = seconds(duration, what)
    if value == 0:
        raise InvalidArgumentError(f"{what} must be more than 0; None means no limit")
    return value


def is_number(value: Any) -> bool:
    """An int or a float; True is none."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def check_definition_name(fn: Any, name: str | None, kind: str) -> str:
    if name is None:
        name = getattr(fn, "__qualname__", None)
        if name is None or name.endswith("<lambda>"):
            raise InvalidArgumentError(f"{fn!r} has no name of its own; write @{kind}(name=...)")
    return check_text(name, f"the name of an {kind}", longest=MAX_NAME)


def check_function(fn: Any, name: str, kind: str) -> None:
    if isinstance(fn, (staticmethod, classmethod)):
        raise InvalidArgumentError(f"{kind} {name!r}: put @staticmethod above @{kind}, not below it")
    if hasattr(fn, "__wrapped__") and hasattr(fn, "parameters"):
        raise InvalidArgumentError(f"{kind} {name!r} is decorated already: {fn!r}")
    if not callable(fn) or isinstance(fn, type):
        raise InvalidArgumentError(f"@{kind} takes a function, not {fn!r}")
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise InvalidArgumentError(f"{kind} {name!r} is a generator: return a list, or split the work into calls")
    first = next(iter(inspect.signature(fn).parameters), "") if inspect.isfunction(fn) else ""
    if first in ("self", "cls"):
        raise InvalidArgumentError(
            f"{kind} {name!r} is a method, and an object can't cross to a worker: make it a function, or drop "
            f"{first!r} and put @staticmethod above @{kind}"
        )


def check_orchestration(fn: Any, name: str) -> None:
    if not inspect.iscoroutinefunction(fn):
        raise InvalidArgumentError(f"orchestration {name!r} must be an `async def`")
    parameters = list(inspect.signature(fn).parameters.values())
    plain = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if not plain or len(plain) != len(parameters) or len(parameters) > 2:
        raise InvalidArgumentError(
            f"orchestration {name!r} takes the context and at most one input, `async def {name}(ctx)` or "
            f"`async def {name}(ctx, input)`; put several values into a dataclass"
        )
