"""From what is typed to code: `FILE[:orchestration]`, `module:name`, modules for a worker.

A file is loaded as a module of its own name with its folder on the path, as `python FILE` would have it, except
that its `if __name__ == "__main__":` part does not run. Every problem is an InvalidArgumentError that names file
and line, never a bare traceback.
"""

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from dtf_runtime import InvalidArgumentError, Orchestration, Registry, default_registry


@dataclass(frozen=True)
class Target:
    orchestration: Orchestration[..., Any]
    registry: Registry
    where: str  # FILE or module, as typed


def split(spec: str) -> tuple[str, str]:
    """`("flow.py", "checkout")`; the name is empty when none is given. `C:\\flow.py` has none."""
    place, colon, name = spec.rpartition(":")
    named = colon and place and not set(name) & {"/", "\\"} and not name.endswith(".py")
    return (place, name) if named else (spec, "")


def is_file(place: str) -> bool:
    return place.endswith(".py") or "/" in place or "\\" in place or Path(place).is_file()


def load(place: str) -> ModuleType:
    """Imports a file or a module. Names and definitions go where the code puts them: `default_registry`, usually."""
    try:
        return _load_file(Path(place)) if is_file(place) else _load_module(place)
    except InvalidArgumentError:
        raise
    except SystemExit as error:
        hint = 'put what should run only as a script under `if __name__ == "__main__":`'
        raise InvalidArgumentError(
            f"{place} ends the process when it is imported (SystemExit {error.code}): {hint}"
        ) from error
    except Exception as error:
        raise InvalidArgumentError(f"can't load {place}: {type(error).__name__}: {error}{_line_of(error)}") from error


def _load_file(file: Path) -> ModuleType:
    if not file.is_file():
        raise InvalidArgumentError(f"there is no file {file}")
    path = file.resolve()
    _put_on_path(path.parent)
    name = path.stem if path.stem.isidentifier() and not _taken(path) else f"_dtf_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InvalidArgumentError(f"{file} is not a Python file: its name has to end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # type hints are looked up there
    spec.loader.exec_module(module)
    return module


def _taken(path: Path) -> bool:
    """Whether `import <stem>` means something else than this file: `json.py` must not stand in for the library's."""
    found = sys.modules.get(path.stem)
    if found is not None:
        return getattr(found, "__file__", None) != str(path)
    return path.stem in sys.stdlib_module_names


def _load_module(name: str) -> ModuleType:
    _put_on_path(Path.cwd())
    if importlib.util.find_spec(name.partition(".")[0]) is None:
        raise InvalidArgumentError(f"there is no module {name!r} here ({Path.cwd()}) nor among the installed packages")
    return importlib.import_module(name)


def _put_on_path(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _line_of(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return ""  # says it itself
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "importlib" not in frame.filename]
    return f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""


def orchestration(spec: str) -> Target:
    """What `FILE[:orchestration]` or `module[:name]` means; without a name there has to be exactly one."""
    place, name = split(spec)
    module = load(place)
    own = _own_orchestrations(module)
    found = _named(module, own, name, spec) if name else _only(own, place)
    return Target(found, registry_of([module]).add(found), place)


def _own_orchestrations(module: ModuleType) -> dict[str, Orchestration[..., Any]]:
    """Those that the module itself defines, by their name in it."""
    members = vars(module).items()
    return {
        name: value
        for name, value in members
        if isinstance(value, Orchestration) and value.fn.__module__ == module.__name__
    }


def _only(own: dict[str, Orchestration[..., Any]], place: str) -> Orchestration[..., Any]:
    if len(own) == 1:
        return next(iter(own.values()))
    if not own:
        raise InvalidArgumentError(f"{place} defines no orchestration: decorate an `async def` with @orchestration")
    choices = ", ".join(f"{place}:{name}" for name in own)
    raise InvalidArgumentError(f"{place} defines {len(own)} orchestrations; say which: {choices}")


def _named(
    module: ModuleType, own: dict[str, Orchestration[..., Any]], name: str, spec: str
) -> Orchestration[..., Any]:
    value = getattr(module, name, None)
    if isinstance(value, Orchestration):
        return value
    for each in own.values():
        if each.name == name:
            return each
    here = ", ".join(own) or "none"
    raise InvalidArgumentError(f"{spec}: no orchestration of that name; there are: {here}")


def registry_of(modules: Iterable[ModuleType]) -> Registry:
    """What the modules registered: globally, and in registries that they keep at their top level."""
    registry = Registry().update(default_registry)
    for module in modules:
        for value in vars(module).values():
            if isinstance(value, Registry) and value is not default_registry:
                registry.update(value)
    return registry


def check_input(target: Orchestration[..., Any], given: bool) -> None:
    """Whether an input may or must be given; a wrong one would otherwise fail the instance later."""
    parameters = list(inspect.signature(target.fn).parameters.values())[1:]
    if given and not parameters:
        raise InvalidArgumentError(f"orchestration {target.name} takes no input: leave --input out")
    if not given and parameters and parameters[0].default is inspect.Parameter.empty:
        needed = f"orchestration {target.name} needs an input ({parameters[0]})"
        raise InvalidArgumentError(f"{needed}: --input JSON or --input @FILE")
