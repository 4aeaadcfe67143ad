"""The error table of the README, row by row: each sends its error from the wire, through the real client, and finds what the row says."""

import asyncio
import inspect
import logging
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest

import connectors.core
from connectors.core import ConnectorError, Secret, Throttled, Transient, statuses
from connectors.http import HttpConnection
from dtf_runtime import NonRetriableError, RetryAfter
from tests.connectors.http.calls import LOCAL, call, call_async, failure
from tests.connectors.http.rude_server import RudeServer, answer, raw, reset, silence

README = Path(connectors.core.__file__).parents[1] / "http" / "README.md"


@dataclass(frozen=True)
class Row:
    code: str
    safe: type[ConnectorError]
    """Where a repeat is safe."""
    unsafe: type[ConnectorError]
    """A POST without a key."""
    retried: str
    happened: str


def rows(heading: str) -> list[Row]:
    lines = iter(README.read_text(encoding="utf-8").splitlines())
    found = []
    for line in lines:
        if line.startswith(f"| {heading} | class | tried again |"):
            next(lines)
            for row in lines:
                if not row.startswith("|"):
                    break
                code, kinds, retried, happened, _source = (cell.strip() for cell in row.strip("|").split("|"))
                named = [getattr(connectors.core, name) for name in re.findall(r"`(\w+)`", kinds)]
                found.append(Row(code, named[0], named[-1], retried, happened))
    return found


STATUSES, EXCEPTIONS = rows("status"), rows("exception of httpx")


def kind_of(error: ConnectorError) -> type[ConnectorError]:
    kinds = (kind for kind in type(error).__mro__ if issubclass(kind, ConnectorError))
    return next(kind for kind in kinds if not issubclass(kind, RetryAfter))


def holds(row: Row, safe: ConnectorError, unsafe: ConnectorError) -> None:
    assert kind_of(safe) is row.safe
    assert kind_of(unsafe) is row.unsafe
    retried = isinstance(safe, Transient | Throttled) and not isinstance(safe, NonRetriableError)
    assert row.retried == ("yes" if retried else "the caller decides" if row.code.startswith("507") else "no")
    assert row.happened == ("yes" if unsafe.may_have_happened else "no")


# -- Statuses ---------------------------------------------------------------------------------------------------------


def code_of(row: Row) -> int:
    return {"any other 4xx": 477, "any other 5xx": 577, "3xx, not followed": 307}.get(row.code) or int(row.code[:3])


@pytest.mark.parametrize("row", STATUSES, ids=lambda row: row.code)
def test_a_status_is_what_its_row_says(server: RudeServer, row: Row) -> None:
    url = server.on("/", answer(code_of(row), b"body"))
    holds(row, failure(url, "PUT"), failure(url, "POST"))
    assert kind_of(failure(url, "POST", key="k")) is row.safe


@pytest.mark.parametrize("row", [row for row in STATUSES if row.retried == "yes"], ids=lambda row: row.code)
def test_retry_after_is_heeded_where_the_row_says_that_it_is_tried_again(server: RudeServer, row: Row) -> None:
    error = failure(server.on("/", answer(code_of(row), b"", "Retry-After: 7")))
    assert isinstance(error, RetryAfter)
    assert error.delay == 7.0


def test_every_status_that_is_known_has_a_row() -> None:
    assert {code_of(row) for row in STATUSES} == {*statuses.STATUSES, 477, 577, 307}
    assert {status.value for status in HTTPStatus if status >= 400} <= statuses.STATUSES.keys()


def test_a_payload_that_is_too_large_for_a_time_is_tried_again(server: RudeServer) -> None:
    assert isinstance(failure(server.on("/", answer(413, b"", "Retry-After: 7"))), Transient)


def test_an_unlisted_status_is_traced_once(server: RudeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "connectors.http")
    url = server.on("/", answer(478))
    for _ in range(3):
        failure(url)
    assert [record.getMessage() for record in caplog.records if "478" in record.getMessage()] == [
        "a server answered 478, which is not in the table of statuses: taken as Permanent"
    ]


# -- Exceptions, from the wire ----------------------------------------------------------------------------------------

HASTY = replace(LOCAL, connect_timeout=0.2, idle_timeout=0.2)


@contextmanager
def deaf() -> Iterator[int]:
    """The port of a server that takes connections and reads nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def nobody(server: RudeServer, send: Callable[..., ConnectorError]) -> ConnectorError:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        return send(f"http://127.0.0.1:{reserved.getsockname()[1]}/")


def untrusted(server: RudeServer, send: Callable[..., ConnectorError]) -> ConnectorError:
    import tempfile

    from tests.connectors.http.certificates import Authority

    with tempfile.TemporaryDirectory() as folder, RudeServer(Authority(Path(folder)).server("127.0.0.1")) as secure:
        return send(secure.on("/", answer(200)))


def no_handshake(server: RudeServer, send: Callable[..., ConnectorError]) -> ConnectorError:
    with deaf() as port:
        return send(f"https://127.0.0.1:{port}/", through=HASTY)


def no_free_connection(server: RudeServer, send: Callable[..., ConnectorError]) -> ConnectorError:
    narrow = replace(HASTY, max_connections=1)
    patient = replace(narrow, idle_timeout=5.0)
    url = server.on("/", silence())
    method = send(server.on("/which", answer(400))).properties["method"]

    before = len(server.received)

    async def both() -> ConnectorError:
        first = asyncio.ensure_future(call_async(url, through=patient))
        while len(server.received) == before:
            await asyncio.sleep(0.01)
        try:
            await call_async(url, method, through=narrow)
        except ConnectorError as error:
            return error
        finally:
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
        raise AssertionError("it was sent")

    return asyncio.run(both())


def reads_nothing(server: RudeServer, send: Callable[..., ConnectorError]) -> ConnectorError:
    with deaf() as port:
        return send(f"http://127.0.0.1:{port}/", body=b"x" * 40_000_000, through=HASTY)


def through_proxy(status: int) -> Callable[[RudeServer, Callable[..., ConnectorError]], ConnectorError]:
    def make(server: RudeServer, send: Callable[..., ConnectorError]) -> ConnectorError:
        async def unknown(host: str, port: int) -> list[str]:
            raise OSError

        server.on("far.example:443", answer(status))
        proxy = HttpConnection(proxy=Secret(f"http://127.0.0.1:{server.port}"), resolver=unknown)
        return send("https://far.example/", through=proxy)

    return make


def at(*answers: Any, **more: Any) -> Callable[[RudeServer, Callable[..., ConnectorError]], ConnectorError]:
    return lambda server, send: send(server.on("/", *answers), **more)


WIRE: dict[str, Callable[[RudeServer, Callable[..., ConnectorError]], ConnectorError]] = {
    "ConnectError": nobody,
    "ConnectError, a certificate": untrusted,
    "ConnectTimeout": no_handshake,
    "PoolTimeout": no_free_connection,
    "ReadTimeout": at(silence(), through=HASTY),
    "WriteTimeout": reads_nothing,
    "ReadError": at(reset),
    "RemoteProtocolError": at(raw(b"SSH-2.0-OpenSSH_9.6\r\n")),
    "ProxyError": through_proxy(502),
    "ProxyError, 407": through_proxy(407),
    "UnsupportedProtocol": at(answer(307, b"", "Location: ftp://127.0.0.1/")),
    "InvalidURL": lambda _server, send: send("http://" + "ü" * 64 + ".invalid/"),
    "BadEncoding": at(answer(200, b"no gzip", "Content-Encoding: gzip")),
    "TooManyRedirects": at(answer(307, b"", "Location: /")),
    "timeout": at(silence(), timeout=0.2),
}


@pytest.mark.parametrize("row", [row for row in EXCEPTIONS if row.code in WIRE], ids=lambda row: row.code)
def test_a_failure_on_the_wire_is_what_its_row_says(server: RudeServer, row: Row) -> None:
    def sender(method: str) -> Callable[..., ConnectorError]:
        return lambda url, **more: failure(url, method, **more)

    safe, unsafe = (WIRE[row.code](server, sender(method)) for method in ("PUT", "POST"))
    holds(row, safe, unsafe)
    assert safe.code in (row.code.partition(",")[0], {"TooManyRedirects": "redirects"}.get(row.code), "certificate")


# -- Exceptions that no server can cause: raised where httpx's own transport would raise them ---------------------------


def named(row: Row) -> list[str]:
    return [name for name in re.findall(r"\w+", row.code) if hasattr(httpx, name)]


INSIDE = [(row, name) for row in EXCEPTIONS if row.code not in WIRE for name in named(row)]


@pytest.mark.parametrize(("row", "name"), INSIDE, ids=[f"{row.code}: {name}" for row, name in INSIDE])
def test_an_exception_that_no_server_can_cause_is_still_what_its_row_says(
    row: Row, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(_self: object, request: httpx.Request) -> httpx.Response:
        if row.safe is not connectors.core.InvalidRequest:
            sent = type("Sent", (), {"method": request.method.encode()})
            await request.extensions["trace"]("http11.send_request_headers.started", {"request": sent})
        kind = getattr(httpx, name)
        taken = len(inspect.signature(kind.__init__).parameters)
        if name == "HTTPStatusError":
            raise kind("s3cret", request=request, response=httpx.Response(500))
        raise kind("s3cret") if taken > 1 else kind()

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", fail)
    safe, unsafe = (failure("http://127.0.0.1:9/", method) for method in ("PUT", "POST"))
    holds(row, safe, unsafe)
    assert "s3cret" not in f"{safe} {unsafe}"


def test_every_exception_of_httpx_has_a_row() -> None:
    exported = {name for name in httpx.__all__ if _is_exception(getattr(httpx, name))}
    bases = {"HTTPError", "RequestError", "TransportError", "TimeoutException", "NetworkError", "ProtocolError"}
    in_table = {name for row in EXCEPTIONS for name in named(row)}
    assert exported - bases - {"StreamError"} == in_table


def _is_exception(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, BaseException)


def test_a_working_request_is_no_error(server: RudeServer) -> None:
    assert call(server.on("/", answer(200, b"fine"))).text == "fine"
