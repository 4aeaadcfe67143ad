"""HTTP polling job: order an export, wait until it is ready, fetch the file, tidy up. Kill it anywhere: it goes on, and orders nothing twice.

Shows   an Idempotency-Key, a 202 that is polled by durable timers, a deadline that cancels, a download that resumes
Needs   pip install 'dtf-runtime[http]'
Run     python http_polling_job.py                       offline, against a small export service on this machine
        python http_polling_job.py --year 2024 --out exports-2024.csv
        kill it (Ctrl-C, kill -9), and run the same line: it goes on where it stood
Real    export DTF_CONNECTION_HTTP_EXPORTS_BASE_URL=https://api.example.com/v1
        export DTF_CONNECTION_HTTP_EXPORTS_BEARER_TOKEN=...
        python http_polling_job.py                       any service that answers 202 with Operation-Location, or Location
Watch   dtf show export-2023 --hub sqlite:///http_polling_job.db
"""

import argparse
import asyncio
import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from connectors.http import (
    Download,
    HttpConnection,
    HttpRequest,
    PollOperation,
    download,
    poll_operation,
    request,
)
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

API = "exports"  # the connection's name; what is behind it, only the worker knows


@dataclass(frozen=True)
class Job:
    year: int
    out: str  # the file to write
    patience: float = 600.0  # seconds until the export is given up, and cancelled there


@dataclass(frozen=True)
class Done:
    out: str
    size: int  # bytes
    sha256: str
    polls: int


@orchestration
async def export(ctx: OrchestrationContext, job: Job) -> Done:
    # 1. Order it. However often this is sent, its Idempotency-Key is the same, so the service makes one export.
    ctx.set_custom_status("ordering")
    order = HttpRequest(connection=API, url="/exports", method="POST", json={"year": job.year}, expected=(200, 202))
    accepted = await request(order)

    # 2. Wait. Between two polls nothing runs: the timers are in the database.
    ctx.set_custom_status("waiting")
    ready = await poll_operation(
        PollOperation(
            request=order, accepted=accepted, timeout=job.patience, interval=1.0, cancel="delete", fetch_result=False
        )
    )
    result = ready.response.json()["resourceLocation"]

    # 3. Fetch it. A broken download goes on where it broke off.
    ctx.set_custom_status("fetching")
    file = await download(Download(connection=API, url=f"{result}/file", path=job.out))

    # 4. Tidy up. Deleting what is gone already is success.
    ctx.set_custom_status("tidying up")
    await request(HttpRequest(connection=API, url=result, method="DELETE"))
    return Done(job.out, file.size, file.sha256, ready.polls)


# == The program ==================================================================================================

HUB = "sqlite:///http_polling_job.db"
BASE_URL = "DTF_CONNECTION_HTTP_EXPORTS_BASE_URL"


async def main(options: argparse.Namespace, offline: str | None) -> int:
    connections = [HttpConnection(name=API, base_url=offline, allow_hosts=("127.0.0.1",))] if offline else []
    job = Job(options.year, options.out, options.patience)
    service = connect(options.hub)
    async with TaskHubWorker(service, connections=connections), TaskHubClient(service) as client:
        try:
            handle = await client.start(export, job, instance_id=f"export-{options.year}")
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(f"export-{options.year}", Done)
        print(f"Instance {handle.instance_id} in {options.hub}", flush=True)
        done = await handle.result()
    print(f"{done.out}: {done.size:,} bytes, sha256 {done.sha256[:16]}..., ready after {done.polls} polls")
    return 0


def program() -> int:
    parser = argparse.ArgumentParser(description="Order an export, wait for it, fetch it.")
    parser.add_argument("--year", type=int, default=2023, help="default: %(default)s")
    parser.add_argument(
        "--out", type=os.path.abspath, default="export.csv", metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--patience", type=float, default=600.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--offline", action="store_true", help=f"the default when {BASE_URL} is not set")
    parser.add_argument("--serve", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--slow", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(Path(options.serve), options.slow)
    offline = options.offline or BASE_URL not in os.environ
    with export_service(Path("export_service.jsonl")) if offline else nullcontext() as base_url:
        return asyncio.run(main(options, base_url))


# == A small export service, in a process of its own ==============================================================
# What it did is a line each in its log, on disk before the answer goes out. It remembers by that log, its port included,
# so that it outlives the program that started it, as a real service would.


class ExportService(ThreadingHTTPServer):
    daemon_threads = True
    polls_until_ready = 3

    def __init__(self, log: Path, slow: float) -> None:
        self.log = log
        self.slow = slow  # seconds that the first order and each piece of a file take
        self.lock = threading.Lock()
        self.entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        super().__init__(("127.0.0.1", next((entry["port"] for entry in self.entries), 0)), Caller)
        if not self.entries:
            self.note(what="began", port=self.server_port)

    def note(self, **entry: object) -> None:
        self.entries.append(entry)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def order(self, key: str | None, year: int) -> tuple[str, bool]:
        """The export's id, and whether it is a new one. The same key is the same order."""
        with self.lock:
            for entry in self.entries:
                if entry["what"] == "ordered" and key is not None and entry["key"] == key:
                    self.note(what="ordered again", key=key)
                    return str(entry["id"]), False
            known = f"{year}-{self.count('ordered') + 1}"
            self.note(what="ordered", key=key, id=known)  # the export is made here
            return known, True

    def count(self, what: str, known: str | None = None) -> int:
        return sum(entry["what"] == what and known in (None, entry.get("id")) for entry in self.entries)


def content(known: str) -> bytes:
    return "".join(f"{known},{line},{line * 37 % 1000}\n" for line in range(40_000)).encode()


class Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ExportService

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known, new = self.server.order(self.headers.get("Idempotency-Key"), body["year"])
        time.sleep(self.server.slow if new else 0.0)
        self.say(202, {"id": known}, {"Operation-Location": f"/operations/{known}", "Retry-After": "1"})

    def do_GET(self) -> None:
        _, kind, known, *rest = self.path.split("/")
        if kind == "exports" and rest == ["file"]:
            return self.send_file(known)
        with self.server.lock:
            self.server.note(what="polled", id=known)
            ready = self.server.count("polled", known) >= self.server.polls_until_ready
        status = {"status": "Succeeded", "resourceLocation": f"/exports/{known}"} if ready else {"status": "Running"}
        return self.say(200, status, {} if ready else {"Retry-After": "1"})

    def do_DELETE(self) -> None:
        known = self.path.rpartition("/")[2]
        with self.server.lock:
            gone = self.server.count("deleted", known) > 0
            if not gone:
                self.server.note(what="deleted", id=known)
        self.say(404 if gone else 200, {})

    def send_file(self, known: str) -> None:
        data = content(known)
        etag = f'"{hashlib.sha256(data).hexdigest()[:16]}"'
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted and self.headers.get("If-Range") == etag else 0
        with self.server.lock:
            self.server.note(what="sending", id=known, start=start)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", etag)
        self.end_headers()
        for at in range(start, len(data), 65_536):
            self.wfile.write(data[at : at + 65_536])
            time.sleep(self.server.slow / 10)

    def say(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **(headers or {}),
        }.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(log: Path, slow: float) -> int:
    server = ExportService(log, slow)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the program that started it ends, however it ends
    return 0


@contextmanager
def export_service(log: Path, slow: float = 0.0) -> Iterator[str]:
    """Runs the service and gives its address."""
    command = [sys.executable, os.path.abspath(__file__), "--serve", str(log), "--slow", str(slow)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(program())
