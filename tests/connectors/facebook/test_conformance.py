"""The kit's checks on the Facebook connector, and a search for its credentials in everything that a run leaves behind."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import connectors.facebook
from connectors.core.testing import Run, Sample, check_connector, planted, secret_scan
from connectors.facebook import (
    CONNECTOR,
    CreateComment,
    FacebookConnection,
    ListComments,
    PostId,
    PublishPost,
    TokenOf,
    VersionExpired,
    create_comment,
    debug_token,
    delete_post,
    exchange_token,
    get_post,
    list_comments,
    publish_draft,
    publish_post,
)
from connectors.facebook.testing import FakeFacebook, FakePost
from dtf_runtime import OrchestrationContext, TaskHubClient, TaskHubWorker, connect, orchestration
from tests.connectors.facebook.flows import registry
from tests.connectors.social_conformance import check_loading, check_page, fields_of


@pytest.fixture
def facebook() -> Iterator[FakeFacebook]:
    with FakeFacebook() as fake:
        fake.posts["1_17"] = FakePost("1_17", "A draft", fake.clock.now())
        yield fake


async def test_it_conforms(facebook: FakeFacebook, tmp_path: Path) -> None:
    samples = [
        Sample(activity=publish_draft, call=PostId(id="1_17"), made=lambda: facebook.published),
        Sample(
            activity=create_comment,
            call=CreateComment(to="1_17", message="Hello"),
            made=lambda: len(facebook.comments),
        ),
        Sample(activity=list_comments, call=ListComments(of="1_17"), made=lambda: len(facebook.comments)),
        Sample(activity=get_post, call=PostId(id="1_17"), made=lambda: facebook.published),
        Sample(activity=debug_token, call=TokenOf(), made=lambda: 0),
        Sample(activity=delete_post, call=PostId(id="1_17"), made=lambda: len(facebook.posts)),
    ]
    connection = facebook.connection(tokens=tmp_path / "tokens")
    await check_connector(CONNECTOR, samples=samples, connections=[connection])


def test_its_page_is_complete() -> None:
    check_page(CONNECTOR, str(connectors.facebook.__file__), {"VersionExpired": VersionExpired})


def test_it_is_found_by_name_and_loads_no_http_library() -> None:
    check_loading(CONNECTOR)


# -- secrets


@orchestration(name="tests.facebook.everything", registry=registry)
async def everything(ctx: OrchestrationContext) -> bool:
    facts = await debug_token(TokenOf())
    await exchange_token(TokenOf())
    post = await publish_post(PublishPost(message="Hello"))
    await create_comment(CreateComment(to=post.id, message="Thanks", begun=ctx.now()))
    return facts.valid


async def test_no_token_and_no_secret_is_written_anywhere_but_in_the_folder_of_tokens(
    facebook: FakeFacebook, tmp_path: Path
) -> None:
    plant = planted(
        FacebookConnection, page_id=facebook.page_id, app_id=facebook.app_id, base_url=facebook.url, proxy=None
    )
    known = fields_of(plant.connection, ("page_token", "app_secret", "verify_token"))
    vars(facebook).update(known)
    facebook.long_token = long = f"{known['page_token']}long"  # so that the scan looks for it too

    async def exercise(run: Run) -> None:
        facebook.cut("lose", path="/feed")
        facebook.cut("lose", path="/debug_token")
        facebook.cut("half", path="/comments", method="POST")
        (connection,) = run.connections
        assert isinstance(connection, FacebookConnection)
        service = connect(run.hub)
        ours = replace(connection, tokens=tmp_path / "tokens")
        async with TaskHubWorker(service, registry=registry, connections=[ours]), TaskHubClient(service) as client:
            assert await (await client.start(everything)).result(30)

    assert await secret_scan(plant, exercise) == []
    assert facebook.published == 1
    assert len(facebook.comments) == 1
    kept = [path.read_text() for path in (tmp_path / "tokens").iterdir() if path.stat().st_size]
    assert any(long in text for text in kept)  # the control: it was exchanged, and is where it belongs
