"""`dtf connectors`: which are installed, what they offer and need, and a skeleton for one more.

A connector is known by its ConnectorInfo alone, and an activity's effect by its attribute `declaration`: the runtime imports no connector.
"""

import dataclasses
import inspect
import re
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dtf_runtime import DefinitionNotFoundError, InvalidArgumentError
from dtf_runtime.cli import connectors_new
from dtf_runtime.cli.commands import Session, command
from dtf_runtime.cli.terminal import emit, note, show, table, text
from dtf_runtime.plugins import ConnectorInfo, InstalledFrom, installed_from, load_connector, load_connectors

if TYPE_CHECKING:
    from rich.console import RenderableType

_MODULE = re.compile(r"(?:[A-Za-z_]\w*\.)+(?=[A-Za-z_])")  # of a qualified name
Name = Annotated[str, typer.Argument(help="The connector.", show_default=False)]


class ConnectorNotFoundError(DefinitionNotFoundError):
    """No connector of that name is installed."""


def register(app: typer.Typer) -> None:
    group = typer.Typer(no_args_is_help=True, help="Ready activities: list, describe, start a new one.")
    app.add_typer(group, name="connectors")

    @command(group, "list")
    def list_connectors(session: Session) -> None:
        """List the installed connectors."""
        rows = listed()
        if session.json:
            emit(rows)
            return
        columns = ("connector", "version", "activities", "orchestrations", "from", "")
        show(table(columns, [tuple(text(cell) for cell in _line(row)) for row in rows]))
        note("dtf connectors describe NAME")

    @command(group, "describe")
    def describe(
        session: Session,
        name: Name,
        iam: Annotated[bool, typer.Option("--iam", help="The permissions of its activities, as a policy.")] = False,
        activity: Annotated[
            list[str] | None, typer.Option("--activity", help="With --iam: of this one only. May be repeated.")
        ] = None,
    ) -> None:
        """Say what a connector offers, how each activity is effectively once, and what it reads from the environment."""
        info, origin = found(name)
        if iam:
            emit(policy(info, activity or ()))
        elif session.json:
            emit(described(info, origin))
        else:
            show(*_pages(info, origin))
        if origin.install and not session.json:
            note(f"it still needs: {origin.install}", "yellow")

    @command(group, "new")
    def new(
        session: Session,
        name: Annotated[str, typer.Argument(help="Its name: lower case, as in NAME.create_item.", show_default=False)],
        into: Annotated[Path, typer.Option("--into", metavar="DIR", help="The folder to write it into.")] = Path("."),
    ) -> None:
        """Write the skeleton of a connector, with a fake of its service and tests that pass."""
        written = connectors_new.write(name, into)
        if session.json:
            emit({"folder": str(written)})
        else:
            note(f"written to {written}; its README.md says how to go on, `pytest {written}` runs its tests")


def found(name: str) -> tuple[ConnectorInfo, InstalledFrom]:
    """Unknown: ConnectorNotFoundError. Broken: PluginError. A missing extra: MissingExtraError, with the line that installs it."""
    try:
        info = load_connector(name)
    except InvalidArgumentError as error:
        raise ConnectorNotFoundError(str(error)) from error
    return info, installed_from(name)


def listed() -> list[dict[str, Any]]:
    connectors = load_connectors()
    rows = []
    for name in sorted({*connectors.loaded, *connectors.broken}):
        info, origin = connectors.loaded.get(name), installed_from(name)
        rows.append(
            {
                "name": name,
                "version": info.version if info else None,
                "activities": len(info.activities) if info else None,
                "orchestrations": len(info.orchestrations) if info else None,
                "distribution": f"{origin.distribution} {origin.version}".strip(),
                "install": origin.install,
                "error": str(connectors.broken[name]) if info is None else "",
            }
        )
    return rows


def _line(row: Mapping[str, Any]) -> list[str]:
    state = row["error"] or row["install"]
    counts = ["" if row[key] is None else str(row[key]) for key in ("version", "activities", "orchestrations")]
    return [row["name"], *counts, row["distribution"], state]


# == One of them ==================================================================================================


def described(info: ConnectorInfo, origin: InstalledFrom) -> dict[str, Any]:
    return {
        "name": info.name,
        "version": info.version,
        "distribution": f"{origin.distribution} {origin.version}".strip(),
        "install": origin.install,
        "activities": [_definition(each) | _declared(each) for each in info.activities],
        "orchestrations": [_definition(each) for each in info.orchestrations],
        "connection": None
        if info.connection is None
        else {"class": info.connection.__qualname__, "fields": _fields(info.connection)},
        "environment": dict(info.environment),
    }


def _definition(each: Any) -> dict[str, Any]:
    document = inspect.getdoc(each.fn) or ""
    takes, gives = _types(each.fn)
    return {
        "name": each.name,
        "version": each.version,
        "summary": " ".join(document.partition("\n\n")[0].split()),
        "input": takes,
        "output": gives,
    }


def _types(fn: Any) -> tuple[str, str]:
    """The types of the last parameter (an orchestration's first one is its context) and of the result, by name."""
    try:
        hints = typing.get_type_hints(fn)
    except Exception:  # a third party's annotations: they may name anything
        return "?", "?"
    gives = hints.pop("return", None)
    takes = [hints[name] for name in inspect.signature(fn).parameters if name in hints]
    return _type_name(takes[-1]) if takes else "", _type_name(gives)


def _type_name(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else _MODULE.sub("", str(kind))


def _declared(activity: Any) -> dict[str, Any]:
    declaration = getattr(activity, "declaration", None)
    return {
        "effect": str(getattr(declaration, "effect", "")),
        "how": str(getattr(declaration, "how", "")),
        "permissions": [str(permission) for permission in getattr(declaration, "permissions", ())],
    }


def _fields(connection: type[Any]) -> list[dict[str, Any]]:
    """Defaults are shown, except of a type that may hold a secret."""
    if not dataclasses.is_dataclass(connection):
        return []
    rows = []
    for field in dataclasses.fields(connection):
        kind = field.type if isinstance(field.type, str) else _type_name(field.type)
        plain = isinstance(field.default, str | int | float | bool | tuple)
        default = field.default if plain and "Secret" not in kind else None
        rows.append({"name": field.name, "type": kind, "default": default, "help": field.metadata.get("help", "")})
    return rows


def policy(info: ConnectorInfo, only: typing.Sequence[str]) -> dict[str, Any]:
    """An IAM policy with a statement for each activity. `Resource` is for its reader to narrow."""
    known = {each.name: _declared(each)["permissions"] for each in info.activities}
    if unknown := [name for name in only if name not in known]:
        raise InvalidArgumentError(f"connector {info.name!r} has no activity {', '.join(map(repr, unknown))}")
    statements = [
        {
            "Sid": "".join(part.capitalize() for part in re.split(r"[._]", name)),
            "Effect": "Allow",
            "Action": permissions,
            "Resource": "*",
        }
        for name, permissions in known.items()
        if permissions and (not only or name in only)
    ]
    if not statements:
        raise InvalidArgumentError(f"the activities of connector {info.name!r} declare no permissions")
    return {"Version": "2012-10-17", "Statement": statements}


def _pages(info: ConnectorInfo, origin: InstalledFrom) -> list["RenderableType"]:
    data = described(info, origin)
    pages: list[RenderableType] = [
        text(f"{info.name} {info.version}", "bold") + text(f"  {data['distribution']}", "dim")
    ]
    rows = [
        (
            text(each["name"], "bold"),
            text(f"{each['input']} -> {each['output']}"),
            text(_once(each)),
            text(each["summary"], "dim"),
        )
        for each in data["activities"]
    ]
    pages += [text(""), table(("activity", "in -> out", "effectively once by", "what it does"), rows)]
    if data["orchestrations"]:
        waits = [
            (text(each["name"], "bold"), text(f"{each['input']} -> {each['output']}"), text(each["summary"], "dim"))
            for each in data["orchestrations"]
        ]
        pages += [text(""), table(("orchestration", "in -> out", "what it does"), waits)]
    if data["connection"] is not None:
        settings = [(text(f["name"], "bold"), text(f["type"]), text(f["help"])) for f in data["connection"]["fields"]]
        pages += [text(""), table((f"{data['connection']['class']}", "type", ""), settings)]
    if info.environment:
        variables = [(text(name, "bold"), text(meaning)) for name, meaning in info.environment.items()]
        pages += [text(""), table(("environment", ""), variables)]
    return pages


def _once(each: Mapping[str, Any]) -> str:
    return f"{each['effect']}: {each['how']}" if each["how"] else each["effect"] or "it doesn't say"
