"""The webhook app on a real server: what it lets in, what becomes an event, and how often."""

import asyncio
import hmac
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from connectors.core import InvalidRequest
from connectors.core.webhooks import Incoming, RaiseEvent, Reply, Webhook, WebhookApp, WebhookRefused, signed_body
from dtf_runtime import ProviderError, TaskHubClient, TaskHubWorker, connect
from tests.connectors.core.webhook_host import KEY, REGISTRY, SHOP, collects, serving


@dataclass
class Shop:
    """The service that calls us, and the instance that it calls for."""

    client: TaskHubClient
    folder: Path
    instance_id: str = ""
    http: httpx.AsyncClient = field(default_factory=lambda: httpx.AsyncClient(trust_env=False, timeout=10))

    def app(self, *webhooks: Webhook, **options: Any) -> WebhookApp:
        return WebhookApp(self.client, webhooks or (SHOP,), inbox=self.folder / "inbox.db", **options)

    def body(self, what: Any) -> bytes:
        return json.dumps({"instance": self.instance_id, "what": what}).encode()

    async def post(self, url: str, body: bytes, delivery: str = "", key: str = "", **headers: str) -> httpx.Response:
        signature = hmac.new((key or KEY.reveal()).encode(), body, "sha256").hexdigest()
        sent = {"x-signature": f"sha256={signature}", "x-delivery": delivery, **headers}
        return await self.http.post(f"{url}/shop", content=body, headers=sent)

    async def got(self) -> Any:
        """What the instance has had."""
        await self.client.raise_event(self.instance_id, "stop")
        return await self.client.handle(self.instance_id).result(10)


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Shop]:
    service = connect("memory://")
    async with TaskHubWorker(service, registry=REGISTRY), TaskHubClient(service) as client:
        found = Shop(client, tmp_path)
        found.instance_id = (await client.start(collects)).instance_id
        async with found.http:
            yield found


# == What becomes an event ========================================================================================


async def test_a_verified_request_becomes_an_event(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        answer = await shop.post(url, shop.body({"amount": 7}), "d-1")
        assert (answer.status_code, answer.content) == (200, b"")
        assert answer.headers["cache-control"] == "no-store"
    assert await shop.got() == [{"amount": 7}]


async def test_a_delivery_that_comes_again_is_answered_again_and_raised_once(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        answers = [await shop.post(url, shop.body("a"), "d-1") for _ in range(3)]
        answers.append(await shop.post(url, shop.body("b"), "d-2"))
        answers.append(await shop.post(url, shop.body("something else"), "d-1"))
    assert {answer.status_code for answer in answers} == {200}
    assert await shop.got() == ["a", "b"]


async def test_ten_at_once_are_one(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        answers = await asyncio.gather(*(shop.post(url, shop.body("a"), "d-1") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {200}
    assert await shop.got() == ["a"]


async def test_also_after_the_app_was_started_again(shop: Shop) -> None:
    for _ in range(2):
        async with serving(shop.app()) as url:
            await shop.post(url, shop.body("a"), "d-1")
    assert await shop.got() == ["a"]


async def test_and_by_two_apps_that_share_nothing_but_the_hub(shop: Shop, tmp_path: Path) -> None:
    for name in ("one", "two"):
        app = WebhookApp(shop.client, [SHOP], inbox=tmp_path / f"{name}.db")
        async with serving(app) as url:
            await shop.post(url, shop.body("a"), "d-1")
    assert await shop.got() == ["a"]


async def test_a_restarted_instance_does_not_hear_an_old_delivery_again(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        await shop.post(url, shop.body("a"), "d-1")
        assert await shop.got() == ["a"]
        await shop.client.restart(shop.instance_id)
        await shop.post(url, shop.body("a"), "d-1")
        await shop.post(url, shop.body("b"), "d-2")
        assert await shop.got() == ["b"]


async def test_without_an_id_of_the_sender_the_request_itself_is_the_id(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        for what in ("a", "b", "a"):
            assert (await shop.post(url, shop.body(what))).status_code == 200
    assert await shop.got() == ["a", "b"]


async def test_two_routes_do_not_share_ids(shop: Shop) -> None:
    other = replace(SHOP, path="/other")
    async with serving(shop.app(SHOP, other)) as url:
        await shop.post(url, shop.body("a"), "d-1")
        body = shop.body("b")
        signature = hmac.new(KEY.reveal().encode(), body, "sha256").hexdigest()
        headers = {"x-signature": f"sha256={signature}", "x-delivery": "d-1"}
        assert (await shop.http.post(f"{url}/other", content=body, headers=headers)).status_code == 200
    assert await shop.got() == ["a", "b"]


async def test_a_delivery_for_an_instance_that_is_not_there_may_come_again_later(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        shop.instance_id, known = "later", shop.instance_id
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 404
        await shop.client.start(collects, instance_id="later")
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 200
    assert await shop.got() == ["a"]
    shop.instance_id = known


async def test_a_route_may_do_nothing_or_answer_a_challenge(shop: Shop) -> None:
    async def challenge(request: Incoming) -> Reply:
        return Reply(body=request.param("hub.challenge").encode())

    async def check(request: Incoming) -> None:
        if request.param("hub.verify_token") != "right":
            raise WebhookRefused("no", status=403)

    handshake = Webhook(path="/hello", methods=frozenset({"GET"}), verify=check, to_event=challenge)
    async with serving(shop.app(SHOP, handshake)) as url:
        assert (await shop.post(url, shop.body("nothing"), "d-1")).status_code == 204
        answer = await shop.http.get(f"{url}/hello", params={"hub.challenge": "c 1", "hub.verify_token": "right"})
        assert (answer.status_code, answer.text) == (200, "c 1")
        assert (await shop.http.get(f"{url}/hello?hub.verify_token=x")).status_code == 403
    assert await shop.got() == []


async def test_a_verifier_sees_the_address_as_the_sender_does(shop: Shop) -> None:
    seen: list[Incoming] = []
    look = Webhook(path="/look", verify=seen.append, to_event=lambda request: None)
    async with serving(shop.app(look, base_url="https://hooks.example.com/")) as url:
        await shop.http.post(f"{url}/look?a=1&b=%20x", content=b"n=1&n=2", headers={"X-Two": "1"})
    (request,) = seen
    assert request.url == "https://hooks.example.com/look?a=1&b=%20x"
    assert (request.param("b"), request.header("X-TWO"), request.form()) == (" x", "1", [("n", "1"), ("n", "2")])
    assert repr(request) == "<POST /look, 7 bytes>"


# == What is not let in ===========================================================================================


@pytest.mark.parametrize("key", ["another key", KEY.reveal().upper()])
async def test_a_wrong_signature_is_refused_before_anything_is_read(shop: Shop, key: str) -> None:
    def never(request: Incoming) -> None:
        raise AssertionError("looked into what was not verified")

    async with serving(shop.app(replace(SHOP, to_event=never))) as url:
        assert (await shop.post(url, shop.body("a"), "d-1", key)).status_code == 401
        assert (await shop.http.post(f"{url}/shop", content=b"{}")).status_code == 401
        odd = {b"x-signature": "sha256=\u00e9".encode()}
        assert (await shop.http.post(f"{url}/shop", content=b"", headers=odd)).status_code == 401
    assert await shop.got() == []


@pytest.mark.parametrize("body", [b"", b"{", b'{"what": 1', b"\xff\xfe", b"[]"])
async def test_what_can_not_be_read_is_the_senders_fault(shop: Shop, body: bytes) -> None:
    async with serving(shop.app()) as url:
        assert (await shop.post(url, body, "d-1")).status_code == 400


async def test_a_defect_of_a_route_is_ours(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        answer = await shop.post(url, b"{}", "d-1")
        assert (answer.status_code, answer.content) == (500, b"")
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 200, "and the next one is served"


async def test_unknown_paths_and_methods_are_told_so(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        assert (await shop.http.post(f"{url}/elsewhere")).status_code == 404
        assert (await shop.http.post(f"{url}/shop/")).status_code == 404
        answer = await shop.http.get(f"{url}/shop")
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


def test_two_routes_of_one_path_or_one_among_the_links_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="two webhooks at '/shop'"):
        WebhookApp("memory://", [SHOP, SHOP])
    for path in ("shop", "/events/shop"):
        with pytest.raises(InvalidRequest, match="begins with /"):
            WebhookApp("memory://", [replace(SHOP, path=path)])


def test_a_verifier_without_a_key_is_refused() -> None:
    with pytest.raises(ValueError, match="anybody could sign"):
        signed_body([], header="X-Signature")


async def test_any_of_several_keys_and_both_encodings_are_understood() -> None:
    from base64 import b64encode
    from datetime import UTC, datetime

    from connectors.core import Secret

    old, new = Secret("the key before this one"), Secret("the key of today")
    digest = hmac.new(old.reveal().encode(), b"body", "sha1").digest()
    verify = signed_body((new, old), header="Authorization", prefix="HMAC ", algorithm="sha1", encoding="base64")
    headers = {"authorization": f"HMAC {b64encode(digest).decode()}"}
    request = Incoming(method="POST", url="", path="", headers=headers, body=b"body", received_at=datetime.now(UTC))
    verify(request)
    with pytest.raises(WebhookRefused):
        verify(replace(request, body=b"another body"))


# == Limits =======================================================================================================


class Wire:
    """A connection that sends what it likes, as slowly as it likes."""

    def __init__(self, url: str) -> None:
        self._address = ("127.0.0.1", int(url.rpartition(":")[2]))

    async def __aenter__(self) -> "Wire":
        self.reader, self.writer = await asyncio.open_connection(*self._address)
        self.writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self

    async def __aexit__(self, *error: object) -> None:
        self.writer.close()

    async def status(self) -> int:
        """0: hung up without an answer."""
        async with asyncio.timeout(10):
            line = await self.reader.readline()
            return int(line.split()[1]) if line else 0

    async def is_closed(self) -> bool:
        async with asyncio.timeout(10):
            await self.reader.read()
        return True


async def test_a_body_that_announces_too_much_is_refused_before_it_is_sent(shop: Shop) -> None:
    async with serving(shop.app()) as url, Wire(url) as wire:
        wire.writer.write(b"POST /shop HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n")
        assert await wire.status() == 413
        assert await wire.is_closed()


async def test_a_body_that_never_ends_is_cut_at_the_limit(shop: Shop) -> None:
    app = shop.app(replace(SHOP, max_bytes=10_000))
    async with serving(app) as url, Wire(url) as wire:
        wire.writer.write(b"POST /shop HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(11):
            wire.writer.write(b"3e8\r\n" + b"x" * 1000 + b"\r\n")
        assert await wire.status() == 413
        assert await wire.is_closed()


async def test_a_body_that_stops_coming_and_one_that_trickles_are_given_up(shop: Shop) -> None:
    head = b"POST /shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    async with serving(shop.app(idle_timeout=0.2)) as url, Wire(url) as wire:
        wire.writer.write(head + b"x")
        assert await wire.status() == 408
        assert await wire.is_closed()
    async with serving(shop.app(idle_timeout=5.0, read_timeout=0.3)) as url, Wire(url) as wire:
        wire.writer.write(head)

        async def trickle() -> None:
            while True:
                wire.writer.write(b"x")
                await asyncio.sleep(0.02)

        trickling = asyncio.create_task(trickle())
        assert await wire.status() == 408
        trickling.cancel()


async def test_headers_that_never_end_are_shown_out(shop: Shop) -> None:
    async with serving(shop.app(), header_timeout=0.2) as url, Wire(url) as wire:
        wire.writer.write(b"POST /shop HTTP/1.1\r\nHost: x\r\n")
        assert await wire.status() == 0
    async with serving(shop.app(), header_timeout=0.2) as url, Wire(url) as wire:
        wire.writer.write(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        assert await wire.status() == 404
        wire.writer.write(b"GET /nothing HTTP/1.1\r\n")
        assert await wire.is_closed(), "a second request on the connection is no way around"


async def test_one_that_hangs_up_half_way_leaves_nothing_behind(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(shop.app()) as url:
        async with Wire(url) as wire:
            wire.writer.write(b"POST /shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
            await wire.writer.drain()
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 200
    assert await shop.got() == ["a"]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_more_at_once_than_allowed_are_asked_to_come_back(shop: Shop) -> None:
    async with serving(shop.app(max_in_flight=1)) as url, Wire(url) as wire:
        wire.writer.write(b"POST /shop HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n")
        answer = await shop.post(url, shop.body("a"), "d-1")
        while answer.status_code != 503:  # until the first one is being read
            answer = await shop.post(url, shop.body("a"), "d-1")
        assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"x", b"1\r\nContent-Length: 2"])
async def test_a_length_that_is_none_is_refused(shop: Shop, length: bytes) -> None:
    async with serving(shop.app()) as url, Wire(url) as wire:
        wire.writer.write(b"POST /shop HTTP/1.1\r\nHost: x\r\nContent-Length: " + length + b"\r\n\r\nx")
        assert await wire.status() == 400


async def test_nothing_of_a_request_is_logged(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    def fails(request: Incoming) -> RaiseEvent:
        raise RuntimeError(request.body.decode())

    broken = Webhook(path="/broken", verify=None, to_event=fails)
    async with serving(shop.app(SHOP, broken)) as url:
        await shop.post(f"{url}", b"canary-in-body", "canary-in-header", "wrong key")
        await shop.post(f"{url}", b"canary-in-body", "canary-in-header")
        await shop.http.post(f"{url}/broken?q=canary-in-query", content=b"canary-in-body")
    ours = [r for r in caplog.records if not r.name.startswith(("httpx", "httpcore"))]  # the client's, of this test
    assert [r.getMessage() for r in ours if r.name == "connectors.core.webhooks"]
    assert "canary" not in "".join(f"{r.getMessage()} {r.exc_text}" for r in ours)


# == A hub that can't be reached ==================================================================================


class Shaky:
    """Stands before a hub's client and lets nothing through while it is down."""

    def __init__(self, client: TaskHubClient, monkeypatch: pytest.MonkeyPatch) -> None:
        self.is_down = True
        send = client.raise_event_once

        async def raise_event_once(*args: Any, **options: Any) -> None:
            if self.is_down:
                raise ProviderError("the disk is full of canaries")
            await send(*args, **options)

        monkeypatch.setattr(client, "raise_event_once", raise_event_once)


async def test_what_was_accepted_while_the_hub_was_away_is_raised_when_it_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("connectors.core.webhooks.app._AGAIN", 0.02)
    hub = Shaky(shop.client, monkeypatch)
    async with serving(shop.app()) as url:
        answer = await shop.post(url, shop.body("a"), "d-1")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        hub.is_down = False
        async with asyncio.timeout(10):
            while not any(e.kind == "EventRaised" for e in await shop.client.get_history(shop.instance_id)):
                await asyncio.sleep(0.01)
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 200
    assert await shop.got() == ["a"]
    assert "ProviderError at test_webhooks.py" in caplog.text and "canaries" not in caplog.text


async def test_a_sender_that_tries_again_is_heard_as_soon_as_the_hub_is_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = Shaky(shop.client, monkeypatch)
    async with serving(shop.app()) as url:
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 503
        hub.is_down = False
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 200
    assert await shop.got() == ["a"]


async def test_a_delivery_whose_instance_is_gone_by_then_is_dropped(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    hub = Shaky(shop.client, monkeypatch)
    async with serving(shop.app()) as url:
        assert (await shop.post(url, shop.body("a"), "d-1")).status_code == 503
    assert await shop.got() == []
    await shop.client.purge(shop.instance_id)
    hub.is_down = False
    async with serving(shop.app()), asyncio.timeout(10):
        while "was dropped" not in caplog.text:
            await asyncio.sleep(0.01)


# == Running it ===================================================================================================


async def test_an_address_that_is_taken_is_an_error_and_nothing_is_left_running(shop: Shop) -> None:
    async with serving(shop.app()) as url:
        port = int(url.rpartition(":")[2])
        other = WebhookApp(shop.client, [SHOP], inbox=shop.folder / "other.db")
        with pytest.raises(OSError, match="in use"):
            async with serving(other, port=port):
                raise AssertionError("two on one port")
    async with serving(other, port=port) as again:
        assert again == url


async def test_an_inbox_that_can_not_be_opened_stops_the_app_from_starting(shop: Shop) -> None:
    (shop.folder / "file").touch()
    app = WebhookApp(shop.client, [SHOP], inbox=shop.folder / "file" / "inbox.db")
    with pytest.raises(OSError, match="file"):
        async with serving(app):
            raise AssertionError("it started")


async def test_a_request_before_the_app_has_started_is_asked_to_come_back(shop: Shop) -> None:
    transport = httpx.ASGITransport(app=shop.app())
    async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
        assert (await client.post("/shop")).status_code == 503


async def test_mounted_below_a_path_it_finds_its_routes(shop: Shop) -> None:
    async with shop.app() as app:
        transport = httpx.ASGITransport(app=app, root_path="/hooks")
        async with httpx.AsyncClient(transport=transport, base_url="http://app.test") as client:
            assert (await client.post("/hooks/shop")).status_code == 401
            assert (await client.post("/shop")).status_code == 401
            assert (await client.post("/hooks/other")).status_code == 404
