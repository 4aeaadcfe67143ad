"""What a check found wrong."""

from typing import NamedTuple


class Finding(NamedTuple):
    where: str
    """An activity, a type, a field, a row."""
    what: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"
