"""Catches blocking and impure calls made by orchestration code (rule 24), and the thread that a turn blocks (rule 23).

One audit hook a process, since a hook can't be removed; it acts only on the thread that drains, while it drains, and outside the machinery that
must go on working there (imports, tracebacks, time zones, logging).
"""

import sys
import threading
import time
from types import FrameType
from typing import Any

from dtf_runtime.errors import ForbiddenCallError

_FORBIDDEN = {
    "open": "opens a file",
    "socket.__new__": "opens a socket",
    "socket.connect": "opens a connection",
    "socket.getaddrinfo": "asks the network for a name",
    "subprocess.Popen": "starts a process",
    "os.system": "starts a process",
    "os.exec": "starts a process",
    "os.fork": "forks the process",
    "os.posix_spawn": "starts a process",
    "os.remove": "removes a file",
    "os.rename": "renames a file",
    "os.mkdir": "makes a directory",
    "os.rmdir": "removes a directory",
    "os.listdir": "reads a directory",
    "os.scandir": "reads a directory",
    "os.truncate": "changes a file",
    "shutil.copyfile": "copies a file",
    "shutil.rmtree": "removes files",
    "sqlite3.connect": "opens a database",
    "time.sleep": "blocks the worker (await asyncio.sleep is a durable timer)",
    "_thread.start_new_thread": "starts a thread",
    "_thread.start_joinable_thread": "starts a thread",
    "urllib.Request": "makes a request",
}
_MACHINERY = (
    "importlib.",
    "linecache",
    "tokenize",
    "zoneinfo",
    "logging",
    "traceback",
    "encodings",
    "inspect",
    "warnings",
    "gettext",
)


class Draining:
    """What the draining thread is at. One a process and thread is enough: a worker drains in its loop's thread."""

    __slots__ = ("execution", "since", "thread")

    def __init__(self) -> None:
        self.thread = 0
        self.since = 0.0
        self.execution: Any = None


draining: dict[int, Draining] = {}
_installed = False


def enter() -> None:
    global _installed
    thread = threading.get_ident()
    state = Draining()
    state.thread = thread
    draining[thread] = state
    if not _installed:
        _installed = True
        sys.addaudithook(_audit)


def leave() -> None:
    draining.pop(threading.get_ident(), None)


def at(execution: Any) -> Draining:
    """The draining thread now runs this execution, until `execution` of the answer is None again."""
    state = draining.get(threading.get_ident()) or Draining()
    state.since = time.monotonic()
    state.execution = execution
    return state


def _audit(event: str, args: tuple[Any, ...]) -> None:
    if not draining or event not in _FORBIDDEN:
        return
    state = draining.get(threading.get_ident())
    if state is None or state.execution is None or _is_time_zone(event, args) or _in_machinery(sys._getframe(1)):
        return
    execution = state.execution
    raise execution.forbidden(
        ForbiddenCallError(
            f"orchestration {execution.instance_id!r} {_FORBIDDEN[event]} ({event}{_first(args)}): that can't be replayed. "
            f"Move it into an @activity and await that."
        )
    )


def _first(args: tuple[Any, ...]) -> str:
    return f" {args[0]!r}"[:120] if args and isinstance(args[0], str) else ""


def _is_time_zone(event: str, args: tuple[Any, ...]) -> bool:
    """zoneinfo reads its files in C, with no frame of its own to be seen."""
    zoneinfo = sys.modules.get("zoneinfo")
    if zoneinfo is None or event != "open" or not isinstance(args[0], str) or args[1] not in ("r", "rb"):
        return False
    return args[0].startswith(tuple(f"{folder}/" for folder in zoneinfo.TZPATH))


def _in_machinery(frame: FrameType | None) -> bool:
    while frame is not None:
        module = frame.f_globals.get("__name__") or ""
        if module.startswith(_MACHINERY):
            return True
        if module.startswith("dtf_runtime.replay.loop"):
            return False
        frame = frame.f_back
    return False
