"""What a worker can run, and how many of each activity at once. No I/O; a provider may ask from a thread of its own."""

import threading
from enum import StrEnum
from typing import Any

from dtf_runtime.definitions import Activity, Orchestration, Registry, version_key


class VersionPolicy(StrEnum):
    """Which code runs an instance of a version that is not registered here."""

    STRICT = "strict"  # none: it waits for a worker that has it
    CURRENT_OR_OLDER = "current_or_older"  # an older one (natural order) runs on the newest registered one


class Profile:
    """The WorkerProfile of one worker. Its registry does not change any more."""

    def __init__(
        self, registry: Registry, versions: VersionPolicy, *, lock_duration: float, max_delivery_count: int
    ) -> None:
        self.registry = registry
        self.lock_duration = lock_duration
        self.max_delivery_count = max_delivery_count
        self._versions = versions
        self._running: dict[str, int] = {}  # of activities with a limit, by name
        self._lock = threading.Lock()

    def find_orchestration(self, name: str, version: str) -> Orchestration[..., Any] | None:
        exact = self.registry.get_orchestration(name, version)
        if exact is not None or self._versions is VersionPolicy.STRICT:
            return exact
        known = self.registry.orchestration_versions(name)
        if not known or version_key(version) > version_key(known[-1]):
            return None
        return self.registry.get_orchestration(name, known[-1])

    def find_activity(self, name: str, version: str) -> Activity[..., Any] | None:
        return self.registry.get_activity(name, version)

    def runs_orchestration(self, name: str, version: str) -> bool:
        return self.find_orchestration(name, version) is not None

    def runs_activity(self, name: str, version: str) -> bool:
        return self.registry.get_activity(name, version) is not None

    def take_activity(self, name: str, version: str) -> bool:
        """True takes a place of the activity's own limit, until `release_activity`."""
        definition = self.registry.get_activity(name, version)
        if definition is None:
            return False
        limit = definition.max_concurrency
        if limit is None:
            return True
        with self._lock:
            running = self._running.get(name, 0)
            if running >= limit:
                return False
            self._running[name] = running + 1
            return True

    def release_activity(self, name: str) -> None:
        with self._lock:
            self._running[name] -= 1
