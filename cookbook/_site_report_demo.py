"""The kill -9 demo of `site_report`: `python -m cookbook.site_report --demo`, which is `make demo`.

The website, the worker and this program are three processes. Half way through, the worker is killed with SIGKILL while
exactly one visit is in flight; another worker goes on. Who decides whether that went well is the website: its own log,
flushed to disk before it answers, says what was done how often. The database under test is not asked.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.table import Table

from cookbook.site_report import SITE, WEB, Job, console, follow, is_running, site_report, steps_of, website
from dtf_runtime import InstanceState, OrchestrationHandle, TaskHubClient, TaskHubWorker

DEADLINE = 55.0  # seconds for all of it
HELD = 40.0  # seconds that the website keeps the slow page's first answer back: longer than the worker has to live


# -- What the website says it did ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Entry:
    what: str  # asked, refused or served
    path: str
    key: str | None


@dataclass(frozen=True)
class Row:
    """One step, as the website saw it."""

    path: str
    refused: int
    served: int
    keys: frozenset[str | None]
    in_flight: bool  # when the worker was killed

    @property
    def problem(self) -> str | None:
        if self.served == 0:
            return "never happened"
        if self.served > 2 or (self.served == 2 and not self.in_flight):
            return f"happened {self.served} times"
        if len(self.keys) > 1:
            return "came with different idempotency keys"
        if None in self.keys:
            return "came without an idempotency key"
        return None

    @property
    def verdict(self) -> str:
        if self.problem:
            return f"[bold red]{self.problem}[/]"
        if self.served == 2:
            return "[yellow]twice[/], in flight at the kill, same key"
        return "[green]once[/]"


def read_log(log: Path) -> list[Entry]:
    if not log.exists():
        return []
    whole_lines = log.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()
    return [Entry(**json.loads(line)) for line in whole_lines]


def rows(entries: Iterable[Entry], pages: Iterable[str], in_flight: Iterable[str]) -> list[Row]:
    found: dict[str, list[Entry]] = {page: [] for page in pages}
    for entry in entries:
        found.setdefault(entry.path, []).append(entry)
    flying = set(in_flight)
    return [
        Row(
            path=path,
            refused=sum(entry.what == "refused" for entry in seen),
            served=sum(entry.what == "served" for entry in seen),
            keys=frozenset(entry.key for entry in seen),
            in_flight=path in flying,
        )
        for path, seen in found.items()
    ]


def finished(state: InstanceState) -> set[str]:
    return {urlsplit(step["name"]).path for step in steps_of(state) if step["state"] in ("done", "failed")}


def in_flight(done: set[str], entries: list[Entry]) -> list[str]:
    """Asked for, and neither refused nor known to the orchestration: these and no others may happen again."""
    last = {entry.path: entry.what for entry in entries}
    return [path for path, what in last.items() if what != "refused" and path not in done]


def half_way(done: set[str], entries: list[Entry]) -> bool:
    """Half of the steps are finished, and exactly one has happened without its answer having arrived."""
    flying = in_flight(done, entries)
    served = {entry.path for entry in entries if entry.what == "served"}
    return len(done) >= len(SITE) // 2 and len(flying) == 1 and flying[0] in served


# -- The demo -----------------------------------------------------------------------------------------------------


async def demo(folder: Path) -> int:
    hub, log, report = f"sqlite:///{folder / 'hub.db'}", folder / "website.log", folder / "site-report.md"
    console.rule("[bold]A workflow that survives kill -9")
    with website(str(log), slow=HELD) as urls:
        async with asyncio.timeout(DEADLINE), TaskHubClient(hub) as client:
            job = Job(urls, str(report), patience=DEADLINE)
            handle = await client.start(site_report, job, instance_id="site-report")
            flying = await run_until_killed(handle, hub, log, folder)
            with worker(hub, folder) as second:
                console.print(f"Worker {second.pid} takes over.")
                await follow(handle, until=lambda state: stopped(second) or is_running(state, "approve"))
                console.print("All pages are in. The demo raises the event 'approve' ...")
                await client.raise_event(handle.instance_id, "approve")
                await handle.result()
                console.print("... and the report is written.")
    return tell(rows(read_log(log), SITE, flying), report, urls)


async def run_until_killed(handle: OrchestrationHandle[str | None], hub: str, log: Path, folder: Path) -> list[str]:
    """Gives the steps that were in flight when the worker was killed."""
    with worker(hub, folder) as doomed:
        console.print(f"Worker {doomed.pid} starts.")
        await follow(handle, until=lambda state: stopped(doomed) or half_way(finished(state), read_log(log)))
        doomed.kill()
        doomed.wait()
    if sys.platform != "win32" and doomed.returncode != -signal.SIGKILL:
        raise RuntimeError(f"the worker was to be killed, but ended with exit code {doomed.returncode}")
    done, entries = finished(await handle.state()), read_log(log)
    flying = in_flight(done, entries)
    begun = {entry.path for entry in entries}
    console.print(
        f"[bold red]kill -9 {doomed.pid}[/] after step {len(done)} of {len(SITE)}: {len(flying)} in flight, "
        f"{len(begun - done - set(flying))} await a retry, {len(SITE) - len(begun)} not begun."
    )
    return flying


def stopped(process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is None:
        return False
    raise RuntimeError(f"the worker stopped by itself with exit code {process.returncode}")


def tell(table: list[Row], report: Path, urls: list[str]) -> int:
    """Prints what happened, from the website's point of view. Gives the exit code."""
    drawn = Table("step", "refused", "happened", "verdict", title="What the website did, from its own log")
    console.print()
    for row in table:
        drawn.add_row(f"GET {row.path}", str(row.refused or ""), str(row.served), row.verdict)
    console.print(drawn)
    problems = [f"GET {row.path} {row.problem}" for row in table if row.problem]
    if not any(row.in_flight for row in table):
        problems.append("nothing was in flight at the kill, so nothing was proved")
    written = report.read_text(encoding="utf-8") if report.exists() else ""
    problems += [f"the report doesn't mention {url}" for url in urls if f" {url}:" not in written]
    for problem in problems:
        console.print(f"[bold red]✗[/] {problem}")
    if not problems:
        twice = sum(row.served == 2 for row in table)
        console.print(
            f"[bold green]✓[/] {len(table)} steps: {len(table) - twice} happened once, {twice} twice, none was lost."
        )
    return 1 if problems else 0


# -- The worker, a process of its own -----------------------------------------------------------------------------


@contextmanager
def worker(hub: str, folder: Path) -> Iterator["subprocess.Popen[bytes]"]:
    command = [sys.executable, "-m", "cookbook._site_report_demo", "--worker", hub]
    with (
        open(folder / "worker.log", "ab") as log,
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=log, stderr=log) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def work(hub: str) -> None:
    def end_with_parent() -> None:
        sys.stdin.read()  # its end is that of the program that started this one, however it ended
        os._exit(0)

    threading.Thread(target=end_with_parent, daemon=True).start()
    asyncio.run(TaskHubWorker(hub, connections=[WEB]).run())


def main() -> int:
    if sys.argv[1:2] == ["--worker"]:
        work(sys.argv[2])
        return 0
    with tempfile.TemporaryDirectory(prefix="dtf-demo-") as name:
        folder = Path(name)
        try:
            return asyncio.run(demo(folder))
        except Exception as error:
            log = folder / "worker.log"
            console.print(f"[bold red]✗[/] the demo broke off: {error!r}")
            console.print(log.read_text(encoding="utf-8", errors="replace") if log.exists() else "", markup=False)
            return 1


if __name__ == "__main__":
    sys.exit(main())
