"""durabletask-python against its in-memory testing backend, run as a process of its own.

NOT DURABLE: shown for scale only, never "the best durable peer", and it has nothing to recover.
"""

# mypy: ignore-errors

import asyncio
import logging
import sys
from concurrent import futures
from datetime import timedelta
from pathlib import Path

import grpc
from durabletask import client, task, worker

from bench.engine import Engine, mark, record
from bench.peers.server import Server

logging.disable(logging.WARNING)
SERVE = "from bench.peers.durabletask import serve; serve({port})"
THREADS = 700  # the backend's own start() uses 10, which deadlocks once nine clients wait


def act(ctx: task.ActivityContext, argument: list) -> int:
    return record(argument)


def noop(ctx: task.OrchestrationContext, argument: list) -> int:
    return 0


def seq(ctx: task.OrchestrationContext, argument: list):
    total = 0
    for i in range(argument[1]):
        total += yield ctx.call_activity(act, input=[argument[0], i])
    return total


def fan(ctx: task.OrchestrationContext, argument: list):
    calls = [ctx.call_activity(act, input=[argument[0], i]) for i in range(argument[1])]
    return sum((yield task.when_all(calls)))


def subs(ctx: task.OrchestrationContext, argument: list):
    children = [f"{argument[0]}.{k}" for k in range(argument[1])]
    calls = [ctx.call_sub_orchestrator(seq, input=[child, argument[2]]) for child in children]
    return sum((yield task.when_all(calls)))


def timer(ctx: task.OrchestrationContext, argument: list):
    mark("a:" + argument[0])
    yield ctx.create_timer(timedelta(seconds=argument[1]))
    mark("b:" + argument[0])
    return 0


def event(ctx: task.OrchestrationContext, argument: list):
    mark("w:" + argument[0])
    return (yield ctx.wait_for_external_event("go"))


KINDS = {"noop": noop, "seq": seq, "fan": fan, "subs": subs, "timer": timer, "event": event}


def serve(port: int) -> None:
    from durabletask.testing.in_memory_backend import InMemoryOrchestrationBackend, stubs

    backend = InMemoryOrchestrationBackend(max_history_size=1_000_000, port=port)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=THREADS))
    stubs.add_TaskHubSidecarServiceServicer_to_server(backend, server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


class DurableTask(Engine):
    name = "durabletask-mem"
    package = "durabletask.worker"
    durable = False
    durability = "none (its in-memory testing backend)"

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.server = Server(workdir, "sidecar")

    async def start(self) -> None:
        port = self.server.ports()["sidecar"]
        self.server.spawn([sys.executable, "-c", SERVE.format(port=port)])
        await self._listening(port)
        self.worker = worker.TaskHubGrpcWorker(host_address=f"127.0.0.1:{port}")
        for orchestrator in KINDS.values():
            self.worker.add_orchestrator(orchestrator)
        self.worker.add_activity(act)
        self.worker.start()
        self.client = client.AsyncTaskHubGrpcClient(host_address=f"127.0.0.1:{port}")

    async def _listening(self, port: int) -> None:
        for _ in range(400):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.03)
        raise RuntimeError(f"the durabletask backend did not get ready\n{self.server.said()}")

    async def stop(self) -> None:
        await self.client.close()
        await asyncio.to_thread(self.worker.stop)
        self.server.kill()

    async def begin(self, kind: str, instance_id: str, argument: list) -> str:
        return await self.client.schedule_new_orchestration(KINDS[kind], input=argument, instance_id=instance_id)

    async def wait(self, handle: str) -> int:
        state = await self.client.wait_for_orchestration_completion(handle, timeout=600)
        state.raise_if_failed()
        return state.get_output()

    async def raise_event(self, instance_id: str, value: int) -> None:
        await self.client.raise_orchestration_event(instance_id, "go", data=value)

    def server_pids(self) -> list[int]:
        return self.server.pids()

    def kill(self) -> list[int]:
        return self.server.kill()


ENGINE = DurableTask
