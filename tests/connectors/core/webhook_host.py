"""What the tests of webhooks share: an orchestration that collects events, and the app on a real server on loopback."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from connectors.core import Secret
from connectors.core.webhooks import Incoming, RaiseEvent, Webhook, WebhookApp, server_of, signed_body
from dtf_runtime import OrchestrationContext, Registry, orchestration

KEY = Secret("webhook-key-of-the-shop-0123456789abcdef")
REGISTRY = Registry()


@orchestration(registry=REGISTRY)
async def collects(ctx: OrchestrationContext) -> list[Any]:
    """Every payload of "paid" until "stop" comes."""
    got: list[Any] = []

    async def collect() -> None:
        while True:
            got.append(await ctx.wait_for_event("paid"))

    collector = asyncio.create_task(collect())
    await ctx.wait_for_event("stop")
    collector.cancel()
    return got


def to_event(request: Incoming) -> RaiseEvent | None:
    order = request.json(dict[str, Any])
    if order["what"] == "nothing":
        return None
    return RaiseEvent(
        instance_id=order["instance"], name="paid", payload=order["what"], delivery_id=request.header("x-delivery")
    )


SHOP = Webhook(path="/shop", verify=signed_body(KEY, header="X-Signature", prefix="sha256="), to_event=to_event)


@asynccontextmanager
async def serving(app: WebhookApp, **options: Any) -> AsyncIterator[str]:
    """Its address."""
    server = server_of(app, port=0, **options)
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done(), running.result()
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await running
