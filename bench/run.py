"""One engine, one workload, one process: `python -m bench.run ENGINE WORKLOAD` prints one line of JSON.

Runs in the interpreter that has the engine: the project's own for ours and the bound, bench/.peers/ for the peers.
Standard library only. The state directory is fresh, on a real disk (BENCH_TMP, default /var/tmp), and is removed
afterwards.
"""

import argparse
import asyncio
import importlib
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from bench import spawned, workloads
from bench.engine import Engine

ENGINES = {
    "ours": "bench.ours",
    "bound": "bench.bound",
    "dbos-sqlite": "bench.peers.dbos",
    "restate": "bench.peers.restate",
    "temporal-dev": "bench.peers.temporal",
    "durabletask-mem": "bench.peers.durabletask",
}
PEERS = tuple(name for name, module in ENGINES.items() if module.startswith("bench.peers."))
PARTS = {"recover-before": spawned.before, "recover-after": spawned.after, "startup-child": spawned.startup_child}
WHOLE = {"recover": spawned.recover, "startup": spawned.startup}


def state_root() -> Path:
    return Path(os.environ.get("BENCH_TMP") or ("/var/tmp" if Path("/var/tmp").is_dir() else tempfile.gettempdir()))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("workload", choices=[*workloads.WORKLOADS, *WHOLE, *PARTS])
    parser.add_argument("--workdir", type=Path, help="keep the state here; default: a fresh directory")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a time limit leaves no server behind
    make_engine: type[Engine] = importlib.import_module(ENGINES[arguments.engine]).ENGINE
    workdir = arguments.workdir or Path(tempfile.mkdtemp(prefix="bench-", dir=state_root()))
    workdir.mkdir(parents=True, exist_ok=True)
    engine = make_engine(workdir)
    if arguments.workload in PARTS:  # the process that started this one tidies up
        asyncio.run(PARTS[arguments.workload](engine))
        return
    try:
        figures = _figures(engine, arguments.workload)
        line = {"engine": engine.name, "workload": arguments.workload, **figures, "durability": engine.durability}
        print(json.dumps(line), flush=True)
    finally:
        engine.kill()
        if arguments.workdir is None:
            shutil.rmtree(workdir, ignore_errors=True)


def _figures(engine: Engine, workload: str) -> workloads.Figures:
    if workload in WHOLE:
        return WHOLE[workload](engine)
    return asyncio.run(workloads.measure(engine, workload))


if __name__ == "__main__":
    main()
