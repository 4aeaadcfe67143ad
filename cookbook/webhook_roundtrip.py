"""Webhook round trip: book a parcel, be called back with its label, hear where it is, tell the customer. Kill it anywhere: nobody is told twice.

Shows   a signed link that is good for one answer, a verified webhook that becomes an event exactly once, a durable deadline
Needs   pip install 'dtf-runtime[http]'
Run     python webhook_roundtrip.py                      offline, against a small parcel service on this machine
        python webhook_roundtrip.py --parcel 8 --port 8766
        kill it (Ctrl-C, kill -9), and run the same line: it goes on where it stood
Real    export DTF_CONNECTION_WEBHOOKS_DEFAULT_BASE_URL=https://hooks.example.com       where the service reaches --port
        export DTF_CONNECTION_WEBHOOKS_DEFAULT_SIGNING_KEY=...                          at least 32 characters
        export DTF_CONNECTION_HTTP_PARCELS_BASE_URL=https://api.example.com/v1          and ..._BEARER_TOKEN
        export PARCELS_WEBHOOK_KEY=...                                                  what the service signs with
        python webhook_roundtrip.py
Watch   dtf show parcel-7 --hub sqlite:///webhook_roundtrip.db
"""

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec

from connectors.core import Secret, resolve, using
from connectors.core.webhooks import (
    Incoming,
    Links,
    RaiseEvent,
    Webhook,
    WebhookApp,
    WebhookConnection,
    running,
    signed_body,
)
from connectors.http import (
    CALLBACK_URL,
    CallAndWait,
    HttpConnection,
    HttpRequest,
    call_and_wait_for_callback,
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

API = "parcels"  # the connection's name; what is behind it, only the worker knows


@dataclass(frozen=True)
class Parcel:
    number: int
    patience: float = 600.0  # seconds for the label, and again for the delivery


@dataclass(frozen=True)
class Delivered:
    label: str
    stations: list[str]


@dataclass(frozen=True)
class Status:
    station: str
    is_delivered: bool


@orchestration
async def ship(ctx: OrchestrationContext, parcel: Parcel) -> Delivered:
    # 1. Book it. The service answers later, to an address that is signed, good for one answer, and never stored.
    ctx.set_custom_status("booking")
    booking = HttpRequest(
        connection=API,
        url="/bookings",
        method="POST",
        json={"parcel": parcel.number, "reference": ctx.instance_id, "answer_to": CALLBACK_URL},
    )
    booked = await call_and_wait_for_callback(CallAndWait(request=booking, timeout=parcel.patience))
    label = str(booked.callback.json()["label"])

    # 2. Hear of it. The service sends webhooks until it gets an answer, some of them twice; each is one event.
    stations: list[str] = []
    async with asyncio.timeout(parcel.patience):
        while True:
            ctx.set_custom_status(stations[-1] if stations else "waiting to be picked up")
            status = await ctx.wait_for_event("status", Status)
            stations.append(status.station)

            # 3. Tell the customer: once for each event, since the Idempotency-Key is that of this call.
            message = {"parcel": parcel.number, "text": f"Your parcel: {status.station}"}
            await request(HttpRequest(connection=API, url="/messages", method="POST", json=message))
            if status.is_delivered:
                return Delivered(label, stations)


# == The webhook ==================================================================================================


class Sent(msgspec.Struct):
    """What the service sends. Its `reference` is what the booking said: the instance."""

    delivery: str
    reference: str
    station: str
    is_delivered: bool = False


def to_event(received: Incoming) -> RaiseEvent:
    sent = received.json(Sent)
    status = Status(sent.station, sent.is_delivered)
    return RaiseEvent(instance_id=sent.reference, name="status", payload=status, delivery_id=sent.delivery)


def parcel_webhook(key: Secret) -> Webhook:
    return Webhook(path="/parcels", verify=signed_body(key, header="X-Parcels-Signature"), to_event=to_event)


# == The program ==================================================================================================

HUB = "sqlite:///webhook_roundtrip.db"
BASE_URL = "DTF_CONNECTION_HTTP_PARCELS_BASE_URL"
KEY = "PARCELS_WEBHOOK_KEY"
OFFLINE_KEY = "offline, where nobody else can send anything"  # the same after a crash, as a real one is


async def main(options: argparse.Namespace, offline: str | None) -> int:
    connections: list[HttpConnection | WebhookConnection] = []
    if offline:
        here = f"http://127.0.0.1:{options.port}"
        connections = [
            HttpConnection(name=API, base_url=offline, allow_hosts=("127.0.0.1",)),
            WebhookConnection(base_url=here, signing_key=Secret(OFFLINE_KEY)),
        ]
    with using(*connections):
        links = Links.of(resolve(WebhookConnection))
    service = connect(options.hub)
    key = Secret(os.environ[KEY] if offline is None else OFFLINE_KEY)
    app = WebhookApp(service, [parcel_webhook(key)], links=links, inbox=options.inbox)
    name = f"parcel-{options.parcel}"
    async with (
        TaskHubClient(service) as client,
        running(app, host=options.host, port=options.port),
        TaskHubWorker(service, connections=connections),
    ):
        try:
            handle = await client.start(ship, Parcel(options.parcel, options.patience), instance_id=name)
        except OrchestrationAlreadyExistsError:  # started earlier: the worker has already taken it up
            handle = client.handle(name, Delivered)
        print(f"Instance {name} in {options.hub}, webhooks at port {options.port}", flush=True)
        delivered = await handle.result()
    print(f"{name}: label {delivered.label}, {' -> '.join(delivered.stations)}")
    return 0


def program() -> int:
    parser = argparse.ArgumentParser(description="Book a parcel, be called back, hear where it is.")
    parser.add_argument("--parcel", type=int, default=7, metavar="NUMBER", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8765, help="where webhooks come in; default: %(default)s")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--patience", type=float, default=600.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    parser.add_argument("--inbox", default="webhook_roundtrip.inbox.db", metavar="FILE", help="default: %(default)s")
    parser.add_argument("--offline", action="store_true", help=f"the default when {BASE_URL} is not set")
    parser.add_argument("--serve", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--slow", type=float, default=0.2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    hooks = f"http://127.0.0.1:{options.port}/parcels"
    if options.serve:
        return serve(Path(options.serve), hooks, options.slow)
    offline = options.offline or BASE_URL not in os.environ
    with parcel_service(Path("parcel_service.jsonl"), hooks) if offline else nullcontext() as base_url:
        return asyncio.run(main(options, base_url))


# == A small parcel service, in a process of its own ==============================================================
# What it did is a line each in its log, on disk before anybody hears of it. It remembers by that log, its port included, so that it outlives the
# program that started it, as a real service would. It calls until it is answered, and twice even then.

STATIONS = ("picked up", "on its way", "delivered")


class ParcelService(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, log: Path, hooks: str, slow: float) -> None:
        self.log, self.hooks, self.slow = log, hooks, slow
        self.lock = threading.Lock()
        self.entries = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
        super().__init__(("127.0.0.1", next((entry["port"] for entry in self.entries), 0)), Caller)
        if not self.entries:
            self.note(what="began", port=self.server_port)
        for booking in self.done("booked"):
            threading.Thread(target=self.deliver, args=(booking,), daemon=True).start()

    def note(self, **entry: object) -> None:
        with self.lock:
            self.entries.append(entry)
            with self.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(entry) + "\n")
                file.flush()
                os.fsync(file.fileno())

    def done(self, what: str) -> list[dict[str, str]]:
        return [entry for entry in self.entries if entry["what"] == what]

    def knows(self, what: str, key: str) -> bool:
        return any(entry["key"] == key for entry in self.done(what))

    def deliver(self, booking: dict[str, str]) -> None:
        """Sends the label, then a webhook for each station."""
        self.call("called back", booking["key"], booking["answer_to"], json.dumps({"label": f"L-{booking['parcel']}"}))
        for number, station in enumerate(STATIONS):
            sent = Sent(f"{booking['key']}-{number}", booking["reference"], station, station == STATIONS[-1])
            self.call("sent", sent.delivery, self.hooks, msgspec.json.encode(sent).decode())

    def call(self, what: str, key: str, url: str, body: str) -> None:
        """Until it is answered, and once more: many services do now and then. What was answered in an earlier life is not sent again."""
        if self.knows(what, key):
            return
        time.sleep(self.slow)
        signature = hmac.new(OFFLINE_KEY.encode(), body.encode(), hashlib.sha256).hexdigest()
        headers = {"Content-Type": "application/json", "X-Parcels-Signature": signature}
        for again in (False, True):
            self.note(what="calling", key=key, of=what, again=again)
            while not self.answered(urllib.request.Request(url, body.encode(), headers)):
                time.sleep(0.1)
        self.note(what=what, key=key)

    def answered(self, call: urllib.request.Request) -> bool:
        try:
            with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(call, timeout=5) as answer:
                return bool(answer.status < 300)
        except OSError:  # nobody is there, or it says no
            return False


class Caller(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ParcelService

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = str(self.headers.get("Idempotency-Key"))
        what = "booked" if self.path == "/bookings" else "told"
        if not self.server.knows(what, key):
            self.server.note(what=what, key=key, **body)  # a parcel is booked, a customer is told
            if what == "booked":
                threading.Thread(target=self.server.deliver, args=(self.server.entries[-1],), daemon=True).start()
        answer = b"{}"
        self.send_response(202)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        pass


def serve(log: Path, hooks: str, slow: float) -> int:
    server = ParcelService(log, hooks, slow)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()  # until the program that started it ends, however it ends
    return 0


@contextmanager
def parcel_service(log: Path, hooks: str, slow: float = 0.2) -> Iterator[str]:
    """Runs the service and gives its address. `hooks`: where it sends its webhooks."""
    port = hooks.rpartition(":")[2].partition("/")[0]
    command = [sys.executable, os.path.abspath(__file__), "--serve", str(log), "--port", port, "--slow", str(slow)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


if __name__ == "__main__":
    sys.exit(program())
