"""What is installed: this package, its extras and what they need. Read from installed metadata, never by importing."""

import re
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version

DISTRIBUTION = "dtf-runtime"
_REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)[^;]*?(?:;.*extra\s*==\s*['\"](?P<extra>[^'\"]+)['\"].*)?")


@dataclass(frozen=True)
class Extra:
    name: str
    missing: tuple[str, ...]  # distributions


def runtime_version() -> str:
    found = _own()
    return found.version if found is not None else "(not installed: a source checkout)"


def installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def extras() -> list[Extra]:
    """Each extra that users choose, and what of it is not installed."""
    found = _own()
    needs: dict[str, list[str]] = {}
    for requirement in (found.requires if found is not None else None) or ():
        match = _REQUIREMENT.fullmatch(requirement)
        if match and match["extra"] and match["name"].lower() != DISTRIBUTION:
            needs.setdefault(match["extra"], []).append(match["name"])
    return [
        Extra(name, tuple(need for need in names if installed(need) is None))
        for name, names in sorted(needs.items())
        if name not in ("all", "dev")
    ]


def _own() -> Distribution | None:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None
