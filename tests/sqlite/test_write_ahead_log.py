"""The write-ahead log must outlive every client that comes and goes while a worker is open."""

import subprocess
import sys
from pathlib import Path

from dtf_runtime import OrchestrationContext, Registry, TaskHubClient, TaskHubWorker, connect, orchestration

_VISITOR = """
import asyncio, sys
from dtf_runtime import TaskHubClient

async def main():
    async with TaskHubClient(sys.argv[1]) as client:
        await client.start("greet", instance_id=sys.argv[2])

asyncio.run(main())
"""


async def test_a_client_of_another_process_that_leaves_takes_nothing_from_a_live_worker(tmp_path: Path) -> None:
    registry = Registry()

    @orchestration(name="greet", registry=registry)
    async def greet(ctx: OrchestrationContext) -> str:
        return f"hello {ctx.instance_id}"

    file = tmp_path / "hub.db"
    url = f"sqlite:///{file}"
    service = connect(url)
    async with TaskHubWorker(service, registry=registry), TaskHubClient(service) as client:
        log = Path(f"{file}-wal")
        first = log.stat().st_ino
        for name in ("one", "two", "three"):
            subprocess.run([sys.executable, "-c", _VISITOR, url, name], check=True, timeout=30)
            assert log.stat().st_ino == first  # the same file, not deleted under the worker
            assert await client.handle(name).result(timeout=20) == f"hello {name}"
