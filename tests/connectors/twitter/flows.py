"""The orchestrations that the tests of the X connector run."""

import msgspec

from connectors.twitter import (
    CreatePost,
    Deleted,
    Media,
    PostId,
    PostThread,
    UploadMedia,
    WaitForMedia,
    create_post,
    delete_post,
    get_media_status,
    get_post,
    me,
    post_thread,
    reply,
    search,
    upload_media,
    wait_for_media,
)
from dtf_runtime import OrchestrationContext, Registry, TaskFailedError, orchestration

registry = Registry(
    create_post, delete_post, get_post, me, reply, search, upload_media, get_media_status, post_thread, wait_for_media
)


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    id: str = ""
    adopted: bool = False
    error: str = ""
    code: str = ""


@orchestration(name="tests.twitter.announce", registry=registry)
async def announce(ctx: OrchestrationContext, wanted: CreatePost) -> Outcome:
    try:
        posted = await create_post(msgspec.structs.replace(wanted, begun=ctx.now()))
    except TaskFailedError as error:
        kind = error.failure.type.rpartition(".")[2]
        return Outcome(error=kind, code=str(error.failure.properties.get("code", "")))
    return Outcome(id=posted.id, adopted=posted.replayed)


@orchestration(name="tests.twitter.retract", registry=registry)
async def retract(ctx: OrchestrationContext, id: str) -> Deleted:
    return await delete_post(PostId(id=id))


@orchestration(name="tests.twitter.show", registry=registry)
async def show(ctx: OrchestrationContext, upload: UploadMedia) -> tuple[Media, Outcome]:
    media = await upload_media(upload)
    if not media.ready:
        media = await wait_for_media(WaitForMedia(id=media.id))
    posted = await create_post(CreatePost(text="Look", media_ids=(media.id,), begun=ctx.now()))
    return media, Outcome(id=posted.id, adopted=posted.replayed)


THREAD = PostThread(texts=("One", "Two & more https://example.com/launch", "Three"))
