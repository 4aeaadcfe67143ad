"""The wheel is what people get: it is built, installed without extras in a fresh environment, and used from an empty
folder, so that nothing here is found by the accident of standing in a checkout."""

import os
import subprocess
import sys
import tomllib
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = [name for name in ("dtf_runtime", "connectors", "suborchestrations") if (ROOT / name).is_dir()]
RECIPES = {path.stem: path for path in (ROOT / "cookbook").glob("[!_]*.py")}

# Import names of what the extras bring, and of what only the command needs.
SDKS = ["aiohttp", "azure", "boto3", "botocore", "httpx", "moto", "opentelemetry", "tweepy", "twilio", "uvicorn"]
OF_THE_COMMAND = ["rich", "typer"]

pytestmark = pytest.mark.timeout(600)  # building and installing: slower than any other test


@dataclass(frozen=True)
class Installed:
    wheel: Path
    environment: Path

    @property
    def members(self) -> list[str]:
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.namelist()

    def text(self, member: str) -> str:
        with zipfile.ZipFile(self.wheel) as archive:
            return archive.read(member).decode()

    def python(self, code: str, cwd: Path) -> str:
        return run(self.environment / "bin" / "python", "-c", code, cwd=cwd)

    def dtf(self, *arguments: str, cwd: Path) -> str:
        return run(self.environment / "bin" / "dtf", *arguments, cwd=cwd)


def run(program: Path | str, *arguments: str | Path, cwd: Path) -> str:
    """What it printed; an exit code other than 0 fails the test, with all that was said."""
    hidden = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DTF_HUB"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    ended = subprocess.run([program, *arguments], cwd=cwd, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, f"{program} {arguments}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """Built and installed once, by whichever xdist worker comes first."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "packaging"
    shared.mkdir(exist_ok=True)
    environment, built, done = shared / "environment", shared / "built", shared / "done"
    with FileLock(shared / "lock"):
        if not done.exists():
            run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", built, ROOT, cwd=shared)
            run(sys.executable, "-m", "venv", "--clear", environment, cwd=shared)
            python = environment / "bin" / "python"
            run(python, "-m", "pip", "install", *built.glob("*.whl"), cwd=shared)
            done.touch()
    (wheel,) = built.glob("*.whl")
    return Installed(wheel, environment)


def test_the_top_level_is_exactly_our_packages(installed: Installed) -> None:
    metadata = f"dtf_runtime-{PROJECT['version']}.dist-info"
    assert sorted({member.split("/")[0] for member in installed.members}) == sorted([*PACKAGES, metadata])


def test_each_package_is_typed(installed: Installed) -> None:
    assert {f"{package}/py.typed" for package in PACKAGES} <= set(installed.members)


def test_the_recipes_travel_as_data(installed: Installed) -> None:
    assert RECIPES
    for path in RECIPES.values():
        assert installed.text(f"dtf_runtime/_cookbook/{path.name}") == path.read_text(encoding="utf-8")


def test_nothing_travels_that_a_run_left_behind(installed: Installed) -> None:
    leftovers = (".pyc", ".db", ".db-wal", ".db-shm", ".lock", ".log")
    assert [member for member in installed.members if member.endswith(leftovers)] == []


def test_only_the_base_dependencies_are_installed(installed: Installed, tmp_path: Path) -> None:
    found = installed.python(f"import importlib.util as u; print([s for s in {SDKS} if u.find_spec(s)])", tmp_path)
    assert found.strip() == "[]"


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_from_an_empty_folder(installed: Installed, tmp_path: Path, package: str) -> None:
    where = installed.python(f"import {package}; print({package}.__file__)", tmp_path).strip()
    assert Path(where).is_relative_to(installed.environment)


def test_every_connector_imports_without_its_sdk(installed: Installed, tmp_path: Path) -> None:
    expected = sorted(path.parent.name for path in (ROOT / "connectors").glob("[!_]*/__init__.py"))
    code = (
        "import connectors, importlib, pkgutil\n"
        "names = sorted(module.name for module in pkgutil.iter_modules(connectors.__path__) if module.ispkg)\n"
        "for name in names: importlib.import_module('connectors.' + name)\n"
        "print(*names)"
    )
    assert installed.python(code, tmp_path).split() == expected


@pytest.mark.parametrize("group", sorted(PROJECT["entry-points"]))
def test_every_entry_point_loads(installed: Installed, tmp_path: Path, group: str) -> None:
    code = f"""
from importlib.metadata import entry_points
for entry in entry_points(group={group!r}):
    entry.load()
    print(entry.name)
"""
    assert sorted(installed.python(code, tmp_path).split()) == sorted(PROJECT["entry-points"][group])


def test_a_connector_entry_point_names_its_connector_info(installed: Installed, tmp_path: Path) -> None:
    code = """
from dtf_runtime import ConnectorInfo
from importlib.metadata import entry_points
for entry in entry_points(group="dtf.connectors"):
    info = entry.load()
    assert isinstance(info, ConnectorInfo), info
    print(entry.name, info.name)
"""
    lines = installed.python(code, tmp_path).splitlines()
    assert lines
    for line in lines:
        entry, name = line.split()
        assert entry == name


def test_the_command_lists_every_recipe(installed: Installed, tmp_path: Path) -> None:
    listed = installed.dtf("cookbook", "list", cwd=tmp_path)
    assert [name for name in RECIPES if name not in listed] == []


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_command_copies_a_recipe(installed: Installed, tmp_path: Path, name: str) -> None:
    installed.dtf("cookbook", "copy", name, cwd=tmp_path)
    copied = tmp_path / f"{name}.py"
    assert copied.read_text(encoding="utf-8") == RECIPES[name].read_text(encoding="utf-8")


def test_a_copied_recipe_runs_where_it_was_copied_to(installed: Installed, tmp_path: Path) -> None:
    installed.dtf("cookbook", "copy", "greetings", cwd=tmp_path)
    assert run(installed.environment / "bin" / "python", "greetings.py", cwd=tmp_path).strip()


def test_importing_the_runtime_loads_no_sdk(tmp_path: Path) -> None:
    """In this environment, where the development tools have brought some of them."""
    watched = [*SDKS, *OF_THE_COMMAND]
    code = f"import dtf_runtime, sys; print([name for name in {watched} if name in sys.modules])"
    assert run(sys.executable, "-c", code, cwd=tmp_path).strip() == "[]"


def test_a_dependency_is_never_both_required_and_an_extra() -> None:
    required = {requirement.split(">")[0] for requirement in PROJECT["dependencies"]}
    extras = {item.split(">")[0] for extra in PROJECT["optional-dependencies"].values() for item in extra}
    assert required & extras == set()


def test_all_brings_every_extra_a_user_may_want() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"all", "dev"}
    (everything,) = PROJECT["optional-dependencies"]["all"]
    assert set(everything.partition("[")[2].rstrip("]").split(",")) == extras
