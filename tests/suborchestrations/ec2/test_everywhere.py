"""Ten of each kind, by a seed that is printed; all of them: `python -m tests.suborchestrations.ec2.killed` and `... .failing`, in `make faults`."""

import os
import random
from pathlib import Path

import pytest

from connectors.aws.testing import AwsServer
from tests.suborchestrations.ec2 import failing, killed

SEED = int(os.environ.get("DTF_SEED", random.SystemRandom().randrange(10_000)))
CASES = 10


@pytest.mark.timeout(300)
def test_killed_anywhere_another_process_brings_it_to_its_end_and_everything_is_there_once(
    aws_process: AwsServer, tmp_path: Path
) -> None:
    print(f"DTF_SEED={SEED}")
    clean = killed.clean_run(aws_process, tmp_path)
    plans = clean.plans()
    assert len(plans) >= 40
    cases = [killed.killed(aws_process, tmp_path, plan) for plan in random.Random(SEED).sample(plans, CASES)]
    assert [case for case in cases if case.problem] == []


@pytest.mark.timeout(300)
async def test_failing_anywhere_leaves_all_or_nothing_or_says_what_is_left(aws_process: AwsServer) -> None:
    print(f"DTF_SEED={SEED}")
    known = await failing.plans(aws_process)
    failing.note_order(known)
    for kind in (*failing.FORWARD, *failing.BACKWARD):
        chosen = random.Random(SEED).sample([plan for plan in known if plan.kind == kind], CASES)
        assert [(plan, await failing.problem_of(aws_process, plan)) for plan in chosen] == [
            (plan, "") for plan in chosen
        ]
