"""Faults on the wire, ordered by a test: answers cut, halved, held back, late, or replaced by an error, before or after the server accepted."""

import threading
from fnmatch import fnmatchcase
from typing import Literal

import msgspec

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.wire import Request

When = Literal["before", "after"]


class Fault(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """For the next `times` requests that match; `skip` of them get through first."""

    match: str = "*"
    """`ec2:RunInstances`, `RunInstances`, `s3:*`."""
    kind: Literal["cut", "half", "hold", "delay", "error"]
    when: When = "after"
    """Before or after moto executed it."""
    times: int | None = 1
    """None: all."""
    skip: int = 0
    status: int = 500
    code: str = "InternalError"
    message: str = "An internal error has occurred"
    seconds: float = 0.0
    """Of real time, for `delay`."""

    def takes(self, request: Request, when: When) -> bool:
        """Whether this request is one of those; counts it."""
        if self.when != when or self.times == 0 or not matches(self.match, request):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.times is not None:
            self.times -= 1
        return True


def matches(pattern: str, request: Request) -> bool:
    return fnmatchcase(request.name if ":" in pattern else request.operation, pattern)


class Cut(Exception):
    """The connection is to be cut, after this many bytes of the answer."""

    def __init__(self, answer: Answer | None = None) -> None:
        super().__init__("a fault that a test ordered")
        self.answer = answer


class Faults:
    """Thread-safe."""

    def __init__(self) -> None:
        self._ordered: list[Fault] = []
        self._changed = threading.Condition()
        self._held = 0
        self._generation = 0

    def order(self, fault: Fault) -> None:
        with self._changed:
            self._ordered.append(fault)

    def clear(self) -> None:
        """Forgets all, and lets go what is held."""
        with self._changed:
            self._ordered.clear()
        self.release()

    def release(self) -> None:
        with self._changed:
            self._generation += 1
            self._changed.notify_all()

    def wait_held(self, count: int, timeout: float) -> bool:
        """Until so many answers are held back at once."""
        with self._changed:
            return self._changed.wait_for(lambda: self._held >= count, timeout)

    def pass_through(self, request: Request, when: When, answer: Answer | None = None) -> Answer | None:
        """What the client gets instead, or what was given. Raises Cut. Must be called without a lock: it may take long."""
        with self._changed:
            due = [fault for fault in self._ordered if fault.takes(request, when)]
        for fault in due:
            if fault.kind == "delay":
                threading.Event().wait(fault.seconds)
            elif fault.kind == "hold":
                self._hold()
            elif fault.kind == "error":
                answer = error(request, fault.code, fault.message, status=fault.status)
            else:
                raise Cut(answer if fault.kind == "half" else None)
        return answer

    def _hold(self) -> None:
        with self._changed:
            generation = self._generation
            self._held += 1
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._generation != generation, 60)
            self._held -= 1
