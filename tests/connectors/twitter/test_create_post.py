"""`twitter.create_post` through a real worker and the real tweepy: one post for one call, whatever happens to the answer."""

from datetime import timedelta

import pytest

from connectors.core import AlreadyExists, Ambiguous, InvalidRequest, using
from connectors.core.claims import claims_of
from connectors.core.loopback import Cut
from connectors.twitter import CreatePost, create_post
from connectors.twitter.publishing import READ_LAG
from connectors.twitter.testing import FakePost, FakeTwitter, problem
from dtf_runtime.testing import TestHub
from tests.connectors.twitter.flows import Outcome, announce

TEXT = "Hello & welcome to version 2: https://example.com and <https://example.com/notes/>"
POSTS = "/2/tweets"


async def announced(hub: TestHub, wanted: CreatePost | str = TEXT) -> Outcome:
    post = CreatePost(text=wanted) if isinstance(wanted, str) else wanted
    handle = await hub.client.start(announce, post)
    return await handle.result()


async def test_a_post_is_made_and_its_id_returned(hub: TestHub, x: FakeTwitter) -> None:
    outcome = await announced(hub)
    assert outcome == Outcome(id=next(iter(x.posts)))
    assert x.texts() == [TEXT]


@pytest.mark.parametrize("refuses_duplicates", [True, False])
@pytest.mark.parametrize("cut", ["refuse", "lose", "half", "502"])
async def test_an_answer_that_breaks_leaves_one_post(
    hub: TestHub, x: FakeTwitter, cut: Cut, refuses_duplicates: bool
) -> None:
    if not refuses_duplicates:
        x.duplicate_window = timedelta(0)
    x.cut(cut, method="POST", path=POSTS)
    outcome = await announced(hub)
    assert outcome == Outcome(id=next(iter(x.posts)), adopted=cut != "refuse")
    assert x.created == 1


async def test_several_broken_answers_in_a_row_leave_one_post(hub: TestHub, x: FakeTwitter) -> None:
    x.cut("refuse", method="POST", path=POSTS, times=2)
    x.cut("lose", method="POST", path=POSTS)
    x.cut("lose", method="GET", path="/tweets")
    outcome = await announced(hub)
    assert outcome == Outcome(id=next(iter(x.posts)), adopted=True)
    assert x.created == 1


async def test_a_timeline_that_lags_is_waited_for_by_a_durable_timer(hub: TestHub, x: FakeTwitter) -> None:
    x.read_lag = timedelta(seconds=70)
    x.cut("lose", method="POST", path=POSTS)
    began = hub.now()
    outcome = await announced(hub)
    assert outcome == Outcome(id=next(iter(x.posts)), adopted=True)
    assert x.created == 1
    assert timedelta(seconds=70) <= hub.now() - began <= timedelta(seconds=70 + 2 * READ_LAG)


async def test_after_a_lost_answer_it_looks_before_it_sends_again(hub: TestHub, x: FakeTwitter) -> None:
    x.duplicate_window = timedelta(0)
    x.read_lag = timedelta(seconds=READ_LAG - 1)
    x.cut("lose", method="POST", path=POSTS)
    assert (await announced(hub)).adopted
    assert x.created == 1


async def test_a_post_of_another_place_is_not_taken_for_a_reply(hub: TestHub, x: FakeTwitter) -> None:
    x.posts["20"] = FakePost("20", "Question?", hub.now())
    x.posts["21"] = FakePost("21", "Answer", hub.now())
    x.posts["22"] = FakePost("22", "Answer", hub.now(), reply_to="21")
    x.cut("refuse", method="POST", path=POSTS)
    outcome = await announced(hub, CreatePost(text="Answer", reply_to="20"))
    assert not outcome.adopted
    assert x.posts[outcome.id].reply_to == "20"


@pytest.mark.parametrize("cut", ["lose", None])
async def test_two_intended_posts_with_one_text_are_two(hub: TestHub, x: FakeTwitter, cut: Cut | None) -> None:
    first = await announced(hub)
    await hub.advance(x.duplicate_window + timedelta(seconds=1))
    if cut:
        x.cut(cut, method="POST", path=POSTS)
    second = await announced(hub)
    assert {first.id, second.id} == set(x.posts)
    assert x.created == 2


async def test_two_at_once_with_one_text_never_get_the_same_post(hub: TestHub, x: FakeTwitter) -> None:
    x.duplicate_window = timedelta(0)
    x.cut("lose", method="POST", path=POSTS, times=2)
    handles = [await hub.client.start(announce, CreatePost(text=TEXT)) for _ in range(2)]
    outcomes = [await handle.result() for handle in handles]
    assert {outcome.id for outcome in outcomes} == set(x.posts)
    assert x.created == 2


async def test_a_text_that_another_call_posted_is_not_adopted(hub: TestHub, x: FakeTwitter) -> None:
    first = await announced(hub)
    second = await announced(hub)
    assert first.id
    assert second == Outcome(error="AlreadyExists", code="duplicate")
    assert x.created == 1


async def test_a_text_that_somebody_posted_by_hand_is_not_adopted(hub: TestHub, x: FakeTwitter) -> None:
    assert (await announced(hub)).id
    claims_of.cache_clear()  # a worker that knows nothing of it
    await hub.advance(timedelta(minutes=1))
    assert await announced(hub) == Outcome(error="AlreadyExists", code="duplicate")


async def test_the_policy_fail_ends_with_ambiguous(hub: TestHub, x: FakeTwitter) -> None:
    x.cut("lose", method="POST", path=POSTS)
    outcome = await announced(hub, CreatePost(text=TEXT, on_ambiguous="fail"))
    assert outcome.error == "Ambiguous"
    assert x.created == 1


async def test_the_policy_resend_relies_on_the_refusal_of_duplicates(hub: TestHub, x: FakeTwitter) -> None:
    x.cut("lose", method="POST", path=POSTS)
    outcome = await announced(hub, CreatePost(text=TEXT, on_ambiguous="resend"))
    assert outcome == Outcome(id=next(iter(x.posts)), adopted=True)
    assert [got.method for got in x.received] == ["POST", "POST", "GET"]


async def test_a_limit_is_waited_for_until_its_reset(hub: TestHub, x: FakeTwitter) -> None:
    reset = hub.now() + timedelta(minutes=14)
    x.limit = (0, reset)
    outcome = await announced(hub)
    assert outcome.id
    assert reset <= hub.now() <= reset + timedelta(seconds=5)
    assert len(x.received) == 2


async def test_the_limit_of_a_day_wins_over_that_of_a_quarter_of_an_hour(hub: TestHub, x: FakeTwitter) -> None:
    day = hub.now() + timedelta(hours=9)
    headers = {
        "x-rate-limit-remaining": "150",
        "x-rate-limit-reset": str(int(hub.now().timestamp()) + 900),
        "x-user-limit-24hour-remaining": "0",
        "x-user-limit-24hour-reset": str(int(day.timestamp())),
    }
    x.plan(problem(429, "about:blank", "Too Many Requests", headers=headers))
    assert (await announced(hub)).id
    assert day <= hub.now() <= day + timedelta(seconds=5)


async def test_nothing_is_sent_for_a_post_without_text_and_media(x: FakeTwitter) -> None:
    with pytest.raises(InvalidRequest):
        await create_post(CreatePost(text="  "))
    with pytest.raises(InvalidRequest):
        await create_post(CreatePost(text="x", media_ids=("1", "2", "3", "4", "5")))
    assert x.received == []


async def test_it_is_a_plain_function_outside_of_a_worker(x: FakeTwitter) -> None:
    with using(x.connection()):
        assert (await create_post(CreatePost(text="Hello"))).id in x.posts
        with pytest.raises(AlreadyExists):
            await create_post(CreatePost(text="Hello", on_ambiguous="fail"))
        x.cut("lose", method="POST")
        with pytest.raises(Ambiguous):
            await create_post(CreatePost(text="Another", on_ambiguous="fail"))


async def test_a_server_that_says_nothing_is_given_up(x: FakeTwitter) -> None:
    x.cut("hang", method="POST")
    with using(x.connection(read_timeout=0.2)), pytest.raises(Ambiguous, match="ReadTimeout"):
        await create_post(CreatePost(text="Hello", on_ambiguous="fail"))
