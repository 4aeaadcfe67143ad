"""The two workloads that need processes of their own: recover (kill -9 in the middle) and startup.

The oracle of recover is a file the activities append to, not the state under test: a line for each body that ran. An
instance whose start was acknowledged before the kill is only looked up afterwards, never started again, so that `lost`
is a broken promise. Standard library only.
"""

import asyncio
import collections
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.driver import Driver
from bench.engine import CheckFailedError, Engine
from bench.measure import memory_mb, resident_mb
from bench.workloads import Figures

INSTANCES = 200
ACTIVITIES = 10
KILL_AT = 0.4  # of all activities
PHASE_SECONDS = 180.0


def recover(engine: Engine) -> Figures:
    """Run `before` in a process, SIGKILL it (and the engine's server) once KILL_AT of the work is done, run `after`."""
    log = engine.workdir / "executed.log"
    log.touch()
    killed_at = _run_and_kill(engine, log)
    time.sleep(0.3)  # a server that was killed needs a moment to give up its ports and locks
    child = _child(engine, "recover-after", log)
    try:
        if child.wait(timeout=PHASE_SECONDS) != 0:
            raise CheckFailedError(f"{engine.name}: the process that was to recover ended with {child.returncode}")
    finally:
        child.kill()
    phase = json.loads((engine.workdir / "after.json").read_text())
    runs = collections.Counter(log.read_text().split())
    return {
        "n": INSTANCES,
        "activities_before_kill": killed_at,
        "twice": sum(count > 1 for count in runs.values()),
        "never": INSTANCES * ACTIVITIES - len(runs),
        **phase,
    }


def _run_and_kill(engine: Engine, log: Path) -> int:
    child = _child(engine, "recover-before", log)
    try:
        deadline = time.monotonic() + PHASE_SECONDS
        while _lines(log) < INSTANCES * ACTIVITIES * KILL_AT:
            if child.poll() is not None or time.monotonic() > deadline:
                raise CheckFailedError(f"{engine.name}: the process ended or hung before it could be killed")
            time.sleep(0.001)
    finally:
        child.kill()
        child.wait()
        engine.kill()
    if _lines(log) >= INSTANCES * ACTIVITIES:
        raise CheckFailedError(f"{engine.name}: all work was done before the kill, so nothing was recovered")
    return _lines(log)


def _child(engine: Engine, workload: str, log: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-m", "bench.run", engine.name, workload, "--workdir", str(engine.workdir)]
    return subprocess.Popen(argv, env={**os.environ, "BENCH_EXEC_LOG": str(log)}, stdout=subprocess.DEVNULL)


def _lines(log: Path) -> int:
    return log.read_bytes().count(b"\n")


async def before(engine: Engine) -> None:
    """Start everything at once and note each acknowledged start in a file; killed long before it returns."""
    await engine.start()
    acknowledged = os.open(engine.workdir / "acknowledged.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    async def one(instance_id: str) -> None:
        handle = await engine.begin("seq", instance_id, [instance_id, ACTIVITIES])
        os.write(acknowledged, f"{instance_id}\n".encode())
        await engine.wait(handle)

    await asyncio.gather(*[one(f"r{number}") for number in range(INSTANCES)])


async def after(engine: Engine) -> None:
    """Open the same state, wait for every instance, and say what became of them."""
    begun = time.monotonic()
    await engine.start()
    ready = time.monotonic() - begun
    acknowledged = set((engine.workdir / "acknowledged.log").read_text().split())
    driver = Driver(engine, INSTANCES, INSTANCES)
    lost: list[str] = []

    async def one(instance_id: str) -> None:
        try:
            if instance_id in acknowledged:
                handle = await engine.lookup("seq", instance_id)
            else:  # unknown whether the start was stored: an engine's begin must be idempotent here
                handle = await engine.begin("seq", instance_id, [instance_id, ACTIVITIES])
            result = await asyncio.wait_for(engine.wait(handle), PHASE_SECONDS / 2)
            driver.expect(instance_id, result, ACTIVITIES * (ACTIVITIES - 1) // 2)
        except Exception as error:  # reported and counted: each is a broken promise
            print(f"{engine.name}: lost {instance_id}: {error!r}", file=sys.stderr)
            lost.append(instance_id)

    await asyncio.gather(*[one(f"r{number}") for number in range(INSTANCES)])
    phase: dict[str, Any] = {
        "done_s": round(time.monotonic() - begun, 3),
        "ready_s": round(ready, 3),
        "acknowledged": len(acknowledged),
        "lost": len(lost),
    }
    driver.claim.finished = INSTANCES - len(lost)
    driver.claim.activities = driver.claim.finished * ACTIVITIES
    phase["checked"] = await engine.check(driver.claim)
    (engine.workdir / "after.json").write_text(json.dumps(phase))
    await engine.stop()


def startup(engine: Engine) -> Figures:
    """From the spawn of an interpreter to the first result of an orchestration with one activity; and a bare import."""
    begun = time.monotonic()
    argv = [sys.executable, "-m", "bench.run", engine.name, "startup-child", "--workdir", str(engine.workdir)]
    out = subprocess.run(argv, stdout=subprocess.PIPE, text=True, timeout=PHASE_SECONDS, check=True).stdout
    child = json.loads(out.splitlines()[-1])
    program = f"import time; t = time.perf_counter(); import {engine.package}; print(time.perf_counter() - t)"
    imported = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True).stdout
    return {
        "n": 1,
        "spawn_to_first_s": round(child.pop("first_at") - begun, 3),
        "import_s": round(float(imported.splitlines()[-1]), 4),
        **child,
    }


async def startup_child(engine: Engine) -> None:
    begun = time.monotonic()
    await engine.start()
    started = time.monotonic()
    await Driver(engine, 1, 1).call("seq", "first", 1)
    first = time.monotonic()  # one clock for all processes of the machine
    servers = engine.server_pids()
    print(
        json.dumps(
            {
                "first_at": first,
                "engine_start_s": round(started - begun, 3),
                "first_result_s": round(first - started, 3),
                "rss_mb": resident_mb(),
                "server_mb": memory_mb(servers) if servers else 0,
            }
        ),
        flush=True,
    )
    await engine.stop()
