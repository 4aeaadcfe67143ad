"""Long-poll ETL: a warehouse takes its time over a query; its rows are priced, some at once, and a day's file is there whole or not at all.

Shows   ready sub-orchestrations as children (http_job, fan_out), a query ordered once, a budget for rows that can't be priced, a file written whole
Needs   pip install 'dtf-runtime[http]'
Run     python long_poll_etl.py                 offline: a small warehouse on this machine
        kill it (Ctrl-C, kill -9), and run the same line: it goes on where it stood, and asks for no row twice that it has
Real    export DTF_CONNECTION_HTTP_WAREHOUSE_BASE_URL=https://api.example.com/v1
        export DTF_CONNECTION_HTTP_WAREHOUSE_BEARER_TOKEN=...
Watch   dtf show sales-2023-05-01 --hub sqlite:///long_poll_etl.db          and its children ...~query, ...~prices
"""

import argparse
import asyncio
import csv
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from connectors.http import HttpConnection, HttpRequest, request
from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from suborchestrations.fan_out import FanOut, fan_out
from suborchestrations.http_job import HttpJob, http_job

# == The workflow =================================================================================================

API = "warehouse"  # the connection's name; what is behind it, only the worker knows


@dataclass(frozen=True)
class Load:
    day: str
    out: str  # the file to write
    patience: float = 600.0  # seconds until the query is given up, and cancelled there
    at_once: int = 8  # prices asked for
    may_fail: int = 3  # rows without a price; one more, and there is no file


@dataclass(frozen=True)
class Sale:
    id: int
    product: str
    quantity: int


@dataclass(frozen=True)
class Line:
    id: int
    product: str
    quantity: int
    cents: int


@dataclass(frozen=True)
class Loaded:
    rows: int
    cents: int  # of all
    rejected: list[str]  # why which rows are not in the file


@orchestration
async def load_sales(ctx: OrchestrationContext, load: Load) -> Loaded:
    # 1. Extract. However often the query is sent, its Idempotency-Key is the same; between two polls nothing runs.
    ctx.set_custom_status("querying")
    query = HttpRequest(connection=API, url="/queries", method="POST", json={"day": load.day}, expected=(202,))
    job = HttpJob(submit=query, deadline=load.patience, poll_interval=0.5)
    found = await http_job.options(instance_id=f"{ctx.instance_id}~query")(job)
    sales = found.response.json()["rows"]

    # 2. Transform. Each row's result is stored when it comes.
    ctx.set_custom_status(f"pricing {len(sales)} rows")
    prices = FanOut(
        activity=priced.name, items=sales, limit=load.at_once, failure_budget=load.may_fail, deadline=load.patience
    )
    report = await fan_out.options(instance_id=f"{ctx.instance_id}~prices")(prices)

    # 3. Load.
    ctx.set_custom_status("writing")
    lines = [line for line in report.results if line is not None]
    await write(load.out, lines)
    ctx.set_custom_status("done")
    rejected = [
        f"sale {sales[one.index]['id']}: {one.error}" for one in sorted(report.failed, key=lambda one: one.index)
    ]
    return Loaded(len(lines), sum(line["cents"] for line in lines), rejected)


@activity
async def priced(sale: Sale) -> Line:
    """One row: inside an activity a connector's activity is a plain function. A 503 is tried again by `fan_out`, a 404 is not."""
    answer = await request(HttpRequest(connection=API, url=f"/prices/{sale.id}"))
    return Line(sale.id, sale.product, sale.quantity, sale.quantity * int(answer.json()["cents"]))


@activity
def write(out: str, lines: list[Line]) -> None:
    """Whoever looks finds all of it, on disk, or what was there before. May run twice: the second time it writes the same."""
    with open(f"{out}.part", "w", encoding="utf-8", newline="") as file:
        rows = csv.DictWriter(file, ["id", "product", "quantity", "cents"], lineterminator="\n")
        rows.writeheader()
        rows.writerows(asdict(line) for line in lines)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{out}.part", out)


# == The program ==================================================================================================

HUB = "sqlite:///long_poll_etl.db"
LOG = "long_poll_etl.log"
BASE_URL = "DTF_CONNECTION_HTTP_WAREHOUSE_BASE_URL"


async def main(options: argparse.Namespace, offline: str | None) -> int:
    connections = [HttpConnection(name=API, base_url=offline, allow_hosts=("127.0.0.1",))] if offline else []
    load = Load(options.day, options.out, options.patience, may_fail=options.may_fail)
    name, service = f"sales-{options.day}", connect(options.hub)
    async with TaskHubWorker(service, connections=connections), TaskHubClient(service) as client:
        try:
            handle = await client.start(load_sales, load, instance_id=name)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(name, Loaded)
        print(f"Instance {name} in {options.hub}", flush=True)
        try:
            done = await handle.result()
        except OrchestrationFailedError as error:
            print(f"There is no file: {error.failure.message}")
            return 1
    print(
        f"{load.out}: {done.rows} rows, {done.cents / 100:,.2f} EUR; rejected:",
        *(done.rejected or ["none"]),
        sep="\n  ",
    )
    return 0


def program() -> int:
    parser = argparse.ArgumentParser(description="Query the sales of a day, price them, write them to a file.")
    parser.add_argument("--day", default="2023-05-01", help="default: %(default)s")
    parser.add_argument("--out", type=os.path.abspath, default="sales.csv", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--patience", type=float, default=600.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--may-fail", type=int, default=3, metavar="ROWS", help="default: %(default)s")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--offline", action="store_true", help=f"the default when {BASE_URL} is not set")
    parser.add_argument("--serve", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--slow", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(Path(options.serve), options.slow)
    logging.basicConfig(filename=LOG, format="%(asctime)s %(levelname)s %(message)s")
    log = Path("long_poll_etl_warehouse.jsonl")
    with warehouse(log) if options.offline or BASE_URL not in os.environ else nullcontext() as base_url:
        code = asyncio.run(main(options, base_url))
    if base_url and code == 0:
        assert did(log, "ordered") == [options.day]
        assert Path(options.out).read_text() == expected()
        print("The warehouse made one query, and the file has all that it could price.")
    return code


# == A small warehouse, in a process of its own ===================================================================
# What it did is a line each in its log, on disk before the answer goes out. It remembers by that log, its port included,
# so that it outlives the program that started it, as a real service would.

SALES = [Sale(number, f"P{number % 7}", number % 5 + 1) for number in range(1, 61)]
UNKNOWN = (17, 42)  # sales that have no price
BUSY = (5, 30)  # and those whose price is there at the second try
POLLS = 3  # until a query is ready


def cents(sale: int) -> int:
    return 100 + sale * 37 % 900


def expected() -> str:
    """The file, by what the warehouse has."""
    lines = (
        f"{one.id},{one.product},{one.quantity},{one.quantity * cents(one.id)}\n"
        for one in SALES
        if one.id not in UNKNOWN
    )
    return "id,product,quantity,cents\n" + "".join(lines)


def entries(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()] if log.exists() else []


def did(log: Path, what: str) -> list[Any]:
    return [entry["of"] for entry in entries(log) if entry["what"] == what]


class Warehouse(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, log: Path, slow: float) -> None:
        self.log, self.slow, self.lock = log, slow, threading.Lock()
        port = did(log, "began")
        super().__init__(("127.0.0.1", port[0] if port else 0), Caller)
        if not port:
            self.note("began", self.server_port)

    def note(self, what: str, of: object, **more: object) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"what": what, "of": of, **more}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def order(self, key: str | None, day: str) -> str:
        """The query's id. The same key is the same query."""
        with self.lock:
            made = [entry for entry in entries(self.log) if entry["what"] == "ordered"]
            for number, entry in enumerate(made, 1):
                if key is not None and entry["key"] == key:
                    self.note("ordered again", day)
                    return f"{number}"
            self.note("ordered", day, key=key)
        time.sleep(self.slow)
        return f"{len(made) + 1}"

    def poll(self, known: str) -> bool:
        with self.lock:
            self.note("polled", known)
            return did(self.log, "polled").count(known) >= POLLS

    def price(self, sale: int) -> tuple[int, object]:
        with self.lock:
            is_first = sale not in did(self.log, "asked for the price of")
            self.note("asked for the price of", sale)
        time.sleep(self.slow / 10)
        if sale in UNKNOWN:
            return 404, {"why": "no price"}
        if sale in BUSY and is_first:
            return 503, {"why": "busy"}
        return 200, {"cents": cents(sale)}


class Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Warehouse

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        known = self.server.order(self.headers.get("Idempotency-Key"), body["day"])
        self.say(202, {"id": known}, {"Operation-Location": f"/queries/{known}"})

    def do_GET(self) -> None:
        _, kind, known = self.path.split("/")
        if kind == "prices":
            return self.say(*self.server.price(int(known)))
        if kind == "results":
            return self.say(200, {"rows": [asdict(one) for one in SALES]})
        if self.server.poll(known):
            return self.say(200, {"status": "Succeeded", "resourceLocation": f"/results/{known}"})
        return self.say(200, {"status": "Running"})

    def do_DELETE(self) -> None:
        with self.server.lock:
            self.server.note("cancelled", self.path.rpartition("/")[2])
        self.say(200, {})

    def say(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        sizes = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        for name, text in {**sizes, **(headers or {})}.items():
            self.send_header(name, text)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(log: Path, slow: float) -> int:
    server = Warehouse(log, slow)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the program that started it ends, however it ends
    return 0


@contextmanager
def warehouse(log: Path, slow: float = 0.0) -> Iterator[str]:
    """Runs it and gives its address. `slow`: seconds that an order takes, and ten prices."""
    command = [sys.executable, os.path.abspath(__file__), "--serve", str(log), "--slow", str(slow)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(program())
