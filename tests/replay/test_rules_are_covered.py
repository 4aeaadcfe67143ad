"""docs/replay.md is a contract: each of its rules is named by at least one test, and no test names a rule that is not there."""

import ast
import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "replay.md"


def rules() -> list[int]:
    return [int(number) for number in re.findall(r"^(\d+)\. ", PAGE.read_text(encoding="utf-8"), re.MULTILINE)]


def named(path: Path) -> dict[int, list[str]]:
    """The rules that tests of a file name with `@pytest.mark.rule(...)`."""
    found: dict[int, list[str]] = {}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
            for mark in node.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.rule":
                    for number in mark.args:
                        found.setdefault(ast.literal_eval(number), []).append(node.name)
    return found


def test_the_rules_are_numbered_without_a_gap() -> None:
    assert rules() == list(range(1, 25))


def test_each_rule_has_a_test_of_its_own() -> None:
    """Beside the random programs, which touch many and say which one broke of none."""
    tested: dict[int, list[str]] = {}
    for path in HERE.glob("test_*.py"):
        if path.name != "test_programs.py":
            for number, tests in named(path).items():
                tested.setdefault(number, []).extend(tests)
    assert sorted(set(rules()) - set(tested)) == []
    assert sorted(set(tested) - set(rules())) == []
