"""Error tables of READMEs: read, held against the classes that they name, and against what comes from the wire."""

from pathlib import Path

import pytest

from connectors.core import Ambiguous, CapacityUnavailable, ConnectorError, NotFound, Permanent, Throttled, Transient
from connectors.core.testing import ErrorRow, check_errors, error_table

PAGE = """
# A connector

| activity | in | out |
|---|---|---|
| `a.b` | X | Y |

## Errors

| code | of | class | retry | may it have happened | source |
|---|:--|---|---|---|--:|
| `Throttling` | any | `Throttled` | yes | no | [docs](https://x.example/a) |
| `InternalError` | any | Transient / Ambiguous | yes / no | maybe | a \\| b |
| `Full` | any | CapacityUnavailable | caller | no | docs |

text

| status | class | tried again | may it have happened | source |
|---|---|---|---|---|
| 404 Not Found | `NotFound` | no | no | RFC 9110 |
| 500 | `Transient`; `Ambiguous` | yes | yes | RFC 9110 |
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    path = tmp_path / "README.md"
    path.write_text(PAGE)
    return path


def test_all_tables_of_errors_are_read_and_no_others(page: Path) -> None:
    rows = error_table(page)
    assert [row.code for row in rows] == ["Throttling", "InternalError", "Full", "404 Not Found", "500"]
    assert [row.classes for row in rows] == [
        ("Throttled",),
        ("Transient", "Ambiguous"),
        ("CapacityUnavailable",),
        ("NotFound",),
        ("Transient", "Ambiguous"),
    ]
    assert rows[0].cells["of"] == "any" and rows[0].source == "[docs](https://x.example/a)"
    assert rows[1].source == r"a \| b"
    assert (rows[3].retry, rows[3].may_have_happened) == ("no", "no")
    assert str(rows[0]) == "Throttling (line 12)"
    assert (rows[1].name(repeatable=True), rows[1].name(repeatable=False)) == ("Transient", "Ambiguous")
    assert rows[0].name(repeatable=False) == "Throttled"


def test_a_page_without_one_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# nothing\n| a | b |\n|---|---|\n| 1 | 2 |\n")
    with pytest.raises(ValueError, match="no table of errors: code, class, retry"):
        error_table(tmp_path / "README.md")


ERRORS = {
    ("Throttling", True): Throttled("x", retry_after=3),
    ("InternalError", True): Transient("x"),
    ("InternalError", False): Ambiguous("x"),
    ("Full", True): CapacityUnavailable("x"),
    ("404 Not Found", True): NotFound("x"),
    ("500", False): Ambiguous("x"),
}


def test_what_comes_from_the_wire_as_the_table_says_passes(page: Path) -> None:
    assert check_errors(error_table(page), lambda row, repeatable: ERRORS.get((row.code, repeatable))) == []


def test_another_class_than_promised_and_an_error_of_no_kit_are_found(page: Path) -> None:
    def provoke(row: ErrorRow, repeatable: bool) -> BaseException | None:
        wrong = {
            ("Throttling", True): Transient("x"),
            ("500", False): OSError("x"),
            ("404 Not Found", True): Permanent("x"),
        }
        return wrong.get((row.code, repeatable))

    found = "\n".join(map(str, check_errors(error_table(page), provoke)))
    assert "Throttling (line 12): it is Transient; Throttled is promised" in found
    assert "OSError got out, which is no error of the kit; Ambiguous is promised" in found
    assert "it is Permanent; NotFound is promised" in found


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("| `A` | Nowhere | no | no | x |", "there is no error class 'Nowhere'"),
        ("| `A` | NotFound | yes | no | x |", "retry says 'yes', but NotFound says otherwise"),
        ("| `A` | Transient | no | no | x |", "retry says 'no', but Transient says otherwise"),
        ("| `A` | Ambiguous | no | no | x |", "whether it may have happened: 'no', but Ambiguous"),
        ("| `A` | Permanent | no | maybe | x |", "whether it may have happened: 'maybe', but Permanent"),
    ],
)
def test_a_row_that_contradicts_its_class_is_found(tmp_path: Path, row: str, told: str) -> None:
    head = "| code | class | retry | may it have happened | source |\n|---|---|---|---|---|\n"
    (tmp_path / "README.md").write_text(head + row + "\n")
    (found,) = check_errors(error_table(tmp_path / "README.md"), lambda row, repeatable: None)
    assert told in str(found)


def test_a_connector_may_have_classes_of_its_own(tmp_path: Path) -> None:
    class Unpaid(Permanent): ...

    head = "| code | class | retry | may it have happened | source |\n|---|---|---|---|---|\n"
    (tmp_path / "README.md").write_text(head + "| `402` | Unpaid | no | no | x |\n")
    kinds: dict[str, type[ConnectorError]] = {"Unpaid": Unpaid}
    rows = error_table(tmp_path / "README.md")
    assert check_errors(rows, lambda row, repeatable: Unpaid("x"), kinds) == []
