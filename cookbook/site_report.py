"""Site report: visit many pages, wait for a person to approve, write a report. Kill it anywhere: it goes on.

Shows   fan-out with a limit, retries as durable timers, an event with a timeout, a file written whole, progress
Needs   pip install 'dtf-runtime[http]'
Run     python site_report.py https://example.com https://example.org
        python site_report.py                            no addresses: a small, flaky website on this machine
        python site_report.py --id monday URL...         after a crash, the same line goes on where it stood
Watch   dtf show ID --hub sqlite:///site_report.db       from another terminal; `dtf raise ID approve` approves
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from connectors.http import HttpConnection, HttpRequest, request
from dtf_runtime import (
    InstanceState,
    OrchestrationAlreadyExistsError,
    OrchestrationCancelledError,
    OrchestrationContext,
    OrchestrationHandle,
    RetryPolicy,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

AT_ONCE = 3  # pages visited at the same time
WEB = HttpConnection(
    allow_private=True
)  # the addresses come from you, so they may lead to this machine and its network
visit = request.options(retry=RetryPolicy(max_attempts=5, first_interval=1.0, backoff_coefficient=2.0))


@dataclass(frozen=True)
class Job:
    urls: list[str]
    report: str  # the file to write
    patience: float = 3600.0  # seconds that the approval may take


@dataclass(frozen=True)
class Page:
    url: str
    fine: bool
    verdict: str


@orchestration
async def site_report(ctx: OrchestrationContext, job: Job) -> str | None:
    """The path of the report, or None when nobody approved it in time."""
    steps = Steps(ctx, [*job.urls, "approve", "report"])
    limit = asyncio.Semaphore(AT_ONCE)

    async def look_at(url: str) -> Page:
        async with limit:
            steps.mark(url, "running")
            page = await judge(url)
            steps.mark(url, "done" if page.fine else "failed", page.verdict)
            return page

    pages = await asyncio.gather(*(look_at(url) for url in job.urls))

    steps.mark("approve", "running", f"waits {job.patience:g} s for the event 'approve'")
    try:
        async with asyncio.timeout(job.patience):  # a durable timer: it runs on while no program does
            await ctx.wait_for_event("approve")
    except TimeoutError:
        steps.mark("approve", "failed", "nobody approved in time")
        steps.mark("report", "skipped")
        return None
    steps.mark("approve", "done")

    steps.mark("report", "running")
    await write_report(job.report, pages)
    steps.mark("report", "done", job.report)
    return job.report


async def judge(url: str) -> Page:
    """One visit, with as many attempts as it takes. Between them it sleeps in the database, not in a process."""
    try:
        answer = await visit(HttpRequest(url=url, send_idempotency_key="always"))
    except TaskFailedError as error:  # no attempts left, or a 404, say, which another attempt can't help
        return Page(url, fine=False, verdict=error.failure.message.removeprefix(f"GET {url}: ").partition(";")[0])
    return Page(url, fine=True, verdict=f"{answer.status}, {len(answer.body):,} bytes")


@activity
def write_report(path: str, pages: list[Page]) -> None:
    """The whole file or nothing. An activity may run twice when a worker dies: then it writes the same again."""
    good = sum(page.fine for page in pages)
    lines = [f"# Site report: {good} of {len(pages)} pages are fine", ""]
    lines += [f"- {'ok  ' if page.fine else 'BAD '} {page.url}: {page.verdict}" for page in pages]
    with open(f"{path}.part", "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.part", path)


class Steps:
    """The progress, as a custom status that `dtf show` draws as a checklist."""

    def __init__(self, ctx: OrchestrationContext, names: list[str]) -> None:
        self._ctx = ctx
        self._steps = {name: {"name": name, "state": "pending", "detail": ""} for name in names}
        ctx.set_custom_status({"steps": list(self._steps.values())})

    def mark(self, name: str, state: str, detail: str = "") -> None:
        self._steps[name].update(state=state, detail=detail)
        self._ctx.set_custom_status({"steps": list(self._steps.values())})


# == The program ==================================================================================================

HUB = "sqlite:///site_report.db"
LOG = "site_report.log"  # what the worker has to say, such as why an attempt failed
console = Console()


async def main(options: argparse.Namespace) -> int:
    job = Job(list(dict.fromkeys(options.urls)), options.out, options.patience)
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=[WEB]), TaskHubClient(service) as client:
        try:
            handle = await client.start(site_report, job, instance_id=options.id)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(options.id, str | None)
        console.print(f"Instance [bold]{handle.instance_id}[/] in {options.hub}", soft_wrap=True)
        await follow(handle, until=lambda state: is_running(state, "approve"))
        if not (await handle.state()).completed_at:
            await ask(client, handle.instance_id, options)
        return tell(await outcome(handle))


async def ask(client: TaskHubClient, instance_id: str, options: argparse.Namespace) -> None:
    if not options.yes and not sys.stdin.isatty():
        console.print(f"Approve it: dtf raise {instance_id} approve --hub {options.hub}", soft_wrap=True)
        return
    answer = "y" if options.yes else await asyncio.to_thread(input, "Write the report? [Y/n] ")
    if answer.strip().lower() in ("", "y", "yes"):
        await client.raise_event(instance_id, "approve")
    else:
        await client.cancel(instance_id, "the report was declined")


async def outcome(handle: OrchestrationHandle[str | None]) -> str | None:
    try:
        return await handle.result()
    except OrchestrationCancelledError:
        return None


def tell(report: str | None) -> int:
    if report is None:
        console.print("Not approved, so no report was written.")
        return 1
    console.print(f"[green]Report written:[/] {report}", soft_wrap=True)
    return 0


async def follow(handle: OrchestrationHandle[Any], *, until: Callable[[InstanceState], bool]) -> InstanceState:
    """Draws the checklist until `until` says so or the instance has finished."""
    with Live(console=console, refresh_per_second=10) as live:
        while True:
            state = await handle.state()
            live.update(checklist(state))
            if state.completed_at or until(state):
                break
            await asyncio.sleep(0.05)
    if not console.is_terminal:
        console.print()
    return state


def steps_of(state: InstanceState) -> list[dict[str, str]]:
    return list((state.custom_status or {}).get("steps", ()))


def is_running(state: InstanceState, name: str) -> bool:
    return any(step["name"] == name and step["state"] == "running" for step in steps_of(state))


def checklist(state: InstanceState) -> Table:
    marks = {"running": "[yellow]▸[/]", "done": "[green]✓[/]", "failed": "[red]✗[/]"}
    table = Table(box=None, show_header=False, padding=(0, 1))
    for step in steps_of(state):
        table.add_row(marks.get(step["state"], "[dim]·[/]"), Text(step["name"]), Text(step["detail"], style="dim"))
    return table


def command_line() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Visit pages, wait for approval, write a report.")
    parser.add_argument("urls", nargs="*", metavar="URL", help="default: a small website on this machine")
    parser.add_argument(
        "--out", type=os.path.abspath, default="site-report.md", metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--id", metavar="NAME", help="the instance; one that exists goes on where it stood")
    parser.add_argument("--yes", action="store_true", help="approve without asking")
    parser.add_argument("--patience", type=float, default=3600.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--demo", action="store_true", help="kill -9 its own worker half way and prove that it goes on")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--log", help=argparse.SUPPRESS)
    parser.add_argument("--slow", type=float, default=2.0, help=argparse.SUPPRESS)
    return parser.parse_args()


def program() -> int:
    options = command_line()
    if options.serve:
        return serve(options.log, options.slow)
    if options.demo:
        return demo()
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    if options.urls:
        return asyncio.run(main(options))
    with website() as urls:
        options.urls = urls
        return asyncio.run(main(options))


def demo() -> int:
    here = Path(__file__).resolve()
    if not here.with_name("_site_report_demo.py").exists():
        console.print("The demo is not part of the copied recipe. In a checkout of the project: make demo")
        return 2
    return subprocess.call([sys.executable, "-m", "cookbook._site_report_demo"], cwd=here.parents[1])


# == A small website that misbehaves, in a process of its own =====================================================

SITE = {  # page: how it behaves the first time
    "/": "fine",
    "/about": "fine",
    "/pricing": "fine",
    "/docs": "fine",
    "/old-blog": "missing",
    "/search": "busy",
    "/status": "busy",
    "/download": "slow",  # does its work at once and takes its time to say so
    "/contact": "fine",
    "/jobs": "fine",
}


class Website(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, log: str | None, slow: float) -> None:
        super().__init__(("127.0.0.1", 0), Visitor)
        self.slow = slow  # seconds
        self._log = log
        self._lock = threading.Lock()
        self._known: set[str] = set()

    def is_first(self, path: str) -> bool:
        with self._lock:
            first = path not in self._known
            self._known.add(path)
            return first

    def note(self, what: str, path: str, key: str | None) -> None:
        """On disk before the visitor hears of it, so that the log can't miss what happened."""
        if self._log is None:
            return
        with self._lock, open(self._log, "a", encoding="utf-8") as log:
            log.write(json.dumps({"what": what, "path": path, "key": key}) + "\n")
            log.flush()
            os.fsync(log.fileno())


class Visitor(BaseHTTPRequestHandler):
    server: Website

    def do_GET(self) -> None:
        key = self.headers.get("Idempotency-Key")
        behaviour, first = SITE.get(self.path, "missing"), self.server.is_first(self.path)
        self.server.note("asked", self.path, key)
        time.sleep(0.1)  # so that a person can watch
        if behaviour == "busy" and first:
            self.server.note("refused", self.path, key)
            return self.say(503, "come back in three seconds", retry_after=3)
        self.server.note("served", self.path, key)  # what a real site would do for you happens here
        if behaviour == "slow" and first:
            time.sleep(self.server.slow)
        return self.say(404 if behaviour == "missing" else 200, f"<h1>Welcome to {self.path}</h1>\n" * 50)

    def say(self, status: int, text: str, retry_after: int | None = None) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if retry_after is not None:
            self.send_header("Retry-After", str(retry_after))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(log: str | None, slow: float) -> int:
    server = Website(log, slow)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the program that started it ends, however it ends
    return 0


@contextmanager
def website(log: str | None = None, slow: float = 2.0) -> Iterator[list[str]]:
    """Runs the website and gives the addresses of its pages. `log`: what it did, a JSON object a line."""
    command = [sys.executable, os.path.abspath(__file__), "--serve", "--slow", str(slow)]
    command += ["--log", log] if log else []
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            base = process.stdout.readline().strip()
            yield [base + path for path in SITE]
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(program())
