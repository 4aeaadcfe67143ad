"""Files to the web, streamed from disk: in one request, or in chunks that a next attempt goes on with.

In chunks it speaks the protocol of resumable upload sessions (Google Cloud Storage, Drive, YouTube and others): PUT with Content-Range, 308 with
Range for what has arrived. The server says where it stands, never a memory of ours.
"""

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from connectors.core import DEFAULT_RETRY, Conflict, Effect, Mutation, Permanent, declare, resolve
from connectors.core.statuses import is_expected
from connectors.core.urls import joined, redact
from connectors.http import files
from connectors.http.client import Sending, opened, request_id, unexpected
from connectors.http.credentials import HttpConnection
from connectors.http.progress import Progress
from connectors.http.wire import Prepared, header_problems, invalid, url_problem
from dtf_runtime import activity

if TYPE_CHECKING:
    from connectors.core.transport import Answer

_READ = 256 * 1024  # bytes
_STALLED = 3  # chunks in a row of which nothing arrived


class Upload(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    path: str
    """The file on the worker; it must not change meanwhile."""
    url: str
    """Absolute, or below the connection's `base_url`; for chunks the address of the upload session."""
    method: str = "PUT"
    connection: str = "default"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    content_type: str = "application/octet-stream"
    chunk_bytes: int = 0
    """0: all in one request. Else the size of a chunk; many servers want a multiple of 256 KiB."""
    if_match: str = ""
    """Replace only the version with this ETag."""
    if_absent: bool = False
    """Create only: If-None-Match: *."""
    timeout: float = 3600.0
    """Seconds for one request."""
    expected: tuple[int, ...] = ()


class Uploaded(Mutation, frozen=True, kw_only=True):
    """`replayed`: an earlier delivery had brought it there."""

    status: int
    size: int
    """Bytes of the file."""
    etag: str = ""
    resumed_from: int = 0
    """Bytes that had arrived before."""


@declare(
    Effect.CONDITIONAL,
    "PUT to the address it shall have, with If-Match or If-None-Match; in chunks, at the offset that the server asks for",
)
@activity(name="http.upload", retry=DEFAULT_RETRY, heartbeat_timeout=300)
async def upload(call: Upload) -> Uploaded:
    """A file to the web. Heartbeats say how far it is: `{"bytes": ..., "total": ...}`.

    Raises what `http.request` does; Conflict when a condition does not hold and what is there is not this file.
    """
    connection = resolve(HttpConnection, call.connection)
    url = joined(connection.base_url, call.url)
    if problem := url_problem(url) or next(iter(header_problems(call.headers)), None):
        raise invalid(problem, call.method, url)
    try:
        size = (await asyncio.to_thread(os.stat, call.path)).st_size
        sending = _Upload(call, connection, url, size)
        return await (sending.in_chunks() if call.chunk_bytes else sending.at_once())
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise Permanent(f"{call.method} {redact(url)}: the file can't be read ({what})", code="file") from None


class _Piece:
    """A part of a file as a body: it can be sent again when a redirect or a fresh token asks for that."""

    def __init__(self, path: str, start: int, size: int, progress: Progress) -> None:
        self._path = path
        self._start = start
        self._size = size
        self._progress = progress

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = self._size
        with open(self._path, "rb") as file:  # noqa: ASYNC230 (opening is quick; reading is in threads)
            file.seek(self._start)
            while left:
                data = await asyncio.to_thread(file.read, min(_READ, left))
                if not data:
                    raise OSError("it has become shorter")
                left -= len(data)
                yield data
                self._progress.at(self._start + self._size - left)


class _Upload:
    def __init__(self, call: Upload, connection: HttpConnection, url: str, size: int) -> None:
        self._call = call
        self._connection = connection
        self._url = url
        self._size = size
        self._progress = Progress(0, size)
        self._headers = {name.lower(): value for name, value in call.headers.items()}
        self._headers.setdefault("content-type", call.content_type)

    async def at_once(self) -> Uploaded:
        headers = self._headers | {"content-length": str(self._size)}
        if self._call.if_match:
            headers["if-match"] = self._call.if_match
        if self._call.if_absent:
            headers["if-none-match"] = "*"
        conditional = bool(self._call.if_match or self._call.if_absent)
        method = self._call.method.upper()
        body = _Piece(self._call.path, 0, self._size, self._progress)
        prepared = Prepared(method, self._url, headers, body, method == "PUT" or conditional, "")
        async with opened(self._connection, prepared, Sending(self._call.timeout)) as answer:
            if is_expected(answer.status, self._call.expected):
                return self._done(answer)
            error = unexpected(answer, prepared)
        if conditional and isinstance(error, Conflict) and (there := await self._is_there()):
            return there
        raise error

    async def _is_there(self) -> Uploaded | None:
        """Whether what broke the condition is this very file, brought by an earlier delivery."""
        headers = {name: value for name, value in self._headers.items() if name != "content-type"}
        prepared = Prepared("HEAD", self._url, headers | {"accept-encoding": "identity"}, None, True, "")
        async with opened(self._connection, prepared, Sending(self._call.timeout)) as answer:
            if answer.status != 200 or answer.headers.get("content-length") != str(self._size):
                return None
            etag = answer.headers.get("etag", "").strip('"').lower()
            digest = answer.headers.get("repr-digest", "") + answer.headers.get("content-digest", "")
            found = self._done(answer, replayed=True)
        md5, sha256 = await asyncio.to_thread(files.digests, Path(self._call.path))
        return found if etag in (md5, sha256.hex()) or files.in_digest_header(digest, sha256) else None

    async def in_chunks(self) -> Uploaded:
        begin: int | None = None
        offset, stalled = -1, 0
        while stalled < _STALLED:
            if offset < 0:
                content_range, body, length = f"bytes */{self._size}", None, 0
            else:
                length = min(self._call.chunk_bytes, self._size - offset)
                content_range = f"bytes {offset}-{offset + length - 1}/{self._size}"
                body = _Piece(self._call.path, offset, length, self._progress)
            headers = self._headers | {"content-length": str(length), "content-range": content_range}
            prepared = Prepared(self._call.method.upper(), self._url, headers, body, True, "")
            sending = Sending(self._call.timeout, follow_redirects=False)
            async with opened(self._connection, prepared, sending) as answer:
                if is_expected(answer.status, self._call.expected):
                    return self._done(answer, resumed=self._size if begin is None else begin, replayed=begin is None)
                if answer.status != 308:
                    raise unexpected(answer, prepared)
                arrived = arrived_of(answer.headers)
            stalled = stalled + 1 if arrived <= offset else 0
            offset = arrived
            begin = arrived if begin is None else begin
        raise Permanent(
            f"{self._call.method} {redact(self._url)}: the server keeps nothing of what it gets", code="stalled"
        )

    def _done(self, answer: "Answer", *, resumed: int = 0, replayed: bool = False) -> Uploaded:
        self._progress.at(self._size)
        return Uploaded(
            status=answer.status,
            size=self._size,
            etag=answer.headers.get("etag", ""),
            resumed_from=resumed,
            request_id=request_id(answer.headers),
            replayed=replayed,
        )


def arrived_of(headers: Mapping[str, str]) -> int:
    """Bytes that the server has, from the Range of its 308; no Range: none."""
    match = re.fullmatch(r"\s*(?:bytes=)?0-(\d{1,18})\s*", headers.get("range", ""))
    return int(match[1]) + 1 if match else 0
