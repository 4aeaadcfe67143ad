"""What takes more than one call: a thread, which goes on in the middle, and media that X is still working on."""

import asyncio
from datetime import timedelta

import msgspec

from connectors.core import InvalidRequest, Permanent
from connectors.twitter.activities import create_post, delete_post
from connectors.twitter.media import get_media_status
from connectors.twitter.models import CreatePost, Media, MediaId, PostId, PostThread, Thread
from dtf_runtime import OrchestrationContext, Saga, orchestration


class MediaTimedOut(Permanent):
    """X was still working on the media at the deadline."""


MediaTimedOut.__module__ = "connectors.twitter"


class WaitForMedia(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    timeout: float = 600.0
    """Seconds from the first turn to the deadline."""
    connection: str = "default"


@orchestration(name="twitter.post_thread")
async def post_thread(ctx: OrchestrationContext, thread: PostThread) -> Thread:
    """Posts that answer each other. Each is a step of its own: after a crash it goes on with the first one that is missing.

    Its custom status says how far it is. Fails with what `create_post` raises; with `on_failure="rollback"` the posts of this run are deleted
    then, the last one first. Cost: that of its posts.
    """
    if not thread.texts:
        raise InvalidRequest("a thread needs a text")
    ids: list[str] = []
    replayed = 0
    async with Saga() as saga:
        for number, text in enumerate(thread.texts):
            ctx.set_custom_status({"posted": number, "of": len(thread.texts), "ids": list(ids)})
            wanted = CreatePost(
                text=text,
                reply_to=ids[-1] if ids else None,
                media_ids=() if ids else thread.media_ids,
                begun=ctx.now(),
                connection=thread.connection,
            )
            if thread.on_failure == "keep":
                posted = await create_post(wanted)
            else:
                posted = await saga.do(
                    create_post(wanted),
                    lambda made: delete_post(PostId(id=made.id, connection=thread.connection)),
                )
            ids.append(posted.id)
            replayed += posted.replayed
    ctx.set_custom_status({"posted": len(ids), "of": len(thread.texts), "ids": list(ids)})
    return Thread(ids=tuple(ids), replayed=replayed)


@orchestration(name="twitter.wait_for_media")
async def wait_for_media(ctx: OrchestrationContext, wait: WaitForMedia) -> Media:
    """Asks when X wants to be asked, until a post may use the media. Raises Permanent when X could not process it, MediaTimedOut."""
    deadline = ctx.now() + timedelta(seconds=wait.timeout)
    while True:
        media = await get_media_status(MediaId(id=wait.id, connection=wait.connection))
        if media.ready:
            return media
        left = (deadline - ctx.now()).total_seconds()
        if left <= 0:
            raise MediaTimedOut(f"media {wait.id} was still {media.state} after {wait.timeout:g} s", code="media")
        await asyncio.sleep(min(max(media.check_after, 1.0), left))
