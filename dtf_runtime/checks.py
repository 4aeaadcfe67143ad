"""Checks of arguments that come from users: names, versions, instance ids, tags, counts.

They run before anything is stored, and each raises InvalidArgumentError that names the argument.
"""

import re
from collections.abc import Mapping
from typing import Any

from dtf_runtime.errors import InvalidArgumentError

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
