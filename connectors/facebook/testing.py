"""The Graph API with one page on this machine, for tests and offline examples: drafts, photos, comments, tokens, versions, limits.

with FakeFacebook() as facebook, using(facebook.connection()):
    ...
assert facebook.texts() == ["Hello"]
"""

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.core import Secret
from connectors.core.connections import variable
from connectors.core.loopback import Loopback, Received, Reply
from connectors.facebook.credentials import VERSION, FacebookConnection
from dtf_runtime.clock import REAL_CLOCK, Clock


@dataclass
class FakePost:
    id: str
    message: str
    created_at: datetime
    published: bool = False
    link: str = ""
    photos: list[str] = field(default_factory=list)


@dataclass
class FakeComment:
    id: str
    to: str
    message: str
    created_at: datetime
    author: str


class FakeFacebook(Loopback):
    """`serves`: the version that answers say they are in. `read_lag`: how long a new comment is missing from lists."""

    page_id = "112233445566778"
    app_id = "998877665544332"
    page_token = "EAAfake0page0token0of0nobody"
    long_token = "EAAfake0long0lived0token0of0nobody"
    app_secret = "fake0app0secret0of0nobody"
    verify_token = "fake-verify-token"

    def __init__(self, clock: Clock = REAL_CLOCK, *, read_lag: timedelta = timedelta(0)) -> None:
        super().__init__(clock)
        self.serves = VERSION
        self.read_lag = read_lag
        self.posts: dict[str, FakePost] = {}
        self.photos: dict[str, bytes] = {}
        self.comments: dict[str, FakeComment] = {}
        self.published = 0
        """How many posts were ever made public: what a test counts."""
        self._last = 1000

    def connection(
        self, name: str = "default", *, tokens: Path | None = None, timeout: float = 30.0, claims: Path | None = None
    ) -> FacebookConnection:
        return FacebookConnection(
            name=name,
            page_id=self.page_id,
            page_token=Secret(self.page_token),
            app_id=self.app_id,
            app_secret=Secret(self.app_secret),
            verify_token=Secret(self.verify_token),
            base_url=self.url,
            tokens=tokens,
            timeout=timeout,
            claims=claims,
        )

    def environment(self, name: str = "default") -> dict[str, str]:
        """The variables that lead another process here."""
        names = ("page_id", "page_token", "app_id", "app_secret", "verify_token")
        fields = {"base_url": self.url, **{field: str(getattr(self, field)) for field in names}}
        return {variable(FacebookConnection, name, field): value for field, value in fields.items()}

    def visible(self) -> list[FakePost]:
        """What the page shows, oldest first."""
        return [post for post in self.posts.values() if post.published]

    def texts(self) -> list[str]:
        return [post.message for post in self.visible()]

    # -- the server -----------------------------------------------------------------------------------------------

    def answer(self, got: Received) -> Reply:
        reply = self._answer(got)
        return Reply(
            status=reply.status, body=reply.body, headers={"facebook-api-version": self.serves, **reply.headers}
        )

    def _answer(self, got: Received) -> Reply:
        token = got.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in (self.page_token, self.long_token, f"{self.app_id}|{self.app_secret}"):
            return refusal(190, "Invalid OAuth access token.", status=401)
        proof = hmac.new(self.app_secret.encode(), token.encode(), hashlib.sha256).hexdigest()
        if got.query.get("appsecret_proof", proof) != proof:
            return refusal(100, "Invalid appsecret_proof provided in the API argument")
        path = got.path.removeprefix(f"/{VERSION}")
        for method, pattern, handler in _ROUTES:
            match = re.fullmatch(pattern, path)
            if match and method == got.method:
                reply: Reply = handler(self, got, *match.groups())
                return reply
        return refusal(2500, "Unknown path components")

    def _feed(self, got: Received, page: str) -> Reply:
        form = got.form()
        if page != self.page_id:
            return refusal(100, f"Object with ID '{page}' does not exist", subcode=33)
        photos = re.findall(r'"media_fbid":\s*"(\d+)"', " ".join(form.values()))
        if any(photo not in self.photos for photo in photos):
            return refusal(324, "Missing or invalid image file")
        post = FakePost(
            f"{page}_{self._new()}", form.get("message", ""), self.clock.now(), link=form.get("link", ""), photos=photos
        )
        self.posts[post.id] = post
        if form.get("published", "true") != "false":
            self._publish(post)
        return Reply(body={"id": post.id})

    def _update(self, got: Received, id: str) -> Reply:
        if id not in self.posts:
            return refusal(100, f"Object with ID '{id}' does not exist", subcode=33)
        if got.form().get("is_published") == "true":
            self._publish(self.posts[id])
        return Reply(body={"success": True})

    def _publish(self, post: FakePost) -> None:
        self.published += not post.published
        post.published = True

    def _photos(self, got: Received, page: str) -> Reply:
        photo = str(self._new())
        self.photos[photo] = got.multipart()["source"]
        return Reply(body={"id": photo})

    def _get(self, got: Received, id: str) -> Reply:
        post = self.posts.get(id)
        if post is None:
            return refusal(100, f"Object with ID '{id}' does not exist", subcode=33)
        told = {
            "id": id,
            "message": post.message,
            "created_time": _told(post.created_at),
            "is_published": post.published,
        }
        told["permalink_url"] = f"https://www.facebook.com/{id}"
        wanted = {"id", *got.query.get("fields", "id").split(",")}
        return Reply(body={name: value for name, value in told.items() if name in wanted})

    def _delete(self, got: Received, id: str) -> Reply:
        for kept in (self.posts, self.comments, self.photos):
            if kept.pop(id, None) is not None:
                return Reply(body={"success": True})
        return refusal(100, f"Object with ID '{id}' does not exist", subcode=33)

    def _comment(self, got: Received, id: str) -> Reply:
        if id not in self.posts and id not in self.comments:
            return refusal(100, f"Object with ID '{id}' does not exist", subcode=33)
        return Reply(body={"id": self.add_comment(id, got.form()["message"], author=self.page_id)})

    def add_comment(self, to: str, message: str, *, author: str = "555") -> str:
        """As somebody writes one. Its id."""
        comment = FakeComment(f"{to.rpartition('_')[2]}_{self._new()}", to, message, self.clock.now(), author)
        self.comments[comment.id] = comment
        return comment.id

    def _list(self, got: Received, id: str) -> Reply:
        now = self.clock.now()
        found = [c for c in self.comments.values() if c.to == id and c.created_at + self.read_lag <= now]
        if got.query.get("order") == "reverse_chronological":
            found.reverse()
        start, size = int(got.query.get("after", "0")), int(got.query.get("limit", "25"))
        data = [
            {
                "id": c.id,
                "message": c.message,
                "created_time": _told(c.created_at),
                "from": {"id": c.author, "name": "N"},
            }
            for c in found[start : start + size]
        ]
        paging: dict[str, Any] = {"cursors": {"after": str(start + size)}}
        if start + size < len(found):
            paging["next"] = "https://graph.facebook.com/next"
        return Reply(body={"data": data, "paging": paging})

    def _exchange(self, got: Received) -> Reply:
        if (got.query.get("client_id"), got.query.get("client_secret")) != (self.app_id, self.app_secret):
            return refusal(1, "Error validating client secret.", status=400)
        return Reply(body={"access_token": self.long_token, "token_type": "bearer", "expires_in": 5_184_000})

    def _debug(self, got: Received) -> Reply:
        token = got.query.get("input_token")
        ends = int(self.clock.now().timestamp()) + (5_184_000 if token == self.long_token else 3_600)
        facts: dict[str, Any] = {"app_id": self.app_id, "type": "PAGE", "is_valid": True, "expires_at": ends}
        facts |= {"scopes": ["pages_manage_posts", "pages_read_engagement"], "profile_id": self.page_id}
        return Reply(body={"data": facts if token in (self.page_token, self.long_token) else {"is_valid": False}})

    def _new(self) -> int:
        self._last += 1
        return self._last


_ID = r"/([\d_]+)"
_ROUTES: list[tuple[str, str, Any]] = [
    ("GET", r"/oauth/access_token", FakeFacebook._exchange),
    ("GET", r"/debug_token", FakeFacebook._debug),
    ("POST", rf"{_ID}/feed", FakeFacebook._feed),
    ("POST", rf"{_ID}/photos", FakeFacebook._photos),
    ("POST", rf"{_ID}/comments", FakeFacebook._comment),
    ("GET", rf"{_ID}/comments", FakeFacebook._list),
    ("POST", _ID, FakeFacebook._update),
    ("GET", _ID, FakeFacebook._get),
    ("DELETE", _ID, FakeFacebook._delete),
]


def refusal(
    code: int, message: str, *, status: int = 400, subcode: int | None = None, headers: dict[str, str] | None = None
) -> Reply:
    """An error as the Graph API answers it."""
    error: dict[str, Any] = {"message": message, "type": "OAuthException", "code": code, "fbtrace_id": "Afake"}
    if subcode is not None:
        error["error_subcode"] = subcode
    return Reply(status=status, body={"error": error}, headers=headers or {})


def _told(instant: datetime) -> str:
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
