"""An AWS that answers every request alike, with an error in the form of the service's protocol, or misbehaves below HTTP. On loopback."""

import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from connectors.aws import AwsConnection
from connectors.core import Secret

CALLS: dict[str, tuple[str, dict[str, Any]]] = {  # one harmless operation a service
    "ec2": ("describe_instances", {}),
    "iam": ("get_role", {"RoleName": "clerk"}),
    "route53": ("get_change", {"Id": "C1"}),
    "s3": ("get_object", {"Bucket": "shelf", "Key": "book"}),
    "ssm": ("describe_parameters", {}),
}


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Wire:
    """`answer` is what the next requests get; `requests` what came in: header names in lower case, and the body."""

    url: str
    answer: Callable[[], Answer]
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    tls: Callable[[ssl.SSLContext], None] = lambda _: None

    def refuses(self, service: str, code: str, status: int, message: str = "no", **headers: str) -> None:
        answer = error(service, code, status, message)
        answer.headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.answer = lambda: answer


def error(service: str, code: str, status: int, message: str) -> Answer:
    """As the service writes it. From botocore's models: `ec2`, `query` (IAM), `rest-xml` (Route 53, S3), `json` (Systems Manager)."""
    inner = f"<Code>{code}</Code><Message>{message}</Message>"
    if service == "ssm":
        body = json.dumps({"__type": f"com.amazonaws.ssm#{code}", "message": message})
        return Answer(status, body.encode(), {"content-type": "application/x-amz-json-1.1", "x-amzn-requestid": "r-1"})
    if service == "ec2":
        body = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>r-1</RequestID></Response>"
    elif service == "s3":
        body = f"<Error>{inner}<RequestId>r-1</RequestId></Error>"
    else:
        body = f"<ErrorResponse><Error><Type>Sender</Type>{inner}</Error><RequestId>r-1</RequestId></ErrorResponse>"
    return Answer(status, body.encode(), {"content-type": "text/xml", "x-amz-request-id": "r-1"})


@contextmanager
def wire() -> Iterator[Wire]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            found.requests.append(({k.lower(): v for k, v in self.headers.items()}, self.rfile.read(length)))
            answer = found.answer()
            self.send_response(answer.status)
            for name, value in ({"content-length": str(len(answer.body))} | answer.headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = do_PUT = handle_one

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    found = Wire(f"http://127.0.0.1:{server.server_port}", lambda: Answer(500))

    def tls(context: ssl.SSLContext) -> None:
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    found.tls = tls
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def raw(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """The URL of a server that hands each connection to `behave`, once it has read a request."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=one, args=(connection,), daemon=True).start()

    def one(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                _read_request(connection)
                behave(connection)
            except OSError:
                pass  # the client has had enough

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def _read_request(connection: socket.socket) -> None:
    """All of it: closing a connection with something unread resets it, and the client may lose the answer to that."""
    given = b""
    while b"\r\n\r\n" not in given and (piece := connection.recv(65536)):
        given += piece
    head, _, body = given.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length:\s*(\d+)", head, re.MULTILINE)
    while length and len(body) < int(length[1]) and (piece := connection.recv(65536)):
        body += piece


def to(url: str, **settings: Any) -> AwsConnection:
    """A connection with credentials that nobody else has."""
    given = {"access_key_id": Secret("AKIAOFTHEWIRETEST"), "secret_access_key": Secret("the-wire-tests-own-key")}
    return AwsConnection(region="eu-west-1", endpoint_url=url, **(given | settings))
