"""From an HttpRequest to what is sent: address, headers and bytes, checked before a connection is opened. Reads files of parts, else pure."""

import re
from collections.abc import AsyncIterable, Mapping
from dataclasses import dataclass
from math import isfinite
from urllib.parse import urlencode, urlsplit, urlunsplit

import msgspec

from connectors.core import InvalidRequest
from connectors.core.urls import joined, redact
from connectors.http import multipart
from connectors.http.credentials import HttpConnection
from connectors.http.models import HttpRequest

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_UNSAFE_IN_URL = re.compile(r"[\x00-\x20\x7f]")
_UNSAFE_IN_VALUE = re.compile(r"[^\t\x20-\x7e]")
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})  # RFC 9110, 9.2.2


@dataclass(frozen=True)
class Prepared:
    """One checked request, without the connection's credentials."""

    method: str
    url: str
    headers: dict[str, str]
    """Lower-case names."""
    content: bytes | AsyncIterable[bytes] | None
    repeatable: bool
    """Sending it twice does no harm: by its method, or because the server can tell by the idempotency key."""
    key_header: str


def prepare(request: HttpRequest, connection: HttpConnection, key: str | None) -> Prepared:
    """`key` is the idempotency key of this call, None outside a worker. Raises InvalidRequest."""
    method = request.method.upper()
    url = joined(connection.base_url, request.url)
    header = (request.idempotency_header or connection.idempotency_header).lower()
    for problem in _problems(request, method, url, header):
        raise invalid(problem, method, url)
    headers = {name.lower(): value for name, value in request.headers.items()}
    try:
        content = _content(request, headers)
    except InvalidRequest as error:
        raise invalid(str(error), method, url) from None
    wanted = request.send_idempotency_key == "always" or (
        request.send_idempotency_key == "auto" and method not in _IDEMPOTENT
    )
    if wanted and key is not None:
        headers.setdefault(header, f'"{key}"' if connection.idempotency_quoted else key)
    repeatable = method in _IDEMPOTENT or header in headers
    return Prepared(method, _address(url, request), headers, content, repeatable, header)


def invalid(problem: str, method: str, url: str) -> InvalidRequest:
    method, shown = (method if _TOKEN.fullmatch(method) else "?"), redact(url)
    return InvalidRequest(f"{method} {shown}: {problem}", method=method, url=shown)


def _problems(request: HttpRequest, method: str, url: str, key_header: str) -> list[str]:
    found = [problem] if (problem := url_problem(url)) else []
    if not _TOKEN.fullmatch(method):
        found.append("the method is not a word such as GET or POST")
    found += header_problems(request.headers)
    if not _TOKEN.fullmatch(key_header):
        found.append("idempotency_header is not a header's name")
    bodies = (request.json, request.form, request.parts or None, request.text, request.body)
    if sum(given is not None for given in bodies) > 1:
        found.append("give one of json, form, parts, text and body, not several")
    if not (isfinite(request.timeout) and request.timeout > 0):
        found.append("timeout must be a number of seconds greater than 0")
    if request.max_bytes < 0 or request.max_saved_bytes < 0:
        found.append("max_bytes and max_saved_bytes must be 0 or more")
    return found


def header_problems(headers: Mapping[str, str]) -> list[str]:
    found = []
    for name, value in headers.items():
        if not _TOKEN.fullmatch(name):
            found.append("a header's name has characters that HTTP doesn't allow")
        elif _UNSAFE_IN_VALUE.search(value):
            found.append(f"the value of header {name} is not printable ASCII")
    return found


def url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port  # reading the port checks it
    except ValueError:
        return "the address can't be read"
    if parts.scheme not in ("http", "https"):
        return "the address must begin with http:// or https://, or the connection must have a base_url"
    if not host:
        return "the address names no host"
    if _UNSAFE_IN_URL.search(url):
        return "the address has a space or a control character in it"
    return None


def _address(url: str, request: HttpRequest) -> str:
    parts = urlsplit(url)
    added = urlencode(request.params, doseq=True)
    query = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit(parts._replace(query=query, fragment=""))


def _content(request: HttpRequest, headers: dict[str, str]) -> bytes | None:
    if request.json is not None:
        headers.setdefault("content-type", "application/json")
        try:
            return msgspec.json.encode(request.json)
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidRequest(f"json can't be encoded: {error}") from None
    if request.form is not None:
        headers.setdefault("content-type", "application/x-www-form-urlencoded")
        return urlencode(request.form, doseq=True).encode()
    if request.parts:
        headers["content-type"], body = multipart.encode(request.parts)
        return body
    if request.text is not None:
        headers.setdefault("content-type", "text/plain; charset=utf-8")
        return request.text.encode("utf-8", errors="surrogatepass")
    if request.body is not None:
        headers.setdefault("content-type", "application/octet-stream")
    return request.body
