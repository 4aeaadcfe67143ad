"""What people type: durations, instants, JSON, tags. Every function raises InvalidArgumentError with the right form
beside the wrong one.
"""

import json
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NoReturn

from dtf_runtime import InvalidArgumentError, OrchestrationStatus

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
MISSING: Any = object()  # no input was given; None is an input


def duration(value: str) -> timedelta:
    """`90`, `1.5s`, `250ms`, `1h30m`, `7d`; a bare number is seconds."""
    compact = value.strip().lower().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", compact):
        compact += "s"
    if not compact or _PART.sub("", compact):
        raise InvalidArgumentError(f"{value!r} is not a duration: write 90s, 5m, 1h30m or 7d")
    try:
        return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(compact)))
    except OverflowError as error:
        raise InvalidArgumentError(f"{value!r} is too long a duration") from error


def past(value: str | None) -> datetime | None:
    """An ISO instant, or a duration that counts back from now: `--completed-before 30d`. None stays None."""
    return None if value is None else _instant(value, -1)


def future(value: str | None) -> datetime | None:
    """An ISO instant, or a duration that counts from now: `--at 10m`. None stays None."""
    return None if value is None else _instant(value, 1)


def _instant(value: str, direction: int) -> datetime:
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC)  # without an offset: local time
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return datetime.now(UTC) + direction * duration(value)
    except (InvalidArgumentError, OverflowError) as error:
        form = "an instant such as 2026-01-31T09:00 (local) or 2026-01-31T09:00Z, or a duration such as 30d"
        raise InvalidArgumentError(f"{value!r} is not {form}") from error


def json_input(value: str | None, option: str) -> Any:
    """The JSON value given as text, as `@FILE`, or as `@-` (stdin); MISSING when the option was not given."""
    if value is None:
        return MISSING
    source, content = (value, _read(value[1:], option)) if value.startswith("@") else (option, value)
    try:
        return json.loads(content, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        hint = "" if value.startswith("@") else """; a text needs quotes of its own: '"like this"'"""
        raise InvalidArgumentError(f"{source} is not JSON: {error}{hint}") from error


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _read(path: str, option: str) -> str:
    try:
        return sys.stdin.read() if path == "-" else Path(path).read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise InvalidArgumentError(f"{option} can't read {path}: {error}") from error


def tags(values: list[str] | None) -> dict[str, str]:
    """`KEY=VALUE`, any number of them."""
    pairs = [value.partition("=") for value in values or ()]
    wrong = next((key for key, sign, _ in pairs if not key or not sign), None)
    if wrong is not None:
        raise InvalidArgumentError(f"--tag {wrong!r} has no value: write --tag KEY=VALUE")
    return {key: value for key, _, value in pairs}


def statuses(values: list[str] | None) -> tuple[OrchestrationStatus, ...]:
    """Names of statuses, also several with commas."""
    names = [name.strip().lower() for value in values or () for name in value.split(",")]
    known = {status.value for status in OrchestrationStatus}
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        raise InvalidArgumentError(f"{wrong!r} is not a status: one of {', '.join(sorted(known))}")
    return tuple(OrchestrationStatus(name) for name in names)
