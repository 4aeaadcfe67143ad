"""Posts of a page. Publishing has two phases, and each may be repeated: a draft that nobody sees, then the draft of that id made public."""

import asyncio
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from connectors.core import DEFAULT_RETRY, Ambiguous, Effect, InvalidRequest, NotFound, declare, resolve
from connectors.facebook.client import call, page_of
from connectors.facebook.credentials import FacebookConnection
from connectors.facebook.models import CreateDraft, Deleted, Draft, Photo, Post, PostId, Published, UploadPhoto
from dtf_runtime import activity

_BOUNDARY = "dtf-runtime-photo-9e7b0f4c1d"
_MOST_PHOTO = 10 * 1024 * 1024
_WRITE = ("pages_manage_posts", "pages_read_engagement")


@declare(
    Effect.AT_LEAST_ONCE,
    "a draft is seen by nobody; one whose answer was lost stays unpublished, since only a recorded id is published",
    permissions=_WRITE,
)
@activity(name="facebook.create_draft", retry=DEFAULT_RETRY)
async def create_draft(draft: CreateDraft) -> Draft:
    """Makes an unpublished post of the page. `publish_draft` makes it public; `publish_post` does both."""
    if not (draft.message or draft.link or draft.photo_ids):
        raise InvalidRequest("a post needs a message, a link or photos")
    connection = resolve(FacebookConnection, draft.connection)
    form = {"published": "false", "message": draft.message, "link": draft.link or ""}
    form = {name: value for name, value in form.items() if value}
    for number, photo in enumerate(draft.photo_ids):
        form[f"attached_media[{number}]"] = msgspec.json.encode({"media_fbid": photo}).decode()
    answer = await call(connection, "POST", f"/{page_of(connection)}/feed", form=form, repeatable=True)
    return Draft(id=_id(answer))


@declare(Effect.NATURAL, "a post that is published stays published", permissions=_WRITE)
@activity(name="facebook.publish_draft", retry=DEFAULT_RETRY)
async def publish_draft(draft: PostId) -> Published:
    """Makes a draft public. `replayed`: it was public already. Raises NotFound when it is gone."""
    connection = resolve(FacebookConnection, draft.connection)
    told = await call(connection, "GET", f"/{draft.id}", query={"fields": "is_published"}, repeatable=True)
    if told.get("is_published") is True:
        return Published(id=draft.id, replayed=True)
    await call(connection, "POST", f"/{draft.id}", form={"is_published": "true"}, repeatable=True)
    return Published(id=draft.id)


@declare(
    Effect.AT_LEAST_ONCE,
    "a photo without a post is seen by nobody, and Facebook removes it after a day",
    permissions=_WRITE,
)
@activity(name="facebook.upload_photo", retry=DEFAULT_RETRY)
async def upload_photo(photo: UploadPhoto) -> Photo:
    """Uploads a photo that a draft can use within a day."""
    connection = resolve(FacebookConnection, photo.connection)
    data = await asyncio.to_thread(_read, Path(photo.path))
    fields = {"published": "false", "temporary": "true"}
    parts = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    )
    parts += f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="source"; filename="photo"\r\n'
    parts += "Content-Type: application/octet-stream\r\n\r\n"
    content = parts.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    body = (f"multipart/form-data; boundary={_BOUNDARY}", content)
    answer = await call(connection, "POST", f"/{page_of(connection)}/photos", body=body, repeatable=True)
    return Photo(id=_id(answer))


@declare(Effect.READ, permissions=("pages_read_engagement",))
@activity(name="facebook.get_post", retry=DEFAULT_RETRY)
async def get_post(post: PostId) -> Post:
    """One post, a draft too. Raises NotFound."""
    connection = resolve(FacebookConnection, post.connection)
    fields = "id,message,created_time,is_published,permalink_url"
    told = await call(connection, "GET", f"/{post.id}", query={"fields": fields}, repeatable=True)
    return Post(
        id=str(told["id"]),
        message=str(told.get("message") or ""),
        created_at=instant(told.get("created_time")),
        is_published=bool(told.get("is_published", True)),
        url=str(told.get("permalink_url") or ""),
    )


@declare(Effect.NATURAL, "what is gone stays gone", permissions=_WRITE)
@activity(name="facebook.delete_post", retry=DEFAULT_RETRY)
async def delete_post(post: PostId) -> Deleted:
    """Deletes a post, a draft, a photo or a comment of the page; one that is gone already is a success."""
    connection = resolve(FacebookConnection, post.connection)
    try:
        await call(connection, "DELETE", f"/{post.id}", repeatable=True)
    except NotFound as error:
        return Deleted(id=post.id, existed=False, request_id=error.request_id)
    return Deleted(id=post.id, existed=True)


def instant(text: Any) -> datetime | None:
    """`2026-11-24T13:00:00+0000`, as the Graph API writes it."""
    return datetime.fromisoformat(text) if isinstance(text, str) else None


def _id(answer: dict[str, Any]) -> str:
    if not isinstance(answer.get("id"), str):
        raise Ambiguous("Graph: the answer names nothing that was made; it may have happened", code="garbage")
    return str(answer["id"])


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InvalidRequest(f"the photo can't be read: {type(error).__name__}") from None
    if not 0 < len(data) <= _MOST_PHOTO:
        raise InvalidRequest(f"a photo has 1 to {_MOST_PHOTO} bytes, not {len(data)}")
    return data
