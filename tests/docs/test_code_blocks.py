"""Every Python block in the README, the docs and the connectors' pages: it compiles, what it imports from us is there, and a whole program runs."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    [
        ROOT / "README.md",
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("connectors/*/README.md"),
        *ROOT.glob("suborchestrations/**/*.md"),
    ]
)
OURS = ("dtf_runtime", "connectors", "suborchestrations")
_BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    page: Path
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, found.start()) + 2, found[1]) for found in _BLOCK.finditer(text)]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
PROGRAMS = [block for block in BLOCKS if "__main__" in block.code]


def parsed(block: Block) -> ast.Module:
    flags = ast.PyCF_ONLY_AST | ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
    tree: ast.Module = compile(block.code, str(block), "exec", flags)  # a syntax error shows the page and its line
    return tree


def missing_names(tree: ast.Module) -> list[str]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in OURS:
            module = importlib.import_module(str(node.module))
            found += [f"{node.module}.{name.name}" for name in node.names if not hasattr(module, name.name)]
    return found


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_it_compiles_and_imports_only_what_there_is(block: Block) -> None:
    assert missing_names(parsed(block)) == []


@pytest.mark.parametrize("block", PROGRAMS, ids=str)
def test_a_whole_program_runs(block: Block, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(block.code, encoding="utf-8")
    run = subprocess.run([sys.executable, program.name], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.strip()


def test_there_is_a_program_to_start_from() -> None:
    assert any(block.page.name == "README.md" and block.page.parent == ROOT for block in PROGRAMS)


def test_a_name_that_is_not_there_is_found() -> None:
    assert missing_names(ast.parse("from dtf_runtime import activity, actvity")) == ["dtf_runtime.actvity"]
