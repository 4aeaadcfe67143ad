"""The README's error table, row by row, through the real client from the wire; and what is in no table."""

import contextlib
import logging
import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import connectors.core
from connectors.aws.client import aws_call
from connectors.aws.codes import CODES, listed
from connectors.aws.errors import _tell_once
from connectors.core import (
    DEFAULT_RETRY,
    Ambiguous,
    AuthenticationFailed,
    CapacityUnavailable,
    ConnectorError,
    Effect,
    InvalidRequest,
    NotFound,
    Permanent,
    Throttled,
    Transient,
    using,
)
from dtf_runtime import NonRetriableError
from tests.connectors.aws.wire import CALLS, Answer, Wire, raw, to, wire

README = Path(connectors.core.__file__).parents[1] / "aws" / "README.md"
SAFE, UNSAFE = Effect.LOOKUP, Effect.AT_LEAST_ONCE  # neither is sent a second time by botocore


class Row(NamedTuple):
    code: str
    of: str
    status: str
    kind: str
    retry: str
    happened: str
    source: str


def rows(heading: str) -> list[list[str]]:
    part = README.read_text().split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines]


ROWS = [Row(*row) for row in rows("Errors")]
CASES = [(row, service) for row in ROWS for service in (CALLS if row.of == "any" else [row.of])]


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    with wire() as found:
        yield found


def failure(service: str, effect: Effect = SAFE) -> ConnectorError:
    operation, given = CALLS[service]
    with pytest.raises(ConnectorError) as raised:
        aws_call(service, operation, given, effect=effect)
    return raised.value


def classes(kind: str) -> tuple[type[ConnectorError], type[ConnectorError]]:
    """Where a repeat is safe, and where it isn't."""
    safe, _, unsafe = kind.partition(" / ")
    return getattr(connectors.core, safe), getattr(connectors.core, unsafe or safe)


def is_retried(error: ConnectorError) -> bool:
    assert DEFAULT_RETRY.non_retriable == (CapacityUnavailable,)
    return not isinstance(error, (NonRetriableError, CapacityUnavailable))


@pytest.mark.parametrize(("row", "service"), CASES, ids=[f"{service}-{row.code}" for row, service in CASES])
def test_a_code_of_the_table_is_what_the_table_says(server: Wire, row: Row, service: str) -> None:
    server.refuses(service, row.code, int(row.status), "what it is about")
    with using(to(server.url)):
        safe, unsafe = failure(service, SAFE), failure(service, UNSAFE)
    assert (type(safe), type(unsafe)) == classes(row.kind)
    for error in (safe, unsafe):
        assert (error.code, error.status, error.request_id) == (row.code, int(row.status), "r-1")
        assert row.code in str(error)
    assert is_retried(safe) is row.retry.startswith("yes")
    assert is_retried(unsafe) is (row.retry == "yes")
    assert unsafe.may_have_happened is (row.happened == "maybe")
    assert row.retry != "caller" or isinstance(safe, CapacityUnavailable)


def test_the_table_has_forty_codes_and_each_is_once_in_it() -> None:
    assert len(ROWS) >= 40
    assert len({(row.code, row.of) for row in ROWS}) == len(ROWS)
    assert all(row.source.startswith("[") or "botocore" in row.source for row in ROWS)
    assert all(listed("ec2" if row.of == "any" else row.of, row.code) for row in ROWS)


def test_a_code_stands_in_one_list_only() -> None:
    source = (README.parent / "codes.py").read_text()
    words = re.findall(r"[\w.:*]+", " ".join(re.findall(r'^_[A-Z_]+ = """(.*?)"""', source, re.DOTALL | re.MULTILINE)))
    assert len(words) == len(set(words)) > 100
    assert set(CODES) <= set(words)


@pytest.mark.parametrize("service", CALLS)
def test_an_unlisted_server_error_may_have_happened(server: Wire, service: str) -> None:
    server.refuses(service, "TheDogAteIt", 500)
    with using(to(server.url)):
        assert type(failure(service, SAFE)) is Transient
        assert type(failure(service, UNSAFE)) is Ambiguous


@pytest.mark.parametrize("service", CALLS)
def test_an_unlisted_refusal_is_permanent_and_logged_once(
    server: Wire, service: str, caplog: pytest.LogCaptureFixture
) -> None:
    _tell_once.cache_clear()
    server.refuses(service, "NotOnATuesday", 400)
    with caplog.at_level(logging.WARNING, "connectors.aws"), using(to(server.url)):
        assert {type(failure(service)) for _ in range(3)} == {Permanent}
    told = [record.getMessage() for record in caplog.records if record.name == "connectors.aws"]
    assert len(told) == 1
    assert "NotOnATuesday" in told[0]


def test_a_page_of_a_proxy_between_is_an_unlisted_server_error(server: Wire) -> None:
    server.answer = lambda: Answer(502, b"<html><body>Bad Gateway</body></html>", {"content-type": "text/html"})
    with using(to(server.url)):
        assert (type(failure("ec2")), type(failure("ec2", UNSAFE))) == (Transient, Ambiguous)


# == below HTTP ===================================================================================================


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextlib.contextmanager
def never_accepting() -> Iterator[str]:
    """Its queue is full, so that nobody answers who wants to connect."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(0)
    waiting = []
    for _ in range(3):
        one = socket.socket()
        one.setblocking(False)
        one.connect_ex(listener.getsockname())
        waiting.append(one)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        for one in (*waiting, listener):
            one.close()


def silent(connection: socket.socket) -> None:
    while connection.recv(65536):  # until the client leaves
        pass


def hanging_up(connection: socket.socket) -> None:
    connection.shutdown(socket.SHUT_RDWR)


def half(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nff\r\n<half>")


def garbage(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n<unclosed")


BROKEN = [
    ("EndpointConnectionError", nobody),
    ("ConnectTimeoutError", never_accepting),
    ("ProxyConnectionError", nobody),
    ("ReadTimeoutError", lambda: raw(silent)),
    ("ConnectionClosedError", lambda: raw(hanging_up)),
    ("ConnectionClosedError", lambda: raw(half)),
    ("ResponseParserError", lambda: raw(garbage)),
]
FAULTS = {row[0]: row for row in rows("Without an answer")}


@pytest.mark.parametrize(("name", "broken"), BROKEN, ids=[name for name, _ in BROKEN])
def test_a_broken_connection_is_what_the_table_says(
    name: str, broken: Callable[[], contextlib.AbstractContextManager[str]]
) -> None:
    _, _, kind, retry, happened = FAULTS[name]
    with broken() as url:
        proxy = url if name.startswith("Proxy") else None
        with using(to(url, connect_timeout=0.3, read_timeout=0.3, proxy=proxy)):
            safe, unsafe = failure("ec2", SAFE), failure("ec2", UNSAFE)
    assert (type(safe), type(unsafe)) == classes(kind)
    assert {safe.code, unsafe.code} == {name}
    assert unsafe.may_have_happened is (happened == "maybe")
    assert is_retried(unsafe) is (retry == "yes")


def test_every_broken_connection_of_the_table_is_tried() -> None:
    elsewhere = {
        "SSLError",
        "NoCredentialsError",
        "ParamValidationError",
        "CredentialRetrievalError",
    }  # in tests of their own
    assert set(FAULTS) == {name for name, _ in BROKEN} | elsewhere


def test_no_credentials_anywhere(server: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none either"))
    with using(to(server.url, access_key_id=None, secret_access_key=None)):
        error = failure("ec2")
    assert (type(error), error.code) == (AuthenticationFailed, FAULTS["NoCredentialsError"][0])


def test_credentials_that_cannot_be_fetched_are_worth_another_try(
    server: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text("[profile broken]\ncredential_process = /bin/false\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    with using(to(server.url, access_key_id=None, secret_access_key=None, profile="broken")):
        error = failure("ec2", UNSAFE)
    assert (type(error), error.code) == (Transient, FAULTS["CredentialRetrievalError"][0])


def test_an_unknown_profile_and_an_endpoint_that_is_none_are_errors_of_the_kit() -> None:
    with using(to("http://127.0.0.1:1", access_key_id=None, secret_access_key=None, profile="nobody-has-it")):
        assert type(failure("ec2")) is AuthenticationFailed
    with using(to("not a url")):
        assert type(failure("ec2")) is InvalidRequest


def test_what_can_not_be_sent_says_which_parameter_and_not_its_value(server: Wire) -> None:
    with using(to(server.url)), pytest.raises(InvalidRequest, match="parameter Name") as raised:
        aws_call("ssm", "put_parameter", {"Name": 5, "Value": ["hunter2"], "Type": "String"})
    assert raised.value.code == FAULTS["ParamValidationError"][0]
    assert "hunter2" not in str(raised.value)


# == details ======================================================================================================


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x_amz_retry_after": "1500"}, 1.5),
        ({"retry_after": "7"}, 7.0),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({"retry_after": "soon"}, None),
        ({"retry_after": "999999999999999999999999999999"}, 24 * 3600.0),
        ({}, None),
    ],
)
def test_a_wait_that_aws_asks_for_becomes_retry_after(
    server: Wire, headers: dict[str, str], seconds: float | None
) -> None:
    server.refuses("ec2", "RequestLimitExceeded", 503, **headers)
    with using(to(server.url)):
        error = failure("ec2")
    assert isinstance(error, Throttled)
    assert error.retry_after == seconds


def test_a_message_that_quotes_the_request_is_left_out(server: Wire) -> None:
    server.refuses(
        "iam", "SignatureDoesNotMatch", 403, "The canonical string should have been x-amz-security-token:T0P"
    )
    with using(to(server.url)):
        assert "T0P" not in str(failure("iam"))


def test_the_encoded_part_of_a_refusal_is_left_out(server: Wire) -> None:
    server.refuses("ec2", "UnauthorizedOperation", 403, "Not you. Encoded authorization failure message: a1b2c3")
    with using(to(server.url)):
        assert str(failure("ec2")).endswith("Not you.")


def test_a_long_message_is_cut(server: Wire) -> None:
    server.refuses("ec2", "InvalidParameterValue", 400, "x" * 100_000)
    with using(to(server.url)):
        assert len(str(failure("ec2"))) < 600


def test_a_secret_in_a_message_is_masked(server: Wire) -> None:
    connection = to(server.url)
    assert connection.secret_access_key is not None
    server.refuses("ec2", "AuthFailure", 401, f"unknown: {connection.secret_access_key.reveal()}")
    with using(connection):
        assert connection.secret_access_key.reveal() not in str(failure("ec2"))


def test_route_53s_list_of_messages_is_an_invalid_change_batch(server: Wire) -> None:
    body = b"<InvalidChangeBatch><Messages><Message>it was not found</Message></Messages></InvalidChangeBatch>"
    server.answer = lambda: Answer(400, body, {"content-type": "text/xml"})
    with using(to(server.url)):
        error = failure("route53")
    assert (type(error), error.code) == (Permanent, "InvalidChangeBatch")
    assert "it was not found" in str(error)


def test_a_missing_object_without_a_body_is_not_found(server: Wire) -> None:
    server.answer = lambda: Answer(404)
    with using(to(server.url)):
        assert type(failure("s3")) is NotFound


def test_nothing_of_botocores_error_is_left_in_the_traceback(server: Wire) -> None:
    """Its text would go into the history, unshortened and unmasked."""
    server.refuses("ec2", "UnauthorizedOperation", 403, "Not you. Encoded authorization failure message: a1b2c3")
    with using(to(server.url)):
        error = failure("ec2")
    written = "".join(traceback.format_exception(error))
    assert "was refused with UnauthorizedOperation" in written
    assert "a1b2c3" not in written


def test_an_answer_of_another_shape_may_have_happened(server: Wire) -> None:
    server.answer = lambda: Answer(200, b"<Surprise/>", {"content-type": "text/xml"})
    with using(to(server.url)):
        assert (type(failure("iam", SAFE)), type(failure("iam", UNSAFE))) == (Transient, Ambiguous)


def test_a_programming_error_is_not_taken_for_one_of_aws(server: Wire) -> None:
    with using(to(server.url)), pytest.raises(AttributeError):
        aws_call("ec2", "describe_unicorns")


def test_threads_do_not_disturb_each_other(server: Wire) -> None:
    server.refuses("ec2", "InvalidInstanceID.NotFound", 400)
    found: list[type[BaseException]] = []

    def call() -> None:
        with using(to(server.url)):
            found.append(type(failure("ec2")))

    threads = [threading.Thread(target=call) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [NotFound] * 8
