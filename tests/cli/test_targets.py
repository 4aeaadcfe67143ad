"""FILE[:orchestration] and module:name, in a process each: what is loaded stays loaded."""

from pathlib import Path

import pytest

from dtf_runtime.cli.targets import split
from tests.cli.conftest import FLOWS, PATIENCE, Dtf

_HELLO = """
from dtf_runtime import OrchestrationContext, orchestration

@orchestration(name="{name}")
async def hello(ctx: OrchestrationContext) -> str:
    return "hello from {name}"
"""


@pytest.mark.parametrize(
    ("typed", "place", "name"),
    [
        ("flow.py", "flow.py", ""),
        ("flow.py:checkout", "flow.py", "checkout"),
        ("shop.flows:checkout", "shop.flows", "checkout"),
        ("flow.py:shop.checkout", "flow.py", "shop.checkout"),
        ("shop.flows", "shop.flows", ""),
        (r"C:\shop\flow.py", r"C:\shop\flow.py", ""),
        (r"C:\shop\flow.py:checkout", r"C:\shop\flow.py", "checkout"),
        ("C:/shop/flow.py", "C:/shop/flow.py", ""),
        ("C:flow.py", "C:flow.py", ""),
    ],
)
def test_the_name_stands_behind_the_last_colon(typed: str, place: str, name: str) -> None:
    assert split(typed) == (place, name)


def _run(dtf: Dtf, *words: str) -> tuple[int, str, str]:
    with dtf.process("run", *words) as process:
        output, errors = process.communicate(timeout=PATIENCE)
    return process.returncode, output, errors


def test_a_file_with_one_orchestration_needs_no_name(dtf: Dtf) -> None:
    (dtf.folder / "greet.py").write_text(_HELLO.format(name="greet"))
    assert _run(dtf, "greet.py")[:2] == (0, '"hello from greet"\n')


def test_a_module_is_found_in_the_current_folder(dtf: Dtf) -> None:
    (dtf.folder / "shop").mkdir()
    (dtf.folder / "shop" / "__init__.py").touch()
    (dtf.folder / "shop" / "flows.py").write_text(_HELLO.format(name="shop"))
    assert _run(dtf, "shop.flows:hello")[:2] == (0, '"hello from shop"\n')
    assert _run(dtf, "shop.flows:shop")[:2] == (0, '"hello from shop"\n')


def test_a_file_imports_its_neighbours_wherever_it_is_run_from(dtf: Dtf) -> None:
    (dtf.folder / "deep").mkdir()
    (dtf.folder / "deep" / "words.py").write_text("WORD = 'neighbour'")
    (dtf.folder / "deep" / "flow.py").write_text(
        "from words import WORD\n" + _HELLO.format(name="x").replace('"hello from x"', "WORD")
    )
    assert _run(dtf, "deep/flow.py")[:2] == (0, '"neighbour"\n')


@pytest.mark.parametrize("name", ["json.py", "dtf_runtime.py", "my-flow.py", "class.py"])
def test_a_file_may_be_called_like_a_module_of_somebody_else(dtf: Dtf, name: str) -> None:
    (dtf.folder / "deep").mkdir()
    (dtf.folder / "deep" / name).write_text(_HELLO.format(name="x"))
    assert _run(dtf, f"deep/{name}")[:2] == (0, '"hello from x"\n')


def test_an_imported_orchestration_does_not_count_as_the_files_own(dtf: Dtf) -> None:
    (dtf.folder / "library.py").write_text(_HELLO.format(name="library"))
    (dtf.folder / "flow.py").write_text("from library import hello as other\n" + _HELLO.format(name="flow"))
    assert _run(dtf, "flow.py")[:2] == (0, '"hello from flow"\n')
    assert _run(dtf, "flow.py:other")[:2] == (0, '"hello from library"\n')


def test_several_orchestrations_are_listed_ready_to_copy(dtf: Dtf) -> None:
    code, output, errors = _run(dtf, FLOWS)
    assert (code, output) == (2, "")
    assert f"{FLOWS}:order, {FLOWS}:broken" in errors


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "defines no orchestration"),
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name' ("),
        ("x = (", "flow.py, line 1"),
        ("\n\n1 / 0", "flow.py, line 3)"),
        ("raise SystemExit(3)", 'if __name__ == "__main__":'),
    ],
)
def test_a_file_that_can_not_be_used_is_one_clear_line(dtf: Dtf, content: str, said: str) -> None:
    (dtf.folder / "flow.py").write_text(content)
    code, output, errors = _run(dtf, "flow.py")
    assert (code, output) == (2, "")
    assert said in errors
    assert errors.startswith("error: ") and errors.count("\n") == 1


def test_debug_adds_the_traceback(dtf: Dtf) -> None:
    (dtf.folder / "flow.py").write_text("1 / 0")
    code, _, errors = _run(dtf, "flow.py", "--debug")
    assert code == 2
    assert "Traceback" in errors and "ZeroDivisionError" in errors


@pytest.mark.parametrize("target", ["missing.py", "missing.module:name", "flows.txt:x"])
def test_what_is_not_there_is_bad_input(dtf: Dtf, target: str) -> None:
    code, _, errors = _run(dtf, target)
    assert code == 2
    assert errors.startswith("error: there is no ")


def test_a_wrong_name_lists_the_right_ones(dtf: Dtf) -> None:
    code, _, errors = _run(dtf, f"{FLOWS}:ordr")
    assert code == 2
    assert "there are: order, broken, " in errors


def test_definitions_in_a_registry_of_the_files_own_are_run_too(dtf: Dtf) -> None:
    (dtf.folder / "flow.py").write_text("""
from dtf_runtime import OrchestrationContext, Registry, activity, orchestration

mine = Registry()

@activity(registry=mine)
async def step() -> str:
    return "stepped"

@orchestration(registry=mine)
async def flow(ctx: OrchestrationContext) -> str:
    return await step()
""")
    assert _run(dtf, "flow.py")[:2] == (0, '"stepped"\n')


def test_an_input_that_is_missing_or_too_much_starts_nothing(dtf: Dtf, tmp_path: Path) -> None:
    code, _, errors = _run(dtf, f"{FLOWS}:order")
    assert code == 2 and "needs an input (request: " in errors
    code, _, errors = _run(dtf, f"{FLOWS}:pid", "--input", "1")
    assert code == 2 and "takes no input" in errors
    assert not list(tmp_path.glob("hub.db*"))
