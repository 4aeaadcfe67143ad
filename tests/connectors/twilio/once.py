"""Effectively once, proved at the server: a send is cut at the worst moments, and the server counts what it got.

    python -m tests.connectors.twilio.once [--rounds N] [--seed N]

Every case sends *two* identical texts, or makes two identical calls, on purpose, and one of the two is cut. Right is: the server has exactly
two, and each of the two calls of the workflow has got another one.
"""

import argparse
import asyncio
import contextlib
import itertools
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from connectors.twilio import MakeCall, SendMessage, TwilioConnection, make_call, send_message
from connectors.twilio.testing import SENDER, Cut, FakeTwilio, Fault
from dtf_runtime import (
    OrchestrationContext,
    Registry,
    RetryPolicy,
    TaskHubClient,
    TaskHubWorker,
    WorkerOptions,
    connect,
    orchestration,
)

REGISTRY = Registry(send_message, make_call)
TO = "+15551234567"
LOCK = 1.0  # seconds until another worker takes over
PATIENT = RetryPolicy(max_attempts=30, first_interval=0.3, max_interval=0.5)


class Job(msgspec.Struct, frozen=True):
    kind: str
    together: bool


@orchestration(name="tests.twilio.twice", registry=REGISTRY)
async def twice(ctx: OrchestrationContext, job: Job) -> list[str]:
    """The SIDs of two identical messages or calls, both intended."""

    async def once() -> str:
        if job.kind == "call":
            call = MakeCall(to=TO, twiml="<Response><Say>Hello</Say></Response>")
            return (await make_call.options(retry=PATIENT)(call)).sid
        message = SendMessage(to=TO, body="Your table is ready.")
        return (await send_message.options(retry=PATIENT)(message)).sid

    if job.together:
        return list(await asyncio.gather(once(), once()))
    return [await once(), await once()]


@dataclass(frozen=True)
class Case:
    kind: str
    cut: Cut
    kills: bool
    """The worker dies at the cut, kill -9, and another one takes over."""
    together: bool
    """Both are sent at once, else one after the other."""
    lag: float
    """Seconds until the server's lists show what it accepted."""

    def __str__(self) -> str:
        where = f"kill -9, {self.cut}" if self.kills else str(self.cut)
        how = "at once" if self.together else "one by one"
        return f"{self.kind}s {how}, cut {where}, lag {self.lag:g} s"


CUTS = (
    (Cut.BEFORE, False),
    (Cut.NO_REPLY, False),
    (Cut.HALF_REPLY, False),
    (Cut.BAD_GATEWAY, False),
    (Cut.NO_REPLY, True),
    (Cut.BEFORE, True),
)
CASES = tuple(
    Case(kind, cut, kills, together, lag)
    for kind, (cut, kills), together, lag in itertools.product(("message", "call"), CUTS, (False, True), (0.0, 0.6))
)


def chosen(seed: int, count: int) -> list[Case]:
    """As many cases, each kind and cut at least once when there is room."""
    chance = random.Random(seed)
    shuffled = chance.sample(CASES, len(CASES))
    first: dict[tuple[str, Cut, bool], Case] = {}
    for case in shuffled:
        first.setdefault((case.kind, case.cut, case.kills), case)
    rest = [case for case in shuffled if case not in first.values()]
    return [*first.values(), *rest][:count]


async def prove(case: Case) -> None:
    """AssertionError says what the server counted."""
    with FakeTwilio(read_lag=case.lag) as twilio, tempfile.TemporaryDirectory() as folder:
        hub, ledger = f"sqlite:///{folder}/hub.db", Path(folder) / "ledger.db"
        if case.kills:
            sids = await _with_a_killed_worker(case, twilio, hub, ledger)
        else:
            twilio.fail(case.cut)
            connection = _connection(twilio, ledger)
            async with TaskHubClient(hub) as client, _worker(hub, connection):
                handle = await client.start(twice, Job(case.kind, case.together))
                sids = await handle.result(60)
        made = twilio.calls if case.kind == "call" else twilio.messages
        assert len(made) == 2, f"{case}: the server has {len(made)} and two were meant"
        assert {one.sid for one in made} == set(sids), f"{case}: both calls of the workflow got {sids[0]}"


async def _with_a_killed_worker(case: Case, twilio: FakeTwilio, hub: str, ledger: Path) -> list[str]:
    victim: list[subprocess.Popen[bytes]] = []

    def kill() -> None:
        victim[0].kill()
        victim[0].wait()

    twilio.fail(Fault(cut=case.cut, then=kill))
    async with TaskHubClient(hub) as client:
        handle = await client.start(twice, Job(case.kind, case.together))
        environment = {**os.environ, **_environment(twilio, ledger)}
        victim.append(
            subprocess.Popen([sys.executable, "-m", "tests.connectors.twilio.once", "--work", hub], env=environment)
        )
        try:
            await asyncio.to_thread(victim[0].wait, 30)
        finally:
            kill()
        async with _worker(hub, _connection(twilio, ledger)):
            return await handle.result(60)


def _connection(twilio: FakeTwilio, ledger: Path) -> TwilioConnection:
    return twilio.connection(ledger=ledger, read_timeout=1.0, connect_timeout=0.5)


def _environment(twilio: FakeTwilio, ledger: Path) -> Mapping[str, str]:
    fields = {
        "ACCOUNT_SID": twilio.account_sid,
        "AUTH_TOKEN": twilio.auth_token,
        "BASE_URL": twilio.url,
        "SENDER": SENDER,
        "LEDGER": str(ledger),
        "READ_LAG": str(twilio.world.read_lag),
        "READ_TIMEOUT": "1.0",
        "CONNECT_TIMEOUT": "0.5",
    }
    return {f"DTF_CONNECTION_TWILIO_DEFAULT_{name}": value for name, value in fields.items()}


def _worker(hub: str, *connections: TwilioConnection) -> TaskHubWorker:
    options = WorkerOptions(lock_duration=LOCK)
    return TaskHubWorker(connect(hub), registry=REGISTRY, options=options, connections=connections)


def main() -> int:
    parser = argparse.ArgumentParser(description="Twilio: one message, one call, wherever it is cut.")
    parser.add_argument("--rounds", type=int, default=len(CASES), help="cases; default: all of them once")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--work", metavar="HUB", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(_worker(options.work).run())
        return 0
    print(f"seed {options.seed}")
    failed = 0
    for number in range(options.rounds):
        case = chosen(options.seed + number // len(CASES), len(CASES))[number % len(CASES)]
        began = time.monotonic()
        try:
            asyncio.run(prove(case))
            verdict = "ok"
        except (AssertionError, Exception) as error:
            verdict, failed = f"FAILED: {type(error).__name__}: {error}", failed + 1
        print(f"{number + 1:4}  {time.monotonic() - began:5.1f} s  {case}: {verdict}", flush=True)
    print(f"{options.rounds - failed} of {options.rounds} cases: the server has what was meant, once")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
