"""What `tests.sabotage` takes away."""

from typing import NamedTuple


class Removal(NamedTuple):
    """`old` is replaced by `new` in `file`, and `tests` (paths, separated by spaces) must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: str
