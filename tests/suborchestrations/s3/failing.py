"""Failing everywhere: `python -m tests.suborchestrations.s3.failing [CASES SEED]`, in virtual time.

Each request of `provision_bucket` and `static_site` gets a permanent error, three throttles, a lost answer; at each the run is cancelled, and at
each its deadline passes. Then, in a run that fails at its last change, each request of the compensation fails twice, and for ever. What is there
afterwards is read from the server.
"""

import asyncio
import logging
import random
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from connectors.aws.testing import AwsServer
from suborchestrations.s3 import provision_bucket, static_site
from tests.suborchestrations.s3.world import BUCKET, PAGES, Account, Ended, bucket_spec, site_spec, write_pages

FORWARD = ("permanent", "throttled", "answer lost", "cancelled", "deadline")
BACKWARD = ("undo fails twice", "undo fails for ever")
_LAST = {"bucket": "s3:PutBucketPolicy", "site": "s3:PutObject"}
_LET_THROUGH = {"bucket": 0, "site": len(PAGES) - 1}


class Plan(NamedTuple):
    of: str
    """bucket or site."""
    kind: str
    request: int
    """From 1."""
    operation: str
    earlier: int
    """Requests of that operation before it, in the same run."""

    def __str__(self) -> str:
        return f"{self.of}: {self.kind}, request {self.request} ({self.operation})"


class Matrix:
    def __init__(self, aws: AwsServer, folder: Path) -> None:
        self.there = Account(aws)
        self.aws = aws
        self.folder = write_pages(folder)

    async def run(self, of: str, *, deadline: float = 3600.0, cancelled: bool = False) -> Ended:
        if of == "bucket":
            return await self.there.run(provision_bucket, bucket_spec(deadline=deadline), cancelled=cancelled)
        return await self.there.run(static_site, site_spec(self.folder, deadline=deadline), cancelled=cancelled)

    def fail_at_the_end(self, of: str) -> None:
        self.aws.fail(_LAST[of], status=400, code="InvalidRequest", times=1, skip=_LET_THROUGH[of])

    async def plans(self) -> list[Plan]:
        """All there are, from clean runs and such that fail at their last change."""
        found = []
        for of in ("bucket", "site"):
            self.aws.reset()
            clean = await self.run(of)
            assert self.is_whole(of) and clean.failure is None, clean
            self.aws.reset()
            self.fail_at_the_end(of)
            undone = await self.run(of)
            assert undone.failure and undone.failure["left"] == [] and self.there.buckets() == [], undone
            failed = [k for k, name in enumerate(undone.calls, 1) if name == _LAST[of]][_LET_THROUGH[of]]
            found += _plans(of, FORWARD, clean.calls, 0) + _plans(of, BACKWARD, undone.calls, failed)
        self.aws.clear_faults()
        return found

    def is_whole(self, of: str) -> bool:
        if self.there.buckets() != [BUCKET]:
            return False
        return self.there.objects() == (sorted(PAGES) if of == "site" else [])

    async def problem_of(self, plan: Plan) -> str:
        """Empty: as it should be."""
        self.aws.reset()
        skip = plan.request - 1
        match plan.kind:
            case "permanent":
                self.aws.fail("*", status=400, code="InvalidRequest", skip=skip)
            case "throttled":
                self.aws.fail("*", status=503, code="SlowDown", times=3, skip=skip)
            case "answer lost":
                self.aws.cut("*", when="after", skip=skip)
            case "cancelled":
                self.aws.hold("*", when="after", skip=skip)
            case "deadline":  # it passes while the throttled call waits for its next attempt
                self.aws.fail("*", status=503, code="SlowDown", times=3, skip=skip)
            case "undo fails twice":
                self.fail_at_the_end(plan.of)
                self.aws.fail("*", status=503, code="SlowDown", times=2, skip=skip)
            case "undo fails for ever":
                self.fail_at_the_end(plan.of)
                self.aws.fail(plan.operation, status=403, code="AccessDenied", times=None, skip=plan.earlier)
        deadline = 0.2 if plan.kind == "deadline" else 3600.0
        ended = await self.run(plan.of, deadline=deadline, cancelled=plan.kind == "cancelled")
        self.aws.clear_faults()
        return self._judged(plan, ended)

    def _judged(self, plan: Plan, ended: Ended) -> str:
        there = self.there.buckets()
        if plan.kind in ("throttled", "answer lost"):
            return "" if ended.failure is None and self.is_whole(plan.of) else f"{ended.failure}, there is {there}"
        if ended.failure is None:
            return "it completed"
        left: set[Any] = {one["what"] for one in ended.failure["left"]}
        if plan.kind != "undo fails for ever":
            return "" if not there and not left else f"there is {there}, listed as left: {left}"
        if not there:
            return "nothing is left, though it could not be deleted"
        really = {"bucket"} | ({"files"} if self.there.objects() else set())
        return "" if really <= left else f"there is {really}, but only {left} is listed as left"


def _plans(of: str, kinds: tuple[str, ...], calls: list[str], after: int) -> list[Plan]:
    return [
        Plan(of, kind, k, name, calls[: k - 1].count(name))
        for k, name in enumerate(calls, 1)
        if k > after
        for kind in kinds
    ]


async def main(cases: int | None = None, seed: int = 0) -> int:
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder:
        async with AwsServer() as aws:
            matrix = Matrix(aws, Path(folder))
            known = await matrix.plans()
            chosen = known if cases is None else random.Random(seed).sample(known, cases)
            wrong = 0
            for plan in chosen:
                problem = await matrix.problem_of(plan)
                wrong += bool(problem)
                print(f"{plan!s:<90} {problem or 'as it should be'}", flush=True)
            print(f"requests={len({(plan.of, plan.request) for plan in known})} cases={len(chosen)} wrong={wrong}")
            return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*map(int, sys.argv[1:]))))
