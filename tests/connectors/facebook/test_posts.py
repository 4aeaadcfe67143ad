"""Posts of a page in two phases, through a real worker: one visible post for one call, whatever breaks."""

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.core import AlreadyExists, InvalidRequest, NotFound, using
from connectors.core.loopback import Cut
from connectors.facebook import (
    CreateDraft,
    PostId,
    PublishPost,
    UploadPhoto,
    create_draft,
    delete_post,
    get_post,
    publish_draft,
    publish_post,
    upload_photo,
)
from connectors.facebook.errors import DEFAULT_WAIT
from connectors.facebook.testing import FakeFacebook, refusal
from dtf_runtime import OrchestrationFailedError
from dtf_runtime.testing import TestHub
from tests.connectors.facebook.flows import retract

POST = PublishPost(message="Version 2 & more: ünï©ode = fine?", link="https://example.com/launch")


async def test_a_post_is_published_with_its_link(hub: TestHub, facebook: FakeFacebook) -> None:
    published = await (await hub.client.start(publish_post, POST)).result()
    assert facebook.texts() == [POST.message]
    assert facebook.visible()[0].id == published.id
    assert facebook.visible()[0].link == POST.link


@pytest.mark.parametrize("step", ["/feed", "_"], ids=["draft", "publish"])
@pytest.mark.parametrize("cut", ["refuse", "lose", "half", "502"])
async def test_an_answer_that_breaks_leaves_one_visible_post(
    hub: TestHub, facebook: FakeFacebook, cut: Cut, step: str
) -> None:
    facebook.cut(cut, method="POST", path=step)
    published = await (await hub.client.start(publish_post, POST)).result()
    assert [post.id for post in facebook.visible()] == [published.id]
    assert facebook.published == 1


async def test_two_intended_posts_with_one_text_are_two(hub: TestHub, facebook: FakeFacebook) -> None:
    ids = {(await (await hub.client.start(publish_post, POST)).result()).id for _ in range(2)}
    assert {post.id for post in facebook.visible()} == ids
    assert facebook.published == 2


async def test_a_post_that_can_not_be_published_leaves_no_draft(hub: TestHub, facebook: FakeFacebook) -> None:
    facebook.plan(refusal(368, "The action attempted has been deemed abusive"), method="POST", path="_")
    handle = await hub.client.start(publish_post, POST)
    with pytest.raises(OrchestrationFailedError):
        await handle.result()
    assert facebook.posts == {}


async def test_photos_belong_to_the_post(hub: TestHub, facebook: FakeFacebook, tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("one.jpg", "two.jpg")]
    for number, path in enumerate(paths):
        path.write_bytes(b"\xff\xd8\r\n--" + bytes(range(256)) * (number + 1))
    facebook.cut("lose", path="/photos")
    wanted = PublishPost(message="Two", photos=tuple(map(str, paths)))
    await (await hub.client.start(publish_post, wanted)).result()
    (post,) = facebook.visible()
    assert [facebook.photos[id] for id in post.photos] == [path.read_bytes() for path in paths]


async def test_a_failed_post_takes_its_photos_along(hub: TestHub, facebook: FakeFacebook, tmp_path: Path) -> None:
    (tmp_path / "one.jpg").write_bytes(b"\xff\xd8")
    facebook.plan(refusal(506, "Duplicate status message"), path="/feed")
    handle = await hub.client.start(publish_post, PublishPost(message="x", photos=(str(tmp_path / "one.jpg"),)))
    with pytest.raises(OrchestrationFailedError) as raised:
        await handle.result()
    assert raised.value.failure.is_caused_by(AlreadyExists)
    assert (facebook.photos, facebook.posts) == ({}, {})


async def test_a_limit_is_waited_for_as_long_as_facebook_estimates(hub: TestHub, facebook: FakeFacebook) -> None:
    usage = '{"112233445566778": [{"type": "pages", "call_count": 100, "estimated_time_to_regain_access": 19}]}'
    facebook.plan(refusal(80001, "There have been too many calls", headers={"x-business-use-case-usage": usage}))
    facebook.plan(refusal(4, "Application request limit reached"))
    began = hub.now()
    await (await hub.client.start(publish_post, POST)).result()
    waited = hub.now() - began
    assert timedelta(minutes=19, seconds=DEFAULT_WAIT) <= waited <= timedelta(minutes=20, seconds=DEFAULT_WAIT)
    assert facebook.published == 1


async def test_a_draft_is_seen_by_nobody_until_it_is_published(facebook: FakeFacebook) -> None:
    with using(facebook.connection()):
        draft = await create_draft(CreateDraft(message="Soon"))
        assert facebook.texts() == []
        assert not (await get_post(PostId(id=draft.id))).is_published
        assert not (await publish_draft(PostId(id=draft.id))).replayed
        assert (await publish_draft(PostId(id=draft.id))).replayed
        told = await get_post(PostId(id=draft.id))
    assert (told.message, told.is_published) == ("Soon", True)
    assert told.created_at == facebook.clock.now().replace(microsecond=0)


async def test_deleting_what_is_gone_is_a_success(hub: TestHub, facebook: FakeFacebook) -> None:
    with using(facebook.connection()):
        draft = await create_draft(CreateDraft(message="Oops"))
    facebook.cut("lose", method="DELETE")
    deleted = await (await hub.client.start(retract, draft.id)).result()
    assert (deleted.existed, facebook.posts) == (False, {})


async def test_a_draft_that_is_gone_can_not_be_published(facebook: FakeFacebook) -> None:
    with using(facebook.connection()):
        draft = await create_draft(CreateDraft(message="Oops"))
        assert (await delete_post(PostId(id=draft.id))).existed
        with pytest.raises(NotFound):
            await publish_draft(PostId(id=draft.id))


async def test_what_can_not_be_right_is_not_sent(facebook: FakeFacebook, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    with using(facebook.connection()):
        with pytest.raises(InvalidRequest):
            await create_draft(CreateDraft())
        with pytest.raises(InvalidRequest):
            await upload_photo(UploadPhoto(path=str(tmp_path / "empty.jpg")))
        with pytest.raises(InvalidRequest):
            await upload_photo(UploadPhoto(path=str(tmp_path / "missing.jpg")))
    assert facebook.received == []
