"""What an engine has to offer to be measured: six kinds of orchestration behind one small class.

The argument of each kind is a list whose first item is the instance id:

    noop  [id]              -> 0
    seq   [id, n]           -> the sum of n activities, one after the other
    fan   [id, n]           -> the sum of n activities, all at once
    subs  [id, children, n] -> the sum over `children` children, each a seq of n
    timer [id, seconds]     -> mark("a:" + id); a durable sleep; mark("b:" + id); 0
    event [id]              -> mark("w:" + id); waits for the external event "go"; its payload, an int
    hold  [id, n]           -> seq of n, then as event (ours only: a long history that is then replayed)

The trivial activity is `record([id, i])`, which gives i. Client and worker share one process and one event loop for
every engine; a server, where the engine needs one, is a process of its own. Standard library only.
"""

import os
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

STEP_TIMES: list[float] = []  # when each activity body ran in this process
MARKS: dict[str, float] = {}  # when a named point in an orchestration was first passed in this process

_LOG = os.environ.get("BENCH_EXEC_LOG")
_LOG_FD = os.open(_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644) if _LOG else None


def record(argument: Sequence[Any]) -> int:
    """The body of the trivial activity. With BENCH_EXEC_LOG set it also leaves a line there, which survives a kill."""
    STEP_TIMES.append(time.monotonic())
    if _LOG_FD is not None:
        os.write(_LOG_FD, f"{argument[0]}:{argument[1]}\n".encode())
    return int(argument[1])


def mark(point: str) -> None:
    MARKS.setdefault(point, time.monotonic())


@dataclass
class Claim:
    """What the driver says happened; `Engine.check` holds the stored state against it."""

    finished: int = 0  # instances that ended, children too
    waiting: int = 0  # instances that wait for an event
    activities: int = 0  # activities whose result an orchestration got


class CheckFailedError(Exception):
    """The stored state is not what the run claims: its figures are worth nothing."""


class Engine(ABC):
    """One engine with its state in `workdir`, which may hold state already (recover)."""

    name: ClassVar[str]
    package: ClassVar[str]  # what a user imports
    durable: ClassVar[bool] = True
    durability: str  # in plain words, for the report

    def __init__(self, workdir: Path) -> None:
        self.workdir = workdir

    @abstractmethod
    async def start(self) -> None: ...

    @abstractmethod
    async def stop(self) -> None: ...

    @abstractmethod
    async def begin(self, kind: str, instance_id: str, argument: list[Any]) -> Any:
        """A handle, once the start is acknowledged."""

    @abstractmethod
    async def wait(self, handle: Any) -> int:
        """The result."""

    async def call(self, kind: str, instance_id: str, argument: list[Any]) -> int:
        """Begin and wait; an engine overrides it when it has one request for both."""
        return await self.wait(await self.begin(kind, instance_id, argument))

    async def lookup(self, kind: str, instance_id: str) -> Any:
        """The handle of an instance whose start was acknowledged before a crash."""
        raise LookupError(f"{self.name} keeps nothing over a crash, so {kind} {instance_id!r} can't be looked up")

    async def raise_event(self, instance_id: str, value: int) -> None:
        raise LookupError(f"{self.name} has no external events, so none can go to {instance_id!r}")

    async def history_length(self, instance_id: str) -> int:
        """How many events the instance's history holds."""
        raise LookupError(f"{self.name} has no history to count, so that of {instance_id!r} can't be")

    def server_pids(self) -> list[int]:
        return []

    async def check(self, claim: Claim) -> dict[str, Any]:
        """Read the stored state on a path of its own; CheckFailedError when it is not what is claimed.

        Engines whose files we don't know check nothing.
        """
        return {}

    def kill(self) -> list[int]:
        """SIGKILL what lives outside the worker's process (recover); the pids."""
        return []
