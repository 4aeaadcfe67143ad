"""Clocks, memory and processor time as the benchmark reads them, and the words that describe the machine.

Standard library only: it is loaded in the peers' environment too. Memory is PSS (shared pages count once) and processor
time is that of whole process trees; both come from Linux's /proc, and elsewhere they are None or 0.
"""

import os
import platform
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

PROC = Path("/proc")


def percentile(values: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile, None for no values."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(percent / 100 * (len(ordered) - 1)))] if ordered else None


def milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def process_tree(pids: Iterable[int]) -> set[int]:
    """These processes and all they started that still live."""
    found: set[int] = set()
    waiting = list(pids)
    while waiting:
        pid = waiting.pop()
        if pid in found:
            continue
        found.add(pid)
        for children in PROC.glob(f"{pid}/task/*/children"):
            waiting += [int(child) for child in _read(children).split()]
    return found


def memory_mb(pids: Iterable[int]) -> float | None:
    """PSS of these process trees in MiB."""
    if not PROC.is_dir():
        return None
    total = 0
    for pid in process_tree(pids):
        for line in _read(PROC / str(pid) / "smaps_rollup").splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return round(total / 1024, 1)


def resident_mb() -> float | None:
    """RSS of this process in MiB."""
    for line in _read(PROC / "self" / "status").splitlines():
        if line.startswith("VmRSS"):
            return round(int(line.split()[1]) / 1024, 1)
    return None


def cpu_seconds(pids: Iterable[int]) -> float:
    """Processor seconds of these process trees, exact to the nanosecond: a tick-sampled figure is too coarse for an
    idle engine. Threads that have ended do not count."""
    total = 0
    for pid in process_tree(pids):
        for schedstat in PROC.glob(f"{pid}/task/*/schedstat"):
            fields = _read(schedstat).split()
            total += int(fields[0]) if fields else 0
    return total / 1e9


def filesystem(path: Path) -> str:
    """The type of the file system that holds the path, "unknown" where that can't be read."""
    best, kind = "", "unknown"
    for line in _read(PROC / "self" / "mounts").splitlines():
        _, mount, found = line.split()[:3]
        if len(mount) > len(best) and path.resolve().is_relative_to(mount):
            best, kind = mount, found
    return kind


def machine(state_directory: Path) -> str:
    """One line for the report: processor, cores, memory, system, interpreter, SQLite and file system."""
    models = [line for line in _read(PROC / "cpuinfo").splitlines() if line.startswith("model name")]
    model = models[0].split(":", 1)[1].strip() if models else platform.processor() or platform.machine()
    return (
        f"{model}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB, {platform.system()} {platform.release()}, "
        f"Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, state on {filesystem(state_directory)}"
    )


def load() -> float | None:
    """The load average of the last minute: a run beside other work is worth less."""
    return None if sys.platform == "win32" else round(os.getloadavg()[0], 2)


def _memory_gib() -> float:
    return 0.0 if sys.platform == "win32" else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process or thread ended meanwhile, or there is no /proc here
        return ""
