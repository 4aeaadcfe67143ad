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
_LIBRARIES = tuple(str(Path(sysconfig.get_path(key)).resolve()) for key in ("stdlib", "purelib", "platlib"))


def supervise() -> int:
    """Runs children until one ends by itself; its exit code is ours."""
    place = sys.argv.index("worker") + 1
    words = [sys.executable, "-m", "dtf_runtime.cli", *sys.argv[1:place], "--reload-child", *sys.argv[place:]]
    while True:
        code = _wait(subprocess.Popen(words))
        if code != CHANGED:
            return code if code >= 0 else 128 - code
        note("a file has changed: starting again")


def _wait(child: "subprocess.Popen[bytes]") -> int:
    """A Ctrl-C reaches the child by itself; SIGTERM is handed on."""
    previous = signal.signal(signal.SIGTERM, lambda *_: child.terminate())
    try:
        while True:
            with suppress(KeyboardInterrupt):
                return child.wait()
    finally:
        signal.signal(signal.SIGTERM, previous)


def run_once(load: Callable[[], None], run: Callable[[], Coroutine[Any, Any, None]]) -> int:
    """The child: loads and runs until it is stopped (OK) or a file has changed (CHANGED)."""
    try:
        load()
    except DurableTaskError as error:
        note(f"error: {' '.join(str(error).split())}\nwaiting for a change", "bold red", lines=True)
        changed = asyncio.run(_changed(_Watched(_files_of(error))))
    else:
        changed = asyncio.run(_run_until_changed(run))
    return CHANGED if changed else Exit.OK


async def _run_until_changed(run: Callable[[], Coroutine[Any, Any, None]]) -> bool:
    """True when a file has changed; the worker has then been stopped gracefully."""
    watcher = asyncio.create_task(_changed(_Watched()))
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


async def _changed(watched: "_Watched") -> bool:
    """True when a file has changed, False when the supervisor is gone: a child must not outlive it."""
    supervisor = os.getppid()
    while os.getppid() == supervisor:
        if watched.changed():
            return True
        await asyncio.sleep(_POLL)
    return False


class _Watched:
    """The loaded source files that are not part of Python or an installed package, as they were when first seen."""

    def __init__(self, files: Iterable[str] = ()) -> None:
        self._modules: set[str] = set()
        self._stamps = {file: _stamp(file) for file in files}
        self.changed()

    def changed(self) -> bool:
        for name in sys.modules.keys() - self._modules:
            self._modules.add(name)
            file = getattr(sys.modules.get(name), "__file__", None) or ""
            if file.endswith(".py") and not str(Path(file).resolve()).startswith(_LIBRARIES):
                self._stamps[file] = _stamp(file)
        return any(_stamp(file) != stamp for file, stamp in self._stamps.items())


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
