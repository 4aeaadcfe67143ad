"""One round: a worker under load is killed, another goes on with the same file, and the judge hears what came of it.

This process is the client: it starts half of the instances, sends events and cancels, and reads the hub through public names only.
"""

import asyncio
import os
import random
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dtf_runtime import InstanceState, OrchestrationQuery, ProviderError, TaskHubClient, connect
from tests.faults import flows
from tests.faults.judge import Applied, Evidence, Verdict, as_applied, judge
from tests.faults.oracle import accepted_of, lines_of, runs_of
from tests.faults.steps import RARE, STEPS, Vitals

UNTIL_KILLED = 6.0  # seconds after which a step that nobody came to is given up, and the worker killed as it is
COPIES = 2  # of each kind, started by the worker's process, and as many by this one


@dataclass(frozen=True)
class Plan:
    """`step` empty: killed `after` seconds, counted from the first acknowledged start."""

    seed: int
    step: str
    passes: int
    after: float
    broken: str = ""  # a way of `broken.WAYS`, for both workers
    patience: float = 30.0  # seconds from the restart until every instance has ended


@dataclass(frozen=True)
class Outcome:
    plan: Plan
    verdict: Verdict
    turns: int  # in flight at the kill
    activities: int
    by_itself: bool  # it came to its step
    seconds: float


def plan(number: int, seed: int) -> Plan:
    """Every other round goes to the next step; the rest are killed at random."""
    dice = random.Random(f"{seed}/{number}")
    step = STEPS[number // 2 % len(STEPS)] if number % 2 == 0 else ""
    return Plan(number, step, dice.randint(1, 2 if step in RARE else 30), dice.uniform(0.0, 0.25))


class Round:
    def __init__(self, folder: Path, plan_: Plan) -> None:
        self.plan = plan_
        self.hub = f"sqlite:///{folder / 'hub.db'}"
        self.oracle = folder / "oracle.jsonl"
        self.vitals = folder / "vitals"
        self.locks = folder / "hub.db.locks"
        self.log = folder / "worker.log"
        self.dice = random.Random(plan_.seed)
        self.accepted: list[str] = []
        self.unreadable: list[str] = []
        self._tended: set[str] = set()
        self._tending: list[asyncio.Task[None]] = []

    async def run(self) -> Outcome:
        began = time.monotonic()
        async with TaskHubClient(connect(self.hub)) as client:
            first = await self._worker("--start", str(COPIES), *self._kill_arguments(), *self._broken_arguments())
            try:
                by_itself = await self._load_and_kill(client, first)
            finally:
                await _ended(first)
            turns, activities = Vitals(self.vitals).read()
            durable = frozenset(one.token for found in (await self._applied(client)).values() for one in found)
            second = await self._worker(*self._broken_arguments())
            try:
                self._tend(client, await self._all_accepted(client))
                await self._until_over(client)
            finally:
                for task in self._tending:
                    task.cancel()
                await _stopped(second)
            evidence = await self._evidence(client, durable, first.pid)
        return Outcome(self.plan, judge(evidence), turns, activities, by_itself, time.monotonic() - began)

    # -- processes
    def _kill_arguments(self) -> list[str]:
        return ["--step", self.plan.step, "--passes", str(self.plan.passes)] if self.plan.step else []

    def _broken_arguments(self) -> list[str]:
        return ["--broken", self.plan.broken] if self.plan.broken else []

    async def _worker(self, *arguments: str) -> asyncio.subprocess.Process:
        with self.log.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.faults.worker", self.hub, "--vitals", str(self.vitals), *arguments),
                env={**os.environ, flows.ORACLE_VARIABLE: str(self.oracle)},
                stdout=log,
                stderr=log,
            )

    async def _load_and_kill(self, client: TaskHubClient, worker: asyncio.subprocess.Process) -> bool:
        """True: it was dead before this process killed it, so it had come to its step."""
        await self._until(lambda: bool(lines_of(self.oracle)), worker)
        starting = asyncio.create_task(self._start_own(client))
        await self._until(lambda: bool(accepted_of(self.oracle)), worker)
        deadline = time.monotonic() + (UNTIL_KILLED if self.plan.step else self.plan.after)
        while worker.returncode is None and time.monotonic() < deadline:
            self._tend(client, accepted_of(self.oracle))
            await asyncio.sleep(0.005)
        by_itself = worker.returncode is not None
        if not by_itself:
            worker.send_signal(signal.SIGKILL)
        await worker.wait()
        await starting
        if worker.returncode != -signal.SIGKILL:
            raise AssertionError(f"the worker ended by itself, code {worker.returncode}:\n{self.log.read_text()}")
        return by_itself

    async def _until(self, reached: Callable[[], bool], worker: asyncio.subprocess.Process) -> None:
        while worker.returncode is None and not reached():
            await asyncio.sleep(0.002)

    # -- the client's part
    async def _start_own(self, client: TaskHubClient) -> None:
        for number in range(COPIES):
            for kind in flows.KINDS:
                instance = f"outside{number}:{kind}"
                await client.start(kind, *flows.INPUTS.get(kind, ()), instance_id=instance)
                self.accepted.append(instance)
                self._tend(client, [instance])

    def _tend(self, client: TaskHubClient, instances: list[str]) -> None:
        for instance in instances:
            kind = flows.kind_of(instance)
            if instance not in self._tended:
                self._tended.add(instance)
                if kind == "events":
                    self._tending.append(asyncio.create_task(self._send_events(client, instance)))
                elif kind == "saga":
                    self._tending.append(asyncio.create_task(self._cancel(client, instance)))

    async def _send_events(self, client: TaskHubClient, instance: str) -> None:
        for payload in flows.EVENTS:
            await asyncio.sleep(self.dice.uniform(0.0, 0.1))
            await client.raise_event(instance, "go", payload)

    async def _cancel(self, client: TaskHubClient, instance: str) -> None:
        await asyncio.sleep(self.dice.uniform(0.02, 0.3))
        await client.cancel(instance, "the round says so")

    async def _all_accepted(self, client: TaskHubClient) -> list[str]:
        """Those that were acknowledged, and those that are there though the kill came before their acknowledgement."""
        known = dict.fromkeys([*self.accepted, *accepted_of(self.oracle)])
        async for state in client.query():
            if state.parent_id is None:
                known.setdefault(state.instance_id)
        self.accepted = list(known)
        return self.accepted

    async def _until_over(self, client: TaskHubClient) -> None:
        """Until all have ended, or time is up: the judge sees the difference."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self.plan.patience):
                there = [one for one in self.accepted if await client.get_state(one) is not None]
                await asyncio.gather(*self._tending, *(client.handle(one).wait() for one in there))

    # -- what came of it
    async def _evidence(self, client: TaskHubClient, durable: frozenset[str], died: int) -> Evidence:
        states: dict[str, InstanceState | None] = {one: await client.get_state(one) for one in self.accepted}
        return Evidence(
            accepted=self.accepted,
            states=states,
            applied=await self._applied(client),
            runs=runs_of(self.oracle),
            durable=durable,
            died=died,
            unreadable=self.unreadable,
        )

    async def _applied(self, client: TaskHubClient) -> dict[str, list[Applied]]:
        """The results in the histories of all executions; those of earlier ones are found by what ran in them."""
        executions: dict[str, dict[str, None]] = defaultdict(dict)
        for run in runs_of(self.oracle):
            executions[run.instance][run.execution] = None
        found: dict[str, list[Applied]] = {}
        async for state in client.query(OrchestrationQuery(page_size=1000)):
            found[state.instance_id] = []
            for execution in executions.get(state.instance_id, ()):
                try:
                    events = await client.get_history(state.instance_id, execution)
                except ProviderError as error:
                    self.unreadable.append(str(error))
                else:
                    found[state.instance_id] += as_applied(execution, events)
        return found


async def _ended(worker: asyncio.subprocess.Process) -> None:
    if worker.returncode is None:
        worker.kill()
    await worker.wait()


async def _stopped(worker: asyncio.subprocess.Process) -> None:
    """In peace, if it can."""
    if worker.returncode is None:
        worker.terminate()
        try:
            await asyncio.wait_for(worker.wait(), 15)
        except TimeoutError:
            await _ended(worker)
