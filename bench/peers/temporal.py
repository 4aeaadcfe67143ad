"""Temporal: the development server with a database file (one process, SQLite) and a Python SDK worker.

BENCH_TEMPORAL names the `temporal` binary when it is not the one that `python -m bench` installed.
"""

# mypy: ignore-errors

import asyncio
import logging
import os
import sys
from datetime import timedelta
from pathlib import Path

from temporalio import activity, workflow
from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError
from temporalio.worker import Worker

with workflow.unsafe.imports_passed_through():
    from bench.engine import Engine, mark, record
    from bench.peers.server import Server

logging.disable(logging.ERROR)
LIMIT = {"start_to_close_timeout": timedelta(seconds=60)}


@activity.defn
async def act(argument: list) -> int:
    return record(argument)


@workflow.defn(name="noop")
class Noop:
    @workflow.run
    async def run(self, argument: list) -> int:
        return 0


@workflow.defn(name="seq")
class Seq:
    @workflow.run
    async def run(self, argument: list) -> int:
        total = 0
        for i in range(argument[1]):
            total += await workflow.execute_activity(act, [argument[0], i], **LIMIT)
        return total


@workflow.defn(name="fan")
class Fan:
    @workflow.run
    async def run(self, argument: list) -> int:
        calls = [workflow.execute_activity(act, [argument[0], i], **LIMIT) for i in range(argument[1])]
        return sum(await asyncio.gather(*calls))


@workflow.defn(name="subs")
class Subs:
    @workflow.run
    async def run(self, argument: list) -> int:
        children = [f"{argument[0]}.{k}" for k in range(argument[1])]
        calls = [workflow.execute_child_workflow(Seq.run, [child, argument[2]], id=child) for child in children]
        return sum(await asyncio.gather(*calls))


@workflow.defn(name="timer")
class Timer:
    @workflow.run
    async def run(self, argument: list) -> int:
        mark("a:" + argument[0])
        await workflow.sleep(argument[1])
        mark("b:" + argument[0])
        return 0


@workflow.defn(name="event")
class Event:
    def __init__(self) -> None:
        self.value: int | None = None

    @workflow.signal
    def go(self, value: int) -> None:
        self.value = value

    @workflow.run
    async def run(self, argument: list) -> int:
        mark("w:" + argument[0])
        await workflow.wait_condition(lambda: self.value is not None)
        return self.value


KINDS = {"noop": Noop, "seq": Seq, "fan": Fan, "subs": Subs, "timer": Timer, "event": Event}


class Temporal(Engine):
    name = "temporal-dev"
    package = "temporalio.worker"
    durability = "its development server with a SQLite database file"

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.server = Server(workdir, "frontend")

    async def start(self) -> None:
        port = self.server.ports()["frontend"]
        if not self.server.pids():
            binary = os.environ.get("BENCH_TEMPORAL") or str(Path(sys.executable).parent / "temporal")
            argv = [binary, "server", "start-dev", "--headless", "--ip", "127.0.0.1", "--port", str(port)]
            argv += ["--db-filename", str(self.workdir / "temporal.db"), "--log-level", "error"]
            self.server.spawn(argv, {"HOME": str(self.workdir)})
        self.client = await self._connect(f"127.0.0.1:{port}")
        self.worker = Worker(
            self.client,
            task_queue="bench",
            workflows=list(KINDS.values()),
            activities=[act],
            max_concurrent_activities=100,
            max_cached_workflows=1000,
        )
        self.running = asyncio.ensure_future(self.worker.run())

    async def _connect(self, address: str) -> Client:
        for _ in range(600):
            try:
                return await Client.connect(address)
            except (RPCError, RuntimeError):  # not listening yet
                await asyncio.sleep(0.05)
        raise RuntimeError(f"the Temporal server did not get ready\n{self.server.said()}")

    async def stop(self) -> None:
        await asyncio.wait([asyncio.ensure_future(self.worker.shutdown())], timeout=10)
        await asyncio.to_thread(self.server.stop)

    async def begin(self, kind: str, instance_id: str, argument: list) -> WorkflowHandle:
        policy = WorkflowIDConflictPolicy.USE_EXISTING
        run = KINDS[kind].run
        return await self.client.start_workflow(
            run, argument, id=instance_id, task_queue="bench", id_conflict_policy=policy
        )

    async def wait(self, handle: WorkflowHandle) -> int:
        return await handle.result()

    async def lookup(self, kind: str, instance_id: str) -> WorkflowHandle:
        return self.client.get_workflow_handle(instance_id, result_type=int)

    async def raise_event(self, instance_id: str, value: int) -> None:
        await self.client.get_workflow_handle(instance_id).signal("go", value)

    def server_pids(self) -> list[int]:
        return self.server.pids()

    def kill(self) -> list[int]:
        return self.server.kill()


ENGINE = Temporal
