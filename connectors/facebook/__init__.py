"""The Facebook connector: posts of a page in two phases, photos, comments, tokens, webhooks, over the Graph API.

Its errors are those of `connectors.core`, and VersionExpired. Importing it loads no HTTP library; the first call does.
"""

from connectors.core.connections import settings, variable
from connectors.facebook.access import debug_token, exchange_token
from connectors.facebook.activities import create_draft, delete_post, get_post, publish_draft, upload_photo
from connectors.facebook.comments import create_comment, list_comments
from connectors.facebook.credentials import VERSION, FacebookConnection
from connectors.facebook.errors import VersionExpired
from connectors.facebook.models import (
    Change,
    Comment,
    Commented,
    Comments,
    CreateComment,
    CreateDraft,
    Deleted,
    Draft,
    ListComments,
    Photo,
    Post,
    PostId,
    Published,
    PublishPost,
    TokenFacts,
    TokenOf,
    UploadPhoto,
)
from connectors.facebook.waits import publish_post
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "VERSION",
    "Change",
    "Comment",
    "Commented",
    "Comments",
    "CreateComment",
    "CreateDraft",
    "Deleted",
    "Draft",
    "FacebookConnection",
    "ListComments",
    "Photo",
    "Post",
    "PostId",
    "PublishPost",
    "Published",
    "TokenFacts",
    "TokenOf",
    "UploadPhoto",
    "VersionExpired",
    "create_comment",
    "create_draft",
    "debug_token",
    "delete_post",
    "exchange_token",
    "get_post",
    "list_comments",
    "publish_draft",
    "publish_post",
    "upload_photo",
]

CONNECTOR = ConnectorInfo(
    name="facebook",
    version="1",
    activities=(
        create_draft,
        publish_draft,
        upload_photo,
        get_post,
        delete_post,
        create_comment,
        list_comments,
        exchange_token,
        debug_token,
    ),
    orchestrations=(publish_post,),
    connection=FacebookConnection,
    environment={
        variable(FacebookConnection, "default", field.name): str(field.metadata["help"])
        for field in settings(FacebookConnection)
    },
)
