"""What the tests of webhooks share: an orchestration that collects events, and the app on a real server on loopback."""

import asyncio
from typing import Any

from connectors.core import Secret
from connectors.core.webhooks import Incoming, RaiseEvent, Webhook, running, signed_body
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


serving = running
