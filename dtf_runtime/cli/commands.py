"""What all commands share, once: `--hub`, `--json`, `--debug`, the event loop, and what becomes of an error.

A command is a plain or `async` function whose first parameter is the `Session`; `@command(app)` gives it the
options. An error of the hierarchy ends it with one line on stderr and the code of `exits.py`, never with a
traceback, unless `--debug` asks for one.
"""

import asyncio
import functools
import inspect
import os
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields, is_dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from dtf_runtime import InstanceNotFoundError, TaskHubClient, connect
from dtf_runtime.cli import terminal
from dtf_runtime.cli.exits import Exit, exit_for

DEFAULT_HUB = "sqlite:///dtf.db"

InstanceId = Annotated[str, typer.Argument(metavar="ID", help="The instance id.", show_default=False)]
Reason = Annotated[str, typer.Option("--reason", help="Why; stored with the instance.", show_default=False)]


class LogLevel(StrEnum):
    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


LogOption = Annotated[LogLevel, typer.Option("--log-level", help="What is logged, to stderr.")]


@dataclass(frozen=True, kw_only=True)
class Session:
    """One call of the command: which hub, and for whom the answer is (`json`: a program)."""

    hub: str
    json: bool

    @asynccontextmanager
    async def client(self, *, create: bool = False) -> AsyncIterator[TaskHubClient]:
        """A client on the hub. A missing SQLite file is an error unless `create`: a look must not make a hub."""
        if not create:
            require_hub(self.hub)
        async with TaskHubClient(connect(self.hub)) as client:
            yield client


class HubNotFoundError(InstanceNotFoundError):
    """No task hub where `--hub` points."""


def sqlite_file(hub: str) -> Path | None:
    """The file of a `sqlite:///` address; None for another kind of hub."""
    scheme, _, rest = hub.partition(":///")
    return Path(rest.partition("?")[0]) if scheme == "sqlite" and rest else None


def require_hub(hub: str) -> None:
    file = sqlite_file(hub)
    if file is not None and not file.exists():
        raise HubNotFoundError(
            f"there is no task hub at {file}: `dtf run`, `worker` and `start` create it; --hub or DTF_HUB names another"
        )


def _option(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


_SHARED = (
    _option(
        "hub", Annotated[str, typer.Option("--hub", envvar="DTF_HUB", metavar="URL", help="The task hub.")], DEFAULT_HUB
    ),
    _option("as_json", Annotated[bool, typer.Option("--json", help="JSON on stdout, for programs.")], False),
    _option("debug", Annotated[bool, typer.Option("--debug", envvar="DTF_DEBUG", help="Show tracebacks.")], False),
)


def command(
    app: typer.Typer, name: str | None = None, **settings: Any
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Registers a function `(session, ...) -> Exit | None` as a command of `app`."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        own = list(inspect.signature(function, eval_str=True).parameters.values())[1:]

        @functools.wraps(function)
        def invoke(*, hub: str, as_json: bool, debug: bool, **options: Any) -> None:
            given = {parameter.name: _value(parameter, options) for parameter in own}
            raise typer.Exit(_run(function, Session(hub=hub, json=as_json), given, debug))

        flat = [option for parameter in own for option in _options(parameter)] + list(_SHARED)
        invoke.__signature__ = inspect.Signature(flat)  # type: ignore[attr-defined]
        invoke.__annotations__ = {option.name: option.annotation for option in flat}
        app.command(name, **settings)(invoke)
        return function

    return register


def _group(parameter: inspect.Parameter) -> type[Any] | None:
    """A parameter whose type is a dataclass stands for all of its fields, each an option."""
    annotation: Any = parameter.annotation
    return annotation if is_dataclass(annotation) else None  # type: ignore[return-value]


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    group = _group(parameter)
    if group is None:
        return [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)]
    return [_option(field.name, field.type, field.default) for field in fields(group)]


def _value(parameter: inspect.Parameter, options: dict[str, Any]) -> Any:
    group = _group(parameter)
    if group is None:
        return options[parameter.name]
    return group(**{field.name: options[field.name] for field in fields(group)})


def _run(function: Callable[..., Any], session: Session, given: dict[str, Any], debug: bool) -> int:
    try:
        outcome = function(session, **given)
        if inspect.iscoroutine(outcome):
            outcome = asyncio.run(outcome)
        sys.stdout.flush()
        return int(outcome or Exit.OK)
    except typer.Exit as ended:
        return ended.exit_code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except asyncio.CancelledError:
        return Exit.STOPPED
    except BrokenPipeError:  # `dtf list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
    except Exception as error:
        return _report(error, debug)


def _report(error: Exception, debug: bool) -> Exit:
    code = exit_for(error)
    if debug or code is Exit.BUG:
        terminal.note("".join(traceback.format_exception(error)), lines=True)
    kind = "" if str(error) else type(error).__name__
    prefix = f"unexpected {type(error).__name__}, a defect of dtf: " if code is Exit.BUG else "error: "
    terminal.note(f"{prefix}{kind}{' '.join(str(error).split())}", "bold red")
    return code
