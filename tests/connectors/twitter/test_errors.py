"""The README's tables of errors, row by row, over the wire and through the real tweepy."""

import logging
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from connectors.core import ConnectorError, Secret, Throttled
from connectors.core.loopback import Reply
from connectors.twitter.client import call
from connectors.twitter.credentials import TwitterConnection
from connectors.twitter.errors import CODES, DUPLICATE, PROBLEMS
from connectors.twitter.testing import FakeTwitter, problem
from tests.connectors.tables import described, expected, rows

ROWS = rows("twitter", "Errors")
FAULTS = rows("twitter", "Without an answer")


@pytest.fixture
def x() -> Iterator[FakeTwitter]:
    with FakeTwitter() as fake:
        yield fake


def refusal(code: str, status: int) -> Reply:
    if code == DUPLICATE:
        return problem(status, "about:blank", "You are not allowed to create a Tweet with duplicate content.")
    if code == str(status):
        return problem(status, "about:blank", "About this we say nothing.")
    if code.isdigit():
        return Reply(status=status, body={"errors": [{"code": int(code), "message": "No."}]})
    return problem(status, f"https://api.twitter.com/2/problems/{code}", "No.")


def failure(connection: TwitterConnection, *, unsafe: bool) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        if unsafe:
            call(connection, "create_tweet", text="Hello", repeatable=False)
        else:
            call(connection, "get_tweet", "20", repeatable=True)
    return raised.value


@pytest.mark.parametrize("unsafe", [True, False], ids=["create", "get"])
@pytest.mark.parametrize(("code", "status", "kind", "retry", "happened"), ROWS, ids=[row[0] for row in ROWS])
def test_each_code_is_what_the_table_says(
    x: FakeTwitter, code: str, status: str, kind: str, retry: str, happened: str, unsafe: bool
) -> None:
    x.plan(refusal(code, int(status)))
    error = failure(x.connection(), unsafe=unsafe)
    assert described(error) == expected(kind, retry, happened, unsafe=unsafe)
    assert (error.code, error.status) == (code, int(status))


def test_the_table_has_every_code_that_is_mapped_and_more_than_fifteen() -> None:
    named = {row[0] for row in ROWS}
    assert set(PROBLEMS) | {str(code) for code in CODES} | {DUPLICATE} <= named
    assert len(ROWS) == len(named) >= 15


# -- without an answer

BROKEN = {"no byte": "hang", "broke off": "lose", "half": "half"}


@pytest.mark.parametrize("unsafe", [True, False], ids=["create", "get"])
@pytest.mark.parametrize(("code", "when", "kind", "retry", "happened"), FAULTS, ids=[row[1] for row in FAULTS])
def test_each_broken_connection_is_what_the_table_says(
    x: FakeTwitter, code: str, when: str, kind: str, retry: str, happened: str, unsafe: bool
) -> None:
    connection = x.connection(read_timeout=0.3)
    cut = next((cut for words, cut in BROKEN.items() if words in when), None)
    if cut:
        x.cut(cut)  # type: ignore[arg-type]
    elif "no JSON" in when:
        x.plan(Reply(status=201, body=b"<html>Welcome to our hotel's wireless network</html>"))
    elif "redirect" in when:
        x.plan(Reply(status=302, headers={"location": "https://example.com/"}))
    else:
        connection = replace(connection, base_url=f"http://127.0.0.1:{free_port()}")
    error = failure(connection, unsafe=unsafe)
    assert described(error) == expected(kind, retry, happened, unsafe=unsafe)
    assert error.code == code


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


# -- details


def test_a_wait_is_counted_from_the_clock_of_x(x: FakeTwitter) -> None:
    reset = int(x.clock.now().timestamp()) + 60
    x.plan(problem(429, "about:blank", "Too Many Requests", headers={"x-rate-limit-reset": str(reset)}))
    error = failure(x.connection(), unsafe=True)
    assert isinstance(error, Throttled)
    assert error.retry_after is not None
    assert 58 <= error.retry_after <= 62


def test_the_words_of_x_are_cut_and_masked(x: FakeTwitter) -> None:
    connection = x.connection()
    assert connection.access_token_secret is not None
    x.plan(problem(403, "about:blank", f"unknown: {connection.access_token_secret.reveal()} {'x' * 10_000}"))
    text = str(failure(connection, unsafe=True))
    assert connection.access_token_secret.reveal() not in text
    assert len(text) < 500


@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"errors": 5}', b'{"errors": [{"code": "x"}]}', b"\xff\xfe", b"[" * 5_000]
)
def test_an_error_that_can_not_be_read_is_judged_by_its_status(x: FakeTwitter, body: bytes) -> None:
    x.plan(Reply(status=403, body=body))
    error = failure(x.connection(), unsafe=True)
    assert (error.code, error.status) == ("403", 403)


def test_wrong_keys_are_refused(x: FakeTwitter) -> None:
    wrong = replace(x.connection(), access_token_secret=Secret("another"))
    assert described(failure(wrong, unsafe=True))[0] == "AuthenticationFailed"


def test_no_logger_of_the_sdk_prints_a_key_at_debug(x: FakeTwitter, caplog: pytest.LogCaptureFixture) -> None:
    connection = x.connection()
    call(connection, "create_tweet", text="Hello", repeatable=False)
    with caplog.at_level(logging.DEBUG):
        call(connection, "get_me", repeatable=True)
        x.plan(Reply(body={"data": {"id": "1"}}))
        call(bearer(x), "get_me", repeatable=True)
    assert "Making API request" in caplog.text
    assert "Authorization" in caplog.text
    for secret in (*x.keys.values(), "fake-oauth2-token"):
        assert secret not in caplog.text


def bearer(x: FakeTwitter) -> TwitterConnection:
    return TwitterConnection(base_url=x.url, oauth2_token=Secret("fake-oauth2-token"))
