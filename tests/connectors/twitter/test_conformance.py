"""The kit's checks on the X connector, and a search for its credentials in everything that a run leaves behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import connectors.twitter
from connectors.core.testing import Run, Sample, check_connector, planted, secret_scan
from connectors.twitter import (
    CONNECTOR,
    CreatePost,
    Me,
    PostId,
    Reply,
    Search,
    TwitterConnection,
    create_post,
    delete_post,
    get_post,
    me,
    reply,
    search,
)
from connectors.twitter.testing import FakePost, FakeTwitter
from dtf_runtime import TaskHubClient, TaskHubWorker, connect
from tests.connectors.social_conformance import check_loading, check_page, fields_of
from tests.connectors.twitter.flows import announce, registry


@pytest.fixture
def x() -> Iterator[FakeTwitter]:
    with FakeTwitter() as fake:
        fake.posts["20"] = FakePost("20", "just setting up my twttr", fake.clock.now())
        yield fake


async def test_it_conforms(x: FakeTwitter) -> None:
    def made() -> int:
        return x.created

    # X refuses a text that it had lately, so another logical call can't be tried with the same: `afresh=False`
    samples = [
        Sample(activity=create_post, call=CreatePost(text="Hello"), made=made, afresh=False),
        Sample(activity=reply, call=Reply(to="20", text="Hello"), made=made, afresh=False),
        Sample(activity=get_post, call=PostId(id="20"), made=made),
        Sample(activity=me, call=Me(), made=made),
        Sample(activity=search, call=Search(query="hello"), made=made),
        Sample(activity=delete_post, call=PostId(id="20"), made=lambda: len(x.posts)),
    ]
    await check_connector(CONNECTOR, samples=samples, connections=[x.connection()])


def test_its_page_is_complete() -> None:
    check_page(CONNECTOR, str(connectors.twitter.__file__))


def test_it_is_found_by_name_and_loads_no_sdk() -> None:
    check_loading(CONNECTOR)


# -- secrets

FOUR = ("consumer_key", "consumer_secret", "access_token", "access_token_secret")


async def test_no_credential_is_written_anywhere_tweepys_own_loggers_at_debug_included(x: FakeTwitter) -> None:
    plant = planted(
        TwitterConnection, base_url=x.url, access_token=f"{x.user_id}-{{canary}}", oauth2_token=None, proxy=None
    )
    x.keys = fields_of(plant.connection, FOUR)  # type: ignore[misc]
    ended: list[str] = []

    async def exercise(run: Run) -> None:
        (connection,) = run.connections
        assert isinstance(connection, TwitterConnection)
        service = connect(run.hub)
        worker = TaskHubWorker(
            service, registry=registry, connections=[replace(connection, claims=Path(run.folder) / "claims.db")]
        )
        async with worker, TaskHubClient(service) as client:
            for on_ambiguous in ("lookup", "fail"):
                x.cut("lose", method="POST")
                wanted = CreatePost(text="Hello", on_ambiguous=on_ambiguous)
                ended.append((await (await client.start(announce, wanted)).result(30)).error)

    x.duplicate_window *= 0
    assert await secret_scan(plant, exercise) == []
    assert ended == ["", "Ambiguous"]
    assert x.created == 2
