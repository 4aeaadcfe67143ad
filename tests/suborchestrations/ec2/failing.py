"""Failing everywhere: `python -m tests.suborchestrations.ec2.failing [CASES SEED]`, in virtual time.

Each request of a run gets a permanent error, three throttles, a lost answer; at each the run is cancelled, and at each its deadline passes.
Then, in a run that fails at its last step, each request of the compensation fails twice, and for ever. What is there afterwards is read from
the server.
"""

import asyncio
import logging
import random
import sys
from typing import Any, NamedTuple

import msgspec

from connectors.aws.testing import AwsServer
from connectors.core import using
from dtf_runtime import OrchestrationCancelledError, OrchestrationFailedError
from dtf_runtime.testing import TestHub
from suborchestrations.ec2 import ServerSpec, provision_ec2
from tests.suborchestrations.ec2.world import EVERYTHING, NOTHING, Account, account, registry

_WAIT = 120.0
_DEADLINE = 300.0  # virtual seconds
_THROTTLES = 40  # enough for the deadline to pass in the middle of them
FORWARD = ("permanent", "throttled", "answer lost", "cancelled", "deadline")
BACKWARD = ("undo fails twice", "undo fails for ever")


class Plan(NamedTuple):
    kind: str
    request: int
    """From 1."""
    operation: str

    def __str__(self) -> str:
        return f"{self.kind}, request {self.request} ({self.operation})"


class Ended(NamedTuple):
    failure: dict[str, Any] | None
    """None: it completed."""
    operations: list[str]


async def _run(aws: AwsServer, spec: ServerSpec, *, cancelled: bool = False) -> Ended:
    before = len(aws.calls)
    with using(aws.connection()):
        async with TestHub(registry=registry()) as hub:
            handle = await hub.client.start(provision_ec2, spec, instance_id="one")
            failure = None
            result = asyncio.ensure_future(handle.result(_WAIT))  # the clock moves while somebody waits
            if cancelled:  # while an answer is held back
                await asyncio.to_thread(aws.wait_held)
                await hub.client.cancel("one")
                aws.release()
            try:
                await result
            except OrchestrationFailedError as error:
                failure = dict(error.failure.properties) | {"message": error.failure.message}
            except OrchestrationCancelledError:
                failure = {"left": [], "message": "cancelled"}
    return Ended(failure, [call.name for call in aws.calls[before:]])


def _fail_at_the_end(aws: AwsServer) -> None:
    aws.fail("route53:ChangeResourceRecordSets", status=400, code="InvalidChangeBatch", times=1)


async def plans(aws: AwsServer) -> list[Plan]:
    """All there are, from one clean run and one that fails at its last step."""
    with account(aws) as (there, spec, _):
        clean = await _run(aws, spec)
        assert clean.failure is None and there.made() == EVERYTHING, clean
    with account(aws) as (there, spec, _):
        _fail_at_the_end(aws)
        undone = await _run(aws, spec)
        assert undone.failure and undone.failure["left"] == [] and there.made() == NOTHING, undone
    first = undone.operations.index("route53:ChangeResourceRecordSets") + 1
    forward = [Plan(kind, k, name) for k, name in enumerate(clean.operations, 1) for kind in FORWARD]
    backward = [Plan(kind, k, name) for k, name in enumerate(undone.operations, 1) if k > first for kind in BACKWARD]
    return forward + backward


async def problem_of(aws: AwsServer, plan: Plan) -> str:
    """Empty: as it should be."""
    with account(aws) as (there, spec, _):
        skip = plan.request - 1
        match plan.kind:
            case "permanent":
                aws.fail("*", status=400, code="InvalidParameterCombination", skip=skip)
            case "throttled":
                aws.fail("*", status=503, code="RequestLimitExceeded", times=3, skip=skip)
            case "answer lost":
                aws.cut("*", when="after", skip=skip)
            case "cancelled":
                aws.hold("*", when="after", skip=skip)
            case "deadline":
                aws.fail("*", status=503, code="RequestLimitExceeded", times=_THROTTLES, skip=skip)
                spec = msgspec.structs.replace(spec, deadline=_DEADLINE)
            case "undo fails twice":
                _fail_at_the_end(aws)
                aws.fail("*", status=503, code="RequestLimitExceeded", times=2, skip=skip)
            case "undo fails for ever":
                _fail_at_the_end(aws)
                aws.fail(plan.operation, status=400, code="UnauthorizedOperation", times=None, skip=_earlier(plan))
        ended = await _run(aws, spec, cancelled=plan.kind == "cancelled")
        aws.clear_faults()
        return _judged(plan, ended, there)


_EARLIER: dict[tuple[str, int], int] = {}


def _earlier(plan: Plan) -> int:
    """How many requests of that operation come before: they get through."""
    return _EARLIER[plan.operation, plan.request]


def _judged(plan: Plan, ended: Ended, there: Account) -> str:
    made, launched = there.made(), len(there.instances(dead=True))
    if launched > 1:
        return f"{launched} instances were launched"
    if plan.kind in ("throttled", "answer lost"):
        return "" if ended.failure is None and made == EVERYTHING else f"{ended.failure}, there is {made}"
    if plan.kind == "permanent" and ended.failure is None:  # a look that the run can do without
        return "" if made == EVERYTHING else f"it completed, and there is {made}"
    if ended.failure is None:
        return "it completed"
    if plan.kind in ("cancelled", "deadline") and plan.kind not in ended.failure["message"]:
        return f"it failed otherwise: {ended.failure['message']}"
    there_still = {what for what, count in made.items() if count}
    listed = {"dns record" if one["what"] == "A record" else one["what"] for one in ended.failure["left"]}
    if plan.kind != "undo fails for ever":
        return "" if not there_still and not listed else f"there is {made}, listed as left: {listed}"
    return "" if there_still <= listed else f"there is {made}, but only {listed} is listed as left"


async def run_all(aws: AwsServer, chosen: list[Plan]) -> int:
    wrong = 0
    for plan in chosen:
        problem = await problem_of(aws, plan)
        wrong += bool(problem)
        print(f"{plan!s:<90} {problem or 'as it should be'}", flush=True)
    return wrong


def note_order(known: list[Plan]) -> None:
    """For `undo fails for ever`: the requests of one operation in their order within the failing run."""
    _EARLIER.clear()
    seen: dict[str, int] = {}
    numbers = sorted({(plan.request, plan.operation) for plan in known if plan.kind == BACKWARD[0]})
    before = {plan.operation: 0 for plan in known}
    first = numbers[0][0] if numbers else 0
    for plan in known:
        if plan.kind == FORWARD[0] and plan.request < first:
            before[plan.operation] += 1
    for request, operation in numbers:
        seen[operation] = seen.get(operation, before[operation])
        _EARLIER[operation, request] = seen[operation]
        seen[operation] += 1


async def main(cases: int | None = None, seed: int = 0) -> int:
    logging.disable(logging.CRITICAL)
    async with AwsServer() as aws:
        known = await plans(aws)
        note_order(known)
        chosen = known if cases is None else random.Random(seed).sample(known, cases)
        wrong = await run_all(aws, chosen)
        print(f"requests={len({plan.request for plan in known})} cases={len(chosen)} wrong={wrong}")
        return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main(*map(int, sys.argv[1:]))))
