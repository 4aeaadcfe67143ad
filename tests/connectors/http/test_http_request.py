"""A request that goes well: what is sent, what comes back, and what is kept between requests."""

import asyncio
import gzip
import socket
import subprocess
import sys
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import pytest

from connectors.core import Ambiguous, BodyTooLarge, NotFound, Permanent, Transient
from connectors.core.transport import aclose
from connectors.http import CONNECTOR, HttpConnection, HttpRequest, HttpResponse, request
from tests.connectors.http.calls import call, failure
from tests.connectors.http.rude_server import RudeServer, answer, raw


def test_an_answer_has_status_headers_body_and_address(server: RudeServer) -> None:
    url = server.on("/thing", answer(200, b'{"size": 3}', "Content-Type: application/json", "X-Twice: a", "X-Twice: b"))
    got = call(url + "?color=red#top")
    assert (got.status, got.json(), got.text) == (200, {"size": 3}, '{"size": 3}')
    assert got.headers["x-twice"] == "a, b"
    assert got.url == url + "?color=red"
    assert 0 < got.elapsed < 5


def test_outside_a_worker_the_activity_is_a_plain_function_that_sends_no_key(server: RudeServer) -> None:
    url = server.on("/", answer(201))
    got = asyncio.run(_plainly(HttpRequest(url=url, method="POST", json={"a": 1})))
    assert got.status == 201
    assert "idempotency-key" not in server.received[0].headers


async def _plainly(what: HttpRequest) -> HttpResponse:
    return await request(what)


def test_parameters_join_the_query_that_is_there(server: RudeServer) -> None:
    call(server.on("/find", answer(200)) + "?page=1", params={"q": "a b&c", "tag": ["x", "y"], "n": 2})
    query = parse_qsl(urlsplit(server.received[0].target).query)
    assert query == [("page", "1"), ("q", "a b&c"), ("tag", "x"), ("tag", "y"), ("n", "2")]


@pytest.mark.parametrize(
    ("body", "sent", "kind"),
    [
        ({"json": {"a": [1, "ü"]}}, '{"a":[1,"ü"]}'.encode(), "application/json"),
        ({"text": "grüß"}, "grüß".encode(), "text/plain; charset=utf-8"),
        ({"body": b"\x00\xff"}, b"\x00\xff", "application/octet-stream"),
        ({"body": b"x", "headers": {"content-TYPE": "image/png"}}, b"x", "image/png"),
    ],
)
def test_a_body_is_sent_with_its_content_type(server: RudeServer, body: dict[str, Any], sent: bytes, kind: str) -> None:
    call(server.on("/", answer(200)), "POST", **body)
    assert (server.received[0].body, server.received[0].headers["content-type"]) == (sent, kind)


def test_a_post_carries_the_calls_key_and_a_get_only_when_asked(server: RudeServer) -> None:
    url = server.on("/", answer(200))
    call(url, "POST", key="k1")
    call(url, "GET", key="k2")
    call(url, "GET", key="k3", send_idempotency_key="always")
    call(url, "PATCH", key="k4", send_idempotency_key="never")
    call(url, "POST", key="k5", idempotency_header="X-Request-Id")
    call(url, "POST", key="k6", headers={"idempotency-key": "mine"})
    keys = [(got.headers.get("idempotency-key"), got.headers.get("x-request-id")) for got in server.received]
    assert keys == [("k1", None), (None, None), ("k3", None), (None, None), (None, "k5"), ("mine", None)]


def test_a_status_that_is_expected_is_an_answer(server: RudeServer) -> None:
    url = server.on("/gone", answer(404, b"no such order"))
    assert call(url, expected=(200, 404)).text == "no such order"
    assert isinstance(failure(url), NotFound)


def test_a_success_that_is_not_expected_is_an_error(server: RudeServer) -> None:
    error = failure(server.on("/", answer(200)), expected=(202,))
    assert type(error) is Permanent
    assert error.status == 200


def test_text_is_decoded_by_its_character_set_and_survives_an_unknown_one(server: RudeServer) -> None:
    latin = answer(200, "grüß".encode("latin-1"), "Content-Type: text/plain; charset=ISO-8859-1")
    unknown = answer(200, "grüß".encode(), "Content-Type: text/plain; charset=klingon")
    url = server.on("/", latin, unknown)
    assert [call(url).text, call(url).text] == ["grüß", "grüß"]


def test_json_is_checked_against_the_type_that_is_asked_for(server: RudeServer) -> None:
    got = call(server.on("/", answer(200, b"[1, 2]")))
    assert got.json(list[int]) == [1, 2]
    with pytest.raises(msgspec.ValidationError):
        got.json(list[str])


def test_a_compressed_body_arrives_decompressed(server: RudeServer) -> None:
    url = server.on("/", answer(200, gzip.compress(b"hello" * 100), "Content-Encoding: gzip"))
    assert call(url).body == b"hello" * 100


# -- Size ---------------------------------------------------------------------------------------------------------


def test_a_body_of_exactly_max_bytes_is_read(server: RudeServer) -> None:
    assert len(call(server.on("/", answer(200, b"x" * 100)), max_bytes=100).body) == 100


def test_a_body_that_announces_too_much_is_refused_before_it_is_read(server: RudeServer) -> None:
    url = server.on("/", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n", close=False))
    error = failure(url, max_bytes=1000)
    assert type(error) is BodyTooLarge
    assert "5000000000" in str(error)


def test_a_body_without_a_length_is_refused_as_soon_as_it_is_too_large(server: RudeServer) -> None:
    error = failure(server.on("/", answer(200, b"x" * 200_000, length=False)), max_bytes=1000)
    assert type(error) is BodyTooLarge


def test_a_small_compressed_body_that_unpacks_to_too_much_is_refused(server: RudeServer) -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)
    assert len(bomb) < 50_000
    error = failure(server.on("/", answer(200, bomb, "Content-Encoding: gzip")), max_bytes=1_000_000)
    assert type(error) is BodyTooLarge


def test_the_length_that_a_head_answer_announces_is_no_body(server: RudeServer) -> None:
    url = server.on("/", raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000000000\r\n\r\n", close=False))
    assert call(url, "HEAD").headers["content-length"] == "5000000000"


# -- Redirects ----------------------------------------------------------------------------------------------------


def test_a_redirect_is_followed_and_the_final_address_told(server: RudeServer) -> None:
    end = server.on("/end", answer(200, b"here"))
    got = call(server.on("/start", answer(302, b"", "Location: /end")))
    assert (got.text, got.url) == ("here", end)


def test_a_redirect_that_is_not_followed_is_an_error_unless_expected(server: RudeServer) -> None:
    url = server.on("/start", answer(301, b"", "Location: /end"))
    error = failure(url, follow_redirects=False)
    assert (type(error), error.status) == (Permanent, 301)
    assert call(url, expected=(301,)).headers["location"] == "/end"


def test_a_circle_of_redirects_ends(server: RudeServer) -> None:
    error = failure(server.on("/round", answer(302, b"", "Location: /round")))
    assert type(error) is Permanent
    assert len(server.received) == 11


@pytest.mark.parametrize(("status", "kind"), [(307, Transient), (308, Transient), (302, Ambiguous), (303, Ambiguous)])
def test_a_post_that_was_sent_elsewhere_and_never_arrived_was_done_only_if_the_redirect_says_so(
    server: RudeServer, status: int, kind: type[Exception]
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}/"
        assert type(failure(server.on("/", answer(status, b"", f"Location: {nowhere}")), "POST")) is kind


def test_secrets_do_not_follow_a_redirect_to_another_origin(server: RudeServer) -> None:
    with RudeServer() as other:
        elsewhere = other.on("/", answer(200))
        url = server.on("/", answer(307, b"", f"Location: {elsewhere}"))
        call(url, "POST", key="k1", text="hello", headers={"Authorization": "Bearer s3cret", "X-Api-Key": "s3cret"})
    arrived = other.received[0]
    assert "s3cret" in str(server.received[0].headers)
    assert "s3cret" not in str(arrived.headers)
    assert (arrived.body, arrived.headers["idempotency-key"]) == (b"hello", "k1")


def test_headers_follow_a_redirect_within_the_origin(server: RudeServer) -> None:
    server.on("/end", answer(200))
    call(server.on("/start", answer(302, b"", "Location: /end")), headers={"X-Api-Key": "k"})
    assert server.received[1].headers["x-api-key"] == "k"


# -- Connections and cookies --------------------------------------------------------------------------------------


def test_requests_of_one_loop_share_a_connection_which_is_closed_with_the_loop(server: RudeServer) -> None:
    url = server.on("/", answer(200, b"hi"))

    async def several() -> None:
        for _ in range(3):
            await request(HttpRequest(url=url))

    asyncio.run(several())
    assert (server.connections, len(server.received)) == (1, 3)
    assert server.wait_until_closed()


def test_a_closed_client_is_replaced_by_the_next_request(server: RudeServer) -> None:
    url = server.on("/", answer(200, b"hi"))

    async def around() -> None:
        await request(HttpRequest(url=url))
        await aclose()
        assert await asyncio.to_thread(server.wait_until_closed)
        await request(HttpRequest(url=url))

    asyncio.run(around())
    assert server.connections == 2


def test_no_cookie_is_kept_or_stored(server: RudeServer) -> None:
    url = server.on("/", answer(200, b"hi", "Set-Cookie: session=s3cret; Path=/"))

    async def twice() -> HttpResponse:
        await request(HttpRequest(url=url))
        return await request(HttpRequest(url=url))

    got = asyncio.run(twice())
    assert "cookie" not in server.received[1].headers
    assert "s3cret" not in str(got)


def test_a_proxy_of_the_environment_is_not_asked_for_loopback(
    server: RudeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{unused.getsockname()[1]}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        assert call(server.on("/", answer(200))).status == 200


# -- Import -------------------------------------------------------------------------------------------------------


def test_importing_the_connector_loads_no_http_library() -> None:
    code = "import sys, connectors.http; sys.exit(bool({'httpx', 'httpcore', 'anyio'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0


def test_the_connector_says_what_it_offers() -> None:
    offered = {each.name for each in CONNECTOR.activities} | {each.name for each in CONNECTOR.orchestrations}
    assert CONNECTOR.name == "http"
    assert {"http.request", "http.fetch_page", "http.download", "http.upload"} <= offered
    assert {"http.paginate", "http.poll_operation"} <= offered
    assert CONNECTOR.connection is HttpConnection
    assert "DTF_CONNECTION_HTTP_DEFAULT_BEARER_TOKEN" in CONNECTOR.environment


def test_input_and_output_survive_being_stored() -> None:
    sent = HttpRequest(url="http://x/", method="POST", body=b"\xff", params={"a": ["1", "2"]}, expected=(201,))
    got = HttpResponse(status=201, url="http://x/", headers={"a": "b"}, body=b"\xff", elapsed=0.5)
    for value in (sent, got):
        assert msgspec.json.decode(msgspec.json.encode(value), type=type(value)) == value
