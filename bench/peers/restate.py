"""Restate: one restate-server with its default configuration, and Python SDK workflows served by this process.

The client side uses aiohttp, which is faster than the SDK's own client. BENCH_RESTATE names the server's binary when it
is not the one that `python -m bench` installed.
"""

# mypy: ignore-errors

import asyncio
import logging
import os
from datetime import timedelta
from pathlib import Path

import aiohttp
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

from bench.engine import Engine, mark, record
from bench.peers.server import Server

logging.disable(logging.ERROR)
noop, seq, fan, subs, timer, event = (restate.Workflow(k) for k in ("noop", "seq", "fan", "subs", "timer", "event"))
BINARIES = "node_modules/@restatedev/restate-server-*/bin/restate-server"


async def act(argument: list) -> int:
    return record(argument)


def call_act(ctx: restate.WorkflowContext, instance_id: str, i: int):
    return ctx.run_typed("act", act, restate.RunOptions(), [instance_id, i])


@noop.main()
async def noop_run(ctx: restate.WorkflowContext, argument: list) -> int:
    return 0


@seq.main()
async def seq_run(ctx: restate.WorkflowContext, argument: list) -> int:
    total = 0
    for i in range(argument[1]):
        total += await call_act(ctx, argument[0], i)
    return total


@fan.main()
async def fan_run(ctx: restate.WorkflowContext, argument: list) -> int:
    calls = [call_act(ctx, argument[0], i) for i in range(argument[1])]
    return sum([await call for call in await restate.gather(*calls)])


@subs.main()
async def subs_run(ctx: restate.WorkflowContext, argument: list) -> int:
    children = [f"{argument[0]}.{k}" for k in range(argument[1])]
    calls = [ctx.workflow_call(seq_run, child, [child, argument[2]]) for child in children]
    return sum([await call for call in await restate.gather(*calls)])


@timer.main()
async def timer_run(ctx: restate.WorkflowContext, argument: list) -> int:
    mark("a:" + argument[0])
    await ctx.sleep(timedelta(seconds=argument[1]))
    mark("b:" + argument[0])
    return 0


@event.main()
async def event_run(ctx: restate.WorkflowContext, argument: list) -> int:
    mark("w:" + argument[0])
    return await ctx.promise("go", type_hint=int).value()


@event.handler()
async def go(ctx: restate.WorkflowSharedContext, value: int) -> None:
    await ctx.promise("go", type_hint=int).resolve(value)


def binary() -> str:
    node = Path(__file__).parents[1] / ".peers" / "node"
    return os.environ.get("BENCH_RESTATE") or str(next(node.glob(BINARIES)))


class Restate(Engine):
    name = "restate"
    package = "restate"
    durability = "restate-server's default: local RocksDB write-ahead log with fsync and group commit, one replica"

    def __init__(self, workdir: Path) -> None:
        super().__init__(workdir)
        self.server = Server(workdir, "node", "ingress", "admin", "service")

    async def start(self) -> None:
        ports = self.server.ports()
        self.halt = asyncio.Event()
        self.service = asyncio.ensure_future(self._serve(ports["service"]))
        self.base, self.admin = (f"http://127.0.0.1:{ports[name]}" for name in ("ingress", "admin"))
        if not self.server.pids():
            self._spawn(ports)
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=600)
        )
        await self._until(lambda: self.http.get(self.admin + "/health"))
        await self._until(lambda: self.http.get(self.base + "/restate/health"))
        deployment = {"uri": f"http://127.0.0.1:{ports['service']}/", "force": True}
        await self._until(lambda: self.http.post(self.admin + "/deployments", json=deployment))

    async def _serve(self, port: int) -> None:
        config = Config()
        config.bind = [f"127.0.0.1:{port}"]
        config.errorlog = config.accesslog = None
        config.h2_max_concurrent_streams = 2**31 - 1  # as the SDK's documentation recommends
        app = restate.app([noop, seq, fan, subs, timer, event])
        await serve(app, config, shutdown_trigger=self.halt.wait)

    def _spawn(self, ports: dict[str, int]) -> None:
        environment = {
            "RESTATE_BASE_DIR": str(self.workdir / "restate-data"),
            "RESTATE_NODE_NAME": "bench",
            "RESTATE_BIND_IP": "127.0.0.1",
            "RESTATE_BIND_PORT": str(ports["node"]),
            "RESTATE_ADVERTISED_HOST": "127.0.0.1",
            "RESTATE_INGRESS__BIND_ADDRESS": f"127.0.0.1:{ports['ingress']}",
            "RESTATE_ADMIN__BIND_ADDRESS": f"127.0.0.1:{ports['admin']}",
            "RESTATE_DISABLE_TELEMETRY": "true",
            "RESTATE_LOG_FILTER": "warn",
            "DO_NOT_TRACK": "1",
        }
        self.server.spawn([binary(), "--no-logo", "--listen-mode", "tcp"], environment)

    async def _until(self, request) -> None:
        """Ask until the answer is yes: the server opens its ports one after the other."""
        answer = "no answer"
        for _ in range(1200):
            try:
                async with request() as response:
                    if response.status in (200, 201):
                        return
                    answer = f"{response.status} {await response.text()}"
            except aiohttp.ClientError as error:
                answer = repr(error)
            await asyncio.sleep(0.05)
        raise RuntimeError(f"restate-server did not get ready: {answer}\n{self.server.said()}")

    async def stop(self) -> None:
        await self.http.close()
        self.halt.set()
        await asyncio.to_thread(self.server.stop)
        await asyncio.wait([self.service], timeout=5)

    async def call(self, kind: str, instance_id: str, argument: list) -> int:
        async with self.http.post(f"{self.base}/{kind}/{instance_id}/{kind}_run", json=argument) as response:
            return await self._answer(response)

    async def begin(self, kind: str, instance_id: str, argument: list) -> tuple[str, str]:
        async with self.http.post(f"{self.base}/{kind}/{instance_id}/{kind}_run/send", json=argument) as response:
            await self._answer(response, 409)
        return kind, instance_id

    async def wait(self, handle: tuple[str, str]) -> int:
        kind, instance_id = handle
        async with self.http.get(f"{self.base}/restate/workflow/{kind}/{instance_id}/attach") as response:
            return await self._answer(response)

    async def lookup(self, kind: str, instance_id: str) -> tuple[str, str]:
        return kind, instance_id

    async def raise_event(self, instance_id: str, value: int) -> None:
        async with self.http.post(f"{self.base}/event/{instance_id}/go", json=value) as response:
            await self._answer(response)

    async def _answer(self, response: aiohttp.ClientResponse, *also: int):
        if response.status not in (200, 202, *also):
            raise RuntimeError(f"restate answered {response.status}: {await response.text()}")
        return await response.json() if response.content_length != 0 else None

    def server_pids(self) -> list[int]:
        return self.server.pids()

    def kill(self) -> list[int]:
        return self.server.kill()


ENGINE = Restate
