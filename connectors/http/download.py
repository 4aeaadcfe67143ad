"""Files from the web, streamed to disk and whole or not at all; a next attempt goes on where the last one broke off (RFC 9110, 14).

Must never join two versions of a file: it goes on only with the validator (a strong ETag, or Last-Modified) that the first part came with.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
from filelock import FileLock, Timeout

from connectors.core import DEFAULT_RETRY, Effect, Mutation, Permanent, Transient, declare, resolve
from connectors.core.urls import joined, redact, without_grants
from connectors.http import files
from connectors.http.client import Sending, opened, request_id, unexpected
from connectors.http.credentials import HttpConnection
from connectors.http.models import GIBIBYTE
from connectors.http.progress import Progress
from connectors.http.wire import Prepared, header_problems, invalid, url_problem
from dtf_runtime import activity


class Download(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    url: str
    """Absolute, or below the connection's `base_url`."""
    path: str
    """The file on the worker. Beside it, `.part` and `.part.json` live until it is whole."""
    connection: str = "default"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    timeout: float = 3600.0
    """Seconds for one attempt."""
    max_bytes: int = 100 * GIBIBYTE
    sha256: str = ""
    """Hex digits that the file must have."""


class Downloaded(Mutation, frozen=True, kw_only=True):
    """`replayed`: nothing was left to fetch."""

    path: str
    size: int
    """Bytes."""
    sha256: str
    etag: str = ""
    resumed_from: int = 0
    """Bytes that an earlier attempt had fetched."""


class _State(msgspec.Struct, frozen=True):
    """What the part on disk belongs to."""

    what: str
    validator: str


@declare(Effect.NATURAL, "the file's path, written whole or not at all")
@activity(name="http.download", retry=DEFAULT_RETRY, heartbeat_timeout=300)
async def download(call: Download) -> Downloaded:
    """A file from the web. Heartbeats say how far it is: `{"bytes": ..., "total": ...}`.

    Raises what `http.request` does; Permanent, code `checksum`, for a file that is another one; Transient when another delivery is at it.
    """
    connection = resolve(HttpConnection, call.connection)
    url = joined(connection.base_url, call.url)
    if problem := url_problem(url) or next(iter(header_problems(call.headers)), None):
        raise invalid(problem, "GET", url)
    lock = _lock_of(call.path)
    try:
        lock.acquire()
    except Timeout:
        raise Transient(f"GET {redact(url)}: another delivery is downloading to this file", retry_after=5.0) from None
    try:
        return await _Download(call, connection, url).run()
    except OSError as error:
        what = error.strerror or type(error).__name__
        raise Permanent(f"GET {redact(url)}: the file can't be written ({what})", code="file") from None
    finally:
        lock.release()


def _lock_of(path: str) -> FileLock:
    """Away from the file, since a lock's file can't be removed without a race."""
    user = os.getuid() if hasattr(os, "getuid") else ""
    name = hashlib.sha256(f"{user}\0{os.path.realpath(path)}".encode()).hexdigest()[:32]
    return FileLock(os.path.join(tempfile.gettempdir(), f"dtf-download-{name}.lock"), timeout=0)


class _Download:
    def __init__(self, call: Download, connection: HttpConnection, url: str) -> None:
        self._call = call
        self._connection = connection
        self._url = url
        self._path = Path(call.path)
        self._part = Path(f"{call.path}.part")
        self._note = Path(f"{call.path}.part.json")
        self._what = hashlib.sha256(
            without_grants(url).encode()
        ).hexdigest()  # a signed address is another one each time
        self._most = min(call.max_bytes, connection.max_bytes)

    async def run(self) -> Downloaded:
        have, validator = self._found()
        for start in dict.fromkeys((have, 0)):
            done = await self._fetch(start, validator)
            if done is not None:
                return done
        raise Transient(f"GET {redact(self._url)}: the server refused the whole file as a range", code="range")

    def _found(self) -> tuple[int, str]:
        """Bytes that are there already, and what they belong to."""
        try:
            state = msgspec.json.decode(self._note.read_bytes(), type=_State)
            size = self._part.stat().st_size
        except (OSError, msgspec.DecodeError):
            return 0, ""
        return (size, state.validator) if state.what == self._what and state.validator else (0, "")

    async def _fetch(self, start: int, validator: str) -> Downloaded | None:
        """None: it must start again from nothing."""
        headers = {name.lower(): value for name, value in self._call.headers.items()}
        headers["accept-encoding"] = "identity"  # ranges of a compressed body are ranges of something else
        if start:
            headers |= {"range": f"bytes={start}-", "if-range": validator}
        prepared = Prepared("GET", self._url, headers, None, True, "")
        async with opened(self._connection, prepared, Sending(self._call.timeout)) as answer:
            if answer.status == 416 and start:
                if answer.headers.get("content-range", "").replace(" ", "") == f"bytes*/{start}":
                    return await self._finish(start, validator, request_id(answer.headers), replayed=True)
                return None
            if answer.status not in (200, 206):
                raise unexpected(answer, prepared)
            if answer.status == 206 and not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
                return None
            begin = start if answer.status == 206 else 0
            kept = "" if answer.headers.get("content-encoding") else validator_of(answer.headers)
            answer.refuse_larger(self._most - begin)
            announced = answer.headers.get("content-length", "")
            progress = Progress(begin, begin + int(announced) if announced.isdigit() else None)

            def check(size: int) -> None:
                if begin + size > self._most:
                    raise answer.too_large(f"more than {self._most} bytes", self._most)
                progress.at(begin + size)

            if not begin:
                await asyncio.to_thread(self._begin, kept)
            with self._part.open("ab" if begin else "wb") as file:
                await files.append(answer.pieces(), file, check=check)
            ids = request_id(answer.headers)
            etag = answer.headers.get("etag", "")
        return await self._finish(begin, etag, ids)

    def _begin(self, validator: str) -> None:
        """What is there goes before the note changes: no moment has the one version's bytes with the other's validator."""
        self._part.unlink(missing_ok=True)
        temporary = Path(f"{self._note}.new")
        temporary.write_bytes(msgspec.json.encode(_State(self._what, validator)))
        os.replace(temporary, self._note)

    async def _finish(self, resumed: int, etag: str, ids: str, *, replayed: bool = False) -> Downloaded | None:
        if self._call.sha256:
            found = await asyncio.to_thread(files.digest, self._part)
            if found != self._call.sha256.lower():
                self._part.unlink()
                if resumed:
                    return None
                self._note.unlink(missing_ok=True)
                raise Permanent(
                    f"GET {redact(self._url)}: the file has another checksum than expected", code="checksum"
                )
        saved = await asyncio.to_thread(files.finish, self._part, self._path)
        self._note.unlink(missing_ok=True)
        return Downloaded(
            path=self._call.path,
            size=saved.size,
            sha256=saved.sha256,
            etag=etag,
            resumed_from=resumed,
            request_id=ids,
            replayed=replayed,
        )


def validator_of(headers: Mapping[str, str]) -> str:
    """What If-Range may say: a weak ETag may not (RFC 9110, 13.1.5)."""
    etag = headers.get("etag", "")
    return etag if etag and not etag.startswith("W/") else headers.get("last-modified", "") if not etag else ""
