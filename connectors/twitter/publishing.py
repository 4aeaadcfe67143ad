"""Posts once: before a post goes out it is noted that it will; whoever comes after looks in the timeline first, and adopts what is there.

What stands in for an idempotency key, which X has not: (1) the note, a heartbeat that the next delivery or attempt of the call reads; (2) X's own
refusal of a text that is there already; (3) the timeline, since the call began; (4) claims: a post that one call has is no other call's.
"""

from datetime import UTC, datetime
from typing import Any

import msgspec

from connectors.core import (
    AlreadyExists,
    Ambiguous,
    ConnectorError,
    InvalidRequest,
    Throttled,
    Transient,
    call_key,
    resolve,
)
from connectors.core.claims import claims_of
from connectors.twitter.client import call
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.errors import is_duplicate
from connectors.twitter.models import CreatePost, Posted
from connectors.twitter.timeline import find_own, resource
from dtf_runtime import OutsideActivityError, activity_context

READ_LAG = 15.0
"""Seconds until the timeline is believed to show a post: a durable wait, after which one looks again."""
_REFUSALS = 3  # of a text as a duplicate, without finding whose it is


class _Note(msgspec.Struct, omit_defaults=True):
    """What the next delivery should know."""

    key: str
    begun: datetime
    open: bool = True
    """It may have been sent, and nobody knows what became of it."""
    maybe: bool = False
    """An answer was lost, so a refusal as a duplicate is likely to be about this call's own post."""
    refused: int = 0


def publish(wanted: CreatePost) -> Posted:
    """Raises ConnectorError."""
    if not wanted.text.strip() and not wanted.media_ids:
        raise InvalidRequest("a post needs a text or media")
    if len(wanted.media_ids) > 4:
        raise InvalidRequest(f"a post has up to four media, not {len(wanted.media_ids)}")
    connection = resolve(TwitterConnection, wanted.connection)
    key = call_key([wanted.text, wanted.reply_to, wanted.media_ids])
    earlier = _noted(key)
    note = earlier or _Note(key=key, begun=wanted.begun or datetime.now(UTC))
    if earlier is not None and earlier.open and wanted.on_ambiguous == "lookup":
        found, _ = find_own(connection, wanted, key, note.begun)
        if found:
            return Posted(id=found, replayed=True)
    note.open = True
    _write(note)
    try:
        return _send(connection, wanted, key)
    except AlreadyExists as error:
        if not is_duplicate(error) or wanted.on_ambiguous == "fail":
            raise
        return _adopt(connection, wanted, note, error)
    except Ambiguous as error:
        return _settle(connection, wanted, note, error)
    except (Throttled, Transient):  # it did not happen
        note.open = False
        _write(note)
        raise


def _send(connection: TwitterConnection, wanted: CreatePost, key: str) -> Posted:
    optional: dict[str, Any] = {
        "in_reply_to_tweet_id": wanted.reply_to,
        "media_ids": list(wanted.media_ids) or None,
        "reply_settings": wanted.reply_settings,
    }
    answer = call(connection, "create_tweet", text=wanted.text or None, **optional, repeatable=False)
    try:
        made = str(answer["data"]["id"])
    except (KeyError, TypeError):
        raise Ambiguous("X create_tweet: the answer names no post; it may have happened", code="garbage") from None
    claims_of(connection.claims).claim(resource(made), key)
    return Posted(id=made)


def _adopt(connection: TwitterConnection, wanted: CreatePost, note: _Note, error: ConnectorError) -> Posted:
    """X says that this text is there already. Whose is it?"""
    found, others = find_own(connection, wanted, note.key, note.begun)
    if found:
        return Posted(id=found, replayed=True)
    note.refused += 1
    _write(note)
    if others or (note.refused >= _REFUSALS and not note.maybe):
        raise AlreadyExists(
            f"{error}; the post with this text is another call's, or older than this call: change the text, or wait",
            code=error.code,
            status=error.status,
            request_id=error.request_id,
        ) from None
    raise _look_again(error) from None


def _settle(connection: TwitterConnection, wanted: CreatePost, note: _Note, error: ConnectorError) -> Posted:
    """It may have happened."""
    if wanted.on_ambiguous == "fail":
        raise error
    note.maybe = True
    _write(note)
    if wanted.on_ambiguous == "lookup":
        found, _ = find_own(connection, wanted, note.key, note.begun)
        if found:
            return Posted(id=found, replayed=True)
    raise _look_again(error) from None


def _look_again(error: ConnectorError) -> Transient:
    return Transient(
        f"{error}; the timeline doesn't show it yet, it is looked for again in {READ_LAG:g} s",
        code=error.code,
        status=error.status,
        request_id=error.request_id,
        retry_after=READ_LAG,
    )


def _noted(key: str) -> _Note | None:
    try:
        noted = msgspec.convert(activity_context().last_heartbeat, _Note)
    except (OutsideActivityError, msgspec.ValidationError):
        return None
    return noted if noted.key == key else None


def _write(note: _Note) -> None:
    try:
        activity_context().heartbeat(note)
    except OutsideActivityError:
        return
