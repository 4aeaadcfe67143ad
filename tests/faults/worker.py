"""The process that is killed, and the one that goes on after it: a worker and, for the first, a client that starts instances.

`python -m tests.faults.worker HUB --vitals FILE [--start COUNT] [--step NAME --passes K] [--broken NAME]`; the oracle's path is in the
environment.
"""

import argparse
import asyncio
from pathlib import Path

from dtf_runtime import TaskHubClient, TaskHubWorker, WorkerOptions, connect
from tests.faults import broken, flows, steps


async def _start_all(client: TaskHubClient, count: int) -> None:
    async def start(instance_id: str, kind: str) -> None:
        await client.start(kind, *flows.INPUTS.get(kind, ()), instance_id=instance_id)
        flows.oracle().line("accepted", instance=instance_id)

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            for kind in flows.KINDS:
                group.create_task(start(f"own{number}:{kind}", kind))


async def _main(options: argparse.Namespace) -> None:
    flows.oracle().line("began")
    service = connect(options.hub)
    worker = TaskHubWorker(service, registry=flows.registry, options=WorkerOptions(shutdown_grace=1.0))
    async with TaskHubClient(service) as client:
        running = asyncio.create_task(worker.run())
        if options.start:
            await _start_all(client, options.start)
        await running


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("hub")
    parser.add_argument("--vitals", type=Path, required=True)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--step", default="")
    parser.add_argument("--passes", type=int, default=1)
    parser.add_argument("--broken", default="")
    options = parser.parse_args()
    if options.broken:
        broken.WAYS[options.broken]()
    if options.step:
        steps.arm(options.step, options.passes)
    steps.count_in_flight(steps.Vitals(options.vitals))
    asyncio.run(_main(options))


if __name__ == "__main__":
    main()
