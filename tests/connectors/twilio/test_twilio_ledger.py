"""The ledger's file is made once, however many begin to use it at the same moment."""

import multiprocessing
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from connectors.twilio.ledger import Ledger

_AT_ONCE = 8
_ROUNDS = 15


def _opened(path: Path, barrier: Barrier) -> bool:
    barrier.wait()
    return Ledger(path).begin("a key", "alike", 0.0, None).is_new


def test_many_threads_may_open_a_new_one_at_once(tmp_path: Path) -> None:
    for number in range(_ROUNDS):
        barrier, path = Barrier(_AT_ONCE), tmp_path / f"{number}.db"
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            new = list(threads.map(lambda _: _opened(path, barrier), range(_AT_ONCE)))  # noqa: B023
        assert sorted(new) == [False] * (_AT_ONCE - 1) + [True]


def _process(path: Path, results: "multiprocessing.Queue[bool]") -> None:
    results.put(Ledger(path).begin("a key", "alike", 0.0, None).is_new)


def test_so_may_many_processes(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    processes = [context.Process(target=_process, args=(tmp_path / "l.db", results)) for _ in range(4)]
    for process in processes:
        process.start()
    new = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert sorted(new) == [False, False, False, True]
