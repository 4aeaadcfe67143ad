"""The README's error tables, row by row: each comes over the wire, through the real SDK, and is what its row says."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

import connectors.twilio
from connectors import core
from connectors.core import Ambiguous, ConnectorError, Permanent, Secret, Throttled, Transient, using
from connectors.twilio import (
    MessageSid,
    OptedOut,
    SendMessage,
    TwilioConnection,
    get_message,
    send_message,
)
from connectors.twilio.codes import CODES, DELIVERY
from connectors.twilio.testing import SENDER, Cut, FakeTwilio, Fault
from dtf_runtime import NonRetriableError, RetryAfter

README = (Path(connectors.twilio.__file__).parent / "README.md").read_text()
TO = "+15551234567"
SEND = SendMessage(to=TO, body="hello", on_ambiguous="fail")
READ = MessageSid(sid="SM" + "0" * 32)


def table(heading: str) -> list[list[str]]:
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in section.splitlines() if "|" in line]
    return rows[2:]


ROWS = table("Errors")


@pytest.fixture(autouse=True)
def connected(twilio: FakeTwilio) -> Iterator[None]:
    with using(twilio.connection()):
        yield


def test_the_readme_has_every_code_and_at_least_25() -> None:
    assert len(ROWS) >= 25
    assert [int(row[0]) for row in ROWS] == list(CODES)
    assert [int(row[0]) for row in table("Why a message did not arrive")] == list(DELIVERY)


async def raised(activity: object, call: object) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        await activity(call)  # type: ignore[operator]
    return caught.value


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
async def test_a_code_is_what_its_row_says(twilio: FakeTwilio, row: list[str]) -> None:
    code, _, status, name, retry, may_have, _, _ = row
    twilio.fail(Fault(code=int(code), status=int(status)), Fault(code=int(code), status=int(status), reads=True))
    reading, sending = await raised(get_message, READ), await raised(send_message, SEND)
    names = name.split(" / ")
    for error, expected, again in zip(
        (reading, sending), (names[0], names[-1]), (retry.split(" / ")[0], retry.split(" / ")[-1]), strict=True
    ):
        kind = getattr(core, expected, None) or getattr(connectors.twilio, expected)
        assert type(error) is kind
        assert (error.code, error.status) == (code, int(status))
        assert isinstance(error, NonRetriableError) is (again == "no")
        assert re.match(r"(get|send)_message was refused with ", str(error))
    assert sending.may_have_happened is (may_have == "maybe")
    assert twilio.messages == []


async def test_an_opt_out_has_a_type_of_its_own_and_no_policy_tries_it_again(twilio: FakeTwilio) -> None:
    twilio.opt_out(TO, SENDER)
    error = await raised(send_message, SEND)
    assert type(error) is OptedOut
    assert isinstance(error, Permanent)


async def test_of_two_429s_one_waits_for_its_time_and_the_other_is_for_good(twilio: FakeTwilio) -> None:
    twilio.fail(Fault(code=20429, retry_after=7), Fault(code=60203, status=429, retry_after=7))
    throttled, for_good = await raised(send_message, SEND), await raised(send_message, SEND)
    assert isinstance(throttled, Throttled) and isinstance(throttled, RetryAfter)
    assert throttled.delay == 7
    assert type(for_good) is Permanent


@pytest.mark.parametrize(
    ("status", "kind"), [(400, Permanent), (403, core.AuthenticationFailed), (404, core.NotFound), (429, Throttled)]
)
async def test_a_code_that_isnt_listed_is_judged_by_its_status(
    twilio: FakeTwilio, status: int, kind: type[ConnectorError]
) -> None:
    twilio.fail(Fault(code=99_999, status=status))
    assert type(await raised(send_message, SEND)) is kind


async def test_an_error_quotes_neither_numbers_nor_sids_nor_addresses_that_twilio_quoted(twilio: FakeTwilio) -> None:
    quoting = f"'+1 (555) 123-4567' of {twilio.account_sid} can't reach +15551234567, see https://twilio.com/x?To=1"
    twilio.fail(Fault(code=99_998, status=400, message=quoting))
    error = await raised(send_message, SEND)
    assert (
        str(error)
        == "send_message was refused with 99998: Unable to create record: '***' of *** can't reach ***, see ***"
    )
    assert error.__cause__ is None


UNANSWERED = {row[1]: row for row in table("Without an answer")}


def nobody() -> str:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{one.getsockname()[1]}"


async def pair(twilio: FakeTwilio, **fields: object) -> tuple[ConnectorError, ConnectorError]:
    with using(twilio.connection(**fields)):
        return await raised(get_message, READ), await raised(send_message, SEND)


def holds(row: list[str], reading: ConnectorError, sending: ConnectorError) -> None:
    code, _, name, _, may_have = row
    names = name.split(" / ")
    assert [type(reading).__name__.lstrip("_"), type(sending).__name__] == [names[0], names[-1]]
    assert reading.code == sending.code == code
    assert sending.may_have_happened is (may_have == "maybe")


async def test_where_nobody_listens_nothing_was_sent(twilio: FakeTwilio) -> None:
    errors = await pair(twilio, base_url=f"http://{nobody()}")
    holds(UNANSWERED["nobody listens there"], *errors)


async def test_where_nobody_accepts_nothing_was_sent(twilio: FakeTwilio) -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        held = [socket.socket() for _ in range(3)]
        for one in held:
            one.setblocking(False)
            one.connect_ex(full.getsockname())
        errors = await pair(twilio, base_url=f"http://127.0.0.1:{full.getsockname()[1]}", connect_timeout=0.2)
        for one in held:
            one.close()
    holds(UNANSWERED["no connection within `connect_timeout"], *errors)


async def test_a_proxy_that_isnt_there_sends_nothing(twilio: FakeTwilio) -> None:
    errors = await pair(twilio, base_url="", proxy=Secret(f"http://{nobody()}"))
    holds(UNANSWERED["the proxy makes no connection"], *errors)


async def test_a_server_without_trusted_tls_is_told_nothing(twilio: FakeTwilio) -> None:
    errors = await pair(twilio, base_url=twilio.url.replace("http:", "https:"))
    holds(UNANSWERED["no trusted TLS connection"], *errors)
    assert twilio.messages == []


@pytest.mark.parametrize(
    ("cut", "when"),
    [
        (Cut.SILENCE, "no byte of the answer within `read_timeout"),
        (Cut.NO_REPLY, "the connection broke before the answer"),
        (Cut.HALF_REPLY, "the connection broke within the answer"),
        (Cut.GARBAGE, "the answer can't be read"),
    ],
)
async def test_an_answer_that_never_came_whole_may_have_happened(twilio: FakeTwilio, cut: Cut, when: str) -> None:
    twilio.fail(Fault(cut=cut), Fault(cut=cut, reads=True))
    errors = await pair(twilio, read_timeout=0.2)
    holds(UNANSWERED[when], *errors)
    assert len(twilio.messages) == 1


async def test_a_gateway_that_answers_instead_of_twilio_leaves_it_open(twilio: FakeTwilio) -> None:
    twilio.fail(Cut.BAD_GATEWAY, Fault(cut=Cut.BAD_GATEWAY, reads=True))
    reading, sending = await pair(twilio)
    assert isinstance(reading, Transient)
    assert type(sending) is Ambiguous
    assert (sending.status, sending.code) == (502, "")


async def test_a_connection_without_credentials_sends_nothing(twilio: FakeTwilio) -> None:
    with using(TwilioConnection(account_sid="AC1", base_url=twilio.url, ledger=Path("/dev/null/no"))):
        error = await raised(get_message, READ)
    assert type(error) is core.InvalidRequest
    assert "auth_token" in str(error)
    assert twilio.requests == []


async def test_wrong_credentials_are_for_good(twilio: FakeTwilio) -> None:
    with using(twilio.connection(auth_token=Secret("wrong-token"))):
        assert type(await raised(send_message, SEND)) is core.AuthenticationFailed
