"""Looks in the own timeline for a post that an earlier delivery of the same call made.

X tells a text otherwise than it was sent: links become t.co, media add one, `&`, `<` and `>` become entities. Both sides are brought to the same
form before they are compared. A post is read for money, so only what is younger than the call is asked for.
"""

import html
import re
import unicodedata
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from connectors.core.claims import claims_of
from connectors.twitter.client import call, owner_id
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.models import CreatePost

SKEW = timedelta(seconds=10)
"""How much the clocks of a worker and of X may differ."""
_FIELDS = ["created_at", "entities", "referenced_tweets", "note_tweet"]
_PAGES = 5
_LINK = re.compile(r"https?://|/+(?=[\s<>()\"']|$)", re.IGNORECASE)


def find_own(connection: TwitterConnection, wanted: CreatePost, key: str, begun: datetime) -> tuple[str | None, bool]:
    """The id of the oldest post with that text, reply and place since `begun` that no other call has, now this one's; and whether there was one
    that another call has. Raises ConnectorError."""
    claims = claims_of(connection.claims)
    alike = [post for post in _since(connection, begun) if _is_alike(post, wanted)]
    for post in sorted(alike, key=lambda post: int(post["id"])):
        if claims.claim(resource(post["id"]), key):
            return str(post["id"]), False
    return None, bool(alike)


def resource(post_id: str) -> str:
    return f"twitter/post/{post_id}"


def _since(connection: TwitterConnection, begun: datetime) -> Iterator[dict[str, Any]]:
    page = None
    for _ in range(_PAGES):
        answer = call(
            connection,
            "get_users_tweets",
            owner_id(connection),
            start_time=begun - SKEW,
            max_results=100,
            tweet_fields=_FIELDS,
            pagination_token=page,
            repeatable=True,
        )
        yield from answer.get("data", ())
        page = answer.get("meta", {}).get("next_token")
        if not page:
            return


def _is_alike(post: dict[str, Any], wanted: CreatePost) -> bool:
    replied = next((r["id"] for r in post.get("referenced_tweets", ()) if r.get("type") == "replied_to"), None)
    return replied == wanted.reply_to and _told(post) == plain(wanted.text)


def _told(post: dict[str, Any]) -> str:
    """The text as it was sent, as far as X tells."""
    long = post.get("note_tweet") or {}
    text = str(long.get("text") or post["text"])
    entities = long.get("entities") or post.get("entities") or {}
    for link in entities.get("urls", ()):
        written = "" if link.get("media_key") else str(link.get("expanded_url") or link["url"])
        text = text.replace(link["url"], written)
    return plain(html.unescape(text))


def plain(text: str) -> str:
    """Without what X changes: the scheme and the last slash of links, the form of characters, white space at the ends."""
    return _LINK.sub("", unicodedata.normalize("NFC", text)).strip()
