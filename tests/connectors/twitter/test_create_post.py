"""`twitter.create_post` through a real worker: one post for one call, whatever happens to the answer."""

import pytest

from connectors.twitter import CreatePost, create_post
from connectors.twitter.testing import FakeTwitter
from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.testing import TestHub

registry = Registry(create_post)


@orchestration(name="tests.twitter.announce", registry=registry)
async def announce(ctx: OrchestrationContext, text: str) -> str:
    posted = await create_post(CreatePost(text=text, begun=ctx.now()))
    return f"{posted.id} {'adopted' if posted.replayed else 'made'}"


async def announced(x: FakeTwitter, hub: TestHub, text: str) -> str:
    handle = await hub.client.start(announce, text)
    return await handle.result()


def given(x: FakeTwitter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTF_CONNECTION_TWITTER_DEFAULT_BASE_URL", x.url)
    for name, value in x.keys.items():
        monkeypatch.setenv(f"DTF_CONNECTION_TWITTER_DEFAULT_{name.upper()}", value)


async def test_a_post_is_made_and_its_id_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    async with TestHub(registry=registry) as hub:
        with FakeTwitter(hub.clock) as x:
            given(x, monkeypatch)
            said = await announced(x, hub, "Hello & welcome: https://example.com")
            assert said == f"{next(iter(x.posts))} made"
            assert x.texts() == ["Hello & welcome: https://example.com"]
