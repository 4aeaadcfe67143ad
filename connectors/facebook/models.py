"""What goes into the activities of the connector and what comes out of them. All of it is stored in the instance's history, in clear."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from connectors.core import Mutation

OnAmbiguous = Literal["lookup", "fail", "resend"]


class CreateDraft(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post of the page that nobody sees until it is published."""

    message: str = ""
    link: str | None = None
    photo_ids: tuple[str, ...] = ()
    """From `upload_photo`."""
    connection: str = "default"


class Draft(Mutation, frozen=True, kw_only=True):
    id: str
    """`{page}_{post}`, which stays the same when it is published."""


class PostId(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    id: str
    connection: str = "default"


class Published(Mutation, frozen=True, kw_only=True):
    id: str

    @property
    def url(self) -> str:
        return f"https://www.facebook.com/{self.id}"


class PublishPost(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A post of the page: text, a link, photos of the worker."""

    message: str = ""
    link: str | None = None
    photos: tuple[str, ...] = ()
    """Paths on the worker."""
    connection: str = "default"


class UploadPhoto(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A photo for a post to come; seen by nobody until then."""

    path: str
    """On the worker; up to 10 MB."""
    connection: str = "default"


class Photo(Mutation, frozen=True, kw_only=True):
    id: str


class Post(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    message: str = ""
    created_at: datetime | None = None
    is_published: bool = True
    url: str = ""


class Deleted(Mutation, frozen=True, kw_only=True):
    id: str
    existed: bool
    """False: it was gone already."""


class CreateComment(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A comment by the page, on a post or as an answer to a comment."""

    to: str
    message: str
    begun: datetime | None = None
    """Give `ctx.now()`: nothing that is older is taken for this call's comment."""
    on_ambiguous: OnAmbiguous = "lookup"
    connection: str = "default"


class Commented(Mutation, frozen=True, kw_only=True):
    id: str


class ListComments(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    of: str
    most: int = 100
    after: str | None = None
    """`next_page` of the page before."""
    connection: str = "default"


class Comment(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    message: str = ""
    created_at: datetime | None = None
    author_id: str = ""
    author: str = ""


class Comments(msgspec.Struct, frozen=True, kw_only=True):
    comments: tuple[Comment, ...]
    next_page: str | None = None


class TokenOf(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    connection: str = "default"


class TokenFacts(Mutation, frozen=True, kw_only=True):
    """About the connection's token; never the token."""

    valid: bool
    expires_at: datetime | None = None
    """None: never."""
    data_access_expires_at: datetime | None = None
    scopes: tuple[str, ...] = ()
    type: str = ""
    """`PAGE`, `USER`, ..."""
    app_id: str = ""
    profile_id: str = ""
    """The page that it is for."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One change that a webhook told."""

    page_id: str
    field: str
    """`feed`, `mention`, ..."""
    value: dict[str, Any]
    time: datetime | None = None

    @property
    def is_comment(self) -> bool:
        return self.field == "feed" and self.value.get("item") == "comment" and self.value.get("verb") == "add"
