"""Threads, replies, deletes, reads, search and media of the X connector, through a real worker."""

from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from connectors.core import InvalidRequest, NotFound, Permanent, using
from connectors.core.loopback import Cut
from connectors.twitter import (
    CreatePost,
    Me,
    PostId,
    Reply,
    Search,
    UploadMedia,
    create_post,
    delete_post,
    get_post,
    me,
    post_thread,
    reply,
    search,
    upload_media,
)
from connectors.twitter import media as uploading
from connectors.twitter.testing import FakeTwitter
from dtf_runtime import OrchestrationFailedError
from dtf_runtime.testing import TestHub
from tests.connectors.twitter.flows import THREAD, retract, show

# -- threads


async def test_a_thread_answers_itself_in_order(hub: TestHub, x: FakeTwitter) -> None:
    thread = await (await hub.client.start(post_thread, THREAD)).result()
    assert x.thread() == list(THREAD.texts)
    assert thread.ids == tuple(x.posts)
    assert thread.replayed == 0


@pytest.mark.parametrize("cut", ["refuse", "lose", "half", "502"])
async def test_a_thread_that_breaks_at_each_post_has_each_post_once(hub: TestHub, x: FakeTwitter, cut: Cut) -> None:
    x.cut(cut, method="POST", path="/2/tweets", times=1)
    thread = await (await hub.client.start(post_thread, THREAD)).result()
    assert x.thread() == list(THREAD.texts)
    assert x.created == 3
    assert thread.ids == tuple(x.posts)


async def test_a_thread_that_failed_in_the_middle_goes_on_there_when_it_is_rewound(
    hub: TestHub, x: FakeTwitter
) -> None:
    x.refuse_text(THREAD.texts[1])
    handle = await hub.client.start(post_thread, THREAD)
    with pytest.raises(OrchestrationFailedError):
        await handle.result()
    assert x.texts() == ["One"]
    x.refused.clear()
    await hub.client.rewind(handle.instance_id, "X takes it now")
    assert (await handle.result()).ids == tuple(x.posts)
    assert x.thread() == list(THREAD.texts)
    assert x.created == 3


async def test_a_thread_with_rollback_leaves_nothing(hub: TestHub, x: FakeTwitter) -> None:
    x.refuse_text(THREAD.texts[2])
    handle = await hub.client.start(post_thread, msgspec.structs.replace(THREAD, on_failure="rollback"))
    with pytest.raises(OrchestrationFailedError):
        await handle.result()
    assert x.created == 2
    assert x.posts == {}


async def test_an_empty_thread_is_refused(hub: TestHub, x: FakeTwitter) -> None:
    handle = await hub.client.start(post_thread, msgspec.structs.replace(THREAD, texts=()))
    with pytest.raises(OrchestrationFailedError, match="a thread needs a text"):
        await handle.result()
    assert x.received == []


# -- single calls


async def test_a_reply_belongs_to_its_post(x: FakeTwitter) -> None:
    with using(x.connection()):
        first = await create_post(CreatePost(text="Question?"))
        answer = await reply(Reply(to=first.id, text="Answer."))
        told = await get_post(PostId(id=answer.id))
    assert (told.text, told.reply_to, told.author_id) == ("Answer.", first.id, x.user_id)
    assert told.created_at == x.posts[answer.id].created_at.replace(microsecond=0)


async def test_deleting_what_is_gone_is_a_success(hub: TestHub, x: FakeTwitter) -> None:
    with using(x.connection()):
        made = await create_post(CreatePost(text="Oops"))
    x.cut("lose", method="DELETE")
    deleted = await (await hub.client.start(retract, made.id)).result()
    assert (deleted.existed, x.posts) == (False, {})


async def test_a_delete_says_that_it_was_there(x: FakeTwitter) -> None:
    with using(x.connection()):
        made = await create_post(CreatePost(text="Oops"))
        assert (await delete_post(PostId(id=made.id))).existed


async def test_a_post_that_is_not_there_is_not_found(x: FakeTwitter) -> None:
    with using(x.connection()), pytest.raises(NotFound):
        await get_post(PostId(id="20"))


async def test_me_is_the_account_of_the_token(x: FakeTwitter) -> None:
    with using(x.connection()):
        assert (await me(Me())).id == x.user_id


async def test_a_search_goes_from_page_to_page(x: FakeTwitter) -> None:
    with using(x.connection()):
        for number in range(12):
            await create_post(CreatePost(text=f"launch {number}"))
        await create_post(CreatePost(text="something else"))
        first = await search(Search(query="launch"))
        second = await search(Search(query="launch", page=first.next_page))
    assert [post.text for post in first.posts + second.posts] == [f"launch {number}" for number in range(11, -1, -1)]
    assert second.next_page is None


# -- media


@pytest.fixture
def picture(tmp_path: Path) -> UploadMedia:
    path = tmp_path / "picture.png"
    path.write_bytes(b"\x89PNG" + bytes(range(256)) * 20)
    return UploadMedia(path=str(path), media_type="image/png")


async def test_a_picture_is_uploaded_and_posted(hub: TestHub, x: FakeTwitter, picture: UploadMedia) -> None:
    uploaded, outcome = await (await hub.client.start(show, picture)).result()
    assert b"".join(x.media[uploaded.id].segments.values()) == Path(picture.path).read_bytes()
    assert x.posts[outcome.id].media_ids == (uploaded.id,)


async def test_a_post_with_media_is_recognised_in_the_timeline(
    hub: TestHub, x: FakeTwitter, picture: UploadMedia
) -> None:
    x.cut("lose", method="POST", path="/2/tweets")
    _, outcome = await (await hub.client.start(show, picture)).result()
    assert outcome.adopted
    assert x.created == 1


async def test_a_video_is_waited_for_until_x_has_processed_it(
    hub: TestHub, x: FakeTwitter, picture: UploadMedia
) -> None:
    x.media_takes = timedelta(seconds=12)
    began = hub.now()
    uploaded, outcome = await (await hub.client.start(show, picture)).result()
    assert x.posts[outcome.id].media_ids == (uploaded.id,)
    assert hub.now() - began >= timedelta(seconds=12)


async def test_an_upload_that_breaks_goes_on_with_the_segment_it_was_at(
    hub: TestHub, x: FakeTwitter, picture: UploadMedia, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploading, "SEGMENT", 1_000)
    x.cut("lose", path="/append", times=1)
    x.cut("half", path="/finalize", times=1)
    uploaded, _ = await (await hub.client.start(show, picture)).result()
    assert len(x.media) == 1
    assert b"".join(x.media[uploaded.id].segments.values()) == Path(picture.path).read_bytes()
    appends = [got for got in x.received if got.path.endswith("/append")]
    assert len(appends) == len(x.media[uploaded.id].segments) + 1


async def test_media_that_x_can_not_process_fail_for_good(x: FakeTwitter, picture: UploadMedia) -> None:
    x.media_fails = True
    with using(x.connection()), pytest.raises(Permanent, match="InvalidMedia"):
        await upload_media(picture)


async def test_a_file_that_is_not_there_is_not_uploaded(x: FakeTwitter, picture: UploadMedia) -> None:
    with using(x.connection()), pytest.raises(InvalidRequest):
        await upload_media(msgspec.structs.replace(picture, path="/nowhere/at.all"))
    assert x.received == []
