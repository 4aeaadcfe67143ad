"""What a connector says of itself, read without running it: names, types, documentation, effects, its connection."""

import ast
import dataclasses
import inspect
import re
import textwrap
import typing
from collections.abc import Iterable
from typing import Any

import msgspec

from connectors.core.connections import Connection, settings, variable
from connectors.core.effects import Effect, Mutation, declaration_of
from connectors.core.secret import Secret
from connectors.core.testing.findings import Finding
from dtf_runtime import Activity, ConnectorInfo, Orchestration

_NAME = re.compile(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9_]*){1,3}")
_VERSION = re.compile(r"\d+(\.\d+)*")
_CREDENTIAL = re.compile(r"(^|_)(secret|password|passwd|token|api_key|access_key|signing_key|private_key)$")
_MEASURE = re.compile(  # a number of what?
    r"(^|_)(timeout|size|length|interval|delay|duration|age|ttl|expiry|expires_in|retention|memory|throughput|rate|distance|price|amount)$"
)


def static_findings(info: ConnectorInfo) -> list[Finding]:
    """Everything that is wrong; empty when nothing is."""
    found = _names(info)
    for activity in info.activities:
        found += [Finding(activity.name, what) for what in _activity(activity)]
    if info.connection is not None:
        found += _connection(info, info.connection)
    return found


def _names(info: ConnectorInfo) -> list[Finding]:
    found = []
    if not _VERSION.fullmatch(info.version):
        found.append(Finding(info.name, f"its version is {info.version!r}: write numbers, 1 or 1.2"))
    definitions: list[Activity[..., Any] | Orchestration[..., Any]] = [*info.activities, *info.orchestrations]
    if not definitions:
        found.append(Finding(info.name, "it brings no activity and no orchestration"))
    for each in definitions:
        if not _NAME.fullmatch(each.name) or each.name.partition(".")[0] != info.name:
            wanted = f"{info.name}.<service>.<verb_noun>, in lower case, whatever the Python path is"
            found.append(Finding(each.name, f"its name must read {wanted}"))
        if not (inspect.getdoc(each.fn) or "").strip():
            found.append(Finding(each.name, "it has no docstring"))
    keys = [(each.name, each.version) for each in definitions]
    found += [
        Finding(name, "there are two of that name and version")
        for name, _ in {key for key in keys if keys.count(key) > 1}
    ]
    return found


# == Activities ===================================================================================================


def _activity(activity: Activity[..., Any]) -> list[str]:
    declaration = declaration_of(activity)
    found = []
    if declaration is None:
        found.append("it doesn't say how it is effectively once: @declare(Effect....) above @activity")
    hints = _hints(activity)
    if hints is None:
        return [*found, "its annotations can't be resolved"]
    output = hints.pop("return", None)
    if len(hints) != 1 or len(inspect.signature(activity.fn).parameters) != 1:
        return [*found, "it takes one struct, and every parameter is annotated"]
    (call,) = hints.values()
    found += _input(call)
    found += _output(output)
    if declaration is not None and declaration.effect is not Effect.READ and not _is(output, Mutation):
        found.append("it changes something, so its output derives from connectors.core.Mutation")
    return found


def _hints(activity: Activity[..., Any]) -> dict[str, Any] | None:
    try:
        return typing.get_type_hints(activity.fn)
    except (NameError, AttributeError, TypeError):
        return None


def _input(call: Any) -> list[str]:
    if not _is(call, msgspec.Struct):
        return [f"its input must be a msgspec.Struct, not {call!r}"]
    found = _shape(call)
    if any(p.kind is not inspect.Parameter.KEYWORD_ONLY for p in inspect.signature(call).parameters.values()):
        found.append(f"{call.__name__} must be kw_only: a field that is added must not move the others")
    if not _names_connection(call):
        found.append(f'{call.__name__} must have `connection: str = "default"`')
    return found


def _names_connection(struct: Any) -> bool:
    """Itself, or in a struct that it holds: a request, say."""
    fields = msgspec.structs.fields(struct)
    return any(field.name == "connection" and field.default == "default" for field in fields) or any(
        _is(field.type, msgspec.Struct) and _names_connection(field.type) for field in fields
    )


def _output(output: Any) -> list[str]:
    if not _is(output, msgspec.Struct):
        return [f"its output must be a msgspec.Struct, not {output!r}"]
    return _shape(output)


def _shape(struct: Any) -> list[str]:
    found = []
    if not struct.__struct_config__.frozen:
        found.append(f"{struct.__name__} must be frozen")
    try:
        msgspec.json.schema(struct)
    except (TypeError, NameError) as error:
        found.append(f"{struct.__name__} can't cross as JSON: {error}")
    told = _documents(struct)
    for field in msgspec.structs.fields(struct):
        kinds = {field.type, *typing.get_args(field.type)}
        is_measure = _MEASURE.search(field.name) is not None and field.name != "page_size"
        if (float in kinds or (int in kinds and is_measure)) and field.name not in told:
            found.append(f"{struct.__name__}.{field.name} is a number of what? Say its unit in a docstring below it")
    return found


def _documents(struct: type) -> set[str]:
    """The fields that have a docstring of their own, or are named in backticks in another one."""
    told: set[str] = set()
    for cls in struct.__mro__:
        try:
            (node,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue
        assert isinstance(node, ast.ClassDef)
        for field, after in zip([None, *node.body], node.body, strict=False):
            if not (
                isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                continue
            told |= set(re.findall(r"`(\w+)`", after.value.value))
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                told.add(field.target.id)
    return told


def _is(kind: Any, base: type) -> bool:
    return isinstance(kind, type) and issubclass(kind, base)


# == Connections ==================================================================================================


def _connection(info: ConnectorInfo, cls: type[Any]) -> list[Finding]:
    if not (issubclass(cls, Connection) and dataclasses.is_dataclass(cls)):
        return [
            Finding(cls.__name__, "a connection is a frozen dataclass that derives from connectors.core.Connection")
        ]
    found = []
    if getattr(cls, "connector", None) != info.name:
        found.append(Finding(cls.__name__, f"its `connector` must be {info.name!r}"))
    if "__hash__" not in vars(cls) or vars(cls)["__hash__"] is None:
        found.append(Finding(cls.__name__, "it must be frozen: equal connections share a client"))
    found += [Finding(f"{cls.__name__}.{name}", what) for name, what in _fields(info, cls)]
    return found


def _fields(info: ConnectorInfo, cls: type[Connection]) -> Iterable[tuple[str, str]]:
    hints = typing.get_type_hints(cls)
    known = ", ".join(info.environment)
    for field in settings(cls):
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            yield field.name, "every field has a default: a connection may come from the environment"
        if not field.metadata.get("help"):
            yield field.name, 'it says what it is for in metadata={"help": ...}'
        is_secret = Secret in (hints[field.name], *typing.get_args(hints[field.name]))
        if _CREDENTIAL.search(field.name) and not is_secret:
            yield field.name, "a credential is of type Secret | None"
        if is_secret and variable(cls, "default", field.name) not in known:
            yield field.name, f"{variable(cls, 'default', field.name)} is missing in the connector's `environment`"
