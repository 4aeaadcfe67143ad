"""Messages and cards to Teams through a real worker: at least once, with one reference, and buttons that answer."""

from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from connectors.core import Ambiguous, ConnectionMissing, InvalidRequest, Secret, using
from connectors.core.loopback import Cut
from connectors.core.webhooks import Links, WebhookApp, WebhookConnection
from connectors.teams import Answer, Link, SendCard, SendMessage, TeamsConnection, send_card, send_message
from connectors.teams.testing import FakeTeams
from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.testing import TestHub
from tests.connectors.webhook_calls import Caller

registry = Registry(send_message, send_card)
SIGNING_KEY = "0123456789abcdef0123456789abcdef"


@orchestration(name="tests.teams.tell", registry=registry)
async def tell(ctx: OrchestrationContext, message: SendMessage) -> str:
    return (await send_message(message)).key


@orchestration(name="tests.teams.ask", registry=registry)
async def ask(ctx: OrchestrationContext, until: datetime) -> bool:
    buttons = (Answer(title="Yes", event="decided", payload=True), Answer(title="No", event="decided", payload=False))
    await send_message(SendMessage(text="Ship it?", buttons=buttons, answers_until=until))
    return await ctx.wait_for_event("decided", bool)


@pytest.fixture
async def hub() -> AsyncIterator[TestHub]:
    async with TestHub(registry=registry) as running:
        yield running


@pytest.fixture
def teams(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTeams]:
    with FakeTeams(hub.clock) as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake


async def test_a_message_is_a_card_in_the_envelope_that_a_flow_takes(hub: TestHub, teams: FakeTeams) -> None:
    message = SendMessage(
        title="Deployed",
        text="Version **2** is out",
        facts={"Region": "eu-west-1"},
        buttons=(Link(title="Open", url="https://example.com"),),
    )
    key = await (await hub.client.start(tell, message)).result()
    assert teams.texts() == ["Version **2** is out"]
    assert teams.keys() == [key]
    assert teams.failed_runs == []
    assert teams.buttons() == {"Open": "https://example.com"}
    assert teams.received[0].json()["attachments"][0]["contentType"] == "application/vnd.microsoft.card.adaptive"


@pytest.mark.parametrize("cut", ["refuse", "lose", "half", "502"])
async def test_an_answer_that_breaks_leaves_messages_of_one_reference(hub: TestHub, teams: FakeTeams, cut: Cut) -> None:
    teams.cut(cut)
    key = await (await hub.client.start(tell, SendMessage(text="Done"))).result()
    assert teams.keys() == [key]
    assert len(teams.messages) == (1 if cut == "refuse" else 2)


@pytest.mark.parametrize("cut", ["refuse", "lose", "half", "502"])
async def test_a_flow_that_knows_references_posts_once(hub: TestHub, teams: FakeTeams, cut: Cut) -> None:
    teams.deduplicates = True
    teams.cut(cut)
    await (await hub.client.start(tell, SendMessage(text="Done"))).result()
    assert teams.texts() == ["Done"]


async def test_two_intended_messages_of_one_text_have_two_references(hub: TestHub, teams: FakeTeams) -> None:
    teams.deduplicates = True
    for _ in range(2):
        await (await hub.client.start(tell, SendMessage(text="Done"))).result()
    assert teams.texts() == ["Done", "Done"]
    assert len(teams.keys()) == 2


async def test_the_policy_fail_ends_with_ambiguous(teams: FakeTeams) -> None:
    teams.cut("lose")
    with using(teams.connection()), pytest.raises(Ambiguous) as raised:
        await send_message(SendMessage(text="Done", on_ambiguous="fail"))
    assert "sig=" not in str(raised.value)
    assert len(teams.messages) == 1


async def test_a_card_of_ones_own_gets_the_reference_too(teams: FakeTeams) -> None:
    card = {"type": "AdaptiveCard", "version": "1.4", "body": [{"type": "TextBlock", "text": "Mine"}]}
    with using(teams.connection()):
        sent = await send_card(SendCard(card=card))
        plain = await send_card(SendCard(card=card, show_key=False))
    assert [message.key for message in teams.messages] == [sent.key, ""]
    assert plain.request_id.startswith("0858")


@pytest.mark.parametrize("card", [{}, {"type": "AdaptiveCard"}, {"type": "Container", "version": "1.5"}])
async def test_what_is_no_card_is_not_sent(teams: FakeTeams, card: dict[str, str]) -> None:
    with using(teams.connection()), pytest.raises(InvalidRequest):
        await send_card(SendCard(card=card))
    assert teams.received == []


async def test_what_teams_would_not_take_is_not_sent(teams: FakeTeams) -> None:
    with using(teams.connection()), pytest.raises(InvalidRequest, match="28672"):
        await send_message(SendMessage(text="é" * 15_000))
    assert teams.received == []


def test_an_address_that_is_not_secret_on_its_way_is_refused() -> None:
    with pytest.raises(ConnectionMissing, match="https"):
        TeamsConnection(webhook_url=Secret("http://flows.example.com/workflows/1?sig=abc"))
    with pytest.raises(ConnectionMissing, match="address"):
        TeamsConnection(webhook_url=Secret("flows.example.com"))


# -- answers


@pytest.fixture
async def app(hub: TestHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Caller]:
    monkeypatch.setenv("DTF_CONNECTION_WEBHOOKS_DEFAULT_BASE_URL", "https://hooks.example.com")
    monkeypatch.setenv("DTF_CONNECTION_WEBHOOKS_DEFAULT_SIGNING_KEY", SIGNING_KEY)
    connection = WebhookConnection(base_url="https://hooks.example.com", signing_key=Secret(SIGNING_KEY))
    links = Links.of(connection, clock=hub.clock)
    async with WebhookApp(hub.client, links=links, inbox=tmp_path / "inbox.db", clock=hub.clock) as running:
        yield Caller(running, hub)


async def sent(hub: TestHub, teams: FakeTeams) -> None:
    while not teams.messages:  # the hub waits for an event, the message is on its way
        await hub.advance(timedelta(0))


async def test_a_button_answers_once_and_takes_the_other_with_it(hub: TestHub, teams: FakeTeams, app: Caller) -> None:
    handle = await hub.client.start(ask, hub.now() + timedelta(days=1))
    await sent(hub, teams)
    paths = {title: urlsplit(url).path for title, url in teams.buttons().items()}
    opened = await app("GET", paths["Yes"])
    assert (opened.status, b"Yes" in opened.body) == (200, True)
    assert (await app("POST", paths["Yes"])).status == 200
    assert await handle.result() is True
    assert (await app("POST", paths["No"])).status == 410


async def test_a_button_that_is_too_late_answers_nothing(hub: TestHub, teams: FakeTeams, app: Caller) -> None:
    await hub.client.start(ask, hub.now() + timedelta(hours=1))
    await sent(hub, teams)
    await hub.advance(timedelta(hours=1))
    assert (await app("POST", urlsplit(teams.buttons()["Yes"]).path)).status == 410


async def test_an_answers_address_is_in_no_history(hub: TestHub, teams: FakeTeams, app: Caller) -> None:
    handle = await hub.client.start(ask, hub.now() + timedelta(days=1))
    await sent(hub, teams)
    token = urlsplit(teams.buttons()["Yes"]).path.rpartition("/")[2]
    await app("POST", urlsplit(teams.buttons()["Yes"]).path)
    await handle.result()
    assert token not in repr(await hub.client.get_history(handle.instance_id))


async def test_an_answer_without_an_end_is_refused(teams: FakeTeams) -> None:
    with using(teams.connection()), pytest.raises(InvalidRequest, match="answers_until"):
        await send_message(SendMessage(text="?", buttons=(Answer(title="Yes", event="decided"),)))
    assert teams.received == []
