"""`dtf worker --reload`: the worker as a child process that is started again when a file it loaded has changed.

The child watches, since it alone knows what it loaded, stops gracefully and ends with the code `CHANGED`; the
parent then starts the next one. Code is never reloaded inside a process: half of the old module would live on. A
file that can't be loaded is reported and waited for.
"""

import asyncio
import os
import signal
import subprocess
import sys
import sysconfig
import time
import traceback
from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from dtf_runtime import DurableTaskError
from dtf_runtime.cli.exits import Exit
from dtf_runtime.cli.terminal import note

CHANGED = 75  # how a child asks to be started again
_POLL = 0.3  # seconds
_NEVER = -1  # the stamp of no file
_LIBRARIES = tuple(str(Path(sysconfig.get_path(key)).resolve()) for key in ("stdlib", "purelib", "platlib"))


def supervise() -> int:
    """Runs children until one ends by itself; its exit code is ours. A Ctrl-C reaches a child by itself, SIGTERM is handed on."""
    place = sys.argv.index("worker") + 1
    words = [*sys.argv[1:place], "--reload-child", str(os.getpid()), *sys.argv[place:]]
    child: subprocess.Popen[bytes] | None = None
    told = False

    def hand_on(*_: object) -> None:
        nonlocal told
        told = True
        if child is not None:
            child.terminate()

    signal.signal(signal.SIGTERM, hand_on)
    while not told:
        child = subprocess.Popen([sys.executable, "-m", "dtf_runtime.cli", *words])
        if told:  # before there was a child to tell
            child.terminate()
        code = _end_of(child)
        if code != CHANGED:
            return code if code >= 0 else 128 - code
        note("a file has changed: starting again")
    return Exit.OK


def _end_of(child: "subprocess.Popen[bytes]") -> int:
    while True:
        with suppress(KeyboardInterrupt):
            return child.wait()


def run_once(supervisor: int, load: Callable[[], None], run: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """The child: loads and runs until it is stopped (OK) or a file has changed (CHANGED)."""
    begun = time.time_ns()
    try:
        load()
    except DurableTaskError as error:
        note(f"error: {' '.join(str(error).split())}\nwaiting for a change", "bold red", lines=True)
        changed = asyncio.run(_changed(supervisor, _Watched(begun, _files_of(error))))
    else:
        changed = asyncio.run(_run_until_changed(supervisor, run, _Watched(begun)))
    return CHANGED if changed else Exit.OK


async def _run_until_changed(
    supervisor: int, run: Callable[[], Coroutine[Any, Any, None]], watched: "_Watched"
) -> bool:
    """True when a file has changed; the worker has then been stopped gracefully."""
    watcher = asyncio.create_task(_changed(supervisor, watched))
    worker = asyncio.create_task(run())
    done, _ = await asyncio.wait({worker, watcher}, return_when=asyncio.FIRST_COMPLETED)
    if worker in done:
        watcher.cancel()
        await worker
        return False
    worker.cancel()
    with suppress(asyncio.CancelledError):
        await worker
    return watcher.result()


async def _changed(supervisor: int, watched: "_Watched") -> bool:
    """True when a file has changed, False when the supervisor is gone: a child must not outlive it."""
    while _is_parent(supervisor):
        if watched.changed():
            return True
        await asyncio.sleep(_POLL)
    return False


def _is_parent(process: int) -> bool:
    return os.name == "nt" or os.getppid() == process  # in between Windows has a launcher, and it never tells


class _Watched:
    """The loaded source files that are not part of Python or an installed package, as they were when first seen.

    One that has changed since `begun` (ns), before it was seen, counts as changed: what was loaded may be the older one.
    """

    def __init__(self, begun: int, files: Iterable[str] = ()) -> None:
        self._begun = begun
        self._modules: set[str] = set()
        self._stamps: dict[str, int] = {}
        self._add(files)

    def changed(self) -> bool:
        fresh = sys.modules.keys() - self._modules
        self._modules |= fresh
        self._add(_sources(fresh))
        return any(_stamp(file) != stamp for file, stamp in self._stamps.items())

    def _add(self, files: Iterable[str]) -> None:
        for file in files:
            stamp = _stamp(file)
            is_late = self._begun < stamp <= time.time_ns()
            self._stamps[file] = _NEVER if is_late else stamp


def _sources(modules: Iterable[str]) -> Iterator[str]:
    for name in modules:
        file = getattr(sys.modules.get(name), "__file__", None) or ""
        if file.endswith(".py") and not str(Path(file).resolve()).startswith(_LIBRARIES):
            yield file


def _stamp(file: str) -> int:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0  # gone, for now


def _files_of(error: BaseException | None) -> Iterator[str]:
    """The files that an error points at: one with a syntax error never became a module."""
    while error is not None:
        if isinstance(error, SyntaxError) and error.filename:
            yield error.filename
        frames = traceback.extract_tb(error.__traceback__)
        yield from (frame.filename for frame in frames if os.path.isfile(frame.filename))
        error = error.__cause__ or error.__context__
