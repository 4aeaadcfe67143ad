"""A request that goes wrong: which error it is, whether a policy may try again, and what its text must not say."""

import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from connectors.core import (
    Ambiguous,
    AuthenticationFailed,
    Conflict,
    ConnectorError,
    InvalidRequest,
    NotFound,
    Permanent,
    Throttled,
    Transient,
)
from dtf_runtime import NonRetriableError, RetryAfter
from tests.connectors.http.calls import failure
from tests.connectors.http.rude_server import RudeServer, answer, drip, raw, reset, silence


def kind_of(error: ConnectorError) -> type[ConnectorError]:
    """The class that is documented: an error with a delay is of one that is a RetryAfter too."""
    kinds = (kind for kind in type(error).__mro__ if issubclass(kind, ConnectorError))
    return next(kind for kind in kinds if not issubclass(kind, RetryAfter))


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Permanent),
        (401, AuthenticationFailed),
        (403, AuthenticationFailed),
        (404, NotFound),
        (408, Transient),
        (409, Conflict),
        (410, NotFound),
        (412, Conflict),
        (413, Permanent),
        (418, Permanent),
        (422, Permanent),
        (425, Transient),
        (429, Throttled),
        (499, Transient),
        (500, Transient),
        (502, Transient),
        (503, Transient),
        (504, Transient),
        (599, Transient),
    ],
)
def test_each_status_is_its_own_error(server: RudeServer, status: int, kind: type[ConnectorError]) -> None:
    error = failure(server.on("/", answer(status)))
    assert kind_of(error) is kind
    assert error.status == status
    assert isinstance(error, NonRetriableError) == issubclass(kind, Permanent)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(408, Transient), (425, Transient), (429, Throttled), (500, Ambiguous), (503, Transient), (504, Ambiguous)],
)
def test_a_post_without_a_key_is_repeated_only_when_the_server_did_not_take_it_up(
    server: RudeServer, status: int, kind: type[ConnectorError]
) -> None:
    assert kind_of(failure(server.on("/", answer(status)), "POST")) is kind


def test_a_server_error_that_says_when_to_come_back_does_not_say_that_nothing_happened(server: RudeServer) -> None:
    assert kind_of(failure(server.on("/", answer(500, b"", "Retry-After: 7")), "POST")) is Ambiguous


def test_a_post_with_a_key_is_repeated_after_any_server_error(server: RudeServer) -> None:
    assert kind_of(failure(server.on("/", answer(500)), "POST", key="k1")) is Transient


# -- Retry-After --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "kind"), [(429, Throttled), (503, Transient)])
def test_retry_after_in_seconds_becomes_a_delay(server: RudeServer, status: int, kind: type[ConnectorError]) -> None:
    error = failure(server.on("/", answer(status, b"", "Retry-After: 7")), "POST")
    assert isinstance(error, RetryAfter)
    assert (kind_of(error), error.delay) == (kind, 7.0)
    assert "try again in 7 s" in str(error)
    assert str(error).startswith("POST http://127.0.0.1")


def test_retry_after_as_a_date_is_counted_from_the_servers_own_date(server: RudeServer) -> None:
    theirs = datetime(2001, 2, 3, 4, 5, 6, tzinfo=UTC)  # a server whose clock is decades off
    due = format_datetime(theirs + timedelta(seconds=90), usegmt=True)
    dates = (f"Date: {format_datetime(theirs, usegmt=True)}", f"Retry-After: {due}")
    error = failure(server.on("/", answer(429, b"", *dates)))
    assert isinstance(error, Throttled) and isinstance(error, RetryAfter)
    assert error.delay == 90.0


def test_retry_after_as_a_date_without_a_date_header_is_counted_from_now(server: RudeServer) -> None:
    due = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    error = failure(server.on("/", answer(503, b"", f"Retry-After: {due}")))
    assert isinstance(error, Transient) and isinstance(error, RetryAfter)
    assert 3_590 < error.delay <= 3_600


def test_a_date_that_has_passed_is_no_delay(server: RudeServer) -> None:
    error = failure(server.on("/", answer(503, b"", "Retry-After: Wed, 21 Oct 2015 07:28:00 GMT")))
    assert isinstance(error, Transient) and isinstance(error, RetryAfter)
    assert error.delay == 0.0


def test_a_server_that_asks_for_years_is_asked_again_after_a_day(server: RudeServer) -> None:
    error = failure(server.on("/", answer(429, b"", "Retry-After: " + "9" * 30)))
    assert isinstance(error, Throttled) and isinstance(error, RetryAfter)
    assert error.delay == 86_400.0


@pytest.mark.parametrize("garbage", ["soon", "-5", "1.5", "1e3", "nan", "٣", "", "Wed, 99 Foo 2015 07:28:00 GMT"])
def test_a_retry_after_that_cannot_be_read_is_as_if_it_was_not_there(server: RudeServer, garbage: str) -> None:
    head = f"HTTP/1.1 429 Slow\r\nRetry-After: {garbage}\r\nContent-Length: 0\r\n\r\n".encode()
    assert kind_of(failure(server.on("/", raw(head)))) is Throttled


# -- The network --------------------------------------------------------------------------------------------------

HALF_AN_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
BROKEN: dict[str, Any] = {
    "the server says nothing": silence(),
    "the server stops in the middle": silence(HALF_AN_ANSWER),
    "the server drips": drip,
    "the connection is reset": reset,
    "the connection is closed": raw(b""),
    "the body is cut short": raw(HALF_AN_ANSWER),
    "a chunk is cut short": raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\nhalf"),
    "the answer is not HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "the compressed body is damaged": answer(200, b"not gzip at all", "Content-Encoding: gzip"),
}


@pytest.mark.parametrize("how", BROKEN)
@pytest.mark.parametrize(
    ("method", "key", "kind"),
    [
        ("GET", None, Transient),
        ("PUT", None, Transient),
        ("POST", "k1", Transient),
        ("POST", None, Ambiguous),
        ("PATCH", None, Ambiguous),
    ],
)
def test_a_broken_answer_is_transient_where_a_repeat_is_safe_and_else_ambiguous(
    server: RudeServer, how: str, method: str, key: str | None, kind: type[ConnectorError]
) -> None:
    error = failure(server.on("/", BROKEN[how]), method, key=key, timeout=0.3)
    assert kind_of(error) is kind
    assert isinstance(error, NonRetriableError) == (kind is Ambiguous)


def test_the_timeout_is_for_all_of_the_answer_however_busily_it_drips(server: RudeServer) -> None:
    began = time.monotonic()
    error = failure(server.on("/", drip), timeout=0.3)
    assert time.monotonic() - began < 10
    assert "no whole answer within 0.3 s" in str(error)


def test_nobody_listening_is_transient_even_for_a_post_since_nothing_went_out() -> None:
    with socket.socket() as reserved:  # bound, not listening: connecting to it is refused
        reserved.bind(("127.0.0.1", 0))
        error = failure(f"http://127.0.0.1:{reserved.getsockname()[1]}/", "POST")
    assert kind_of(error) is Transient


# -- Requests that can't be sent ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com/path",
        "/path",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://127.0.0.1:notaport/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nX-Evil: 1",
        "http://" + "ü" * 64 + ".invalid/",
        "http://☃.invalid/",
    ],
)
def test_a_bad_address_is_refused_for_good(url: str) -> None:
    error = failure(url)
    assert kind_of(error) is InvalidRequest
    assert isinstance(error, NonRetriableError)


@pytest.mark.parametrize(
    "more",
    [
        {"method": "GET / HTTP/1.1\r\nX-Evil: 1\r\n"},
        {"method": ""},
        {"headers": {"X-A": "1\r\nX-Evil: 1"}},
        {"headers": {"X A": "1"}},
        {"headers": {"X-A": "ü"}},
        {"json": 1, "text": "a"},
        {"timeout": 0},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"max_bytes": -1},
        {"idempotency_header": "not a header"},
    ],
)
def test_a_bad_request_is_refused_for_good_before_anything_is_sent(server: RudeServer, more: dict[str, Any]) -> None:
    assert kind_of(failure(server.on("/", answer(200)), **more)) is InvalidRequest
    assert server.connections == 0


def test_a_redirect_to_something_else_than_http_is_refused_for_good(server: RudeServer) -> None:
    assert kind_of(failure(server.on("/", answer(302, b"", "Location: ftp://127.0.0.1/")))) is InvalidRequest


def test_without_httpx_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)  # what Python itself does for a module that must not be found
    monkeypatch.delitem(sys.modules, "connectors.core.transport", raising=False)
    monkeypatch.delattr("connectors.core.transport", raising=False)
    error = failure("http://127.0.0.1:9/")
    assert kind_of(error) is Permanent
    assert "pip install 'dtf-runtime[http]'" in str(error)


# -- What an error says -------------------------------------------------------------------------------------------


def everything_said(error: BaseException | None) -> str:
    """All that could be stored or logged: texts, attributes, notes, and the errors underneath unless suppressed."""
    if error is None:
        return ""
    underneath = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    said = f"{error} {error!r} {error.__dict__} {error.args} {getattr(error, '__notes__', '')}"
    return said + everything_said(underneath)


@pytest.mark.parametrize("how", [*BROKEN, "status"])
def test_no_error_repeats_a_secret(server: RudeServer, how: str) -> None:
    url = server.on("/path", BROKEN.get(how) or answer(400, b"bad s3cret"))
    error = failure(
        url.replace("http://", "http://user:s3cret@") + "?token=s3cret#s3cret",
        "POST",
        timeout=0.2,
        headers={"Authorization": "Bearer s3cret"},
        params={"sig": "s3cret"},
        text="s3cret",
    )
    assert "s3cret" not in everything_said(error)
    assert f"POST {url}:" in str(error)


@pytest.mark.parametrize(
    "url", ["http://u:s3cret@127.0.0.1:notaport/?s3cret", "ftp://u:s3cret@h/?s3cret", "//u:s3cret@[/", "s3cret"]
)
def test_no_error_repeats_a_secret_of_an_address_it_cannot_read(url: str) -> None:
    assert "s3cret" not in everything_said(failure(url, headers={"X": "s3cret\n"}))


def test_an_error_says_its_facts_to_the_failure_details(server: RudeServer) -> None:
    url = server.on("/x", answer(404))
    assert failure(url + "?q=1").failure_properties() == {"method": "GET", "url": url, "status": 404}
