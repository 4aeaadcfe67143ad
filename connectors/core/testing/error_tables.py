"""The tables of errors in a connector's README, which its tests are generated from.

A table has columns `code` (or `status`), `class`, `retry` (or `tried again`), `may it have happened` and, better with it, `source`. Two classes,
`Transient / Ambiguous`, are for a call that may be repeated and for one that may not. Several tables are read one after the other.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import connectors.core
from connectors.core.errors import CapacityUnavailable, ConnectorError
from connectors.core.testing.findings import Finding
from dtf_runtime import NonRetriableError, RetryAfter

_CELL = re.compile(r"(?<!\\)\|")
_EITHER = re.compile(r"\s*(?:/|;)\s*")
_KEYS = {"code": "code", "status": "code", "exception": "code", "class": "class", "error": "class"}
_KEYS |= {"retry": "retry", "tried again": "retry", "may it have happened": "happened", "source": "source"}


@dataclass(frozen=True, kw_only=True)
class ErrorRow:
    code: str
    classes: tuple[str, ...]
    """One; or two: where a repeat does no harm, and where it does."""
    retry: str
    may_have_happened: str
    source: str
    cells: Mapping[str, str]
    """All of the row, by the lower-case head of the column."""
    line: int

    def name(self, *, repeatable: bool) -> str:
        return self.classes[0 if repeatable else -1]

    def __str__(self) -> str:
        return f"{self.code} (line {self.line})"


def error_table(readme: Path | str) -> list[ErrorRow]:
    """All rows of all error tables of the page. Raises ValueError when it has none."""
    rows: list[ErrorRow] = []
    columns: list[str] = []
    for number, line in enumerate(Path(readme).read_text(encoding="utf-8").splitlines(), 1):
        if not line.startswith("|"):
            columns = []
            continue
        cells = [cell.strip() for cell in _CELL.split(line.strip().strip("|"))]
        if not columns:
            columns = [cell.lower() for cell in cells]
        elif "class" in columns and not set("".join(cells)) <= set("-: "):
            rows.append(_row(dict(zip(columns, cells, strict=False)), number))
    if not rows:
        raise ValueError(f"{readme} has no table of errors: code, class, retry, may it have happened, source")
    return rows


def _row(cells: dict[str, str], line: int) -> ErrorRow:
    known: dict[str, str] = {}
    for head, cell in cells.items():
        known.setdefault(_KEYS.get(head, head), cell.replace("`", ""))
    return ErrorRow(
        code=known.get("code", ""),
        classes=tuple(_EITHER.split(known["class"])),
        retry=known.get("retry", ""),
        may_have_happened=known.get("happened", ""),
        source=known.get("source", ""),
        cells=cells,
        line=line,
    )


def table_findings(rows: Iterable[ErrorRow], kinds: Mapping[str, type[ConnectorError]] | None = None) -> list[Finding]:
    """What the table says of itself that can't be: a class that isn't there, a retry or a doubt that its class doesn't have.

    `kinds`: the connector's own classes, beside those of `connectors.core`.
    """
    found: list[Finding] = []
    for row in rows:
        for name in row.classes:
            kind = _kind(name, kinds)
            if kind is None:
                found.append(Finding(str(row), f"there is no error class {name!r}"))
        if len(row.classes) == 1 and (kind := _kind(row.classes[0], kinds)) is not None:
            found += _contradictions(row, kind)
    return found


def _contradictions(row: ErrorRow, kind: type[ConnectorError]) -> list[Finding]:
    found = []
    retried = row.retry.lower().startswith("yes")
    decided = issubclass(kind, CapacityUnavailable)
    if row.retry and not decided and retried == issubclass(kind, NonRetriableError):
        found.append(Finding(str(row), f"retry says {row.retry!r}, but {kind.__name__} says otherwise"))
    doubt = not row.may_have_happened.lower().startswith("no")
    if row.may_have_happened and doubt != kind.may_have_happened:
        found.append(
            Finding(
                str(row), f"whether it may have happened: {row.may_have_happened!r}, but {kind.__name__} says otherwise"
            )
        )
    return found


def check_errors(
    rows: Iterable[ErrorRow],
    provoke: Callable[[ErrorRow, bool], BaseException | None],
    kinds: Mapping[str, type[ConnectorError]] | None = None,
) -> list[Finding]:
    """`provoke(row, repeatable)` sends the row from the wire through the real client and gives what was raised; None skips that side."""
    rows = list(rows)
    found = table_findings(rows, kinds)
    for row in rows:
        for repeatable in (True, False):
            error = provoke(row, repeatable)
            name = row.name(repeatable=repeatable)
            if error is None:
                continue
            if not isinstance(error, ConnectorError):
                found.append(
                    Finding(
                        str(row), f"{type(error).__name__} got out, which is no error of the kit; {name} is promised"
                    )
                )
            elif (told := _documented(error)) != name:
                found.append(Finding(str(row), f"it is {told}; {name} is promised"))
    return found


def _documented(error: ConnectorError) -> str:
    """Its class without the RetryAfter that a delay adds."""
    kinds = (kind for kind in type(error).__mro__ if issubclass(kind, ConnectorError))
    return next(kind.__name__ for kind in kinds if not issubclass(kind, RetryAfter))


def _kind(name: str, kinds: Mapping[str, type[ConnectorError]] | None) -> type[ConnectorError] | None:
    found = (kinds or {}).get(name) or getattr(connectors.core, name, None)
    return found if isinstance(found, type) and issubclass(found, ConnectorError) else None
