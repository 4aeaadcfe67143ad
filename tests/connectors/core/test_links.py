"""Links: what is in them can't be changed, they end, a key can be replaced, and each is good for one answer."""

import asyncio
import base64
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.core import InvalidRequest, Secret
from connectors.core.webhooks import LINK_PATH, LinkRefused, Links, Received, WebhookApp, WebhookConnection
from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.testing import TestHub
from tests.connectors.core.webhook_host import serving

BASE = "https://hooks.example.com/in"
OLD, NEW, FOREIGN = (Secret(f"{name}-{'k' * 32}") for name in ("old", "new", "foreign"))


def token_of(url: str) -> str:
    return url.rpartition("/")[2]


def links(*keys: Secret, hub: TestHub | None = None) -> Links:
    return Links(BASE, keys or (NEW,)) if hub is None else Links(BASE, keys or (NEW,), clock=hub.clock)


def make(found: Links, **options: Any) -> str:
    return found.make("order-7", "approved", **{"once": "q1", "expires_in": 60, **options})


# == The link itself ==============================================================================================


def test_a_link_says_what_it_was_made_of() -> None:
    url = make(links(), payload={"answer": "yes"}, question="Ship it?")
    assert url.startswith(f"{BASE}{LINK_PATH}")
    link = links().read(token_of(url))
    assert (link.instance_id, link.event, link.once, link.question) == ("order-7", "approved", "q1", "Ship it?")
    assert link.has_payload and link.payload == {"answer": "yes"}
    assert make(links(), payload=None) != make(links()), "a payload of null is one"


def test_the_same_arguments_make_the_same_link_at_every_attempt() -> None:
    ends = datetime(2030, 1, 1, tzinfo=UTC)
    assert links().make_until("i", "e", once="o", ends=ends) == links().make_until("i", "e", once="o", ends=ends)


@given(st.data())
def test_no_changed_character_is_accepted(data: st.DataObject) -> None:
    token = token_of(make(links()))
    position = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(min_codepoint=33, max_codepoint=255).filter(lambda c: c != token[position]))
    with pytest.raises(LinkRefused) as caught:
        links().read(token[:position] + other + token[position + 1 :])
    assert caught.value.code == "invalid"


@pytest.mark.parametrize("odd", ["", ".", "a", "a.b", "....", "é", "\x00", "a" * 10_000])
def test_what_is_no_link_is_refused(odd: str) -> None:
    with pytest.raises(LinkRefused):
        links().read(odd)


@pytest.mark.parametrize("suffix", ["=", "==", ".", "\n", " "])
def test_a_link_has_one_spelling(suffix: str) -> None:
    token = token_of(make(links()))
    with pytest.raises(LinkRefused):
        links().read(token + suffix)
    with pytest.raises(LinkRefused):
        links().read(token.replace(".", f"{suffix}."))


def test_a_link_of_another_key_is_refused_and_a_signature_fits_one_link_only() -> None:
    with pytest.raises(LinkRefused):
        links().read(token_of(make(links(FOREIGN))))
    body = token_of(make(links(), payload="no")).partition(".")[0]
    signature = token_of(make(links(), payload="yes")).partition(".")[2]
    with pytest.raises(LinkRefused):
        links().read(f"{body}.{signature}")


def test_a_replaced_key_is_believed_as_long_as_it_is_named() -> None:
    before = token_of(make(links(OLD)))
    both = links(NEW, OLD)
    assert both.read(before).event == "approved"
    assert links(NEW).read(token_of(make(both))).event == "approved", "the first one signs"
    with pytest.raises(LinkRefused):
        links(NEW).read(before)


async def test_a_link_ends_by_the_clock() -> None:
    async with TestHub(auto_advance=False) as hub:
        found = links(hub=hub)
        token = token_of(make(found, expires_in=timedelta(hours=1)))
        await hub.advance(3599)
        assert found.read(token).once == "q1"
        await hub.advance(1)
        with pytest.raises(LinkRefused) as caught:
            found.read(token)
        assert (caught.value.code, caught.value.status) == ("expired", 410)


@pytest.mark.parametrize("base", ["", "hooks.example.com", "ftp://x", "https://", "https://x/?a=1"])
def test_links_need_to_know_where_they_lead(base: str) -> None:
    with pytest.raises(InvalidRequest, match="base_url"):
        Links(base, [NEW])


@pytest.mark.parametrize("keys", [(), (Secret("short"),), (NEW, Secret("k" * 31))])
def test_a_key_that_can_be_guessed_is_refused(keys: tuple[Secret, ...]) -> None:
    with pytest.raises(InvalidRequest, match="at least 32 characters"):
        Links(BASE, keys)


def test_a_payload_that_does_not_fit_into_an_address_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="at most 1000 bytes"):
        make(links(), payload="x" * 1000)


def test_they_come_from_a_connection_and_show_no_key() -> None:
    found = Links.of(WebhookConnection(base_url=BASE, signing_key=NEW, previous_key=OLD))
    assert found.read(token_of(make(links(OLD)))).event == "approved"
    assert NEW.reveal() not in repr(found) and "hooks.example.com" in repr(found)


# == In the app ===================================================================================================


@orchestration(registry=Registry())
async def asks(ctx: OrchestrationContext) -> list[Any]:
    """Two answers at most, in the order in which they came."""
    first = await ctx.wait_for_event("approved")
    try:
        async with asyncio.timeout(3600):
            return [first, await ctx.wait_for_event("approved")]
    except TimeoutError:
        return [first]


class Asked:
    """An instance that asks, the app, and a browser."""

    def __init__(self, hub: TestHub, folder: Path) -> None:
        self.hub = hub
        self.links = Links(BASE, [NEW], clock=hub.clock)
        self.app = WebhookApp(hub.client, links=self.links, inbox=folder / "inbox.db", clock=hub.clock)
        self.http = httpx.AsyncClient(trust_env=False)
        self.url = ""

    def link(self, **options: Any) -> str:
        made = self.links.make("order-7", "approved", **{"once": "q1", "expires_in": 60, **options})
        return made.replace(BASE, self.url)

    async def answers(self) -> Any:
        return await self.hub.client.handle("order-7").result(10)


@pytest.fixture
async def asked(tmp_path: Path) -> AsyncIterator[Asked]:
    async with TestHub(registry=Registry(asks)) as hub:
        await hub.client.start(asks, instance_id="order-7")
        found = Asked(hub, tmp_path)
        async with found.http, serving(found.app) as url:
            found.url = url
            yield found


async def test_opening_a_link_asks_and_its_button_answers(asked: Asked) -> None:
    link = asked.link(payload="yes", question="Ship <b>it</b>?")
    for _ in range(3):  # a mail scanner, a chat preview, the person
        opened = await asked.http.get(link)
        assert opened.status_code == 200
        assert "Ship &lt;b&gt;it&lt;/b&gt;?" in opened.text and 'method="post"' in opened.text
    assert (await asked.http.head(link)).status_code == 200
    assert "default-src 'none'" in opened.headers["content-security-policy"]
    assert opened.headers["referrer-policy"] == "no-referrer"
    assert (await asked.http.post(link)).status_code == 200
    assert await asked.answers() == ["yes"]


async def test_the_same_answer_again_is_thanked_again_and_raised_once(asked: Asked) -> None:
    link = asked.link(payload="yes")
    assert [(await asked.http.post(link)).status_code for _ in range(3)] == [200, 200, 200]
    assert (await asked.http.get(link)).status_code == 410
    assert await asked.answers() == ["yes"]


async def test_the_two_links_of_one_question_are_used_up_together(asked: Asked) -> None:
    yes, no = asked.link(payload="yes"), asked.link(payload="no")
    assert (await asked.http.post(yes)).status_code == 200
    refused = await asked.http.post(no)
    assert refused.status_code == 410 and "used already" in refused.text
    assert await asked.answers() == ["yes"]


async def test_another_question_is_another_answer(asked: Asked) -> None:
    await asked.http.post(asked.link(payload="yes"))
    await asked.http.post(asked.link(payload="no", once="q2"))
    assert await asked.answers() == ["yes", "no"]


async def test_a_link_without_a_payload_carries_what_was_sent_to_it(asked: Asked) -> None:
    sent = await asked.http.post(asked.link(), json={"status": "done"})
    assert sent.status_code == 200
    again = await asked.http.post(asked.link(), json={"status": "another"})
    assert again.status_code == 410
    (received,) = [
        Received(content_type=each["content_type"], body=base64.b64decode(each["body"]))
        for each in await asked.answers()
    ]
    assert received.content_type == "application/json"
    assert received.json(dict[str, str]) == {"status": "done"}
    assert received.text == '{"status":"done"}'


async def test_what_is_expired_forged_or_too_large_raises_nothing(asked: Asked) -> None:
    link = asked.link(payload="no", expires_in=60)
    forged = asked.link(payload="no")[:-1] + "_"
    assert (await asked.http.post(forged)).status_code == 403
    assert (await asked.http.post(asked.link(), content=b"x" * 300_000)).status_code == 413
    assert (await asked.http.put(link)).status_code == 405
    await asked.hub.advance(60)
    expired = await asked.http.post(link)
    assert expired.status_code == 410 and "expired" in expired.text
    await asked.http.post(asked.link(payload="yes", expires_in=7200))
    assert await asked.answers() == ["yes"]


async def test_a_link_of_an_instance_that_is_not_there_leads_nowhere(asked: Asked) -> None:
    elsewhere = asked.links.make("gone", "approved", once="q", expires_in=60).replace(BASE, asked.url)
    assert (await asked.http.post(elsewhere)).status_code == 404
