"""A worker and the webhook app in one process: `python -m tests.connectors.core.webhook_process FOLDER [WHEN]`. Prints its address once.

WHEN says where it kills itself with SIGKILL: `mapping` (verified, nothing written down), `accepted` (written down, not raised) or `raised` (in the
hub, not marked).
"""

import asyncio
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from connectors.core import Secret
from connectors.core.webhooks import Incoming, Links, RaiseEvent, WebhookApp
from dtf_runtime import (
    OrchestrationContext,
    Registry,
    TaskHubWorker,
    activity,
    activity_context,
    connect,
    orchestration,
)
from tests.connectors.core.webhook_host import KEY, SHOP, serving, to_event

REGISTRY = Registry()
BASE = "http://hooks.test"
LINKS = Links(BASE, [Secret(KEY.reveal())])


@activity(registry=REGISTRY)
def note(file: str, payload: str) -> None:
    """Who counts: a line for each, on disk at once."""
    with open(file, "a") as log:
        log.write(f"{activity_context().idempotency_key} {payload}\n")
        log.flush()
        os.fsync(log.fileno())


@orchestration(registry=REGISTRY)
async def notes(ctx: OrchestrationContext, file: str) -> None:
    while (payload := await ctx.wait_for_event("paid", str)) != "stop":
        await note(file, payload)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def dying_to_event(request: Incoming) -> RaiseEvent | None:
    die()
    return to_event(request)


async def main(folder: Path, when: str) -> None:
    service: Any = connect(f"sqlite:///{folder / 'hub.db'}")
    send = service.send

    async def dying_send(instance_id: str, message: Any) -> None:
        if when == "accepted":
            die()
        await send(instance_id, message)
        if when == "raised":
            die()

    service.send = dying_send
    shop = replace(SHOP, to_event=dying_to_event) if when == "mapping" else SHOP
    app = WebhookApp(service, [shop], links=LINKS, inbox=folder / "inbox.db")
    async with TaskHubWorker(service, registry=REGISTRY), serving(app) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""))
