"""Comments by the page, once each, and the token's activities."""

from datetime import timedelta
from pathlib import Path

import pytest

from connectors.core import Ambiguous, ConnectionMissing, Secret, using
from connectors.core.loopback import Cut
from connectors.facebook import (
    CreateComment,
    CreateDraft,
    ListComments,
    TokenOf,
    create_comment,
    create_draft,
    debug_token,
    exchange_token,
    list_comments,
)
from connectors.facebook.testing import FakeFacebook
from dtf_runtime.testing import TestHub
from tests.connectors.facebook.flows import comment


@pytest.fixture
async def post(facebook: FakeFacebook) -> str:
    with using(facebook.connection()):
        return (await create_draft(CreateDraft(message="Post"))).id


def thanks(post: str) -> CreateComment:
    return CreateComment(to=post, message="Thank you, Åsa & all!")


@pytest.mark.parametrize("cut", ["refuse", "lose", "half", "502"])
async def test_an_answer_that_breaks_leaves_one_comment(
    hub: TestHub, facebook: FakeFacebook, post: str, cut: Cut
) -> None:
    facebook.add_comment(post, thanks(post).message)  # somebody else wrote the same
    facebook.cut(cut, method="POST", path="/comments")
    began = hub.now()
    done = await (await hub.client.start(comment, thanks(post))).result()
    assert cut == "refuse" or hub.now() == began  # it was looked for at once
    own = [c.id for c in facebook.comments.values() if c.author == facebook.page_id]
    assert own == [done.id]
    assert done.replayed == (cut != "refuse")


async def test_a_list_that_lags_is_waited_for_by_a_durable_timer(
    hub: TestHub, facebook: FakeFacebook, post: str
) -> None:
    facebook.read_lag = timedelta(seconds=12)
    facebook.cut("lose", method="POST", path="/comments")
    done = await (await hub.client.start(comment, thanks(post))).result()
    assert done.replayed
    assert list(facebook.comments) == [done.id]


@pytest.mark.parametrize("cut", ["lose", None])
async def test_two_intended_comments_with_one_text_are_two(
    hub: TestHub, facebook: FakeFacebook, post: str, cut: Cut | None
) -> None:
    if cut:
        facebook.cut(cut, method="POST", path="/comments", times=2)
    handles = [await hub.client.start(comment, thanks(post)) for _ in range(2)]
    assert {(await handle.result()).id for handle in handles} == set(facebook.comments)
    assert len(facebook.comments) == 2


async def test_a_comment_that_the_page_made_earlier_is_not_adopted(
    hub: TestHub, facebook: FakeFacebook, post: str
) -> None:
    earlier = facebook.add_comment(post, thanks(post).message, author=facebook.page_id)
    await hub.advance(timedelta(minutes=1))
    done = await (await hub.client.start(comment, thanks(post))).result()
    assert done.id != earlier
    assert not done.replayed


async def test_the_policy_fail_ends_with_ambiguous(facebook: FakeFacebook, post: str) -> None:
    facebook.cut("lose", method="POST", path="/comments")
    with using(facebook.connection()), pytest.raises(Ambiguous):
        await create_comment(CreateComment(to=post, message="Hello", on_ambiguous="fail"))


async def test_comments_are_listed_page_by_page(facebook: FakeFacebook, post: str) -> None:
    for number in range(5):
        facebook.add_comment(post, f"comment {number}")
    with using(facebook.connection()):
        first = await list_comments(ListComments(of=post, most=3))
        second = await list_comments(ListComments(of=post, most=3, after=first.next_page))
    assert [c.message for c in first.comments + second.comments] == [f"comment {number}" for number in range(5)]
    assert second.next_page is None


# -- tokens


async def test_an_exchanged_token_is_kept_and_used_and_never_given_back(facebook: FakeFacebook, tmp_path: Path) -> None:
    connection = facebook.connection(tokens=tmp_path / "tokens")
    with using(connection):
        short = await debug_token(TokenOf())
        long = await exchange_token(TokenOf())
        await create_draft(CreateDraft(message="With the new one"))
    assert short.expires_at is not None
    assert long.expires_at is not None
    assert long.expires_at - short.expires_at > timedelta(days=50)
    assert (long.valid, long.profile_id, long.type) == (True, facebook.page_id, "PAGE")
    assert facebook.received[-1].headers["authorization"] == f"Bearer {facebook.long_token}"
    assert facebook.long_token not in repr((short, long))


async def test_without_a_folder_no_token_is_exchanged_in_vain(facebook: FakeFacebook) -> None:
    with using(facebook.connection()), pytest.raises(ConnectionMissing, match="tokens"):
        await exchange_token(TokenOf())
    assert facebook.received == []


async def test_each_call_is_proved_with_the_apps_secret(facebook: FakeFacebook, post: str) -> None:
    assert len(facebook.received[-1].query["appsecret_proof"]) == 64
    assert facebook.received[-1].query["appsecret_proof"] == facebook.connection().proof(Secret(facebook.page_token))
