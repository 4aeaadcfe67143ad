"""Sends requests to the kit's ASGI app as a server would, and takes the answer. No socket in between."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from connectors.core.webhooks import Webhook, WebhookApp
from dtf_runtime import OrchestrationContext, Registry, orchestration
from dtf_runtime.testing import TestHub

registry = Registry()


LISTENER = "listener"


@orchestration(name="tests.webhooks.listen", registry=registry)
async def listen(ctx: OrchestrationContext) -> list[Any]:
    """The payloads of the events `heard` that came before the event `stop`."""
    heard: list[Any] = []

    async def hear() -> None:
        while True:
            heard.append(await ctx.wait_for_event("heard"))

    hearing = asyncio.create_task(hear())
    await ctx.wait_for_event("stop")
    hearing.cancel()
    return heard


@dataclass(frozen=True)
class Answered:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Caller:
    def __init__(self, app: WebhookApp, hub: TestHub) -> None:
        self._app = app
        self.hub = hub

    async def heard(self) -> list[Any]:
        """What was raised so far. Ends the listener."""
        await self.hub.client.raise_event(LISTENER, "stop")
        return await self.hub.client.handle(LISTENER, list[Any]).result()

    async def __call__(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, query: str = ""
    ) -> Answered:
        pieces = [body[at : at + 65536] for at in range(0, len(body), 65536)] or [b""]
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Any) -> None:
            sent.append(message)

        named = {"content-length": str(len(body)), **(headers or {})}
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in named.items()],
        }
        await self._app(scope, receive, send)
        answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answered(sent[0]["status"], answer, b"".join(message.get("body", b"") for message in sent[1:]))


@asynccontextmanager
async def hosted(webhook: Webhook, tmp_path: Path) -> AsyncIterator[Caller]:
    """The webhook on an app, and a hub with the instance LISTENER, all on one virtual clock."""
    async with (
        TestHub(registry=registry, auto_advance=False) as hub,
        WebhookApp(hub.client, [webhook], inbox=tmp_path / "inbox.db", clock=hub.clock) as app,
    ):
        await hub.client.start(listen, instance_id=LISTENER)
        yield Caller(app, hub)
