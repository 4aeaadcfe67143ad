"""Sends prepared requests: the one module of the connector that imports httpx, and only at the first request.

Each event loop has one pooled client, which keeps connections, and no cookies: calls of different workflows must not
meet in a jar. The client is held by an async generator, so that whoever ends the loop properly (`asyncio.run` does)
closes it through `loop.shutdown_asyncgens()`.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from datetime import UTC, datetime
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit, urlunsplit

from connectors.http.errors import (
    Ambiguous,
    BodyTooLarge,
    HttpError,
    InvalidRequest,
    MissingLibrary,
    Permanent,
    Transient,
)
from connectors.http.models import HttpResponse
from connectors.http.statuses import error_for, is_expected
from connectors.http.wire import Outgoing

if TYPE_CHECKING:
    import httpx

_MOST_REDIRECTS = 10
_MOST_CONNECTIONS = 100  # a worker's default number of activities at a time
_CONNECT_TIMEOUT = 10.0  # seconds, within the request's own timeout
_HARMLESS_HEADERS = frozenset(  # what may follow a redirect to another origin
    {"accept", "accept-encoding", "accept-language", "connection"}
    | {"content-length", "content-type", "host", "user-agent"}
)
_NOT_STORED = frozenset({"set-cookie", "set-cookie2"})
_held: dict[asyncio.AbstractEventLoop, "AsyncGenerator[httpx.AsyncClient, None]"] = {}
_clients: "dict[asyncio.AbstractEventLoop, httpx.AsyncClient]" = {}


class _Attempt:
    """Whether anything went out yet: until then a failure is harmless, whatever the method."""

    def __init__(self) -> None:
        self.sent = False

    async def trace(self, event: str, _details: dict[str, Any]) -> None:
        if event.endswith("send_request_headers.started"):
            self.sent = True


async def send(outgoing: Outgoing) -> HttpResponse:
    """One attempt. Raises the errors of `connectors.http.errors` and nothing else but CancelledError."""
    httpx = _library(outgoing)
    attempt = _Attempt()
    began = time.perf_counter()
    try:
        async with asyncio.timeout(outgoing.request.timeout):
            client = await _client(httpx)
            return await _exchange(client, outgoing, attempt, began)
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
        # Its text may hold the header or address at fault, so neither it nor the chain may be stored.
        _fail(InvalidRequest, f"it can't be sent ({type(error).__name__})", outgoing)
    except TimeoutError:
        _broken(f"no whole answer within {outgoing.request.timeout:g} s", outgoing, attempt)
    except httpx.TimeoutException as error:
        _broken(f"timed out ({type(error).__name__})", outgoing, attempt)
    except httpx.NetworkError as error:
        _broken(f"the connection failed ({type(error).__name__}: {error})", outgoing, attempt)
    except (httpx.HTTPError, httpx.StreamError) as error:
        _broken(f"the answer was broken off or unreadable ({type(error).__name__})", outgoing, attempt)


async def _exchange(client: "httpx.AsyncClient", outgoing: Outgoing, attempt: _Attempt, began: float) -> HttpResponse:
    wanted = outgoing.request
    call: httpx.Request | None = client.build_request(
        outgoing.method,
        outgoing.url,
        headers=outgoing.headers,
        content=outgoing.content,
        timeout=_timeouts(wanted.timeout),
        extensions={"trace": attempt.trace},
    )
    for _ in range(_MOST_REDIRECTS + 1):
        assert call is not None
        answer = await client.send(call, stream=True)
        try:
            onward = answer.next_request if wanted.follow_redirects else None
            if onward is None or answer.status_code in wanted.expected:
                return await _read(answer, outgoing, began)
            _leave_behind(call, onward, outgoing)
            call = onward
        finally:
            await answer.aclose()
    _fail(Permanent, f"more than {_MOST_REDIRECTS} redirects", outgoing)


async def _read(answer: "httpx.Response", outgoing: Outgoing, began: float) -> HttpResponse:
    headers = {name: value for name, value in answer.headers.items() if name not in _NOT_STORED}
    status = answer.status_code
    if not is_expected(status, outgoing.request.expected):
        raise error_for(
            status,
            headers,
            method=outgoing.method,
            url=outgoing.url,
            repeatable=outgoing.repeatable,
            now=datetime.now(UTC),
        )
    most = outgoing.request.max_bytes
    announced = headers.get("content-length", "")
    if outgoing.method != "HEAD" and announced.isdigit() and int(announced) > most:
        _fail(BodyTooLarge, f"the answer has {announced} bytes, max_bytes is {most}", outgoing, status)
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > most:
            _fail(BodyTooLarge, f"the answer has more than {most} bytes (max_bytes)", outgoing, status)
    url = _without_user(str(answer.url))
    return HttpResponse(status=status, url=url, headers=headers, body=bytes(body), elapsed=time.perf_counter() - began)


def _leave_behind(call: "httpx.Request", onward: "httpx.Request", outgoing: Outgoing) -> None:
    """A key meant for one server is not for the one it redirects to."""
    if (call.url.scheme, call.url.host, call.url.port) == (onward.url.scheme, onward.url.host, onward.url.port):
        return
    kept = _HARMLESS_HEADERS | {outgoing.request.idempotency_header.lower()}
    for name in list(onward.headers):
        if name not in kept:
            del onward.headers[name]


def _broken(what: str, outgoing: Outgoing, attempt: _Attempt) -> NoReturn:
    if outgoing.repeatable or not attempt.sent:
        _fail(Transient, what, outgoing)
    hint = "it may have happened; look before you send it again, or send an idempotency key"
    _fail(Ambiguous, f"{what}; {hint}", outgoing)


def _fail(kind: type[HttpError], what: str, outgoing: Outgoing, status: int | None = None) -> NoReturn:
    raise kind(what, method=outgoing.method, url=outgoing.url, status=status) from None


def _timeouts(total: float) -> tuple[float, float, float, float]:
    return min(_CONNECT_TIMEOUT, total), total, total, total  # connect, read, write, pool


def _without_user(url: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], fragment=""))


# -- The client of this event loop --------------------------------------------------------------------------------


def _library(outgoing: Outgoing) -> Any:
    try:
        import httpx
    except ImportError:
        _fail(MissingLibrary, "httpx is not installed here: pip install 'dtf-runtime[http]'", outgoing)
    return httpx


async def _client(httpx: Any) -> "httpx.AsyncClient":
    loop = asyncio.get_running_loop()
    if (client := _clients.get(loop)) is not None:
        return client
    for ended in [known for known in _held if known.is_closed()]:  # it was closed without shutdown_asyncgens
        _held.pop(ended, None)
        _clients.pop(ended, None)
    _held[loop] = holder = _hold(loop, httpx)
    return await anext(holder)


async def _hold(loop: asyncio.AbstractEventLoop, httpx: Any) -> "AsyncGenerator[httpx.AsyncClient, None]":
    # A proxy from the environment is used, but never for this machine's own addresses.
    direct = dict.fromkeys(("all://localhost", "all://127.0.0.1", "all://[::1]"))
    client: httpx.AsyncClient = httpx.AsyncClient(
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        limits=httpx.Limits(max_connections=_MOST_CONNECTIONS, max_keepalive_connections=_MOST_CONNECTIONS),
        mounts=direct,
        headers={"user-agent": "dtf-runtime"},
    )
    _clients[loop] = client
    try:
        yield client
    finally:
        _held.pop(loop, None)
        _clients.pop(loop, None)
        await client.aclose()


async def aclose() -> None:
    """Closes this event loop's client and its connections; the next request opens another. asyncio.run does it too."""
    holder = _held.get(asyncio.get_running_loop())
    if holder is not None:
        await holder.aclose()
