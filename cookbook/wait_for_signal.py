"""Wait for a signal: a workflow asks for a name and waits, for days if need be, until somebody tells it.

Shows   an external event with a type, a durable deadline, an event sent by another program
Needs   pip install dtf-runtime
Run     python wait_for_signal.py                     waits a minute; kill it, run it again, and it waits for what is left
        python wait_for_signal.py --tell Ann          from another terminal; also before the first one, or while it is down
        dtf raise visit name '"Ann"' --hub sqlite:///wait_for_signal.db      does the same
"""

import argparse
import asyncio
from contextlib import suppress

from dtf_runtime import (
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationStatus,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)

HUB = "sqlite:///wait_for_signal.db"
VISIT = "visit"  # the instance
OVER = (
    OrchestrationStatus.COMPLETED,
    OrchestrationStatus.FAILED,
    OrchestrationStatus.CANCELLED,
    OrchestrationStatus.TERMINATED,
)


@activity
def greet(name: str) -> str:
    return f"Hello, {name}!"


@orchestration
async def welcome(ctx: OrchestrationContext, patience: float) -> str:
    ctx.set_custom_status("waiting for a name")
    try:
        async with asyncio.timeout(patience):
            name = await ctx.wait_for_event(
                "name", str
            )  # nothing runs meanwhile; an event that came early is here at once
    except TimeoutError:
        return "Nobody came."
    return await greet(name)


async def start(client: TaskHubClient, patience: float) -> None:
    """Makes the instance, unless it is waiting already; one that is over is replaced."""
    with suppress(OrchestrationAlreadyExistsError):
        await client.start(welcome, patience, instance_id=VISIT, reuse=OVER)


async def main(options: argparse.Namespace) -> None:
    service = connect(options.hub)
    async with TaskHubClient(service) as client:
        await start(client, options.patience)
        if options.tell:
            await client.raise_event(VISIT, "name", options.tell)
            print("Told.")
            return
        async with TaskHubWorker(service):
            print(f"Waiting for a name, at most {options.patience:g} s", flush=True)
            print(await client.handle(VISIT, str).result())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Wait for an external event.")
    parser.add_argument("--tell", metavar="NAME", help="send the event instead")
    parser.add_argument("--patience", type=float, default=60.0, metavar="SECONDS", help="default: %(default)g")
    parser.add_argument("--hub", default=HUB, metavar="URL", help="default: %(default)s")
    asyncio.run(main(parser.parse_args()))
