"""A worker process: `python -m tests.sqlite.process HUB [--lock-duration S] [--max-deliveries N] [--slots N]`, until SIGTERM. Says "ready" once."""

import argparse
import asyncio
import logging

from dtf_runtime import TaskHubWorker, WorkerOptions, connect
from tests.sqlite.programs import registry


async def _main(options: argparse.Namespace) -> None:
    worker = TaskHubWorker(
        connect(options.hub),
        registry=registry,
        options=WorkerOptions(
            lock_duration=options.lock_duration,
            max_delivery_count=options.max_deliveries,
            max_concurrent_activities=options.slots,
            shutdown_grace=2.0,
        ),
    )
    print("ready", flush=True)
    await worker.run()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("hub")
    parser.add_argument("--lock-duration", type=float, default=30.0)
    parser.add_argument("--max-deliveries", type=int, default=10)
    parser.add_argument("--slots", type=int, default=100)
    logging.basicConfig(level=logging.WARNING)
    asyncio.run(_main(parser.parse_args()))


if __name__ == "__main__":
    main()
