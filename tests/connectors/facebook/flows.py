"""The orchestrations that the tests of the Facebook connector run."""

from connectors.facebook import (
    Commented,
    CreateComment,
    Deleted,
    PostId,
    create_comment,
    create_draft,
    debug_token,
    delete_post,
    exchange_token,
    get_post,
    list_comments,
    publish_draft,
    publish_post,
    upload_photo,
)
from dtf_runtime import OrchestrationContext, Registry, orchestration

registry = Registry(
    create_draft, publish_draft, upload_photo, get_post, delete_post, create_comment, list_comments, exchange_token
).add(debug_token, publish_post)


@orchestration(name="tests.facebook.comment", registry=registry)
async def comment(ctx: OrchestrationContext, wanted: CreateComment) -> Commented:
    return await create_comment(
        CreateComment(to=wanted.to, message=wanted.message, on_ambiguous=wanted.on_ambiguous, begun=ctx.now())
    )


@orchestration(name="tests.facebook.retract", registry=registry)
async def retract(ctx: OrchestrationContext, id: str) -> Deleted:
    return await delete_post(PostId(id=id))
