"""Recorded, scrubbed, and played back with the server stopped."""

import json
from pathlib import Path

import pytest
from vcr.errors import CannotOverwriteExistingCassetteException

from connectors.core import using
from connectors.facebook import PostId, get_post
from connectors.facebook.credentials import HOST
from connectors.facebook.testing import FakeFacebook
from tests.connectors.cassettes import cassette, numbers_in
from tests.connectors.facebook.recording import CASSETTE, PAGE, record, replay

OUTCOME = [False, True, "Recorded: näh, 1 + 1 = 2 & more", [True], True]


async def test_what_was_recorded_is_played_back_with_the_server_stopped(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    with FakeFacebook() as fake:
        assert await record(path, fake.connection(), "the bundled fake") == OUTCOME
        requests = len(fake.received)
    assert await replay(path) == (OUTCOME, True)
    tape = json.loads(path.read_text(encoding="utf-8"))
    assert tape["recorded_against"] == "the bundled fake"
    assert len(tape["interactions"]) == requests == len(fake.received)


async def test_a_cassette_holds_no_secret_and_no_id(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    with FakeFacebook() as fake:
        await record(path, fake.connection(), "the bundled fake")
        secrets = (fake.page_token, fake.app_secret, fake.page_id, "appsecret_proof", "uthorization", "127.0.0.1")
    text = path.read_text()
    assert [secret for secret in secrets if secret in text] == []
    assert f"{HOST}/" in text
    assert numbers_in(path) == set()


async def test_the_cassette_of_the_project_is_played_to_its_end() -> None:
    assert await replay(CASSETTE) == (OUTCOME, True)
    assert numbers_in(CASSETTE) == set()


async def test_a_request_that_was_not_recorded_reaches_nobody(tmp_path: Path) -> None:
    path = tmp_path / "tape.json"
    with FakeFacebook() as fake:
        await record(path, fake.connection(), "the bundled fake")
        before = len(fake.received)
        unknown = pytest.raises(CannotOverwriteExistingCassetteException)
        with using(fake.connection()), cassette(path, host=HOST, scrub={}), unknown:
            await get_post(PostId(id=f"{PAGE}_1"))
        assert len(fake.received) == before
