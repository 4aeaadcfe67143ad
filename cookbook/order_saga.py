"""Order saga: reserve, charge, ship. When one of them is refused, the others are taken back, in reverse. Kill it anywhere: nobody pays twice.

Shows   Saga over three services, names that are chosen before the call so that undoing needs no answer, refusals that are no failures
Needs   pip install 'dtf-runtime[http]'
Run     python order_saga.py                    offline: three orders at a small shop on this machine, two of them refused
        kill it (Ctrl-C, kill -9), and run the same line: it goes on where it stood
Real    export DTF_CONNECTION_HTTP_SHOP_BASE_URL=https://api.example.com/v1
        export DTF_CONNECTION_HTTP_SHOP_BEARER_TOKEN=...
Watch   dtf show order-A1 --hub sqlite:///order_saga.db
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
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from connectors.http import HttpConnection, HttpRequest, request
from dtf_runtime import (
    NonRetriableError,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationHandle,
    Saga,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)

# == The workflow =================================================================================================

API = "shop"  # the connection's name; what is behind it, only the worker knows
REFUSED = (402, 409, 422)


@dataclass(frozen=True)
class Order:
    id: str
    item: str
    cents: int
    address: str


@dataclass(frozen=True)
class Outcome:
    shipped: bool
    why: str = ""


class RefusedError(NonRetriableError):
    """What a service has said; asking again would not help."""


@orchestration
async def fulfil(ctx: OrchestrationContext, order: Order) -> Outcome:
    try:
        async with Saga() as saga:
            ctx.set_custom_status("reserving")
            await put(saga, f"/reservations/{order.id}", {"item": order.item})
            ctx.set_custom_status("charging")
            await put(saga, f"/payments/{order.id}", {"cents": order.cents})
            ctx.set_custom_status("shipping")
            await put(saga, f"/shipments/{order.id}", {"address": order.address})
    except RefusedError as error:  # all that was done has been taken back by now
        ctx.set_custom_status("refused")
        return Outcome(shipped=False, why=str(error))
    ctx.set_custom_status("shipped")
    return Outcome(shipped=True)


async def put(saga: Saga, url: str, body: dict[str, Any]) -> None:
    """Makes something under a name of ours. To put it twice is to put it once; to delete what never came is no error."""
    saga.compensate(request, HttpRequest(connection=API, url=url, method="DELETE"))
    wanted = HttpRequest(connection=API, url=url, method="PUT", json=body, expected=(200, 201, *REFUSED))
    answer = await saga.do(request(wanted), nothing)  # on a cancel it is waited for, so that the undo finds it
    if answer.status in REFUSED:
        raise RefusedError(answer.json()["why"])


async def nothing(answer: object) -> None:
    """Its undo is registered already."""


# == The program ==================================================================================================

HUB = "sqlite:///order_saga.db"
BASE_URL = "DTF_CONNECTION_HTTP_SHOP_BASE_URL"
ORDERS = [
    Order("A1", "lamp", 4_900, "1 Main Street, Springfield"),
    Order("A2", "lamp", 4_900, "Atlantis"),
    Order("A3", "unicorn", 99_900, "1 Main Street, Springfield"),
]


async def main(hub: str, offline: str | None) -> int:
    connections = [HttpConnection(name=API, base_url=offline, allow_hosts=("127.0.0.1",))] if offline else []
    service = connect(hub)
    async with TaskHubWorker(service, connections=connections), TaskHubClient(service) as client:
        handles = [await start(client, order) for order in ORDERS]
        for order, handle in zip(ORDERS, handles, strict=True):
            found = await handle.result()
            print(f"{order.id} {'shipped' if found.shipped else f'refused: {found.why}'}", flush=True)
    return 0


async def start(client: TaskHubClient, order: Order) -> OrchestrationHandle[Outcome]:
    try:
        return await client.start(fulfil, order, instance_id=f"order-{order.id}")
    except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
        return client.handle(f"order-{order.id}", Outcome)


def program() -> int:
    parser = argparse.ArgumentParser(description="Orders that are fulfilled whole or not at all.")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--offline", action="store_true", help=f"the default when {BASE_URL} is not set")
    parser.add_argument("--serve", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--slow", type=float, default=0.0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        return serve(Path(options.serve), options.slow)
    logging.basicConfig(filename="order_saga.log", format="%(asctime)s %(levelname)s %(message)s")
    log = Path("order_saga_shop.jsonl")
    with shop(log) if options.offline or BASE_URL not in os.environ else nullcontext() as base_url:
        code = asyncio.run(main(options.hub, base_url))
    if base_url:
        print("The shop's books:", *(books(log) or ["empty"]), sep="\n  ")
        code = code or int(books(log) != ["payments/A1", "reservations/A1", "shipments/A1"])
    return code


# == A small shop, in a process of its own ========================================================================
# What it did is a line each in its log, on disk before the answer goes out. It remembers by that log, its port included,
# so that it outlives the program that started it, as a real service would.


def entries(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def books(log: Path) -> list[str]:
    """What there is: made, and not taken back."""
    there = set()
    for entry in entries(log):
        if entry["what"] == "made":
            there.add(entry["name"])
        if entry["what"] == "taken back":
            there.remove(entry["name"])
    return sorted(there)


class Shop(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, log: Path, slow: float) -> None:
        self.log, self.slow, self.lock = log, slow, threading.Lock()
        known = entries(log)
        super().__init__(("127.0.0.1", known[0]["port"] if known else 0), Caller)
        if not known:
            self.note(what="began", port=self.server_port)

    def note(self, **entry: object) -> None:
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def put(self, name: str, body: dict[str, Any]) -> tuple[int, dict[str, str]]:
        if body.get("item") == "unicorn":
            return 409, {"why": "there is no unicorn in stock"}
        if body.get("address") == "Atlantis":
            return 422, {"why": "nothing is shipped to Atlantis"}
        with self.lock:
            if name in books(self.log):
                self.note(what="asked again", name=name)
                return 200, {}
            self.note(what="made", name=name)
        time.sleep(self.slow)
        return 201, {}

    def delete(self, name: str) -> tuple[int, dict[str, str]]:
        with self.lock:
            if name not in books(self.log):
                return 404, {}
            self.note(what="taken back", name=name)
        time.sleep(self.slow)
        return 200, {}


class Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Shop

    def do_PUT(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.say(*self.server.put(self.path.strip("/"), body))

    def do_DELETE(self) -> None:
        self.say(*self.server.delete(self.path.strip("/")))

    def say(self, status: int, value: object) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(log: Path, slow: float) -> int:
    server = Shop(log, slow)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the program that started it ends, however it ends
    return 0


@contextmanager
def shop(log: Path, slow: float = 0.0) -> Iterator[str]:
    """Runs it and gives its address. `slow`: seconds between a change and its answer."""
    command = [sys.executable, os.path.abspath(__file__), "--serve", str(log), "--slow", str(slow)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(program())
