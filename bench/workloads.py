"""The workloads, written once for every engine, and the clock that times them.

Each function drives an engine that has started and warmed up, and returns the figures of one run. Everything that is
measured is measured here, so no engine can be timed by kinder code than another. Throughput is taken over a window,
one-shot workloads REPEATS times with the median reported: a fast engine would else be judged by a few milliseconds.
Standard library only: it is loaded in the peers' environment too.
"""

import asyncio
import itertools
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.driver import EVENT_VALUE, Driver, marked
from bench.engine import MARKS, STEP_TIMES, CheckFailedError, Engine
from bench.measure import cpu_seconds, load, memory_mb, milliseconds, percentile, resident_mb

REPEATS = 3
IDLE_SECONDS = 10.0
TIMER_SECONDS = 1.0
CHILD_ACTIVITIES = 3
START_SAMPLES = 1000

Figures = dict[str, Any]


async def noop(driver: Driver) -> Figures:
    return _rate(*await driver.window("noop", "n"))


async def seq10(driver: Driver) -> Figures:
    figures = _rate(*await driver.window("seq", "s", 10))
    return {**figures, "activities_per_s": round(10 * figures["ops_per_s"], 1)}


async def fanout(driver: Driver) -> Figures:
    return {"wall_s": _median([await driver.call("fan", f"f{k}", driver.n) for k in range(REPEATS)])}


async def subs(driver: Driver) -> Figures:
    walls = [await driver.call("subs", f"p{k}", driver.n, CHILD_ACTIVITIES) for k in range(REPEATS)]
    return {"wall_s": _median(walls)}


async def long(driver: Driver) -> Figures:
    """`growth` is how much slower the last hundred steps are than the first hundred."""
    walls: list[float] = []
    firsts: list[float] = []
    lasts: list[float] = []
    for k in range(REPEATS):
        STEP_TIMES.clear()
        walls.append(await driver.call("seq", f"l{k}", driver.n))
        if len(STEP_TIMES) != driver.n:
            raise CheckFailedError(f"{driver.engine.name}: {len(STEP_TIMES)} activities ran, not {driver.n}")
        steps = [after - before for before, after in itertools.pairwise(STEP_TIMES)]
        firsts.append(statistics.mean(steps[:100]))
        lasts.append(statistics.mean(steps[-100:]))
    return {
        "wall_s": _median(walls),
        "first100_ms": milliseconds(statistics.median(firsts)),
        "last100_ms": milliseconds(statistics.median(lasts)),
        "growth": round(statistics.median([last / first for first, last in zip(firsts, lasts, strict=True)]), 2),
    }


async def timers(driver: Driver) -> Figures:
    """Lateness as the orchestration sees it, and as the caller does (which includes the burst of starts)."""
    ids = [f"t{i}" for i in range(driver.n)]
    latencies = await asyncio.gather(*[driver.call("timer", i, TIMER_SECONDS) for i in ids])
    wake = [MARKS["b:" + i] - MARKS["a:" + i] - TIMER_SECONDS for i in ids]
    late = [seconds - TIMER_SECONDS for seconds in latencies]
    return {
        "wake_late_p50_ms": milliseconds(percentile(wake, 50)),
        "wake_late_p99_ms": milliseconds(percentile(wake, 99)),
        "wake_early": sum(seconds < -0.002 for seconds in wake),
        "caller_late_p50_ms": milliseconds(percentile(late, 50)),
        "caller_late_p99_ms": milliseconds(percentile(late, 99)),
    }


async def events(driver: Driver) -> Figures:
    handles = await driver.begin_waiting("e", driver.n)
    await asyncio.sleep(1.5)  # so that every engine has really parked its waiters
    seconds, latencies = await driver.raise_events(handles)
    return {
        "wall_s": round(seconds, 4),
        "p50_ms": milliseconds(percentile(latencies, 50)),
        "p99_ms": milliseconds(percentile(latencies, 99)),
    }


async def idle(driver: Driver) -> Figures:
    await driver.call("seq", "idle", 10)
    await asyncio.sleep(3)
    return await _idle_cost(driver.engine)


async def waiting(driver: Driver) -> Figures:
    """Many instances that wait for an event: what they cost, and whether one of them still answers at once."""
    empty = resident_mb()
    handles = await driver.begin_waiting("w", driver.n)
    await asyncio.sleep(2)
    figures = await _idle_cost(driver.engine)
    _, latencies = await driver.raise_events(dict(itertools.islice(handles.items(), 100)))
    full = figures["rss_mb"]
    return {
        **figures,
        "kb_per_instance": None if empty is None or full is None else round(1024 * (full - empty) / driver.n, 2),
        "event_p50_ms": milliseconds(percentile(latencies, 50)),
    }


async def finished(driver: Driver) -> Figures:
    """Start latency in an empty file and beside many finished instances; the two must not differ."""
    before = await _start_latency(driver, "a")
    await driver.each(lambda i: driver.call("noop", i), [f"z{number}" for number in range(driver.n)])
    after = await _start_latency(driver, "b")
    return {
        "start_empty_p50_ms": milliseconds(before),
        "start_full_p50_ms": milliseconds(after),
        "slower": round(after / before, 2),
        "rss_mb": resident_mb(),
    }


async def replayed(driver: Driver) -> Figures:
    """An instance with a long history is woken by a worker that has never seen it."""
    engine = driver.engine
    begun = time.monotonic()
    await engine.begin("hold", "h0", ["h0", driver.n])
    await marked(["w:h0"])
    built = time.monotonic() - begun
    events_in_history = await engine.history_length("h0")
    await engine.stop()
    await engine.start()
    ran = len(STEP_TIMES)
    handle = await engine.lookup("hold", "h0")
    begun = time.monotonic()
    await engine.raise_event("h0", EVENT_VALUE)
    driver.expect("h0", await engine.wait(handle), EVENT_VALUE)
    seconds = time.monotonic() - begun
    if len(STEP_TIMES) != ran:
        raise CheckFailedError(f"{engine.name}: the replay of 'h0' ran {len(STEP_TIMES) - ran} activities again")
    driver.claim.finished += 1
    driver.claim.activities += driver.n
    return {
        "wall_s": round(seconds, 4),
        "history_events": events_in_history,
        "us_per_event": round(1e6 * seconds / events_in_history, 2),
        "built_s": round(built, 3),
    }


async def _idle_cost(engine: Engine) -> Figures:
    servers = engine.server_pids()
    here, there, begun = time.process_time(), cpu_seconds(servers), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - begun
    spent = time.process_time() - here + cpu_seconds(servers) - there
    return {"idle_cpu_pct": round(100 * spent / seconds, 3), "rss_mb": resident_mb()}


async def _start_latency(driver: Driver, prefix: str) -> float:
    """The median from a call of `begin` to the acknowledged start, one instance at a time."""
    latencies: list[float] = []
    for number in range(START_SAMPLES):
        instance_id = f"{prefix}{number}"
        begun = time.monotonic()
        handle = await driver.engine.begin("noop", instance_id, [instance_id])
        latencies.append(time.monotonic() - begun)
        driver.expect(instance_id, await driver.engine.wait(handle), 0)
    driver.claim.finished += START_SAMPLES
    return statistics.median(latencies)


def _rate(count: int, seconds: float, latencies: Sequence[float]) -> Figures:
    return {
        "ops_per_s": round(count / seconds, 1),
        "p50_ms": milliseconds(percentile(latencies, 50)),
        "p99_ms": milliseconds(percentile(latencies, 99)),
        "operations": count,
    }


def _median(seconds: Sequence[float]) -> float:
    return round(statistics.median(seconds), 4)


@dataclass(frozen=True)
class Workload:
    run: Callable[[Driver], Awaitable[Figures]]
    n: int
    concurrency: int = 1


WORKLOADS: dict[str, Workload] = {
    "noop1": Workload(noop, 300),
    "noop100": Workload(noop, 1000, 100),
    "seq10": Workload(seq10, 200, 50),
    "fanout": Workload(fanout, 1000),
    "long": Workload(long, 1000),
    "long10000": Workload(long, 10_000),
    "subs": Workload(subs, 100),
    "timers": Workload(timers, 500, 500),
    "events": Workload(events, 200, 100),
    "idle": Workload(idle, 0),
    "waiting10k": Workload(waiting, 10_000, 100),
    "finished100k": Workload(finished, 100_000, 200),
    "replay10k": Workload(replayed, 5_000),
}


async def measure(engine: Engine, name: str) -> Figures:
    """One run of a workload on a fresh engine: start, warm up, measure, hold the stored state against the claim."""
    workload = WORKLOADS[name]
    driver = Driver(engine, workload.n, workload.concurrency)
    await engine.start()
    try:
        for k in range(3):
            await driver.call("noop", f"warm{k}")
        await driver.call("seq", "warmseq", 3)
        before = time.process_time() + cpu_seconds(engine.server_pids())
        figures = await workload.run(driver)
        figures["cpu_s"] = round(time.process_time() + cpu_seconds(engine.server_pids()) - before, 3)
        figures.setdefault("rss_mb", resident_mb())
        figures["server_mb"] = memory_mb(engine.server_pids()) if engine.server_pids() else 0
        figures["checked"] = await engine.check(driver.claim)
    finally:
        await engine.stop()
    return {"n": workload.n, "concurrency": workload.concurrency, **figures, "load": load()}
