"""What X, Facebook and Teams are asked to do in `social_once`: one call each, the request that is cut, and what there is to count afterwards."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from connectors.core import Connection
from connectors.core.loopback import Loopback
from connectors.facebook import CONNECTOR as FACEBOOK
from connectors.facebook import CreateComment, PublishPost, create_comment, publish_post
from connectors.facebook.testing import FakeFacebook, FakePost
from connectors.teams import CONNECTOR as TEAMS
from connectors.teams import SendMessage, send_message
from connectors.teams.testing import FakeTeams
from connectors.twitter import CONNECTOR as TWITTER
from connectors.twitter import CreatePost, PostThread, create_post, post_thread
from connectors.twitter.testing import FakeTwitter
from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.clock import Clock

registry = Registry()
for info in (FACEBOOK, TEAMS, TWITTER):
    registry.add(*info.activities, *info.orchestrations)


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    text: str
    to: str = ""


@orchestration(name="tests.social.post", registry=registry)
async def post(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    return [(await create_post(CreatePost(text=wanted.text, begun=ctx.now()))).id]


@orchestration(name="tests.social.bare_post", registry=registry)
async def bare_post(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    """Without `begun`: what the activity noted by itself must do."""
    return [(await create_post(CreatePost(text=wanted.text))).id]


@orchestration(name="tests.social.thread", registry=registry)
async def thread(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    texts = (f"{wanted.text} 1", f"{wanted.text} 2", f"{wanted.text} 3")
    return list((await post_thread(PostThread(texts=texts))).ids)


@orchestration(name="tests.social.page_post", registry=registry)
async def page_post(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    return [(await publish_post(PublishPost(message=wanted.text))).id]


@orchestration(name="tests.social.comment", registry=registry)
async def comment(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    return [(await create_comment(CreateComment(to=wanted.to, message=wanted.text, begun=ctx.now()))).id]


@orchestration(name="tests.social.message", registry=registry)
async def message(ctx: OrchestrationContext, wanted: Wanted) -> list[str]:
    return [(await send_message(SendMessage(text=wanted.text))).key]


@dataclass(frozen=True)
class Scenario:
    flow: Any
    make: Callable[[Clock], Any]
    """The fake."""
    method: str
    path: str
    """Which request is cut."""
    made: Callable[[Any], list[str]]
    """The ids of everything that was ever made there and can be seen, as the server counts."""
    to: str = ""


def _posts(x: FakeTwitter) -> list[str]:
    assert x.created == len(x.posts)
    return list(x.posts)


def _visible(facebook: FakeFacebook) -> list[str]:
    found = [post.id for post in facebook.visible()]
    assert facebook.published == len(found)
    return found


def _commented(facebook: FakeFacebook) -> list[str]:
    return [made.id for made in facebook.comments.values() if made.author == facebook.page_id]


def _with_a_post(clock: Clock) -> FakeFacebook:
    facebook = FakeFacebook(clock)
    facebook.posts["1_17"] = FakePost("1_17", "A post", clock.now(), published=True)
    return facebook


def _careful_flow(clock: Clock) -> FakeTeams:
    return FakeTeams(clock, deduplicates=True)


SCENARIOS: Mapping[str, Scenario] = {
    "x.post": Scenario(post, FakeTwitter, "POST", "/2/tweets", _posts),
    "x.bare_post": Scenario(bare_post, FakeTwitter, "POST", "/2/tweets", _posts),
    "x.thread": Scenario(thread, FakeTwitter, "POST", "/2/tweets", _posts),
    "facebook.draft": Scenario(page_post, FakeFacebook, "POST", "/feed", _visible),
    "facebook.publish": Scenario(page_post, FakeFacebook, "POST", "_", _visible),
    "facebook.comment": Scenario(comment, _with_a_post, "POST", "/comments", _commented, to="1_17"),
    "teams.message": Scenario(message, _careful_flow, "POST", "", lambda teams: [m.key for m in teams.messages]),
}


def connection_of(fake: Loopback) -> Connection:
    connection: Connection = fake.connection()  # type: ignore[attr-defined]
    return connection
