"""A web server on this machine for the connectors' fakes: it answers, and it can break the answer at a chosen point after the work was done.

For tests and offline examples only. Binds 127.0.0.1 and a free port; a thread for each connection.
"""

import socket
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self
from urllib.parse import parse_qs, urlsplit

import msgspec

from dtf_runtime.clock import REAL_CLOCK, Clock

Cut = Literal["refuse", "lose", "half", "502", "hang"]
"""refuse: the connection ends before anything was done. lose: it is done, and no byte comes back. half: half of the answer. 502: a proxy's.
hang: it is done, and nothing comes back until the server is closed."""


@dataclass(frozen=True, kw_only=True)
class Received:
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    def form(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(self.body.decode(), keep_blank_values=True).items()}

    def multipart(self) -> dict[str, Any]:
        """The fields of a multipart/form-data body: texts, and the bytes of files."""
        boundary = self.headers["content-type"].partition("boundary=")[2].strip('"').encode()
        fields: dict[str, Any] = {}
        for part in self.body.split(b"--" + boundary)[1:-1]:
            head, _, content = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
            name = head.partition(b'name="')[2].partition(b'"')[0].decode()
            content = content.removesuffix(b"\r\n")
            fields[name] = content if b"filename=" in head else content.decode()
        return fields


@dataclass(frozen=True, kw_only=True)
class Reply:
    status: int = 200
    body: Any = None
    """JSON, unless it is bytes."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def content(self) -> bytes:
        if self.body is None:
            return b""
        return self.body if isinstance(self.body, bytes) else msgspec.json.encode(self.body)


@dataclass
class _Cut:
    how: Cut
    applies: Callable[[Received], bool]
    times: int
    after: int


class Loopback:
    """Base of a fake: `answer` does the work, one request at a time. Use as `with Fake() as fake: ... fake.url`."""

    def __init__(self, clock: Clock = REAL_CLOCK) -> None:
        self.clock = clock
        self.received: list[Received] = []
        self.reached = threading.Event()
        """Set when a request was cut by `hang`: its work is done."""
        self._cuts: list[_Cut] = []
        self._planned: list[tuple[Callable[[Received], bool], Reply]] = []
        self._lock = threading.RLock()
        self._closed = threading.Event()

    def answer(self, got: Received) -> Reply:
        raise NotImplementedError

    # -- what goes wrong ------------------------------------------------------------------------------------------

    def cut(self, how: Cut, *, method: str = "", path: str = "", times: int = 1, after: int = 0) -> None:
        """The next `times` requests of that method to a path that has `path` in it, once `after` of them have passed."""
        with self._lock:
            self._cuts.append(_Cut(how, _matching(method, path), times, after))

    def plan(self, reply: Reply, *, method: str = "", path: str = "") -> None:
        """The next such request gets this, and nothing is done."""
        with self._lock:
            self._planned.append((_matching(method, path), reply))

    def handle(self, got: Received) -> tuple[Reply, Cut | None]:
        with self._lock:
            self.received.append(got)
            cut = self._next_cut(got)
            if cut == "refuse":
                return Reply(), cut
            for planned in self._planned:
                if planned[0](got):
                    self._planned.remove(planned)
                    return planned[1], cut
            return self.answer(got), cut

    def _next_cut(self, got: Received) -> Cut | None:
        for cut in self._cuts:
            if cut.applies(got):
                if cut.after:
                    cut.after -= 1
                    continue
                cut.times -= 1
                if not cut.times:
                    self._cuts.remove(cut)
                return cut.how
        return None

    # -- the server -----------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.fake = self
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()
        self._server.shutdown()
        self._server.close_all()
        self._server.server_close()


def _matching(method: str, path: str) -> Callable[[Received], bool]:
    return lambda got: method in ("", got.method) and path in got.path


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    fake: Loopback

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._open: set[socket.socket] = set()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def close_all(self) -> None:
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away, killed perhaps, is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        fake = self.server.fake
        got = Received(
            method=self.command,
            path=parts.path,
            query={name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()},
            headers={name.lower(): value for name, value in self.headers.items()},
            body=self._body(),
        )
        reply, cut = fake.handle(got)
        if cut == "502":
            reply = Reply(status=502, body=b"<html>502 Bad Gateway</html>", headers={"content-type": "text/html"})
        if cut == "hang":
            fake.reached.set()
            fake._closed.wait()
        if cut in ("refuse", "lose", "hang"):
            return self._reset()
        self._send(reply, half=cut == "half")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _send(self, reply: Reply, *, half: bool) -> None:
        content = reply.content()
        if half and not content:  # then half of its head
            self.wfile.write(f"HTTP/1.1 {reply.status} ".encode())
            return self._reset()
        self.send_response_only(reply.status)
        headers = {
            "date": format_datetime(self.server.fake.clock.now(), usegmt=True),
            "content-type": "application/json; charset=utf-8",
            **{name.lower(): value for name, value in reply.headers.items()},
            "content-length": str(len(content)),
        }
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if half else content)
        if half:
            self._reset()

    def _reset(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 0, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        """Silent."""
