"""Publishing in two phases, as an orchestration: the draft's id is recorded in history before anybody can see the post."""

from connectors.facebook.activities import create_draft, delete_post, publish_draft, upload_photo
from connectors.facebook.models import CreateDraft, PostId, Published, PublishPost, UploadPhoto
from dtf_runtime import OrchestrationContext, Saga, orchestration


@orchestration(name="facebook.publish_post")
async def publish_post(ctx: OrchestrationContext, post: PublishPost) -> Published:
    """Photos, then a draft, then the draft made public. Its custom status says which step it is at.

    Whatever breaks, at most one post is seen: only the recorded draft is ever published. When it fails for good the draft is deleted.
    """
    connection = post.connection
    async with Saga() as saga:
        photos: list[str] = []
        for path in post.photos:
            ctx.set_custom_status({"step": "photos", "done": len(photos), "of": len(post.photos)})
            photo = await saga.do(
                upload_photo(UploadPhoto(path=path, connection=connection)),
                lambda made: delete_post(PostId(id=made.id, connection=connection)),
            )
            photos.append(photo.id)
        ctx.set_custom_status({"step": "draft"})
        wanted = CreateDraft(message=post.message, link=post.link, photo_ids=tuple(photos), connection=connection)
        draft = await saga.do(create_draft(wanted), lambda made: delete_post(PostId(id=made.id, connection=connection)))
        ctx.set_custom_status({"step": "publish", "id": draft.id})
        published = await publish_draft(PostId(id=draft.id, connection=connection))
    ctx.set_custom_status({"step": "done", "id": published.id})
    return published
