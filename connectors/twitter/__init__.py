"""The X connector (Twitter until 2023): posts, threads, replies, media, effectively once. Its errors are those of `connectors.core`.

Importing it loads neither tweepy nor an HTTP library; the first call does.
"""

from connectors.core.connections import settings, variable
from connectors.twitter.activities import create_post, delete_post, get_post, me, reply, search
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.models import (
    Account,
    CreatePost,
    Deleted,
    Found,
    Me,
    Post,
    Posted,
    PostId,
    Reply,
    Search,
)
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "Account",
    "CreatePost",
    "Deleted",
    "Found",
    "Me",
    "Post",
    "PostId",
    "Posted",
    "Reply",
    "Search",
    "TwitterConnection",
    "create_post",
    "delete_post",
    "get_post",
    "me",
    "reply",
    "search",
]

CONNECTOR = ConnectorInfo(
    name="twitter",
    version="1",
    activities=(create_post, reply, delete_post, get_post, me, search),
    connection=TwitterConnection,
    environment={
        variable(TwitterConnection, "default", field.name): str(field.metadata["help"])
        for field in settings(TwitterConnection)
    },
)
