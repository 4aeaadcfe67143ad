"""The README's table of errors, row by row, over the wire; and what no error or log may say."""

import logging
from collections.abc import Iterator

import pytest

from connectors.core import ConnectorError, Secret, Throttled, Transient, using
from connectors.core.loopback import Cut, Reply
from connectors.teams import SendMessage, TeamsConnection, send_message
from connectors.teams.errors import CODES, DELIVERY_FAILED
from connectors.teams.testing import FakeTeams, refusal
from tests.connectors.tables import described, expected, rows

ROWS = rows("teams", "Errors")


@pytest.fixture
def teams() -> Iterator[FakeTeams]:
    with FakeTeams() as fake, using(fake.connection()):
        yield fake


async def failure(*, unsafe: bool = False) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        await send_message(SendMessage(text="Hello", on_ambiguous="fail" if unsafe else "resend"))
    return raised.value


@pytest.mark.parametrize("unsafe", [True, False], ids=["fail", "resend"])
@pytest.mark.parametrize(("code", "status", "kind", "retry", "happened"), ROWS, ids=[row[0] for row in ROWS])
async def test_each_code_is_what_the_table_says(
    teams: FakeTeams, code: str, status: str, kind: str, retry: str, happened: str, unsafe: bool
) -> None:
    if code == DELIVERY_FAILED:
        words = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429"
        teams.plan(Reply(status=200, body=words))
    else:
        teams.plan(Reply(status=int(status)) if code == status else refusal(int(status), code, "No."))
    error = await failure(unsafe=unsafe)
    assert described(error) == expected(kind, retry, happened, unsafe=unsafe)
    assert (error.code, error.status) == (code, int(status))


def test_the_table_has_every_code_that_is_mapped_and_more_than_eight() -> None:
    named = {row[0] for row in ROWS}
    assert set(CODES) | {DELIVERY_FAILED} <= named
    assert len(ROWS) == len(named) >= 8


@pytest.mark.parametrize("cut", ["lose", "half", "502", "refuse", "hang"])
async def test_a_lost_answer_is_transient_with_resend_and_ambiguous_with_fail(teams: FakeTeams, cut: Cut) -> None:
    teams.cut(cut, times=2)
    with using(teams.connection(timeout=0.3)):
        assert described(await failure())[0] == "Transient"
        assert described(await failure(unsafe=True)) == ("Ambiguous", "no", "maybe")


async def test_a_retry_after_is_kept(teams: FakeTeams) -> None:
    teams.plan(refusal(429, "TooManyRequests", "Later.", retry_after="17"))
    error = await failure()
    assert isinstance(error, Throttled)
    assert error.retry_after == 17.0


async def test_neither_errors_nor_logs_say_the_address(teams: FakeTeams, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await send_message(SendMessage(text="Hello"))
        teams.cut("lose")
        error = await failure()
    assert isinstance(error, Transient)
    assert "HTTP Request" in caplog.text
    for text in (str(error), repr(error.failure_properties()), caplog.text):
        assert "fake-signature" not in text


async def test_a_wrong_signature_is_refused_by_the_flow(teams: FakeTeams) -> None:
    wrong = TeamsConnection(webhook_url=Secret(teams.webhook_url + "x"), allow_private=True)
    with using(wrong):
        assert described(await failure())[0] == "AuthenticationFailed"
