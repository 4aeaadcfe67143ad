"""Comments by the page. The Graph API takes no idempotency key, so after a lost answer the comments are searched, and what is found is adopted."""

from datetime import UTC, datetime, timedelta
from typing import Any

from connectors.core import DEFAULT_RETRY, Ambiguous, Effect, InvalidRequest, Transient, call_key, declare, resolve
from connectors.core.claims import claims_of
from connectors.facebook.activities import instant
from connectors.facebook.client import call, page_of
from connectors.facebook.credentials import FacebookConnection
from connectors.facebook.models import Comment, Commented, Comments, CreateComment, ListComments
from dtf_runtime import OutsideActivityError, activity, activity_context

READ_LAG = 15.0
"""Seconds until a comment is believed to be in the list: a durable wait, after which one looks again."""
SKEW = timedelta(seconds=10)
_FIELDS = "id,message,created_time,from{id,name}"
_PERMISSIONS = ("pages_manage_engagement", "pages_read_engagement", "pages_read_user_content")


@declare(Effect.LOOKUP, "the object's comments are searched for the page's own of that text", permissions=_PERMISSIONS)
@activity(name="facebook.create_comment", retry=DEFAULT_RETRY)
async def create_comment(comment: CreateComment) -> Commented:
    """Comments as the page. Raises NotFound when what it comments on is gone."""
    if not comment.message.strip():
        raise InvalidRequest("a comment needs a message")
    connection = resolve(FacebookConnection, comment.connection)
    key = call_key([comment.to, comment.message])
    noted = _noted(key)
    begun = comment.begun or noted or datetime.now(UTC)
    if comment.on_ambiguous == "lookup":
        # Always, not only after a note: unlike X, Facebook takes a repeat, and a note can be lost with its worker.
        earlier = await _find_own(connection, comment, key, begun)
        if earlier:
            return Commented(id=earlier, replayed=True)
    _write(key, begun)
    try:
        answer = await call(
            connection, "POST", f"/{comment.to}/comments", form={"message": comment.message}, repeatable=False
        )
    except Ambiguous as error:
        if comment.on_ambiguous == "fail":
            raise
        found = await _find_own(connection, comment, key, begun) if comment.on_ambiguous == "lookup" else None
        if found:
            return Commented(id=found, replayed=True)
        raise Transient(
            f"{error}; it is looked for again in {READ_LAG:g} s", retry_after=READ_LAG, code=error.code
        ) from None
    claims_of(connection.claims).claim(_resource(answer["id"]), key)
    return Commented(id=answer["id"])


@declare(Effect.READ, permissions=("pages_read_engagement", "pages_read_user_content"))
@activity(name="facebook.list_comments", retry=DEFAULT_RETRY)
async def list_comments(wanted: ListComments) -> Comments:
    """One page of comments, oldest first."""
    connection = resolve(FacebookConnection, wanted.connection)
    answer = await _page(connection, wanted.of, wanted.most, wanted.after, order="chronological")
    cursors = (answer.get("paging") or {}).get("cursors") or {}
    has_more = "next" in (answer.get("paging") or {})
    comments = tuple(_comment(told) for told in answer.get("data", ()))
    return Comments(comments=comments, next_page=cursors.get("after") if has_more else None)


async def _find_own(connection: FacebookConnection, wanted: CreateComment, key: str, begun: datetime) -> str | None:
    answer = await _page(connection, wanted.to, 100, None, order="reverse_chronological")
    claims, page = claims_of(connection.claims), page_of(connection)
    for told in reversed(answer.get("data", ())):
        comment = _comment(told)
        is_own = comment.author_id == page and comment.message == wanted.message
        is_young = comment.created_at is not None and comment.created_at >= begun.replace(microsecond=0) - SKEW
        if is_own and is_young and claims.claim(_resource(comment.id), key):
            return comment.id
    return None


async def _page(connection: FacebookConnection, of: str, most: int, after: str | None, *, order: str) -> dict[str, Any]:
    query = {"fields": _FIELDS, "limit": str(most), "order": order, "filter": "toplevel"}
    return await call(
        connection, "GET", f"/{of}/comments", query=query | ({"after": after} if after else {}), repeatable=True
    )


def _comment(told: dict[str, Any]) -> Comment:
    author = told.get("from") or {}
    return Comment(
        id=str(told["id"]),
        message=str(told.get("message") or ""),
        created_at=instant(told.get("created_time")),
        author_id=str(author.get("id") or ""),
        author=str(author.get("name") or ""),
    )


def _resource(id: Any) -> str:
    return f"facebook/comment/{id}"


def _noted(key: str) -> datetime | None:
    """When an earlier delivery of this call began to send, if it did."""
    try:
        note = activity_context().last_heartbeat
    except OutsideActivityError:
        return None
    if not isinstance(note, dict) or note.get("key") != key:
        return None
    return datetime.fromisoformat(note["begun"])


def _write(key: str, begun: datetime) -> None:
    try:
        activity_context().heartbeat({"key": key, "begun": begun.isoformat()})
    except OutsideActivityError:
        return
