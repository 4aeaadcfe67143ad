"""Killed everywhere: `python -m tests.suborchestrations.ec2.killed [CASES SEED]`.

A clean run gives N requests and M commits. Then the process that provisions is killed before request k leaves, after the server answered k, and
after commit k, for every k; another process goes on. After each the *server* must have everything exactly once, launched once.
"""

import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from connectors.aws.testing import AwsServer
from suborchestrations.ec2 import ServerSpec
from tests.suborchestrations.ec2.world import EVERYTHING, Account, account

_TIMEOUT = 180
_ROOT = Path(__file__).parents[3]


class Case(NamedTuple):
    plan: str
    problem: str
    """Empty: everything once."""


class Clean(NamedTuple):
    requests: int
    commits: int

    def plans(self) -> list[str]:
        requests, commits = range(1, self.requests + 1), range(1, self.commits + 1)
        return [f"{what}:{k}" for k in requests for what in ("before", "after")] + [f"commit:{k}" for k in commits]


def _process(hub: Path, aws: AwsServer, spec: ServerSpec, plan: str) -> "subprocess.CompletedProcess[str]":
    module = "tests.suborchestrations.ec2.worker"
    arguments = [str(hub), aws.endpoint_url, msgspec.json.encode(spec).decode(), plan]
    return subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=_ROOT, capture_output=True, text=True, timeout=_TIMEOUT
    )


def clean_run(aws: AwsServer, folder: Path) -> Clean:
    with account(aws) as (there, spec, _):
        ended = _process(folder / "clean.db", aws, spec, "none")
        found = re.search(r"requests=(\d+) commits=(\d+) completed", ended.stdout)
        if found is None or there.made() != EVERYTHING:
            raise AssertionError(f"the clean run did not come to its end: {ended.stdout} {ended.stderr[-2000:]}")
        return Clean(int(found[1]), int(found[2]))


def killed(aws: AwsServer, folder: Path, plan: str) -> Case:
    hub = folder / f"{plan.replace(':', '-')}.db"
    with account(aws) as (there, spec, _):
        first = _process(hub, aws, spec, plan)
        if first.returncode != -9:
            # Polls differ from run to run, so the last numbers may not be reached; then it must simply have ended well.
            return Case(
                plan, _problem(there, first.stdout) and f"it was never killed, and: {_problem(there, first.stdout)}"
            )
        second = _process(hub, aws, spec, "none")
        return Case(
            plan, _problem(there, second.stdout) and f"{_problem(there, second.stdout)} {second.stderr[-1000:]}"
        )


def _problem(there: Account, said: str) -> str:
    made, launched = there.made(), len(there.instances(dead=True))
    if " completed" not in said:
        return f"the second process did not complete it: {said}"
    if made != EVERYTHING or launched != 1:
        return f"there is {made}, and {launched} instances were launched"
    return ""


@contextmanager
def workshop() -> Iterator[tuple[AwsServer, Path]]:
    with AwsServer() as aws, tempfile.TemporaryDirectory() as folder:
        yield aws, Path(folder)


def main(cases: int | None = None, seed: int = 0) -> int:
    with workshop() as (aws, folder):
        clean = clean_run(aws, folder)
        plans = clean.plans()
        if cases is not None:
            plans = random.Random(seed).sample(plans, cases)
        bad = 0
        for plan in plans:
            case = killed(aws, folder, plan)
            bad += bool(case.problem)
            print(f"{case.plan:<12} {case.problem or 'everything once'}", flush=True)
        print(f"requests={clean.requests} commits={clean.commits} kills={len(plans)} wrong={bad}")
        return 1 if bad or (cases is None and len(plans) < 40) else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
