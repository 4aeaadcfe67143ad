"""Credentials: they come from the connection, go to its own origin alone, and are kept out of whatever is stored or logged."""

import asyncio
import base64
import json
import logging
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

import pytest

from connectors.core import (
    AuthenticationFailed,
    ConnectionMissing,
    InvalidRequest,
    Permanent,
    Secret,
    Transient,
    resolve,
    transport,
    using,
)
from connectors.core.connections import from_environment
from connectors.core.outgoing import Outgoing
from connectors.core.urls import without_grants
from connectors.http import HttpConnection, HttpRequest, request
from tests.connectors.http.calls import LOCAL, call, call_async, failure
from tests.connectors.http.rude_server import RudeServer, answer

CANARY = "c4n4ry-s3cret"


def at(server: RudeServer, **more: Any) -> HttpConnection:
    return HttpConnection(base_url=f"http://127.0.0.1:{server.port}/api", allow_private=True, **more)


# -- Where requests go ----------------------------------------------------------------------------------------------


def test_a_relative_address_is_below_the_connections(server: RudeServer) -> None:
    server.on("/api/orders/7", answer(200, b"seven"))
    for url in ("orders/7", "/orders/7", f"http://127.0.0.1:{server.port}/api/orders/7"):
        assert call(url, through=at(server)).text == "seven"
    assert type(failure("orders/7")) is InvalidRequest


@pytest.mark.parametrize("url", ["//evil.example/x", "http:evil.example", "ftp:x", "javascript:alert(1)"])
def test_a_relative_address_cannot_leave_the_connections_host(server: RudeServer, url: str) -> None:
    for path in ("/api/evil.example/x", "/api/evil.example"):
        server.on(path, answer(200))
    try:
        got = call(url, through=at(server))
    except InvalidRequest:
        return
    assert got.url.startswith(f"http://127.0.0.1:{server.port}/api/")


# -- Each kind of credential ------------------------------------------------------------------------------------------

KINDS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "basic": (
        {"username": "ann", "password": Secret(CANARY)},
        {"authorization": "Basic " + base64.b64encode(f"ann:{CANARY}".encode()).decode()},
    ),
    "bearer": ({"bearer_token": Secret(CANARY)}, {"authorization": f"Bearer {CANARY}"}),
    "API key": ({"api_key": Secret(CANARY)}, {"x-api-key": CANARY}),
    "API key elsewhere": ({"api_key": Secret(CANARY), "api_key_header": "X-Shop-Key"}, {"x-shop-key": CANARY}),
    "headers": ({"headers": ("X-Tenant: seven", "Accept: text/csv")}, {"x-tenant": "seven", "accept": "text/csv"}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_credentials_go_to_their_own_server_and_to_no_other(server: RudeServer, kind: str) -> None:
    settings, sent = KINDS[kind]
    with RudeServer() as other:
        elsewhere = other.on("/", answer(200))
        server.on("/api/own", answer(200))
        server.on("/api/away", answer(307, b"", f"Location: {elsewhere}"))
        through = at(server, **settings)
        call("own", through=through)
        call(elsewhere, through=through)
        call("away", through=through)
    assert sent.items() <= server.received[0].headers.items()
    for got in other.received:
        assert CANARY not in str(got)
        assert "authorization" not in got.headers


def test_an_api_key_in_the_query_is_sent_and_neither_stored_nor_told(server: RudeServer) -> None:
    link = f"<http://127.0.0.1:{server.port}/api/own?apikey={CANARY}&page=2>; rel=next"
    server.on("/api/own", answer(200, b"", f"Link: {link}"), answer(404))
    through = at(server, api_key=Secret(CANARY), api_key_query="apikey")
    got = call("own?page=1", through=through)
    error = failure("own", through=through)
    assert server.received[0].target == f"/api/own?page=1&apikey={CANARY}"
    assert got.headers["link"].endswith("/api/own?page=2>; rel=next")
    assert CANARY not in f"{got} {error} {error.__dict__}"


def test_credentials_need_an_address_that_they_belong_to() -> None:
    for settings, _sent in KINDS.values():
        with pytest.raises(ConnectionMissing, match="base_url"):
            HttpConnection(**settings)
    with pytest.raises(ConnectionMissing, match="together"):
        HttpConnection(base_url="https://a.example", token_url="https://b.example", client_id="x")
    with pytest.raises(ConnectionMissing, match="without credentials"):
        HttpConnection(base_url="https://user:pass@a.example")


def test_the_default_connection_is_always_there_and_no_other_is() -> None:
    with using():
        assert resolve(HttpConnection, "default") is not None
        with pytest.raises(ConnectionMissing, match="DTF_CONNECTION_HTTP_SHOP_BASE_URL"):
            resolve(HttpConnection, "shop")


def test_a_connection_comes_from_the_environment() -> None:
    found = from_environment(
        HttpConnection,
        "shop",
        {
            "DTF_CONNECTION_HTTP_SHOP_BASE_URL": "https://shop.example",
            "DTF_CONNECTION_HTTP_SHOP_BEARER_TOKEN": CANARY,
            "DTF_CONNECTION_HTTP_SHOP_ALLOW_HOSTS": "10.0.0.0/8, intranet.example",
            "DTF_CONNECTION_HTTP_SHOP_VERIFY": "no",
        },
    )
    assert found == HttpConnection(
        name="shop",
        base_url="https://shop.example",
        bearer_token=Secret(CANARY),
        allow_hosts=("10.0.0.0/8", "intranet.example"),
        verify=False,
    )
    assert CANARY not in repr(found)


async def test_the_activity_finds_its_connection_by_name(server: RudeServer) -> None:
    server.on("/api/own", answer(200))
    with using(replace(at(server, bearer_token=Secret(CANARY)), name="shop")):
        await request(HttpRequest(url="own", connection="shop"))
    assert server.received[0].headers["authorization"] == f"Bearer {CANARY}"


# -- OAuth2 client credentials ----------------------------------------------------------------------------------------


def token(text: str, **more: Any) -> bytes:
    return json.dumps({"access_token": text, "token_type": "Bearer", "expires_in": 3600, **more}).encode()


def oauth(server: RudeServer, name: str, **more: Any) -> HttpConnection:
    settings = {"token_url": f"http://127.0.0.1:{server.port}/token", "client_id": "the worker"}
    return at(server, **settings, client_secret=Secret("se cret"), scope="read write", name=name, **more)


def test_a_token_is_fetched_once_and_used_until_it_expires(server: RudeServer) -> None:
    server.on("/token", answer(200, token("t-one")), answer(200, token("t-two")))
    server.on("/api/own", answer(200))
    through = oauth(server, "once")
    for _ in range(3):
        call("own", through=through)
    asked = [got for got in server.received if got.target == "/token"]
    assert len(asked) == 1
    assert parse_qs(asked[0].body.decode()) == {"grant_type": ["client_credentials"], "scope": ["read write"]}
    assert base64.b64decode(asked[0].headers["authorization"].split()[1]) == b"the+worker:se+cret"
    assert {got.headers["authorization"] for got in server.received if got.target == "/api/own"} == {"Bearer t-one"}


def test_a_client_may_say_who_it_is_in_the_body(server: RudeServer) -> None:
    server.on("/token", answer(200, token("t")))
    server.on("/api/own", answer(200))
    call("own", through=oauth(server, "body", client_auth="body", audience="shop"))
    form = parse_qs(server.received[0].body.decode())
    assert (form["client_id"], form["client_secret"], form["audience"]) == (["the worker"], ["se cret"], ["shop"])
    assert "authorization" not in server.received[0].headers


def test_many_requests_at_once_fetch_one_token(server: RudeServer) -> None:
    server.on("/token", answer(200, token("t")))
    server.on("/api/own", answer(200))
    through = oauth(server, "many")

    async def many() -> None:
        await asyncio.gather(*(call_async("own", through=through) for _ in range(20)))

    asyncio.run(many())
    assert sum(got.target == "/token" for got in server.received) == 1


def test_a_token_is_renewed_before_it_expires(server: RudeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    server.on("/token", answer(200, token("t-one", expires_in=600)), answer(200, token("t-two", expires_in="600")))
    server.on("/api/own", answer(200))
    through = oauth(server, "renewed")
    now = 1000.0
    monkeypatch.setattr("connectors.http.tokens.time.monotonic", lambda: now)
    call("own", through=through)
    now = 1539.0
    call("own", through=through)
    now = 1541.0  # a minute before its end
    call("own", through=through)
    sent = [got.headers["authorization"] for got in server.received if got.target == "/api/own"]
    assert sent == ["Bearer t-one", "Bearer t-one", "Bearer t-two"]


def test_a_token_that_the_server_no_longer_takes_is_fetched_anew_once(server: RudeServer) -> None:
    server.on("/token", answer(200, token("t-one")), answer(200, token("t-two")), answer(200, token("t-three")))
    server.on("/api/own", answer(200), answer(401), answer(200, b"well"), answer(401))
    through = oauth(server, "revoked")
    call("own", through=through)
    assert call("own", "POST", text="body", through=through).text == "well"
    assert type(failure("own", through=through)) is AuthenticationFailed
    assert server.received[-1].headers["authorization"] == "Bearer t-three"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, b'{"error": "invalid_scope"}', AuthenticationFailed, "invalid_scope"),
        (401, b'{"error":"invalid_client"}', AuthenticationFailed, "invalid_client"),
        (503, b"", Transient, ""),
        (200, b"<html>", Permanent, "token"),
        (302, b"", Permanent, ""),
    ],
)
def test_without_a_token_nothing_of_the_call_is_sent(
    server: RudeServer, status: int, body: bytes, kind: type[Exception], code: str
) -> None:
    server.on("/token", answer(status, body, "Location: /api/own"))
    server.on("/api/own", answer(200))
    error = failure("own", "POST", through=oauth(server, f"none-{status}-{code}"))
    assert (type(error), error.code) == (kind, code)
    assert [got.target for got in server.received] == ["/token"]


# -- Kept out of everything -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 401, 500])
def test_no_logger_tells_a_credential_not_even_the_librarys_own(
    server: RudeServer, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    caplog.set_level(logging.DEBUG)
    server.on("/token", answer(200, token(CANARY + "-token")))
    server.on("/api/own", answer(status, b"", f"Set-Cookie: session={CANARY}"))
    everything = [settings for settings, _ in KINDS.values()]
    everything.append({"api_key": Secret(CANARY), "api_key_query": "apikey"})
    for number, settings in enumerate(everything):
        through = oauth(server, f"logs-{status}-{number}", **settings)
        url = f"http://ann:{CANARY}@127.0.0.1:{server.port}/api/own?sig={CANARY}"
        if status == 200:
            call("own", through=through)
            call(url, through=LOCAL)
        else:
            failure("own", through=through)
            failure(url, through=LOCAL)
    assert any(record.name == "httpx" for record in caplog.records)
    assert any(record.name.startswith("httpcore") for record in caplog.records)
    encoded = base64.b64encode(f"ann:{CANARY}".encode()).decode()
    assert CANARY not in caplog.text
    assert encoded not in caplog.text


def test_what_grants_access_is_masked_in_the_address_that_is_stored(server: RudeServer) -> None:
    server.on("/blob", answer(200))
    url = f"http://127.0.0.1:{server.port}/blob"
    query = "?sv=2024&sp=r&sig=AbC%3D&X-Amz-Signature=f00&X-Amz-Credential=AK&access_token=t&key=k&page=2"
    assert call(url + query).url == url + (
        "?sv=2024&sp=r&sig=***&X-Amz-Signature=***&X-Amz-Credential=***&access_token=***&key=***&page=2"
    )
    assert without_grants("https://a:b@c.example/x?monkey=1&design=2&apikey=3#f") == (
        "https://c.example/x?monkey=1&design=2&apikey=***"
    )


def test_the_key_is_quoted_where_the_connection_says_so(server: RudeServer) -> None:
    url = server.on("/", answer(200))
    call(url, "POST", key="k1", through=replace(LOCAL, idempotency_quoted=True, idempotency_header="X-Key"))
    assert server.received[0].headers["x-key"] == '"k1"'


async def test_an_address_that_can_be_read_in_two_ways_gets_no_credentials(server: RudeServer) -> None:
    url = server.on("/", answer(200))
    call = Outgoing(method="GET", url=url, host="shop.example", headers={"authorization": CANARY}, repeatable=True)
    with pytest.raises(InvalidRequest, match="two ways"):
        async with transport.exchange(LOCAL.route(url), call):
            pass
    assert server.connections == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "[::ffff:127.0.0.1]", "127.0.0.1."])
def test_an_address_is_read_in_one_way_however_it_is_written(server: RudeServer, host: str) -> None:
    server.on("/x", answer(200))
    through = HttpConnection(base_url=f"http://{host}:{server.port}", bearer_token=Secret(CANARY), allow_private=True)
    assert call("/x", through=through).status == 200
    assert server.received[0].headers["authorization"] == f"Bearer {CANARY}"
