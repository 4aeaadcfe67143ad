"""The X connector (Twitter until 2023): posts, threads, replies, media, effectively once. Its errors are those of `connectors.core`.

Importing it loads neither tweepy nor an HTTP library; the first call does.
"""

from connectors.core.connections import settings, variable
from connectors.twitter.activities import create_post, delete_post, get_post, me, reply, search
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.media import get_media_status, upload_media
from connectors.twitter.models import (
    Account,
    CreatePost,
    Deleted,
    Found,
    Me,
    Media,
    MediaId,
    Post,
    Posted,
    PostId,
    PostThread,
    Reply,
    Search,
    Thread,
    UploadMedia,
)
from connectors.twitter.waits import MediaTimedOut, WaitForMedia, post_thread, wait_for_media
from dtf_runtime import ConnectorInfo

__all__ = [
    "CONNECTOR",
    "Account",
    "CreatePost",
    "Deleted",
    "Found",
    "Me",
    "Media",
    "MediaId",
    "MediaTimedOut",
    "Post",
    "PostId",
    "PostThread",
    "Posted",
    "Reply",
    "Search",
    "Thread",
    "TwitterConnection",
    "UploadMedia",
    "WaitForMedia",
    "create_post",
    "delete_post",
    "get_media_status",
    "get_post",
    "me",
    "post_thread",
    "reply",
    "search",
    "upload_media",
    "wait_for_media",
]

CONNECTOR = ConnectorInfo(
    name="twitter",
    version="1",
    activities=(create_post, reply, delete_post, get_post, me, search, upload_media, get_media_status),
    orchestrations=(post_thread, wait_for_media),
    connection=TwitterConnection,
    environment={
        variable(TwitterConnection, "default", field.name): str(field.metadata["help"])
        for field in settings(TwitterConnection)
    },
)
