"""The registry of a TestHub: activities replaced by those of the test, and each one watched while it runs."""

import copy
import functools
import inspect
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dtf_runtime.definitions import Activity, Registry
from dtf_runtime.errors import InvalidArgumentError
from dtf_runtime.testing.virtual_clock import ActivityKey, current_activity

AnyActivity = Activity[..., Any]


class Running:
    """Which activities are inside their function now, those that nobody waits for any more too."""

    def __init__(self, stirred: Callable[[], None]) -> None:
        self._stirred = stirred
        self._lock = threading.Lock()
        self._inside: Counter[ActivityKey] = Counter()

    @contextmanager
    def inside(self) -> Iterator[None]:
        key = current_activity() or ("", 0, 0)
        with self._lock:
            self._inside[key] += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside[key] -= 1
                if not self._inside[key]:
                    del self._inside[key]
            self._stirred()

    def keys(self) -> set[ActivityKey]:
        with self._lock:
            return set(self._inside)


def registry_of(registry: Registry, substitutes: Mapping[Any, Callable[..., Any]], running: Running) -> Registry:
    """A new registry. A substitute gets the arguments, and its result is stored, as the original's signature says."""
    activities = {(each.name, each.version): each for each in registry.activities()}
    for key, substitute in substitutes.items():
        for original in _meant(key, activities):
            activities[original.name, original.version] = _with(original, _plain(key, substitute))
        if isinstance(key, str) and not any(name == key for name, _ in activities):
            new: AnyActivity = Activity(_plain(key, substitute), name=key)
            activities[new.name, new.version] = new
    watched = [_with(each, _watched(each, running)) for each in activities.values()]
    return Registry(*watched, *registry.orchestrations())


def _meant(key: Any, activities: Mapping[tuple[str, str], AnyActivity]) -> list[AnyActivity]:
    """By an activity: that one, registered or not. By a name: every version of it."""
    if isinstance(key, Activity):
        return [key]
    if isinstance(key, str):
        return [each for (name, _), each in activities.items() if name == key]
    raise InvalidArgumentError(f"activities= replaces activities, given as themselves or by name; {key!r} is neither")


def _plain(key: Any, substitute: Any) -> Callable[..., Any]:
    if isinstance(substitute, Activity):
        return substitute.fn
    if not callable(substitute):
        raise InvalidArgumentError(
            f"activities= maps an activity to the function to run instead; {substitute!r} (for {key!r}) can't be called"
        )
    return substitute  # type: ignore[no-any-return]


def _with(original: AnyActivity, fn: Callable[..., Any]) -> AnyActivity:
    changed = copy.copy(original)
    changed.fn = fn
    changed.is_async = inspect.iscoroutinefunction(fn)
    return changed


def _watched(activity: AnyActivity, running: Running) -> Callable[..., Any]:
    fn = activity.fn
    if inspect.iscoroutinefunction(fn):

        @functools.wraps(fn)
        async def watched(*args: Any, **kwargs: Any) -> Any:
            with running.inside():
                return await fn(*args, **kwargs)

        return watched

    @functools.wraps(fn)
    def watched_plain(*args: Any, **kwargs: Any) -> Any:
        with running.inside():
            return fn(*args, **kwargs)

    return watched_plain
