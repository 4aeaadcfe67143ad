"""Sends what is prepared through a connection: its credentials, the answer's judgement, and what of it is stored."""

import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from connectors.core import ConnectorError, Permanent
from connectors.core.outgoing import Outgoing
from connectors.core.statuses import error_for, is_expected
from connectors.core.urls import origin, redact, without_grants
from connectors.http import files, tokens
from connectors.http.checks import failing
from connectors.http.credentials import HttpConnection
from connectors.http.errors import UnexpectedAnswer
from connectors.http.models import HttpRequest, HttpResponse
from connectors.http.wire import Prepared
from dtf_runtime.clock import REAL_CLOCK
from dtf_runtime.plugins import MissingExtraError

if TYPE_CHECKING:
    from connectors.core.transport import Answer

_NOT_STORED = frozenset({"set-cookie", "set-cookie2"})
_REQUEST_IDS = (
    "x-request-id",
    "request-id",
    "x-ms-request-id",
    "x-amzn-requestid",
    "x-amz-request-id",
    "x-correlation-id",
)


@dataclass(frozen=True)
class Sending:
    """How a prepared request goes out."""

    timeout: float
    follow_redirects: bool = True
    answers: tuple[int, ...] = ()


async def send(request: HttpRequest, prepared: Prepared, connection: HttpConnection, *, mark: str) -> HttpResponse:
    """One attempt. Raises errors of `connectors.core`. `mark` names the call, for its temporary file."""
    began = time.perf_counter()
    sending = Sending(request.timeout, request.follow_redirects, request.expected)
    async with opened(connection, prepared, sending) as answer:
        expected = request.expected
        if not is_expected(answer.status, expected):
            missing = prepared.method == "DELETE" and not expected and answer.status in (404, 410)
            if not missing:
                raise unexpected(answer, prepared)
        body, saved = b"", None
        if request.save_to is None:
            body = await answer.read(min(request.max_bytes, connection.max_bytes))
        else:
            most = min(request.max_saved_bytes, connection.max_bytes)
            saved = await _save(answer, Path(request.save_to), most, mark, prepared)
    response = HttpResponse(
        status=answer.status,
        url=without_grants(answer.url, {connection.api_key_query}),
        headers=stored_headers(answer, connection),
        body=body,
        elapsed=time.perf_counter() - began,
        request_id=request_id(answer.headers),
        replayed=answer.headers.get("idempotent-replayed", "").lower() == "true",
        size=len(body) if saved is None else saved.size,
        saved_to=request.save_to,
        sha256="" if saved is None else saved.sha256,
    )
    if request.check is not None and (problem := failing(request.check, response)):
        shown = redact(prepared.url)
        raise UnexpectedAnswer(
            f"{prepared.method} {shown}: {problem}", status=answer.status, method=prepared.method, url=shown
        )
    return response


async def _save(answer: "Answer", path: Path, most: int, mark: str, prepared: Prepared) -> files.Saved:
    answer.refuse_larger(most)

    def check(size: int) -> None:
        if size > most:
            raise answer.too_large(f"more than {most} bytes", most)

    try:
        return await files.save(answer.pieces(), path, mark=mark, check=check)
    except OSError as error:
        shown = redact(prepared.url)
        raise Permanent(
            f"{prepared.method} {shown}: the answer can't be saved ({error.strerror or type(error).__name__})",
            code="file",
            method=prepared.method,
            url=shown,
        ) from None


@asynccontextmanager
async def opened(connection: HttpConnection, prepared: Prepared, sending: Sending) -> "AsyncIterator[Answer]":
    """The answer's head. A token that the server no longer takes is fetched anew, once: a 401 means that nothing was done."""
    try:
        from connectors.core import transport
    except MissingExtraError as error:
        raise Permanent(str(error), code="missing_extra") from None
    known: tokens.Token | None = None
    for last in (False, True):
        if _needs_token(connection, prepared):
            old, known = known, await tokens.token_of(connection, sending.timeout)
            last = last or old is known
        call = _outgoing(connection, prepared, sending, known)
        async with transport.exchange(connection.route(prepared.url), call) as answer:
            if answer.status != 401 or known is None or last:
                yield answer
                return
        tokens.forget(connection, known)


def _needs_token(connection: HttpConnection, prepared: Prepared) -> bool:
    return bool(connection.token_url) and connection.is_own(prepared.url) and "authorization" not in prepared.headers


def _outgoing(connection: HttpConnection, prepared: Prepared, sending: Sending, token: tokens.Token | None) -> Outgoing:
    url, headers = prepared.url, prepared.headers
    own = connection.is_own(url)
    if own:
        headers = connection.fixed_headers() | headers
        url = connection.with_key(url)
    if token is not None:
        headers = {**headers, "authorization": f"Bearer {token.secret.reveal()}"}
    return Outgoing(
        method=prepared.method,
        url=url,
        host=origin(url)[1] if own else "",
        headers=headers,
        content=prepared.content,
        timeout=sending.timeout,
        idle=connection.idle_timeout,
        repeatable=prepared.repeatable,
        follow_redirects=sending.follow_redirects,
        answers=sending.answers,
        keep=frozenset({prepared.key_header}),
        shown=redact(prepared.url),
    )


def unexpected(answer: "Answer", prepared: Prepared) -> ConnectorError:
    """The error that the answer's status is."""
    return error_for(
        answer.status,
        answer.headers,
        method=prepared.method,
        url=redact(prepared.url),
        repeatable=prepared.repeatable,
        now=REAL_CLOCK.now(),
        request_id=request_id(answer.headers),
    )


def stored_headers(answer: "Answer", connection: HttpConnection) -> dict[str, str]:
    """Lower-case names. An API key that a server repeats in the addresses it gives is taken out: the connection adds it again."""
    return {name: connection.without_key(value) for name, value in answer.headers.items() if name not in _NOT_STORED}


def request_id(headers: Mapping[str, str]) -> str:
    return next((headers[name] for name in _REQUEST_IDS if name in headers), "")
