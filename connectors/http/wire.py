"""From an HttpRequest to what is sent: address, headers and bytes, checked before a connection is opened. Pure."""

import re
from dataclasses import dataclass
from math import isfinite
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from connectors.http.errors import InvalidRequest
from connectors.http.models import HttpRequest

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_UNSAFE_IN_VALUE = re.compile(r"[^\t\x20-\x7e]")
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110, 9.2.2


@dataclass(frozen=True)
class Outgoing:
    """One checked request."""

    method: str
    url: str
    headers: dict[str, str]
    content: bytes | None
    repeatable: bool
    """Sending it twice does no harm: by its method, or because the server can tell by the idempotency key."""
    request: HttpRequest


def prepare(request: HttpRequest, key: str | None) -> Outgoing:
    """`key` is the idempotency key of this call, None outside a worker. Raises InvalidRequest."""
    method = request.method.upper()
    _check(request, method)
    headers = {name.lower(): value for name, value in request.headers.items()}
    content = _content(request, method, headers)
    header = request.idempotency_header.lower()
    wanted = request.send_idempotency_key == "always" or (
        request.send_idempotency_key == "auto" and method not in _IDEMPOTENT
    )
    if wanted and key is not None:
        headers.setdefault(header, key)
    repeatable = method in _IDEMPOTENT or header in headers
    return Outgoing(method, _address(request), headers, content, repeatable, request)


def _check(request: HttpRequest, method: str) -> None:
    for problem in _problems(request, method):
        raise InvalidRequest(problem, method=method if _TOKEN.fullmatch(method) else "?", url=request.url)


def _problems(request: HttpRequest, method: str) -> list[str]:
    found = [problem] if (problem := _url_problem(request.url)) else []
    if not _TOKEN.fullmatch(method):
        found.append("the method is not a word such as GET or POST")
    for name, value in request.headers.items():
        if not _TOKEN.fullmatch(name):
            found.append("a header's name has characters that HTTP doesn't allow")
        elif _UNSAFE_IN_VALUE.search(value):
            found.append(f"the value of header {name} is not printable ASCII")
    if not _TOKEN.fullmatch(request.idempotency_header):
        found.append("idempotency_header is not a header's name")
    if sum(given is not None for given in (request.json, request.text, request.body)) > 1:
        found.append("give one of json, text and body, not several")
    if not (isfinite(request.timeout) and request.timeout > 0):
        found.append("timeout must be a number of seconds greater than 0")
    if request.max_bytes < 0:
        found.append("max_bytes must be 0 or more")
    return found


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return "the address can't be read"
    if parts.scheme not in ("http", "https"):
        return "the address must begin with http:// or https://"
    if not host:
        return "the address names no host"
    if _UNSAFE_IN_URL.search(url):
        return "the address has a space or a control character in it"
    return None


def _address(request: HttpRequest) -> str:
    parts = urlsplit(request.url)
    added = urlencode(request.params, doseq=True)
    query = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit(parts._replace(query=query, fragment=""))


def _content(request: HttpRequest, method: str, headers: dict[str, str]) -> bytes | None:
    if request.json is not None:
        headers.setdefault("content-type", "application/json")
        try:
            return msgspec.json.encode(request.json)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"json can't be encoded: {error}", method=method, url=request.url) from None
    if request.text is not None:
        headers.setdefault("content-type", "text/plain; charset=utf-8")
        return request.text.encode("utf-8", errors="surrogatepass")
    if request.body is not None:
        headers.setdefault("content-type", "application/octet-stream")
    return request.body
