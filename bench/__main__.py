"""`python -m bench`: every engine, interleaved in one run, then the table beside the targets.

Each (repetition, workload, engine) is a process of its own on an empty state directory. Ours and the bound run in this
interpreter's environment, the peers in bench/.peers/. Ends with 1 when a run of ours or of the bound failed, or its
stored state is not what it claims. A row under its target is shown, not failed: it is a matter of the machine too.
"""

import argparse
import datetime
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from bench import install, measure, report
from bench.run import PEERS, WHOLE, state_root
from bench.workloads import WORKLOADS

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / ".results" / "latest.jsonl"
DURABLE = tuple(peer for peer in PEERS if peer != "durabletask-mem")
OURS_ONLY = ("waiting10k", "finished100k", "replay10k")
BOUND = ("noop1", "noop100", "seq10", "fanout", "long", "long10000")
ONCE = ("idle", "waiting10k", "finished100k")  # the longest; one repetition tells
ALL = (*WORKLOADS, *WHOLE)
RUN_SECONDS = 300.0


def runs(engine: str, workload: str) -> bool:
    """Whether this engine has this workload: the bound is a hot path only, and some are about our own promises."""
    if engine == "ours":
        return True
    if engine == "bound":
        return workload in BOUND
    if workload == "recover" and engine not in DURABLE:
        return False
    return workload not in (*OURS_ONLY, "long10000")


def one(engine: str, workload: str) -> report.Line | None:
    """One run; None when it failed, with the reason on standard error."""
    python = str(install.PYTHON) if engine in PEERS else sys.executable
    argv = [python, "-m", "bench.run", engine, workload]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            out, err = process.communicate(timeout=RUN_SECONDS)
        except subprocess.TimeoutExpired:
            process.terminate()  # it takes its server down with it
            out, err = process.communicate(timeout=30)
            err += f"\nstopped after {RUN_SECONDS:.0f} s"
        if process.returncode == 0 and out.strip():
            line: report.Line = json.loads(out.strip().splitlines()[-1])
            return line
    print(f"FAILED {engine} {workload}: {err.strip()[-2000:]}", file=sys.stderr, flush=True)
    return None


def available(peers: Sequence[str]) -> list[str]:
    """The peers that could be installed; the others are named with the reason."""
    found = []
    for peer in peers:
        problem = install.install(peer)
        if problem is None:
            found.append(peer)
        else:
            print(f"WITHOUT {peer}, it could not be installed: {problem.reason}", flush=True)
    return found


def interleaved(engines: Sequence[str], workloads: Sequence[str], repetitions: int) -> tuple[list[report.Line], int]:
    """All runs, the engines side by side in each workload: the lines, and how many runs of our own code failed."""
    lines, failed = [], 0
    RESULTS.parent.mkdir(exist_ok=True)
    with RESULTS.open("w") as results:
        for repetition in range(repetitions):
            for workload in workloads:
                if repetition and workload in ONCE:
                    continue
                for engine in engines:
                    if not runs(engine, workload):
                        continue
                    line = one(engine, workload)
                    if line is None:
                        failed += engine not in PEERS
                        continue
                    lines.append(line)
                    print(json.dumps(line), file=results, flush=True)
                    print(f"{repetition + 1}/{repetitions} {workload:13} {engine:16} {brief(line)}", flush=True)
    return lines, failed


def brief(line: report.Line) -> str:
    shown = (
        "ops_per_s",
        "activities_per_s",
        "wall_s",
        "wake_late_p50_ms",
        "wake_late_p99_ms",
        "done_s",
        "twice",
        "lost",
    )
    more = ("idle_cpu_pct", "spawn_to_first_s", "slower", "us_per_event", "rss_mb", "load")
    return " ".join(f"{name}={line[name]}" for name in (*shown, *more) if line.get(name) is not None)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--peers", default="dbos-sqlite,restate", help=f"none, all, or some of {','.join(PEERS)}")
    parser.add_argument("--workloads", default="all", help=f"all, or some of {','.join(ALL)}")
    parser.add_argument("--reps", type=int, default=3, help="repetitions; the table shows medians")
    parser.add_argument("--write", action="store_true", help="put the table into bench/README.md")
    parser.add_argument("--from", dest="lines", type=Path, help="no runs: the table of an earlier bench/.results file")
    arguments = parser.parse_args()
    arguments.peers = _names(parser, arguments.peers, PEERS)
    arguments.workloads = _names(parser, arguments.workloads, ALL)
    return arguments


def _names(parser: argparse.ArgumentParser, text: str, known: Sequence[str]) -> list[str]:
    if text in ("all", "none"):
        return list(known) if text == "all" else []
    names = text.split(",")
    unknown = [name for name in names if name not in known]
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are {', '.join(known)}")
    return names


def main() -> int:
    arguments = parse()
    failed = 0
    if arguments.lines:
        lines = [json.loads(text) for text in arguments.lines.read_text().splitlines()]
        date = datetime.date.fromtimestamp(arguments.lines.stat().st_mtime)
    else:
        engines = ["ours", "bound", *available(arguments.peers)]
        lines, failed = interleaved(engines, arguments.workloads, arguments.reps)
        date = datetime.date.today()
    if not lines:
        print("no run succeeded, so there is nothing to show", file=sys.stderr)
        return 1
    rows = report.table(lines, DURABLE)
    repetitions = max(sum(x["engine"] == y["engine"] and x["workload"] == y["workload"] for x in lines) for y in lines)
    text = report.section(rows, lines, measure.machine(state_root()), date.isoformat(), repetitions)
    print("\n" + text)
    met, under = (sum(row[-1] == word for row in rows) for word in ("met", "UNDER"))
    print(f"\n{met} rows meet their target, {under} are under it, {failed} runs of our own code failed.")
    if measure.filesystem(state_root()) in ("tmpfs", "ramfs"):
        print("The state was on a memory file system: set BENCH_TMP to a real disk, these figures say nothing.")
        return 1
    if failed:
        print("Nothing is written: a table with failed runs would say too little." if arguments.write else "")
        return 1
    if arguments.write:
        report.write_readme(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
