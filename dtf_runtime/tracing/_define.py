"""How a catalogue entry becomes a callable: the machinery behind `events.py`.

An entry is written as a signature (its typed fields) under a decorator (id, level, message). The decorator keeps the
signature for type checkers and replaces the body. It must never format anything, nor touch a field, while the logger's
level is off, and a trace call must never raise into the turn or commit that made it.
"""

import logging
import sys
import traceback
from collections.abc import Callable
from functools import update_wrapper
from typing import NamedTuple, ParamSpec, cast

_P = ParamSpec("_P")


class EventInfo(NamedTuple):
    """One entry of the catalogue: what it is called, where it goes, what it says and which fields it carries."""

    event_id: int
    name: str
    logger: logging.Logger
    level: int
    message: str
    fields: tuple[str, ...]
    defaults: dict[str, object]


catalogue: dict[str, EventInfo] = {}
"""All entries by name, in the order of `events.py`."""


class Source:
    """The events of one logger. Called with id, level and message it gives the decorator that defines an entry."""

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(f"dtf_runtime.{name}")

    def __call__(self, event_id: int, level: int, message: str) -> Callable[[Callable[_P, None]], Callable[_P, None]]:
        def define(signature: Callable[_P, None]) -> Callable[_P, None]:
            code = signature.__code__
            info = EventInfo(
                event_id,
                signature.__name__,
                self.logger,
                level,
                message,
                code.co_varnames[: code.co_kwonlyargcount],
                dict(signature.__kwdefaults__ or {}),
            )
            if info.name in catalogue:
                raise AssertionError(f"trace event {info.name} is defined twice")
            catalogue[info.name] = info
            return cast(Callable[_P, None], update_wrapper(_emitter(info), signature))

        return define


def _emitter(info: EventInfo) -> Callable[..., None]:
    enabled, level = info.logger.isEnabledFor, info.level

    def emit(**fields: object) -> None:
        if enabled(level):
            _write(info, fields)

    return emit


def _write(info: EventInfo, given: dict[str, object]) -> None:
    try:
        fields = {**info.defaults, **given}
        error = fields.get("error")
        if isinstance(error, BaseException):
            fields["error"] = describe(error)
        else:
            error = None
        info.logger.log(
            info.level,
            info.message,
            *((fields,) if fields else ()),  # an empty mapping would count as a positional argument
            exc_info=error,
            extra={"dtf": fields, "dtf_event": info.name, "dtf_event_id": info.event_id},
            stacklevel=3,
        )
    except Exception:  # a logging filter of the user's that raises: say so as logging does, and let the turn go on
        if logging.raiseExceptions:
            traceback.print_exc(file=sys.stderr)


def describe(error: BaseException) -> str:
    """`module.Type: text`, also for an exception whose own text can't be had."""
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    try:
        text = str(error)
    except Exception as broken:
        text = f"<its text raised {type(broken).__name__}>"
    return f"{name}: {text}" if text else name
