"""Sends requests over HTTP for every connector: the one module that imports httpx. Import it where a request is sent, not at the top.

Each event loop has one pooled client for each route. A client keeps connections and no cookies: calls of different workflows must not meet in
a jar. It is held by an async generator, so that whoever ends the loop properly (`asyncio.run` does) closes it through
`loop.shutdown_asyncgens()`.

The guard: the address that a name stands for is looked up once, judged, and that very address is connected to; Host and the certificate's name
stay those of the URL. It sits below httpx's own transport, where connections are opened, so nothing that leads there (a redirect, a name that
changes its mind, a number instead of a name) gets around it; and vcrpy, which stands in for `AsyncHTTPTransport.handle_async_request`, sees
every call as it was made. A proxy connects for us, so there names are looked up to be judged, and what can't be looked up here is left to it.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any

from connectors.core.addresses import Address, AddressRefused, check_addresses, check_host
from connectors.core.bodies import ENCODINGS, BadEncoding, BodyTooLarge, Decoder
from connectors.core.errors import (
    Ambiguous,
    AuthenticationFailed,
    ConnectionMissing,
    ConnectorError,
    InvalidRequest,
    Permanent,
    Transient,
)
from connectors.core.outgoing import Outgoing
from connectors.core.route import Route, proxies
from dtf_runtime.plugins import require
from dtf_runtime.tracing import redactor

__all__ = ["Answer", "Outgoing", "aclose", "exchange"]

require("httpx", "http")
import httpcore  # noqa: E402
import httpx  # noqa: E402

_MOST_REDIRECTS = 10
_KEPT_ALIVE = 100
_LOOK_UP_FOR_PROXY = 2.0  # seconds
_IMPATIENT = 2.0  # seconds for an address that is not the last one of its name
_HARMLESS_HEADERS = frozenset(  # what may follow a redirect to another origin
    {"accept", "accept-encoding", "accept-language", "connection"}
    | {"content-length", "content-type", "host", "user-agent", "range", "if-range", "transfer-encoding"}
)
_LOGGERS = ("httpx", "httpcore", "httpcore.connection", "httpcore.http11", "httpcore.proxy", "httpcore.socks")


class Answer:
    """Status and headers have come; the body comes when it is asked for."""

    def __init__(self, response: httpx.Response, call: Outgoing) -> None:
        self._response = response
        self._call = call
        self.status = response.status_code
        self.headers = _headers(response.headers.raw)
        """Lower-case names; repeated ones joined by a comma."""
        self.url = str(response.url)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, decompressed, in pieces of at most 64 KiB. Once."""
        decoder = Decoder(self.headers.get("content-encoding", ""))
        async for data in self._response.aiter_raw():
            for piece in decoder.feed(data):
                yield piece
        if self._call.method != "HEAD":
            decoder.end()

    async def read(self, most: int) -> bytes:
        """All of the body. Raises BodyTooLarge beyond `most` bytes, without reading on."""
        self.refuse_larger(most)
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > most:
                raise self.too_large(f"more than {most} bytes", most)
        return bytes(body)

    def refuse_larger(self, most: int) -> None:
        """Raises BodyTooLarge when the answer announces more than `most` bytes."""
        announced = self.headers.get("content-length", "")
        if self._call.method != "HEAD" and announced.isdigit() and int(announced) > most:
            raise self.too_large(f"{announced} bytes", most)

    def too_large(self, size: str, most: int) -> BodyTooLarge:
        return BodyTooLarge(
            f"{self._call.method} {self._call.address}: the answer has {size}, and {most} are allowed",
            status=self.status,
            method=self._call.method,
            url=self._call.address,
        )


def _headers(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.decode("latin-1").lower()
        try:
            text = value.decode()
        except UnicodeDecodeError:
            text = value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


@asynccontextmanager
async def exchange(route: Route, call: Outgoing) -> AsyncIterator[Answer]:
    """One attempt. Whatever goes wrong with the network or the answer, until the block is left, is an error of `connectors.core`.

    A status is not judged here: `if answer.status != 200: raise error_for(answer.status, answer.headers, ...)` (`statuses.py`), else
    `body = await answer.read(1_000_000)`.
    """
    progress = _Progress()
    try:
        async with asyncio.timeout(call.timeout) as limit:
            response = await _follow(route, call, progress)
            try:
                yield Answer(response, call)
            finally:
                await response.aclose()
    except AddressRefused as error:
        raise AddressRefused(f"{call.method} {call.address}: {error}", code=error.code, **_facts(call)) from None
    except TimeoutError:
        if not limit.expired():
            raise
        raise _broken(f"no whole answer within {call.timeout:g} s", "timeout", call, progress) from None
    except (httpx.HTTPError, httpx.InvalidURL, httpx.CookieConflict, httpx.StreamError, BadEncoding) as error:
        # Its text may hold the header or address at fault, so neither it nor the chain may be stored.
        raise _error_of(error, call, progress) from None


class _Progress:
    """Whether anything went out yet: until then a failure is harmless, whatever the method."""

    def __init__(self) -> None:
        self.sent = False

    async def trace(self, event: str, details: Mapping[str, Any]) -> None:
        if event.endswith("send_request_headers.started") and details["request"].method != b"CONNECT":
            self.sent = True


async def _follow(route: Route, call: Outgoing, progress: _Progress) -> httpx.Response:
    client = await _client(route)
    request = client.build_request(
        call.method,
        call.url,
        headers={"accept-encoding": ENCODINGS, **call.headers},
        content=call.content,
        timeout=httpx.Timeout(call.idle, connect=route.connect_timeout),
        extensions={"trace": progress.trace},
    )
    if call.host and request.url.host.rstrip(".") != call.host:
        raise _broken_off(InvalidRequest, "its address can be read in two ways", "host", call)
    for _ in range(_MOST_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        onward = response.next_request if call.follow_redirects else None
        if onward is None or response.status_code in call.answers:
            return response
        await response.aclose()
        if response.status_code in (307, 308):  # it was not done there, it shall be done elsewhere
            progress.sent = False
        if _is_elsewhere(request.url, onward.url):
            _leave_behind(onward, call)
            client = await _client(route.without_identity())
        request = onward
    raise _broken_off(Permanent, f"more than {_MOST_REDIRECTS} redirects", "redirects", call)


def _is_elsewhere(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) != (other.scheme, other.host, other.port)


def _leave_behind(onward: httpx.Request, call: Outgoing) -> None:
    """A key meant for one server is not for the one it redirects to."""
    for name in list(onward.headers):
        if name not in _HARMLESS_HEADERS | call.keep:
            del onward.headers[name]


# -- Errors -------------------------------------------------------------------------------------------------------


def _error_of(error: Exception, call: Outgoing, progress: _Progress) -> ConnectorError:
    """The README of the http connector has a row for each exception of httpx."""
    code = type(error).__name__
    unsent = isinstance(error, httpx.LocalProtocolError) and not progress.sent
    if unsent or isinstance(error, (httpx.InvalidURL, httpx.UnsupportedProtocol)):
        return _broken_off(InvalidRequest, f"it can't be sent ({code})", code, call)
    if isinstance(error, httpx.ProxyError):
        if str(error).startswith("407"):
            return _broken_off(AuthenticationFailed, "the proxy doesn't know the caller (407)", code, call)
        return _broken_off(Transient, "the proxy made no connection", code, call)
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)) and _is_certificate(error):
        return _broken_off(Permanent, "the server's certificate is not trusted", "certificate", call)
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ConnectError)):
        return _broken(f"no connection ({code})", code, call, progress)
    if isinstance(error, httpx.TimeoutException):
        return _broken(f"timed out ({code})", code, call, progress)
    if isinstance(error, httpx.NetworkError):
        return _broken(f"the connection failed ({code})", code, call, progress)
    if isinstance(error, BadEncoding):
        return _broken(f"the answer has {error}", code, call, progress)
    return _broken(f"the answer was broken off or unreadable ({code})", code, call, progress)


def _broken(what: str, code: str, call: Outgoing, progress: _Progress) -> ConnectorError:
    if call.repeatable or not progress.sent:
        return _broken_off(Transient, what, code, call)
    hint = "it may have happened; look before you send it again, or send an idempotency key"
    return _broken_off(Ambiguous, f"{what}; {hint}", code, call)


def _broken_off(kind: type[ConnectorError], what: str, code: str, call: Outgoing) -> ConnectorError:
    return kind(f"{call.method} {call.address}: {what}", code=code, **_facts(call))


def _facts(call: Outgoing) -> dict[str, Any]:
    return {"method": call.method, "url": call.address}


def _is_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False


# -- The guard ----------------------------------------------------------------------------------------------------


class _Guarded(httpx.AsyncHTTPTransport):
    """httpx's own, with connections opened by `_Pinned`."""

    def __init__(self, route: Route, proxy: httpx.Proxy | None = None) -> None:
        context = _tls(route.verify, route.ca_file, route.client_cert, route.client_key, route.client_key_password)
        limits = httpx.Limits(max_connections=route.max_connections, max_keepalive_connections=_KEPT_ALIVE)
        super().__init__(verify=context, limits=limits, proxy=proxy, trust_env=route.trust_env)
        self._route = route
        self._proxied = proxy is not None
        if not self._proxied:
            if not isinstance(getattr(self, "_pool", None), httpcore.AsyncConnectionPool):
                raise RuntimeError("this version of httpx keeps its connections elsewhere, so they can't be guarded")
            self._pool = httpcore.AsyncConnectionPool(
                ssl_context=context,
                max_connections=limits.max_connections,
                max_keepalive_connections=limits.max_keepalive_connections,
                keepalive_expiry=limits.keepalive_expiry,
                network_backend=_Pinned(route),
            )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        route, host = self._route, request.url.host
        literal = check_host(host, allow_private=route.allow_private, allow_hosts=route.allow_hosts)
        if self._proxied and literal is None:
            await _look_up_for_proxy(route, host, request.url.port or 443)
        return await super().handle_async_request(request)


class _Pinned(httpcore.AnyIOBackend):
    """Looks the name up, judges all of its addresses, and connects to one of those very addresses."""

    def __init__(self, route: Route) -> None:
        self._route = route

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        route = self._route
        literal = check_host(host, allow_private=route.allow_private, allow_hosts=route.allow_hosts)
        addresses = [literal] if literal is not None else await _look_up(route, host, port, timeout)
        for address in addresses[:-1]:
            try:
                return _Stream(
                    await super().connect_tcp(
                        str(address), port, min(timeout or _IMPATIENT, _IMPATIENT), local_address, socket_options
                    )
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        last = str(addresses[-1])
        return _Stream(await super().connect_tcp(last, port, timeout, local_address, socket_options))


class _Stream(httpcore.AsyncNetworkStream):
    """A connection that is closed when its TLS handshake is cancelled; httpcore's own would stay open."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self.read = inner.read  # type: ignore[method-assign]
        self.write = inner.write  # type: ignore[method-assign]
        self.aclose = inner.aclose  # type: ignore[method-assign]
        self.get_extra_info = inner.get_extra_info  # type: ignore[method-assign]
        self._inner = inner

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            await self._inner.aclose()
            raise


async def _look_up(route: Route, host: str, port: int, timeout: float | None) -> list[Address]:
    try:
        async with asyncio.timeout(timeout):
            found = await route.resolver(host, port)
    except TimeoutError:
        raise httpcore.ConnectTimeout("the name could not be looked up in time") from None
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(f"the name could not be looked up: {type(error).__name__}") from error
    addresses = check_addresses(host, found, allow_private=route.allow_private, allow_hosts=route.allow_hosts)
    if not addresses:
        raise httpcore.ConnectError("the name has no address")
    return addresses


async def _look_up_for_proxy(route: Route, host: str, port: int) -> None:
    try:
        await _look_up(route, host, port, _LOOK_UP_FOR_PROXY)
    except (httpcore.ConnectError, httpcore.ConnectTimeout):
        return  # many networks look outside names up at the proxy alone


# -- Clients ------------------------------------------------------------------------------------------------------

_Key = tuple[asyncio.AbstractEventLoop, Route]
_held: "dict[_Key, AsyncGenerator[httpx.AsyncClient, None]]" = {}
_clients: dict[_Key, httpx.AsyncClient] = {}


async def _client(route: Route) -> httpx.AsyncClient:
    key = (asyncio.get_running_loop(), route)
    if (client := _clients.get(key)) is not None:
        return client
    for ended in [known for known in _held if known[0].is_closed()]:  # it was closed without shutdown_asyncgens
        _held.pop(ended, None)
        _clients.pop(ended, None)
    _held[key] = holder = _hold(key)
    return await anext(holder)


async def _hold(key: _Key) -> "AsyncGenerator[httpx.AsyncClient, None]":
    route = key[1]
    for name in _LOGGERS:
        if redactor not in (logger := logging.getLogger(name)).filters:
            logger.addFilter(redactor)
    client = httpx.AsyncClient(
        cookies=CookieJar(policy=DefaultCookiePolicy(allowed_domains=[])),
        transport=_Guarded(route),
        mounts=_mounts(route),
        headers={"user-agent": "dtf-runtime"},
        trust_env=False,
    )
    _clients[key] = client
    try:
        yield client
    finally:
        _held.pop(key, None)
        _clients.pop(key, None)
        await client.aclose()


async def aclose() -> None:
    """Closes this event loop's clients and their connections; the next request opens others. asyncio.run does it too."""
    loop = asyncio.get_running_loop()
    for key in [known for known in _held if known[0] is loop]:
        await _held[key].aclose()


def _mounts(route: Route) -> dict[str, httpx.AsyncBaseTransport | None]:
    """None: the client's own transport, which goes there directly."""
    return {pattern: None if url is None else _Guarded(route, _proxy(url)) for pattern, url in proxies(route).items()}


def _proxy(url: str) -> httpx.Proxy:
    """httpx's own complaint would quote the address, password included."""
    try:
        return httpx.Proxy(url)
    except (ValueError, httpx.InvalidURL):
        raise ConnectionMissing(
            "the connection's proxy is not an address: write http://host:port, or http://user:password@host:port"
        ) from None


@lru_cache(maxsize=64)
def _tls(verify: bool, ca: Path | None, cert: Path | None, key: Path | None, password: Any) -> ssl.SSLContext:
    context = (
        ssl.create_default_context(cafile=ca) if verify and ca is not None else httpx.create_ssl_context(verify=verify)
    )
    if cert is not None:
        context.load_cert_chain(cert, key, None if password is None else password.reveal())
    return context
