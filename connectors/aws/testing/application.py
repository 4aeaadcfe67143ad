"""The WSGI application: reads a request, asks the engine, writes what it says or cuts the connection."""

import io
import logging
import socket
from collections.abc import Callable, Iterable
from typing import Any

from connectors.aws.testing.answers import Answer
from connectors.aws.testing.control import Control
from connectors.aws.testing.engine import Engine
from connectors.aws.testing.faults import Cut
from connectors.aws.testing.steering import PREFIX
from connectors.aws.testing.wire import Request, read_request

_logger = logging.getLogger("connectors.aws.testing")


class Application:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._control = Control(engine)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path, body = environ["PATH_INFO"], _body(environ)
        if path.startswith(PREFIX):
            status, content = self._control.handle(path.removeprefix(PREFIX), body)
            start_response(
                f"{status} Control", [("Content-Type", "application/json"), ("Content-Length", str(len(content)))]
            )
            return [content]
        request = _request(environ, body)
        try:
            answer = self._engine.handle(request, lambda: self._engine.world.execute(_again(environ, body)))
        except Cut as cut:
            _cut(environ["werkzeug.socket"], cut.answer)
            raise ConnectionResetError("cut, as ordered") from None  # the server lets go of the connection
        except Exception:
            _logger.exception("%s", request.name)
            raise
        headers = [
            (name, value) for name, value in answer.headers if name.lower() not in ("connection", "date", "server")
        ]
        if not any(name.lower() == "content-length" for name, _ in headers):
            headers.append(("Content-Length", str(len(answer.body))))
        start_response(f"{answer.status} Answer", headers)
        return [answer.body]


def _body(environ: dict[str, Any]) -> bytes:
    length = environ.get("CONTENT_LENGTH")
    if environ.get("wsgi.input_terminated"):  # chunked
        return bytes(environ["wsgi.input"].read())
    return bytes(environ["wsgi.input"].read(int(length))) if length else b""


def _again(environ: dict[str, Any], body: bytes) -> dict[str, Any]:
    """The request as moto shall read it, from the beginning."""
    again = {name: value for name, value in environ.items() if name != "HTTP_TRANSFER_ENCODING"}
    return again | {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}


def _request(environ: dict[str, Any], body: bytes) -> Request:
    headers = {name[5:].lower().replace("_", "-"): str(value) for name, value in environ.items() if name[:5] == "HTTP_"}
    headers["content-type"] = environ.get("CONTENT_TYPE") or ""
    path = environ.get("RAW_URI", environ["PATH_INFO"]).partition("?")[0]
    return read_request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""), headers, body)


def _cut(connection: socket.socket, answer: Answer | None) -> None:
    if answer is not None:
        head = f"HTTP/1.1 {answer.status} Answer\r\nContent-Length: {max(len(answer.body), 2)}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in answer.headers if name.lower() == "content-type")
        connection.sendall(f"{head}Connection: close\r\n\r\n".encode() + answer.body[: len(answer.body) // 2])
    connection.shutdown(socket.SHUT_RDWR)
