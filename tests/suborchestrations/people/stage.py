"""What the tests of this folder share: a hub, a Twilio and the webhooks app that live by one virtual clock, and people with phones."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec

from connectors.core import Secret, forget_clients, using
from connectors.core.webhooks import Links, WebhookApp, WebhookConnection
from connectors.twilio import CONNECTOR
from connectors.twilio.testing import SENDER, FakeTwilio
from connectors.twilio.webhooks import inbound_messages
from dtf_runtime import Registry
from dtf_runtime.testing import TestHub
from suborchestrations.people import ACTIVITIES, ORCHESTRATIONS

PUBLIC = "https://hooks.example.com"
KEY = Secret("people-key-0123456789abcdef0123456789")
ID = "one"
WAIT = 30.0
ANN, BEN, CLEO = "+15551230001", "+15551230002", "+15551230003"
MINUTE, HOUR, DAY = 60.0, 3600.0, 86400.0


def registry() -> Registry:
    return Registry(*CONNECTOR.activities, *CONNECTOR.orchestrations, *ACTIVITIES, *ORCHESTRATIONS)


@dataclass
class Stage:
    hub: TestHub
    twilio: FakeTwilio
    http: httpx.AsyncClient

    async def start(self, orchestration: Any, spec: Any) -> Any:
        return await self.hub.client.start(orchestration, spec, instance_id=ID)

    async def days(self, count: float) -> None:
        await self.hub.advance(count * DAY)

    async def minutes(self, count: float) -> None:
        await self.hub.advance(count * MINUTE)

    def texts(self, number: str) -> list[str]:
        """What that phone got."""
        return [one.body for one in self.twilio.messages if one.to == number]

    def link(self, number: str, word: str) -> str:
        """The link behind Approve or Reject, in the first text of that phone."""
        found = re.search(rf"{word}: (\S+)", self.texts(number)[0])
        assert found
        return found[1]

    async def opens(self, link: str, *, presses: bool = True) -> httpx.Response:
        answer = await (self.http.post(link) if presses else self.http.get(link))
        await self.hub.advance(0)
        return answer

    async def replies(self, number: str, body: str, **form: str) -> int:
        """A text to our number, which Twilio tells the app of."""
        from connectors.twilio.testing import signature_of

        url = f"{PUBLIC}/twilio/sms"
        told = {**self.twilio.form_of(self.twilio.world.receive(number, SENDER, body)), **form}
        signed = {"X-Twilio-Signature": signature_of(self.twilio.auth_token, url, told)}
        status = (await self.http.post(url, data=told, headers=signed)).status_code
        await self.hub.advance(0)
        return status

    async def event(self, name: str, payload: Any) -> None:
        await self.hub.client.raise_event(ID, name, payload)
        await self.hub.advance(0)

    async def board(self) -> dict[str, tuple[str, str]]:
        state = await self.hub.client.handle(ID).state()
        steps = state.custom_status["steps"]
        return {step["name"]: (step["state"], step["detail"]) for step in steps}

    async def stored(self) -> str:
        """Everything that the hub has written down about it."""
        state = await self.hub.client.handle(ID).state()
        history = await self.hub.client.get_history(ID)
        return msgspec.json.encode([history, state.input, state.output, state.custom_status]).decode()


@asynccontextmanager
async def staged(folder: Path, more: Registry | None = None) -> AsyncIterator[Stage]:
    """Time moves by `days` and `minutes`, and on its own while a result is awaited."""
    hub = TestHub(registry=registry().update(more) if more else registry())
    async with FakeTwilio(clock=hub.clock) as twilio:
        ours = twilio.connection()
        with using(ours, WebhookConnection(base_url=PUBLIC, signing_key=KEY)):
            async with hub:
                app = WebhookApp(
                    hub.client,
                    [inbound_messages(ours, route=lambda text: ID)],
                    links=Links(PUBLIC, [KEY], clock=hub.clock),
                    inbox=folder / "inbox.db",
                    clock=hub.clock,
                )
                transport = httpx.ASGITransport(app=app)
                async with app, httpx.AsyncClient(transport=transport, base_url=PUBLIC) as http:
                    yield Stage(hub, twilio, http)
    forget_clients()
