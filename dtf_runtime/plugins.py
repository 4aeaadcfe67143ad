"""Connectors and providers that installed packages bring, found through entry points.

A broken plugin must never stop the others, nor the program at import: it is an error, with its name, when it is used.
Group `dtf.connectors` names ConnectorInfo objects, group `dtf.providers` the functions `connect(url, **options)`, one
for each URL scheme.
"""

import importlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from dtf_runtime.errors import DurableTaskError, InvalidArgumentError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from dtf_runtime.definitions import Activity, Orchestration

CONNECTORS = "dtf.connectors"
PROVIDERS = "dtf.providers"

# These two need no installed metadata, so that a source checkout works, and cost no scan of it.
BUILT_IN_PROVIDERS: Mapping[str, str] = {
    "sqlite": "dtf_runtime.providers.sqlite:connect",
    "memory": "dtf_runtime.providers.memory:connect",
}


class PluginError(DurableTaskError):
    """An installed plugin could not be loaded, or is not what its entry point promises."""


class MissingExtraError(DurableTaskError, ImportError):
    """A package of an extra is not installed; the text has the line that installs it."""


@dataclass(frozen=True, kw_only=True)
class ConnectorInfo:
    """What an entry point of group `dtf.connectors` names.

    `connection` is the class that holds the connector's settings; `environment` says what each variable it reads means.
    """

    name: str
    version: str
    activities: "tuple[Activity[..., Any], ...]"
    orchestrations: "tuple[Orchestration[..., Any], ...]" = ()
    connection: type[Any] | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Connectors:
    """What `load_connectors` found: by name, and the error of each that could not be loaded."""

    loaded: Mapping[str, ConnectorInfo]
    broken: Mapping[str, DurableTaskError]


def load_connectors() -> Connectors:
    """Loads every installed connector; one that is broken is listed and does not stop the others."""
    loaded: dict[str, ConnectorInfo] = {}
    broken: dict[str, DurableTaskError] = {}
    for name, point in sorted(_entry_points(CONNECTORS).items()):
        try:
            loaded[name] = _load_connector(point)
        except (PluginError, MissingExtraError) as error:
            broken[name] = error
    return Connectors(loaded=loaded, broken=broken)


def load_connector(name: str) -> ConnectorInfo:
    """One installed connector. Unknown: InvalidArgumentError, which lists those there are. Broken: PluginError."""
    points = _entry_points(CONNECTORS)
    if name not in points:
        known = ", ".join(sorted(points)) or "none"
        raise InvalidArgumentError(f"no connector {name!r} is installed; installed are: {known}")
    return _load_connector(points[name])


def connector_names() -> list[str]:
    """Of the installed ones, without loading any."""
    return sorted(_entry_points(CONNECTORS))


@dataclass(frozen=True, kw_only=True)
class InstalledFrom:
    """Where a connector comes from. `install` is the line that installs what it still needs; empty when it needs nothing."""

    distribution: str
    version: str
    install: str


def installed_from(name: str) -> InstalledFrom:
    """Of an installed connector, without loading it. What it needs is the extra of its own name, if its distribution has one."""
    point = _entry_points(CONNECTORS)[name]
    if point.dist is None:
        return InstalledFrom(distribution="", version="", install="")
    missing = any(_is_missing(line) for line in point.dist.requires or () if _is_of_extra(line, name))
    install = f"pip install '{point.dist.name}[{name}]'" if missing else ""
    return InstalledFrom(distribution=point.dist.name, version=point.dist.version, install=install)


def _is_of_extra(requirement: str, extra: str) -> bool:
    return re.search(rf"""extra\s*==\s*["']{re.escape(extra)}["']""", requirement) is not None


def _is_missing(requirement: str) -> bool:
    from importlib.metadata import PackageNotFoundError, distribution

    try:
        distribution(re.split(r"[^A-Za-z0-9._-]", requirement.strip(), maxsplit=1)[0])
    except PackageNotFoundError:
        return True
    return False


def provider_for(scheme: str) -> Callable[..., Any]:
    """The `connect(url, **options)` of a URL scheme. Unknown: InvalidArgumentError. Broken: PluginError.

    An extra's package that is not installed: MissingExtraError.
    """
    built_in = BUILT_IN_PROVIDERS.get(scheme)
    if built_in is not None:
        module, _, function = built_in.partition(":")
        connect: Callable[..., Any] = getattr(importlib.import_module(module), function)
        return connect
    points = _entry_points(PROVIDERS)
    if scheme not in points:
        known = ", ".join(f"{name}://" for name in sorted({*BUILT_IN_PROVIDERS, *points}))
        raise InvalidArgumentError(f"no provider serves {scheme}://; there are: {known}")
    found = _load(points[scheme])
    if not callable(found):
        raise PluginError(f"provider {scheme!r} ({points[scheme].value}) is not a function, but {found!r}")
    return found  # type: ignore[no-any-return]


def require(module: str, extra: str) -> ModuleType:
    """Imports a package of an extra at its first use. Not installed: MissingExtraError with the pip line to run."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the package is there, but something that it imports itself is not
        raise MissingExtraError(
            f"{module!r} is needed for this and is not installed; run: pip install 'dtf-runtime[{extra}]'",
            name=module,
        ) from error


def _entry_points(group: str) -> "dict[str, EntryPoint]":
    from importlib.metadata import entry_points  # 20 ms, and most programs never come here

    return {point.name: point for point in entry_points(group=group)}


def _load_connector(point: "EntryPoint") -> ConnectorInfo:
    found = _load(point)
    if not isinstance(found, ConnectorInfo):
        raise PluginError(
            f"connector {point.name!r} ({point.value}) must be a ConnectorInfo, but is {type(found).__qualname__}"
        )
    return found


def _load(point: "EntryPoint") -> Any:
    try:
        return point.load()
    except MissingExtraError:
        raise
    except Exception as error:
        raise PluginError(
            f"plugin {point.name!r} of group {point.group!r} ({point.value}) can't be loaded: "
            f"{type(error).__name__}: {error}; reinstall or remove the package that brings it"
        ) from error
