"""Media upload v2, which tweepy lacks: initialize, append in segments, finalize, then ask until X has processed it.

An upload that was interrupted goes on with the segment it was at. What is uploaded and never posted is seen by nobody and expires at X after a day.
"""

import asyncio
from pathlib import Path
from typing import Any, Literal

import msgspec

from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Permanent, Transient, declare, resolve
from connectors.core.outgoing import Outgoing
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.errors import error_of
from connectors.twitter.models import Media, MediaId, UploadMedia
from connectors.twitter.oauth2 import access_token
from dtf_runtime import OutsideActivityError, activity, activity_context

SEGMENT = 4 * 1024 * 1024
"""Bytes: X takes up to 5 MB at once."""
_ANSWER = 1024 * 1024
_BOUNDARY = "dtf-runtime-media-4c1f0d7e9b"


class _Note(msgspec.Struct):
    """How far it is, for the next delivery or attempt."""

    id: str
    size: int
    appended: int


@declare(
    Effect.AT_LEAST_ONCE,
    "an upload that is interrupted goes on where it was; one left over is seen by nobody and expires after a day",
    permissions=("media.write",),
)
@activity(name="twitter.upload_media", retry=DEFAULT_RETRY)
async def upload_media(upload: UploadMedia) -> Media:
    """Uploads a file of the worker. When the answer is not `ready`, `wait_for_media` waits until X has processed it. Free of charge.

    Raises InvalidRequest when the file can't be read.
    """
    connection = resolve(TwitterConnection, upload.connection)
    path = Path(upload.path)
    try:
        size = await asyncio.to_thread(lambda: path.stat().st_size)
    except OSError as error:
        raise InvalidRequest(f"the file to upload can't be read: {type(error).__name__}") from None
    if not size:
        raise InvalidRequest("the file to upload is empty")
    note = _noted(size) or await _initialize(connection, upload, size)
    while (start := note.appended * SEGMENT) < size:
        segment = await asyncio.to_thread(_read, path, start)
        await _append(connection, note, segment)
        note = _Note(note.id, size, note.appended + 1)
        _write(note)
    answer = await _send(connection, "POST", f"/2/media/upload/{note.id}/finalize")
    return _media(answer["data"])


@declare(Effect.READ, permissions=("media.write",))
@activity(name="twitter.get_media_status", retry=DEFAULT_RETRY)
async def get_media_status(media: MediaId) -> Media:
    """Whether a post may use it yet. Free of charge."""
    connection = resolve(TwitterConnection, media.connection)
    answer = await _send(connection, "GET", "/2/media/upload", query=f"?command=STATUS&media_id={media.id}")
    return _media(answer["data"])


async def _initialize(connection: TwitterConnection, upload: UploadMedia, size: int) -> _Note:
    wanted = {"media_type": upload.media_type, "total_bytes": size, "media_category": upload.category}
    content, headers = msgspec.json.encode(wanted), {"content-type": "application/json"}
    answer = await _send(connection, "POST", "/2/media/upload/initialize", content=content, headers=headers)
    note = _Note(str(answer["data"]["id"]), size, 0)
    _write(note)
    return note


async def _append(connection: TwitterConnection, note: _Note, segment: bytes) -> None:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="segment_index"\r\n\r\n{note.appended}\r\n'
    head += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="media"; filename="segment"\r\n'
    head += "Content-Type: application/octet-stream\r\n\r\n"
    content = head.encode() + segment + f"\r\n--{_BOUNDARY}--\r\n".encode()
    headers = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
    await _send(connection, "POST", f"/2/media/upload/{note.id}/append", content=content, headers=headers)


async def _send(
    connection: TwitterConnection,
    method: str,
    path: str,
    *,
    query: str = "",
    content: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Any:
    """Every step may be repeated: it says which upload and which segment it is."""
    from connectors.core.transport import exchange

    url = f"{connection.host}{path}{query}"
    call = Outgoing(
        method=method,
        url=url,
        headers={**await _authorization(connection, method, url), **(headers or {})},
        content=content,
        timeout=connection.read_timeout + connection.connect_timeout,
        repeatable=True,
        follow_redirects=False,
    )
    async with exchange(connection.route(), call) as answer:
        body = await answer.read(_ANSWER)
    if not 200 <= answer.status <= 299:
        raise error_of(answer.status, answer.headers, body, what=f"X {method} {path}", repeatable=True)
    try:
        return msgspec.json.decode(body) if body else {}
    except (msgspec.DecodeError, RecursionError):
        raise Transient(f"X {method} {path}: the answer is no JSON", code="garbage") from None


async def _authorization(connection: TwitterConnection, method: str, url: str) -> dict[str, str]:
    if connection.uses_oauth1:
        return connection.signed(method, url)
    token = await asyncio.to_thread(access_token, connection)
    return {"authorization": f"Bearer {token.reveal()}"}


def _media(told: dict[str, Any]) -> Media:
    info = told.get("processing_info") or {}
    told_state = str(info.get("state", "succeeded"))
    if told_state == "failed":
        problem = info.get("error") or {}
        raise Permanent(
            f"X could not process media {told['id']} ({problem.get('name', 'no reason given')})", code="media"
        )
    state: Literal["ready", "pending", "in_progress"] = "pending" if told_state == "pending" else "in_progress"
    if told_state == "succeeded":
        state = "ready"
    return Media(id=str(told["id"]), state=state, check_after=float(info.get("check_after_secs", 0)))


def _read(path: Path, start: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(SEGMENT)


def _noted(size: int) -> _Note | None:
    try:
        note = msgspec.convert(activity_context().last_heartbeat, _Note)
    except (OutsideActivityError, msgspec.ValidationError):
        return None
    return note if note.size == size else None


def _write(note: _Note) -> None:
    try:
        activity_context().heartbeat(note)
    except OutsideActivityError:
        return
