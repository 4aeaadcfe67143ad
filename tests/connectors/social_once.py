"""`python -m tests.connectors.social_once [--rounds N] [--seed S]`: is a post made once, wherever its answer breaks?

A case is a call of X, Facebook or Teams whose request is cut at one of five points (before anything was done; done, and no reply; half a reply; a
502; done, and the worker killed with SIGKILL), followed by a control: the same text, intended a second time. The server counts. Its last line says
what came of it; the exit code is 1 unless nothing went wrong.
"""

import argparse
import asyncio
import logging
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from connectors.core import forget_clients, using
from connectors.core.claims import claims_of
from connectors.core.loopback import Cut
from connectors.twitter.testing import FakeTwitter
from dtf_runtime import (
    OrchestrationFailedError,
    OrchestrationHandle,
    TaskHubClient,
    TaskHubWorker,
    WorkerOptions,
    connect,
)
from dtf_runtime.clock import REAL_CLOCK
from dtf_runtime.testing import TestHub
from tests.connectors.social_scenarios import SCENARIOS, Scenario, Wanted, connection_of, registry

CUTS: tuple[Cut, ...] = ("refuse", "lose", "half", "502", "hang")
PATIENCE = 30.0  # seconds
_OPTIONS = WorkerOptions(lock_duration=1.0, shutdown_grace=1.0)


@dataclass(frozen=True)
class Case:
    scenario: str
    cut: Cut
    nth: int = 1
    """Which of the requests is cut: a thread has three."""
    lag: float = 0.0
    """Seconds until X's timeline shows a post. Not with a kill, whose time is real."""

    def __str__(self) -> str:
        how = "kill -9" if self.cut == "hang" else self.cut
        return f"{self.scenario} {how}{f' of request {self.nth}' if self.nth > 1 else ''}{f', lag {self.lag:g} s' if self.lag else ''}"


@dataclass
class Verdict:
    missing: int = 0
    twice: int = 0
    shared: int = 0
    """Calls that got what another call has."""
    failed: int = 0
    """Calls that ended with an error, which none of the cuts is a reason for."""


def cases(seed: int) -> Iterator[Case]:
    """Every scenario with every cut, in random order."""
    chance = random.Random(seed)
    order = [(name, cut) for name in SCENARIOS for cut in CUTS]
    chance.shuffle(order)
    for name, cut in order:
        nth = chance.randint(1, 3) if name == "x.thread" else 1
        lag = chance.choice((0.0, 0.0, 20.0)) if name.startswith("x.") and cut != "hang" else 0.0
        yield Case(name, cut, nth, lag)


async def run(case: Case) -> Verdict:
    """Raises when the case could not be set up."""
    claims_of.cache_clear()
    forget_clients()
    scenario = SCENARIOS[case.scenario]
    first, control, made = await (_killed if case.cut == "hang" else _broken)(case, scenario)
    calls = [*first, *control]
    failed = [first, control].count([])
    return Verdict(
        missing=len(set(calls) - set(made)),
        twice=len(made) - len(set(calls) & set(made)),
        shared=len(calls) - len(set(calls)),
        failed=failed,
    )


Ended = tuple[list[str], list[str], list[str]]
"""What the call said it made, what the control said, and what the server says there is."""


async def _broken(case: Case, scenario: Scenario) -> Ended:
    """In this process, in virtual time."""
    hub = TestHub(registry=registry)
    with scenario.make(hub.clock) as fake, using(connection_of(fake)):
        _cut(fake, case, scenario)
        if isinstance(fake, FakeTwitter):
            fake.read_lag = timedelta(seconds=case.lag)
        wanted = Wanted(text="We have news", to=scenario.to)
        async with hub:
            first = await _result(hub.client, scenario, wanted, "first")
            await hub.advance(timedelta(hours=2))  # X refuses a text that it had lately
            control = await _result(hub.client, scenario, wanted, "control")
        return first, control, scenario.made(fake)


async def _killed(case: Case, scenario: Scenario) -> Ended:
    """The worker is another process; it dies while its request is done and not answered. This process goes on."""
    wanted = Wanted(text="We have news", to=scenario.to)
    with tempfile.TemporaryDirectory(prefix="dtf-social-") as folder, scenario.make(REAL_CLOCK) as fake:
        hub = f"sqlite:///{Path(folder) / 'hub.db'}"
        _cut(fake, case, scenario)
        await _start_and_kill(hub, case, fake)
        worker = TaskHubWorker(hub, registry=registry, options=_OPTIONS, connections=[connection_of(fake)])
        async with worker, TaskHubClient(hub) as client:
            first = await _ended(client.handle("first", list[str]))
            if isinstance(fake, FakeTwitter):
                fake.duplicate_window = timedelta(0)
            control = await _result(client, scenario, wanted, "control")
        return first, control, scenario.made(fake)


async def _start_and_kill(hub: str, case: Case, fake: Any) -> None:
    command = [sys.executable, "-m", "tests.connectors.social_once", "--worker", hub, "--scenario", case.scenario]
    environment = {**os.environ, **fake.environment()}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) as process:
        try:
            if not await asyncio.to_thread(fake.reached.wait, PATIENCE):
                raise RuntimeError(f"{case}: the worker never came to the request that it should die in")
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()


def _cut(fake: Any, case: Case, scenario: Scenario) -> None:
    fake.cut(case.cut, method=scenario.method, path=scenario.path, after=case.nth - 1)


async def _result(client: TaskHubClient, scenario: Scenario, wanted: Wanted, name: str) -> list[str]:
    handle = await client.start(scenario.flow, wanted, instance_id=name)
    return await _ended(handle)


async def _ended(handle: OrchestrationHandle[list[str]]) -> list[str]:
    try:
        return await handle.result(PATIENCE)
    except OrchestrationFailedError as error:
        print(f"  {error}", flush=True)
        return []


async def _work(hub: str, scenario: Scenario) -> None:
    """The process that is killed."""
    service = connect(hub)
    async with TaskHubWorker(service, registry=registry, options=_OPTIONS), TaskHubClient(service) as client:
        await _result(client, scenario, Wanted(text="We have news", to=scenario.to), "first")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.connectors.social_once")
    parser.add_argument("--rounds", type=int, default=1, help="each runs every case once; default: %(default)s")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--worker", metavar="HUB", help=argparse.SUPPRESS)
    parser.add_argument("--scenario", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        asyncio.run(_work(options.worker, SCENARIOS[options.scenario]))
        return 0
    logging.disable(logging.WARNING)  # that calls failed on the way is no news here
    print(f"social_once: {options.rounds} rounds, --seed {options.seed}", flush=True)
    total, count = Verdict(), 0
    for number in range(options.rounds):
        for case in cases(options.seed + number):
            verdict = asyncio.run(run(case))
            count += 1
            total.missing += verdict.missing
            total.twice += verdict.twice
            total.shared += verdict.shared
            total.failed += verdict.failed
            print(f"{count:4} {case}{'' if verdict == Verdict() else f'  WRONG: {verdict}'}", flush=True)
    print(f"cases={count} missing={total.missing} twice={total.twice} shared={total.shared} failed={total.failed}")
    return 0 if total == Verdict() and count else 1


if __name__ == "__main__":
    sys.exit(main())
