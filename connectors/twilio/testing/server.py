"""The fake Twilio: a stateful server on loopback, for tests of programs that use the connector.

    with FakeTwilio() as twilio:
        worker = TaskHubWorker(service, connections=[twilio.connection()])

On a virtual clock: `async with FakeTwilio(clock=hub.clock) as twilio`.
"""

import asyncio
import contextlib
import json
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from connectors.core import Secret
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.testing.callbacks import Told, tell_forever
from connectors.twilio.testing.faults import Cut, Fault, Faults
from connectors.twilio.testing.handset import Handset
from connectors.twilio.testing.routes import Asked, Routes
from connectors.twilio.testing.world import Refusal, Thing, Verification, World
from dtf_runtime.clock import REAL_CLOCK, Clock

SENDER = "+15005550006"
SERVICE = "VA" + "5" * 32
"""A Verify service that is there."""


class FakeTwilio(Handset):
    """`read_lag`: seconds until lists show what was accepted. `rate`: requests a second before 20429; None: any number.

    `public`: where a public base address really is, so that a callback to https://hooks.example.com reaches http://127.0.0.1:8000; what is
    signed is the public one. `account_sid` and `auth_token` are made up unless given.
    """

    def __init__(
        self,
        *,
        clock: Clock = REAL_CLOCK,
        read_lag: float = 0.0,
        rate: int | None = None,
        public: Mapping[str, str] | None = None,
        account_sid: str = "",
        auth_token: str = "",
    ) -> None:
        self.account_sid = account_sid or f"AC{secrets.token_hex(16)}"
        self.auth_token = auth_token or secrets.token_hex(16)
        self.world = World(clock, read_lag)
        self.faults = Faults()
        self.public = dict(public or {})
        self.rate = rate
        self.requests: list[Asked] = []
        self.told: list[Told] = []
        self._routes = Routes(self.world, self.account_sid, self.auth_token)
        self._recent: list[float] = []
        self._clock = clock
        self._stack = contextlib.ExitStack()
        self._teller: asyncio.Task[None] | None = None

    # -- its life -----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._listen()
        self._stack.enter_context(_in_thread(lambda ready: tell_forever(self, ready)))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    async def __aenter__(self) -> Self:
        self._listen()
        ready = asyncio.Event()
        self._teller = asyncio.create_task(tell_forever(self, ready.set))
        await ready.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._teller is not None:
            self._teller.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._teller
        await asyncio.to_thread(self._stack.close)

    def _listen(self) -> None:
        self._folder = Path(self._stack.enter_context(TemporaryDirectory()))
        server = _Server(self)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        self._stack.callback(thread.join)
        self._stack.callback(server.end)
        self.url = f"http://127.0.0.1:{server.server_port}"

    # -- what a test asks ---------------------------------------------------------------------------------------------

    def connection(self, **fields: Any) -> TwilioConnection:
        """To this server."""
        given: dict[str, Any] = {
            "account_sid": self.account_sid,
            "auth_token": Secret(self.auth_token),
            "base_url": self.url,
            "sender": SENDER,
            "ledger": self._folder / "ledger.db",
            "read_lag": max(self.world.read_lag, 0.0),
        }
        return TwilioConnection(**(given | fields))

    @property
    def messages(self) -> list[Thing]:
        """Those that were sent, oldest first."""
        self.world.settle()
        with self.world.lock:
            return [one for one in self.world.messages.values() if one.direction != "inbound"]

    @property
    def calls(self) -> list[Thing]:
        self.world.settle()
        with self.world.lock:
            return list(self.world.calls.values())

    @property
    def verifications(self) -> list[Verification]:
        with self.world.lock:
            return list(self.world.verifications.values())

    def code_for(self, number: str) -> str:
        """The code that was sent there last."""
        return next(one.code for one in reversed(self.verifications) if one.to == number)

    async def until(self, what: Callable[[], bool], *, timeout: float = 30.0) -> None:
        """Waits, in real time, for something to be so here: `await twilio.until(lambda: len(twilio.messages) == 2)`. TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                if what():
                    return
                await asyncio.sleep(0.02)

    def ends(self, number: str, status: str, error_code: int | None = None) -> None:
        """What is sent there from now on: `ends("+1...", "undelivered", 30003)`, or "busy" for calls."""
        self.world.ends[number] = (status, error_code)

    def fail(self, *faults: Fault | Cut | int) -> None:
        """What the next requests that change something meet, one each: a cut, a code of Twilio's, or a Fault."""
        self.faults.add(*(_fault(one) for one in faults))

    # -- what its server asks -----------------------------------------------------------------------------------------

    def admit(self, asked: Asked) -> None:
        """Raises Refusal."""
        self.requests.append(asked)
        if self.faults.outage:
            raise Refusal(20503)
        if self.rate is not None:
            now = self._clock.monotonic()
            self._recent = [then for then in self._recent if now - then < 1.0]
            if len(self._recent) >= self.rate:
                raise Refusal(20429)
            self._recent.append(now)

    def answer(self, asked: Asked) -> tuple[int, Any]:
        return self._routes.answer(asked)

    def date(self) -> str:
        return format_datetime(self._clock.now().replace(microsecond=0), usegmt=True)


def _fault(one: Fault | Cut | int) -> Fault:
    if isinstance(one, Fault):
        return one
    return Fault(cut=one) if isinstance(one, Cut) else Fault(code=one)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, fake: FakeTwilio) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.fake = fake
        self.ending = threading.Event()
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, or was killed, is no error of the server's."""

    def end(self) -> None:
        self.ending.set()
        self.shutdown()
        self.server_close()
        for one in list(self._open):  # keep-alive connections, whose threads wait for a next request
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def handle_one(self) -> None:
        asked = self._asked()
        fake = self.server.fake
        fault = fake.faults.take(reads=asked.method == "GET")
        try:
            fake.admit(asked)
            if fault is not None and fault.cut is Cut.BEFORE:
                return self._hang_up(fault)
            if fault is not None and fault.cut is None:
                raise Refusal(fault.code, fault.status, fault.message)
            status, body = fake.answer(asked)
        except Refusal as refused:
            status, body = refused.status, _error(refused)
        if fault is not None and fault.cut is not None:
            return self._break(fault, status, body)
        self._say(status, json.dumps(body).encode(), retry_after=fault.retry_after if fault else None)

    do_GET = do_POST = do_DELETE = handle_one

    def _asked(self) -> Asked:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("content-length") or 0)).decode()
        return Asked(
            method=self.command,
            path=unquote(url.path),
            query=dict(parse_qsl(url.query, keep_blank_values=True)),
            form=parse_qs(body, keep_blank_values=True),
            authorization=self.headers.get("authorization", ""),
        )

    def _say(
        self, status: int, body: bytes, *, kind: str = "application/json", retry_after: float | None = None
    ) -> None:
        self._head(status, len(body), kind, retry_after)
        self.wfile.write(body)

    def _head(self, status: int, length: int, kind: str, retry_after: float | None = None) -> None:
        self.send_response_only(status)
        self.send_header("Date", self.server.fake.date())
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(length))
        self.send_header("Twilio-Request-Id", f"RQ{secrets.token_hex(16)}")
        if retry_after is not None:
            self.send_header("Retry-After", f"{retry_after:g}")
        self.end_headers()

    def _break(self, fault: Fault, status: int, body: Any) -> None:
        whole = json.dumps(body).encode()
        if fault.cut is Cut.BAD_GATEWAY:
            if fault.then:
                fault.then()
            return self._say(502, b"<html><h1>502 Bad Gateway</h1></html>", kind="text/html")
        if fault.cut is Cut.GARBAGE:
            return self._say(200, b"<html>welcome</html>", kind="text/html")
        if fault.cut is Cut.HALF_REPLY:
            self._head(status, len(whole), "application/json")
            self.wfile.write(whole[: len(whole) // 2])
            self.wfile.flush()
        if fault.cut is Cut.SILENCE:
            self.server.ending.wait(60)
        return self._hang_up(fault)

    def _hang_up(self, fault: Fault) -> None:
        if fault.then:
            fault.then()
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, *_: object) -> None: ...


def _error(refused: Refusal) -> dict[str, Any]:
    return {
        "code": refused.code,
        "message": refused.message,
        "more_info": f"https://www.twilio.com/docs/errors/{refused.code}",
        "status": refused.status,
    }


@contextlib.contextmanager
def _in_thread(main: Callable[[Callable[[], None]], Any]) -> Iterator[None]:
    """Runs `main(ready)` in an event loop of its own until the end."""
    ready = threading.Event()
    loops: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []

    async def run() -> None:
        task = asyncio.current_task()
        assert task is not None
        loops.append((asyncio.get_running_loop(), task))
        with contextlib.suppress(asyncio.CancelledError):
            await main(ready.set)

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield
    finally:
        loop, task = loops[0]
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
