"""OAuth 2 tokens of X: renewed when they end, once, and kept where every worker finds them."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.core import AuthenticationFailed, ConnectionMissing, Secret, using
from connectors.core.token_stores import FileTokenStore
from connectors.twitter import CreatePost, TwitterConnection, UploadMedia, create_post, upload_media
from connectors.twitter.oauth2 import keep_tokens
from connectors.twitter.testing import FakeTwitter


@pytest.fixture
def x() -> Iterator[FakeTwitter]:
    with FakeTwitter() as fake:
        fake.bearer, fake.refresh = "first-bearer", "first-refresh"
        yield fake


@pytest.fixture
def connection(x: FakeTwitter, tmp_path: Path) -> TwitterConnection:
    return TwitterConnection(
        base_url=x.url, tokens=tmp_path / "tokens", client_id="app", client_secret=Secret("app-secret")
    )


def signed_in(connection: TwitterConnection, *, expires_in: float) -> None:
    keep_tokens(connection, Secret("first-bearer"), Secret("first-refresh"), expires_in)


async def test_a_token_that_is_good_is_used_as_it_is(x: FakeTwitter, connection: TwitterConnection) -> None:
    signed_in(connection, expires_in=7200)
    with using(connection):
        await create_post(CreatePost(text="Hello"))
    assert x.texts() == ["Hello"]
    assert x.renewals == 0


async def test_a_token_that_has_ended_is_renewed_once_for_many_calls(
    x: FakeTwitter, connection: TwitterConnection, tmp_path: Path
) -> None:
    signed_in(connection, expires_in=0)
    with using(connection):
        await asyncio.gather(*(create_post(CreatePost(text=f"Hello {number}")) for number in range(8)))
    assert (x.created, x.renewals) == (8, 1)
    kept = FileTokenStore(tmp_path / "tokens").load("twitter-default")
    assert kept is not None and kept.refresh is not None
    assert (kept.access.reveal(), kept.refresh.reveal()) == (x.bearer, x.refresh)


async def test_a_token_that_x_refuses_is_renewed_and_the_call_made_once(
    x: FakeTwitter, connection: TwitterConnection
) -> None:
    signed_in(connection, expires_in=7200)
    x.bearer = "another"  # the account's owner signed out elsewhere, say
    with using(connection):
        await create_post(CreatePost(text="Hello"))
    assert (x.created, x.renewals) == (1, 1)


async def test_media_are_uploaded_with_it_too(x: FakeTwitter, connection: TwitterConnection, tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG")
    signed_in(connection, expires_in=0)
    with using(connection):
        media = await upload_media(UploadMedia(path=str(tmp_path / "picture.png"), media_type="image/png"))
    assert media.id in x.media


async def test_a_renewal_that_is_refused_says_that_somebody_must_sign_in(
    x: FakeTwitter, connection: TwitterConnection
) -> None:
    signed_in(connection, expires_in=0)
    x.refresh = "used already"
    with using(connection), pytest.raises(AuthenticationFailed, match="sign in again") as raised:
        await create_post(CreatePost(text="Hello"))
    assert "first-refresh" not in str(raised.value)
    assert x.created == 0


async def test_without_tokens_somebody_must_sign_in_first(connection: TwitterConnection) -> None:
    with using(connection), pytest.raises(ConnectionMissing, match="sign in"):
        await create_post(CreatePost(text="Hello"))


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"consumer_key": Secret("key"), "consumer_secret": Secret("secret")},
        {"tokens": Path("tokens")},
    ],
)
def test_half_of_the_credentials_are_none(given: dict[str, object]) -> None:
    with pytest.raises(ConnectionMissing):
        TwitterConnection(**given)  # type: ignore[arg-type]
