"""Record, scrub, replay: a cassette is played without any server, all of it, and holds nothing private."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from vcr.errors import CannotOverwriteExistingCassetteException

from connectors.core import forget_clients, using
from connectors.twilio import MessageSid, get_message
from connectors.twilio.testing import FakeTwilio
from tests.connectors.twilio.recording import (
    AGAINST_FAKE,
    BODY,
    CASSETTE,
    NUMBER,
    exercise,
    player_of,
    recorder,
    scrub,
)

TO = "+15551234567"


@pytest.fixture(autouse=True)
def no_old_clients() -> Iterator[None]:
    forget_clients()
    yield
    forget_clients()


async def play(cassette: Path, folder: Path, **fields: str) -> tuple[str, str, str]:
    with using(player_of(folder, **fields)), recorder("", record=False).use_cassette(str(cassette)) as played:
        answer = await exercise(TO)
        assert played.all_played
        return answer


async def test_the_committed_cassette_is_played_without_any_server(tmp_path: Path) -> None:
    sid, to, body = await play(CASSETTE, tmp_path)
    assert (to, body) == (NUMBER, BODY)
    assert re.fullmatch(r"SM0{16}[0-9a-f]{16}", sid)


async def test_recorded_scrubbed_and_played_with_the_recorded_server_stopped(tmp_path: Path) -> None:
    cassette = tmp_path / "recorded.yaml"
    with FakeTwilio() as fake:
        connection = fake.connection(status_callback="https://hooks.example.com/s")
        with using(connection), recorder(AGAINST_FAKE, record=True).use_cassette(str(cassette)):
            live = await exercise(TO)
        private = (fake.account_sid, fake.auth_token, fake.url, live[0], TO, TO[1:])
    forget_clients()
    sid, to, body = await play(cassette, tmp_path, status_callback="https://hooks.example.com/s")
    assert (to, body) == (NUMBER, BODY)
    assert sid == scrub(live[0]) != live[0]
    written = cassette.read_text()
    assert [one for one in private if one in written] == []


@pytest.mark.parametrize("cassette", [CASSETTE], ids=["committed"])
def test_a_cassette_says_what_it_was_recorded_against_and_holds_no_sid_number_or_credential(cassette: Path) -> None:
    written = cassette.read_text()
    assert written.startswith(f"# recorded against: {AGAINST_FAKE}\n")
    assert scrub(written) == written, "nothing is left to scrub"
    assert not re.search(r"(?i)authorization|twilio-request-id|127\.0\.0\.1", written)


async def test_what_was_not_recorded_is_refused_and_never_sent(tmp_path: Path) -> None:
    with FakeTwilio() as fake, using(player_of(tmp_path, base_url=fake.url)):
        with (
            recorder("", record=False).use_cassette(str(CASSETTE)),
            pytest.raises(CannotOverwriteExistingCassetteException),
        ):
            await get_message(MessageSid(sid="SM" + "f" * 32))
        assert fake.requests == []
