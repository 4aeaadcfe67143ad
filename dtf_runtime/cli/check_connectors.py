"""Is `connectors` ours? PyPI has other packages of that name, and a folder of that name may lie in the way. Imports
nothing.
"""

import sys
from importlib.machinery import PathFinder
from importlib.metadata import packages_distributions
from pathlib import Path

import dtf_runtime
from dtf_runtime.cli.findings import Finding, ok, problem
from dtf_runtime.cli.versions import DISTRIBUTION

_CHECK = "connectors"
_REINSTALL = f"pip install --force-reinstall --no-deps {DISTRIBUTION}"


def check() -> Finding:
    """As a program started here would import it: the current folder first, then the path."""
    ours = Path(dtf_runtime.__file__).parent.parent / "connectors"
    found = _found()
    if found is None:
        return problem(_CHECK, f"can't be imported; ours belongs at {ours}", _REINSTALL)
    others = sorted(set(packages_distributions().get("connectors", ())) - {DISTRIBUTION})
    if not ours.exists() or not found.samefile(ours):
        return problem(_CHECK, f"`import connectors` finds {found}, ours is at {ours}", _fix(found, others))
    if others:
        detail = f"{found} belongs to {', '.join(others)} as well, which has written over ours at {ours}"
        return problem(_CHECK, detail, _replace(others))
    return ok(_CHECK, f"ours, at {ours}")


def _found() -> Path | None:
    """The folder, or the file of a plain module."""
    spec = PathFinder.find_spec("connectors", [str(Path.cwd()), *sys.path])
    if spec is None:
        return None
    if spec.submodule_search_locations:
        return Path(next(iter(spec.submodule_search_locations)))
    return Path(spec.origin) if spec.origin else None


def _fix(found: Path, others: list[str]) -> str:
    installed = others and found.parent != Path.cwd()
    return _replace(others) if installed else f"rename {found}, or run from another folder"


def _replace(others: list[str]) -> str:
    return f"pip uninstall {' '.join(others)} && {_REINSTALL}"
