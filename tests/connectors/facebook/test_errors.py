"""The README's table of errors, row by row, over the wire; and what no error or log may say."""

import logging
from collections.abc import Iterator

import pytest

from connectors.core import ConnectorError, using
from connectors.core.loopback import Cut, Reply
from connectors.facebook import FacebookConnection, TokenOf, VersionExpired, debug_token
from connectors.facebook.client import call
from connectors.facebook.errors import CODES
from connectors.facebook.testing import FakeFacebook, refusal
from tests.connectors.tables import described, expected, rows

ROWS = rows("facebook", "Errors")


@pytest.fixture
def facebook() -> Iterator[FakeFacebook]:
    with FakeFacebook() as fake:
        yield fake


async def failure(connection: FacebookConnection, *, unsafe: bool) -> ConnectorError:
    with pytest.raises(ConnectorError) as raised:
        await call(connection, "POST", f"/{connection.page_id}/feed", form={"message": "Hello"}, repeatable=not unsafe)
    return raised.value


@pytest.mark.parametrize("unsafe", [True, False], ids=["unsafe", "safe"])
@pytest.mark.parametrize(("code", "status", "kind", "retry", "happened"), ROWS, ids=[row[0] for row in ROWS])
async def test_each_code_is_what_the_table_says(
    facebook: FakeFacebook, code: str, status: str, kind: str, retry: str, happened: str, unsafe: bool
) -> None:
    number, _, subcode = code.partition("/")
    if code == "version":
        facebook.serves = "v24.0"
    elif code == status:
        facebook.plan(Reply(status=int(status), body=b"<html></html>"))
    else:
        facebook.plan(refusal(int(number), "No.", status=int(status), subcode=int(subcode) if subcode else None))
    error = await failure(facebook.connection(), unsafe=unsafe)
    assert described(error) == expected(kind, retry, happened, unsafe=unsafe)
    assert (error.code, error.status) == (code, int(status))


def test_the_table_has_every_code_that_is_mapped_and_more_than_twenty() -> None:
    named = {row[0] for row in ROWS}
    assert set(CODES) | {"version"} <= named
    assert len(ROWS) == len(named) >= 20


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"code": 4242, "is_transient": True}, "Transient"),
        ({"code": 4242}, "Permanent"),
        ({"code": 277}, "AuthenticationFailed"),
        ({"code": "4"}, "Permanent"),
        ([], "Permanent"),
        ("text", "Permanent"),
    ],
)
async def test_codes_that_are_in_no_table(facebook: FakeFacebook, error: object, kind: str) -> None:
    facebook.plan(Reply(status=400, body={"error": error}))
    assert described(await failure(facebook.connection(), unsafe=False))[0] == kind


@pytest.mark.parametrize("cut", ["lose", "half", "502", "refuse", "hang"])
async def test_a_lost_answer_is_transient_where_a_repeat_does_no_harm(facebook: FakeFacebook, cut: Cut) -> None:
    facebook.cut(cut, times=2)
    connection = facebook.connection(timeout=0.3)
    assert described(await failure(connection, unsafe=False))[0] == "Transient"
    assert described(await failure(connection, unsafe=True)) == ("Ambiguous", "no", "maybe")


async def test_an_expired_version_says_what_to_do(facebook: FakeFacebook) -> None:
    facebook.serves = "v24.0"
    error = await failure(facebook.connection(), unsafe=True)
    assert isinstance(error, VersionExpired)
    assert "answered in v24.0" in str(error)
    assert "install a newer release" in str(error)


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"[" * 5_000])
async def test_an_answer_that_can_not_be_read_may_have_happened(facebook: FakeFacebook, body: bytes) -> None:
    facebook.plan(Reply(body=body))
    assert described(await failure(facebook.connection(), unsafe=True)) == ("Ambiguous", "no", "maybe")


async def test_neither_errors_nor_logs_say_a_secret(facebook: FakeFacebook, caplog: pytest.LogCaptureFixture) -> None:
    connection = facebook.connection()
    with caplog.at_level(logging.DEBUG), using(connection):
        await debug_token(TokenOf())
        facebook.cut("lose")
        error = await failure(connection, unsafe=True)
    assert "HTTP Request" in caplog.text
    secrets = (facebook.page_token, facebook.app_secret)
    for text in (str(error), repr(error.failure_properties()), caplog.text):
        assert not [secret for secret in secrets if secret in text]
