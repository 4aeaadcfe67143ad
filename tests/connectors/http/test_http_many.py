"""Many requests at once, and requests that nobody waits for any more."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from tests.connectors.http.calls import call_async
from tests.connectors.http.rude_server import RudeServer, answer, drip, silence

AT_ONCE = 1000
WORKER = (
    f"""
AT_ONCE = {AT_ONCE}
"""
    + """
import asyncio, json, sys
from connectors.http import HttpConnection, HttpRequest, request
from dtf_runtime import OrchestrationContext, TaskHubClient, TaskHubWorker, WorkerOptions, connect, orchestration

@orchestration(name="many")
async def many(ctx: OrchestrationContext, url: str) -> int:
    answers = await asyncio.gather(*(request(HttpRequest(url=url, timeout=60)) for _ in range(AT_ONCE)))
    return sum(answer.status == 200 for answer in answers)

async def main(url):
    service, local = connect("memory://"), HttpConnection(allow_private=True)
    options = WorkerOptions(max_concurrent_activities=AT_ONCE)
    worker = TaskHubWorker(service, connections=[local], options=options)
    async with worker, TaskHubClient(service) as client:
        return await (await client.start(many, url)).result(timeout=60)

fine = asyncio.run(main(sys.argv[1]))
lines = open("/proc/self/status").read().splitlines() if sys.platform == "linux" else []
peak = next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")), 0)
print(json.dumps([fine, peak]))
"""
)


def test_a_thousand_requests_are_in_flight_on_one_worker_within_150_megabytes(server: RudeServer) -> None:
    all_there = asyncio.Event()

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if server.open >= AT_ONCE:
            all_there.set()
        await all_there.wait()  # nobody is answered before everybody is there
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

    run = subprocess.run(
        [sys.executable, "-c", WORKER, server.on("/", hold)],
        capture_output=True,
        text=True,
        timeout=90,
        cwd=Path(__file__).parents[3],
    )
    assert run.returncode == 0, run.stderr
    fine, peak = json.loads(run.stdout)
    assert fine == AT_ONCE
    assert peak < 150 * 1024 * 1024


async def test_a_request_that_is_cancelled_leaves_no_connection_behind(server: RudeServer) -> None:
    for path, behaviour in {"/silent": silence(), "/drip": drip, "/head": silence(b"HTTP/1.1 200 OK\r\n")}.items():
        url, before = server.on(path, behaviour), len(server.received)
        sending = asyncio.ensure_future(call_async(url))
        while len(server.received) == before:
            await asyncio.sleep(0.01)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        assert sending.cancelled()
        assert await asyncio.to_thread(server.wait_until_closed)
    assert (await call_async(server.on("/", answer(200, b"hi")))).text == "hi"
