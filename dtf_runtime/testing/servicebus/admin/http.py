"""HTTP/1.1, as much as the administration client needs: requests with a length, one at a time, connections kept."""

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from dtf_runtime.testing.servicebus.admin.atom import error_document
from dtf_runtime.testing.servicebus.admin.requests import administer
from dtf_runtime.testing.servicebus.broker.refusals import Refused, bad_request
from dtf_runtime.testing.servicebus.faults import Operation
from dtf_runtime.testing.servicebus.links.host import Call, Host

if TYPE_CHECKING:
    from dtf_runtime.testing.servicebus.links.connection import Wire

_LARGEST_HEAD = 65_536
_LARGEST_BODY = 1 << 20


@dataclass(frozen=True)
class HttpRequest:
    method: str
    path: str  # unquoted, without outer slashes
    query: dict[str, list[str]]
    headers: dict[str, str]  # names in lower case
    body: bytes


class HttpConnection:
    def __init__(self, host: Host, wire: "Wire") -> None:
        self._host = host
        self._wire: Wire | None = wire
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (request := self._next()) is not None:
            self._serve(request)

    def connection_lost(self) -> None:
        self._wire = None

    def vanish(self) -> None:
        self._wire = None

    def _next(self) -> HttpRequest | None:
        """The next request, once it is there. One that can't be read ends the connection."""
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _LARGEST_HEAD:
                self._reject()
            return None
        try:
            request, length = _parse_head(self._buffer[:end].decode("latin-1"))
        except ValueError:
            self._reject()
            return None
        start = end + 4
        if len(self._buffer) < start + length:
            return None
        body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
        return HttpRequest(request.method, request.path, request.query, request.headers, body)

    def _reject(self) -> None:
        self._buffer = b""
        self._answer(bad_request("This is no HTTP request that the emulator can read."))
        if self._wire is not None:
            self._wire.close()

    def _serve(self, request: HttpRequest) -> None:
        self._host.perform(
            Call(
                operation=Operation.ADMINISTER,
                queue=request.path,
                work=lambda: administer(self._host, request),
                answer=self._answer,
                abort=lambda: self._wire.abort() if self._wire is not None else None,
            )
        )

    def _answer(self, result: Any) -> None:
        if self._wire is None:
            return
        if isinstance(result, Refused):
            status, text = result.status, error_document(result.status, result.description)
        else:
            status, text = result
        body = text.encode()
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n"
            "Content-Type: application/atom+xml;type=entry;charset=utf-8\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        self._wire.write(head.encode("ascii") + body)


def _parse_head(head: str) -> tuple[HttpRequest, int]:
    """The request without its body, and the body's length. ValueError for what is no request."""
    first, *lines = head.split("\r\n")
    method, target, version = first.split(" ")
    if not version.startswith("HTTP/1."):
        raise ValueError(version)
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise ValueError(line)
        headers[name.strip().lower()] = value.strip()
    length = int(headers.get("content-length", "0"))
    if not 0 <= length <= _LARGEST_BODY or "transfer-encoding" in headers:
        raise ValueError("a body without a length, or too long")
    url = urlsplit(target)
    return HttpRequest(method, unquote(url.path).strip("/"), parse_qs(url.query), headers, b""), length
