"""X on this machine, for tests and offline examples: posts, timelines with their read lag, duplicates, limits, media, signatures.

    with FakeTwitter() as x, using(x.connection()):
        ...
    assert x.texts() == ["Hello"]

It checks OAuth 1.0a signatures, wraps links into t.co and refuses a text twice, as X does. It runs on the runtime's Clock.
"""

import base64
import hashlib
import hmac
import html
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, unquote

from connectors.core import Secret
from connectors.core.connections import variable
from connectors.core.loopback import Loopback, Received, Reply
from connectors.twitter.credentials import HOST, TwitterConnection
from dtf_runtime.clock import REAL_CLOCK, Clock

_EPOCH_MS = 1288834974657
_SHORT = 280
_LINK = re.compile(r"https?://[^\s<>]+")
_PROBLEM = "https://api.twitter.com/2/problems/"


@dataclass
class FakePost:
    id: str
    text: str
    created_at: datetime
    reply_to: str | None = None
    media_ids: tuple[str, ...] = ()


@dataclass
class FakeMedia:
    id: str
    total: int
    category: str
    segments: dict[int, bytes] = field(default_factory=dict)
    ready_at: datetime | None = None


class FakeTwitter(Loopback):
    """`duplicate_window`: how long the same text is refused. `read_lag`: how long a new post is missing from timelines and searches."""

    user_id = "2244994945"
    keys: ClassVar[dict[str, str]] = {  # of nobody, made up here
        "consumer_key": "fake-consumer-key",
        "consumer_secret": "fake-consumer-secret",
        "access_token": "2244994945-fake-access-token",
        "access_token_secret": "fake-access-token-secret",
    }

    def __init__(
        self,
        clock: Clock = REAL_CLOCK,
        *,
        duplicate_window: timedelta = timedelta(hours=1),
        read_lag: timedelta = timedelta(0),
        media_takes: timedelta = timedelta(0),
    ) -> None:
        super().__init__(clock)
        self.posts: dict[str, FakePost] = {}
        self.media: dict[str, FakeMedia] = {}
        self.duplicate_window = duplicate_window
        self.read_lag = read_lag
        self.media_takes = media_takes
        self.created = 0
        """How many posts were ever made: what a test counts."""
        self.refused: set[str] = set()
        """Texts that are refused for good, as X does with what it takes for spam."""
        self.media_fails = False
        self.limit: tuple[int, datetime] | None = None
        """Requests left, and when there are more."""
        self.bearer, self.refresh = "", ""
        """The OAuth 2 tokens that it takes, besides the four keys."""
        self.renewals = 0
        self._last = 0

    def connection(
        self, name: str = "default", *, claims: Path | None = None, read_timeout: float = 30.0
    ) -> TwitterConnection:
        keys = {field: Secret(value) for field, value in self.keys.items()}
        return TwitterConnection(name=name, base_url=self.url, claims=claims, read_timeout=read_timeout, **keys)  # type: ignore[arg-type]

    def environment(self, name: str = "default") -> dict[str, str]:
        """The variables that lead another process here."""
        fields = {"base_url": self.url, **self.keys}
        return {variable(TwitterConnection, name, field): value for field, value in fields.items()}

    def refuse_text(self, text: str) -> None:
        self.refused.add(text)

    def texts(self) -> list[str]:
        """What was posted and is there, oldest first, as it was sent."""
        return [post.text for post in self.posts.values()]

    def thread(self) -> list[str]:
        """The texts of the oldest thread, in order."""
        found, last = [], None
        while post := next((p for p in self.posts.values() if p.reply_to == last), None):
            found.append(post.text)
            last = post.id
        return found

    # -- the server -----------------------------------------------------------------------------------------------

    def answer(self, got: Received) -> Reply:
        if got.path == "/2/oauth2/token":
            return self._renew(got)
        if not self._is_known(got):
            return problem(401, "about:blank", "Unauthorized")
        if self.limit is not None:
            left, reset = self.limit
            if left <= 0 and self.clock.now() < reset:
                headers = {"x-rate-limit-remaining": "0", "x-rate-limit-reset": str(int(reset.timestamp()))}
                return problem(429, "about:blank", "Too Many Requests", headers=headers)
            self.limit = (left - 1, reset)
        for method, pattern, handler in _ROUTES:
            match = re.fullmatch(pattern, got.path)
            if match and method == got.method:
                reply: Reply = handler(self, got, *match.groups())
                return reply
        return problem(404, "about:blank", "Not Found")

    def _is_known(self, got: Received) -> bool:
        kind, _, token = got.headers.get("authorization", "").partition(" ")
        return token == self.bearer if kind == "Bearer" else _is_signed(got, self.keys)

    def _renew(self, got: Received) -> Reply:
        """Each refresh token is good for once, as X has it."""
        form = got.form()
        if (form.get("grant_type"), form.get("refresh_token")) != ("refresh_token", self.refresh) or not self.refresh:
            return Reply(
                status=400,
                body={"error": "invalid_request", "error_description": "Value passed for the token was invalid."},
            )
        self.renewals += 1
        self.bearer, self.refresh = f"fake-bearer-{self.renewals}", f"fake-refresh-{self.renewals}"
        told = {"token_type": "bearer", "expires_in": 7200, "access_token": self.bearer, "refresh_token": self.refresh}
        return Reply(body=told)

    def _create(self, got: Received) -> Reply:
        wanted = got.json()
        text, parent = wanted.get("text", ""), wanted.get("reply", {}).get("in_reply_to_tweet_id")
        if parent and parent not in self.posts:
            return problem(
                403, "about:blank", "You attempted to reply to a Tweet that is deleted or not visible to you.", code=385
            )
        if text in self.refused:
            return problem(403, "about:blank", "This request looks like it might be automated.", code=226)
        media = tuple(wanted.get("media", {}).get("media_ids", ()))
        if any(id not in self.media or not self._is_ready(self.media[id]) for id in media):
            return problem(400, f"{_PROBLEM}invalid-request", "Your media IDs are invalid.")
        if any(post.text == text and post.reply_to == parent and self._is_recent(post) for post in self.posts.values()):
            return problem(403, "about:blank", "You are not allowed to create a Tweet with duplicate content.")
        post = FakePost(self._new_id(), text, self.clock.now(), parent, media)
        self.posts[post.id] = post
        self.created += 1
        return Reply(
            status=201, body={"data": {"id": post.id, "text": _told(post)["text"], "edit_history_tweet_ids": [post.id]}}
        )

    def _delete(self, got: Received, id: str) -> Reply:
        if self.posts.pop(id, None) is None:
            return problem(404, f"{_PROBLEM}resource-not-found", f"Could not find tweet with id: [{id}].")
        return Reply(body={"data": {"deleted": True}})

    def _get(self, got: Received, id: str) -> Reply:
        if id in self.posts:
            return Reply(body={"data": _told(self.posts[id]) | {"author_id": self.user_id}})
        missing = {"title": "Not Found Error", "type": f"{_PROBLEM}resource-not-found", "resource_id": id}
        return Reply(body={"errors": [missing]})

    def _timeline(self, got: Received, user: str) -> Reply:
        start = got.query.get("start_time")
        earliest = datetime.fromisoformat(start) if start else datetime(2006, 3, 21, tzinfo=UTC)
        return self._page([post for post in self._visible() if post.created_at >= earliest], got)

    def _search(self, got: Received) -> Reply:
        words = [word.lower() for word in got.query["query"].split() if ":" not in word]
        return self._page([p for p in self._visible() if all(word in p.text.lower() for word in words)], got)

    def _page(self, posts: list[FakePost], got: Received) -> Reply:
        size = int(got.query.get("max_results", "10"))
        start = int(got.query.get("pagination_token") or got.query.get("next_token") or "0")
        newest = sorted(posts, key=lambda post: int(post.id), reverse=True)
        page = newest[start : start + size]
        meta: dict[str, Any] = {"result_count": len(page)}
        if start + size < len(newest):
            meta["next_token"] = str(start + size)
        data = {"data": [_told(post) | {"author_id": self.user_id} for post in page]} if page else {}
        return Reply(body={**data, "meta": meta})

    def _me(self, got: Received) -> Reply:
        return Reply(body={"data": {"id": self.user_id, "name": "Fake", "username": "fake"}})

    # -- media ----------------------------------------------------------------------------------------------------

    def _initialize(self, got: Received) -> Reply:
        wanted = got.json()
        media = FakeMedia(self._new_id(), int(wanted["total_bytes"]), wanted["media_category"])
        self.media[media.id] = media
        return Reply(body={"data": {"id": media.id, "media_key": f"3_{media.id}", "expires_after_secs": 86400}})

    def _append(self, got: Received, id: str) -> Reply:
        fields = got.multipart()
        self.media[id].segments[int(fields["segment_index"])] = fields["media"]
        return Reply(body={"data": {"expires_at": 0}})

    def _finalize(self, got: Received, id: str) -> Reply:
        media = self.media[id]
        if sum(map(len, media.segments.values())) != media.total:
            return problem(400, f"{_PROBLEM}invalid-request", "Segments do not add up to provided total file size.")
        media.ready_at = self.clock.now() + self.media_takes
        return self._status_of(media)

    def _status(self, got: Received) -> Reply:
        media = self.media.get(got.query.get("media_id", ""))
        return self._status_of(media) if media else problem(404, f"{_PROBLEM}resource-not-found", "no such media")

    def _status_of(self, media: FakeMedia) -> Reply:
        info: dict[str, Any] = {}
        if self.media_fails:
            info = {"processing_info": {"state": "failed", "error": {"code": 1, "name": "InvalidMedia"}}}
        elif not self._is_ready(media):
            info = {"processing_info": {"state": "in_progress", "check_after_secs": 5, "progress_percent": 50}}
        elif self.media_takes:
            info = {"processing_info": {"state": "succeeded", "progress_percent": 100}}
        return Reply(body={"data": {"id": media.id, "media_key": f"3_{media.id}", **info}})

    def _is_ready(self, media: FakeMedia) -> bool:
        return media.ready_at is not None and self.clock.now() >= media.ready_at and not self.media_fails

    # -- state ----------------------------------------------------------------------------------------------------

    def _visible(self) -> list[FakePost]:
        return [post for post in self.posts.values() if post.created_at + self.read_lag <= self.clock.now()]

    def _is_recent(self, post: FakePost) -> bool:
        return self.clock.now() - post.created_at < self.duplicate_window

    def _new_id(self) -> str:
        """As X makes them: the milliseconds since its epoch, above 22 other bits."""
        milliseconds = int(self.clock.now().timestamp() * 1000) - _EPOCH_MS
        self._last = max(self._last + 1, milliseconds << 22)
        return str(self._last)


_ROUTES: list[tuple[str, str, Any]] = [
    ("POST", r"/2/tweets", FakeTwitter._create),
    ("GET", r"/2/tweets/search/recent", FakeTwitter._search),
    ("DELETE", r"/2/tweets/(\d+)", FakeTwitter._delete),
    ("GET", r"/2/tweets/(\d+)", FakeTwitter._get),
    ("GET", r"/2/users/(\d+)/tweets", FakeTwitter._timeline),
    ("GET", r"/2/users/me", FakeTwitter._me),
    ("POST", r"/2/media/upload/initialize", FakeTwitter._initialize),
    ("POST", r"/2/media/upload/(\d+)/append", FakeTwitter._append),
    ("POST", r"/2/media/upload/(\d+)/finalize", FakeTwitter._finalize),
    ("GET", r"/2/media/upload", FakeTwitter._status),
]


def problem(
    status: int, type: str, detail: str, *, code: int | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """An error as X answers it; with `code` in the form of v1.1 too."""
    body: dict[str, Any] = {"title": detail[:40], "detail": detail, "type": type, "status": status}
    if code is not None:
        body["errors"] = [{"code": code, "message": detail}]
    return Reply(status=status, body=body, headers={"x-transaction-id": "fake-transaction", **(headers or {})})


def _told(post: FakePost) -> dict[str, Any]:
    """The post as the API tells it: links wrapped, entities escaped, one more link for media."""
    urls: list[dict[str, str]] = []

    def wrapped(match: re.Match[str]) -> str:
        link = match[0]
        short = f"https://t.co/{post.id[-6:]}{len(urls)}"
        urls.append({"url": short, "expanded_url": link if link.count("/") > 2 else f"{link}/"})
        return short

    text = html.escape(_LINK.sub(wrapped, unicodedata.normalize("NFC", post.text)), quote=False)
    if post.media_ids:
        short = f"https://t.co/m{post.id[-6:]}"
        text = f"{text} {short}"
        urls.append({"url": short, "expanded_url": f"https://x.com/f/status/{post.id}/photo/1", "media_key": "3_1"})
    told: dict[str, Any] = {"id": post.id, "text": text, "edit_history_tweet_ids": [post.id]}
    told["created_at"] = post.created_at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
    if urls:
        told["entities"] = {"urls": urls}
    if len(text) > _SHORT:  # a subscriber's long post: the whole of it is elsewhere
        told["note_tweet"] = {"text": text, **({"entities": {"urls": urls}} if urls else {})}
        told["text"] = f"{text[: _SHORT - 1]}…"
    if post.reply_to:
        told["referenced_tweets"] = [{"type": "replied_to", "id": post.reply_to}]
    return told


def _is_signed(got: Received, keys: dict[str, str]) -> bool:
    """OAuth 1.0a with HMAC-SHA1 (RFC 5849, 3.4), written down anew: a test of the client must not be the client."""
    kind, _, rest = got.headers.get("authorization", "").partition(" ")
    given = {k: unquote(v.strip('"')) for k, _, v in (pair.strip().partition("=") for pair in rest.split(","))}
    if kind != "OAuth" or given.get("oauth_consumer_key") != keys["consumer_key"]:
        return False
    signature = given.pop("oauth_signature", "")
    pairs = sorted((_percent(k), _percent(v)) for k, v in {**given, **got.query}.items() if k != "realm")
    normal = "&".join(f"{k}={v}" for k, v in pairs)
    base = "&".join((got.method, _percent(HOST + got.path), _percent(normal)))
    secret = f"{_percent(keys['consumer_secret'])}&{_percent(keys['access_token_secret'])}"
    digest = hmac.new(secret.encode(), base.encode(), hashlib.sha1).digest()
    return hmac.compare_digest(base64.b64encode(digest).decode(), signature)


def _percent(text: str) -> str:
    return quote(text, safe="-._~")
