"""What goes into the activities of the connector and what comes out of them. All of it is stored in the instance's history, in clear."""

from datetime import datetime
from typing import Literal

import msgspec

from connectors.core import Mutation

OnAmbiguous = Literal["lookup", "fail", "resend"]
"""When it may have been posted: look in the own timeline and adopt or post again; end with Ambiguous; or post again at once (X itself refuses
the same text twice, for a while)."""


class CreatePost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post of the connection's account."""

    text: str
    """X counts 280 weighted characters (a link is 23, an emoji or a CJK character 2), more for subscribers."""
    reply_to: str | None = None
    """The id of the post that it answers."""
    media_ids: tuple[str, ...] = ()
    """Up to four, from `upload_media`."""
    reply_settings: Literal["following", "mentionedUsers", "subscribers"] | None = None
    """Who may answer. None: everyone."""
    begun: datetime | None = None
    """Give `ctx.now()`: nothing that is older is taken for this call's post. None: when the first delivery that is remembered began."""
    on_ambiguous: OnAmbiguous = "lookup"
    connection: str = "default"


class Reply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An answer to a post. Fields as in CreatePost."""

    to: str
    text: str
    media_ids: tuple[str, ...] = ()
    begun: datetime | None = None
    on_ambiguous: OnAmbiguous = "lookup"
    connection: str = "default"


class Posted(Mutation, frozen=True, kw_only=True):
    """A post that is there."""

    id: str

    @property
    def url(self) -> str:
        return f"https://x.com/i/status/{self.id}"


class PostId(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    connection: str = "default"


class Deleted(Mutation, frozen=True, kw_only=True):
    id: str
    existed: bool
    """False: it was gone already."""


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """A post as X tells it."""

    id: str
    text: str
    """As X stores it: links shortened, `&` as `&amp;`."""
    author_id: str = ""
    created_at: datetime | None = None
    reply_to: str | None = None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Who the connection posts for."""

    id: str
    name: str
    username: str


class Me(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    connection: str = "default"


class Search(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Posts of the last seven days."""

    query: str
    """In X's own syntax: `from:someone launch -is:retweet`."""
    most: int = 10
    """10 to 100 a page; each post that comes back is billed."""
    since_id: str | None = None
    page: str | None = None
    """`next_page` of the page before."""
    connection: str = "default"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    posts: tuple[Post, ...]
    next_page: str | None = None


class UploadMedia(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A file on the worker."""

    path: str
    media_type: str
    """`image/png`, `video/mp4`, ..."""
    category: Literal["tweet_image", "tweet_gif", "tweet_video"] = "tweet_image"
    connection: str = "default"


class Media(Mutation, frozen=True, kw_only=True):
    """Uploaded media. `ready` is what a post that uses it needs."""

    id: str
    state: Literal["ready", "pending", "in_progress", "failed"] = "ready"
    check_after: float = 0.0
    """Seconds until X wants to be asked again."""

    @property
    def ready(self) -> bool:
        return self.state == "ready"


class MediaId(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    connection: str = "default"


class PostThread(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Posts that answer each other, the first one first."""

    texts: tuple[str, ...]
    media_ids: tuple[str, ...] = ()
    """Of the first post."""
    on_failure: Literal["keep", "rollback"] = "keep"
    """When a later post fails for good, or on a cancel: leave the ones there are, or delete those of this run."""
    connection: str = "default"


class Thread(msgspec.Struct, frozen=True, kw_only=True):
    ids: tuple[str, ...]
    replayed: int = 0
    """How many of them were found instead of made."""
