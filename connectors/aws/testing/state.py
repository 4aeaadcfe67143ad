"""All that the account holds, as lines of text, so that a test can see whether a request changed anything at all.

Instants, counts of reads and logs of requests are left out: a setting that is set again to what it was is no change, whenever that was.
"""

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.world import ACCOUNT

_PASSED_OVER = re.compile(
    r"backend|(^|_)lock$|^_tick$|parent|(^|_)(date|time|modified|updated|rr_changes|visited)|(date|time|_at)$",
    re.IGNORECASE,
)
_SCALARS = (str, int, float, bool, bytes, type(None))
_DEEPEST = 14


def state(behaviours: "tuple[Behaviour, ...]") -> frozenset[str]:
    """One line a value: where it is, and what."""
    from moto.core import base_backend

    found: list[str] = []
    seen: set[int] = set()
    for backends in list(vars(base_backend.BackendDict)["_instances"]):
        for account, regions in list(backends.items()):
            for region, backend in list(regions.items()):
                path = f"{backends.service_name}/{account}/{region}"
                found += _lines(vars(backend), path, seen, _DEEPEST)
    for behaviour in behaviours:
        for name in behaviour.HOLDS:
            found += _lines(getattr(behaviour, name), f"{type(behaviour).__name__}/{name}", seen, _DEEPEST)
    return frozenset(found)


def _lines(value: Any, path: str, seen: set[int], depth: int) -> Iterator[str]:
    if isinstance(value, date) or callable(value):
        return
    if isinstance(value, _SCALARS):
        yield f"{path} = {value!r}"
        return
    if depth == 0 or id(value) in seen:  # told where it was met first
        return
    seen.add(id(value))
    if getattr(value, "owner_id", ACCOUNT) not in (ACCOUNT, None):
        return  # somebody else's, such as the images that moto brings along
    if not isinstance(value, dict | list | tuple | set | frozenset):
        yield f"{path} : {type(value).__name__}"
    for name, inner in _parts(value):
        if not _PASSED_OVER.search(name):
            yield from _lines(inner, f"{path}/{name}", seen, depth - 1)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from ((str(name), inner) for name, inner in list(value.items()))
    elif isinstance(value, list | tuple | set | frozenset):
        for index, inner in enumerate(value):
            yield _name(inner) or (str(index) if isinstance(value, list | tuple) else repr(inner)), inner
    elif hasattr(value, "__dict__"):
        yield from list(vars(value).items())


def _name(value: Any) -> str:
    """What an element of a list is known by: its place may change."""
    known = getattr(value, "id", None) or getattr(value, "name", None)
    return known if isinstance(known, str) else ""
