"""Reads the tables of errors in the READMEs, which tests are generated from."""

from pathlib import Path

import connectors.core
from connectors.core import ConnectorError
from dtf_runtime import NonRetriableError, RetryAfter


def rows(connector: str, heading: str) -> list[list[str]]:
    """The cells of the table that follows the heading, without the source."""
    readme = Path(connectors.core.__file__).parents[1] / connector / "README.md"
    part = readme.read_text(encoding="utf-8").split(f"# {heading}\n", 1)[1].split("\n#", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")][:-1] for line in lines]


def kind_of(error: ConnectorError) -> str:
    """The documented class: an error with a delay is of one that is a RetryAfter too."""
    kinds = (kind for kind in type(error).__mro__ if issubclass(kind, ConnectorError))
    return next(kind.__name__ for kind in kinds if not issubclass(kind, RetryAfter))


def described(error: ConnectorError) -> tuple[str, str, str]:
    """Class, retry and `may it have happened`, in the words of the tables."""
    return (
        kind_of(error),
        "no" if isinstance(error, NonRetriableError) else "yes",
        "maybe" if error.may_have_happened else "no",
    )


def expected(kind: str, retry: str, happened: str, *, unsafe: bool) -> tuple[str, str, str]:
    """Of a row, for a call that must not be repeated or one that may be."""
    if " / " not in kind:
        return kind, retry, happened
    side = 1 if unsafe else 0
    return kind.split(" / ")[side], retry.split(" / ")[side], happened if unsafe else "no"
