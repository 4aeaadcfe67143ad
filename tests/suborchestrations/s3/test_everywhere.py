"""Ten of each kind, by a seed that is printed; all of them: `python -m tests.suborchestrations.s3.failing`."""

import os
import random
from pathlib import Path

import pytest

from connectors.aws.testing import AwsServer
from tests.suborchestrations.s3 import failing

SEED = int(os.environ.get("DTF_SEED", random.SystemRandom().randrange(10_000)))
CASES = 10


@pytest.mark.timeout(120)
async def test_failing_anywhere_leaves_all_or_nothing_or_says_what_is_left(aws: AwsServer, tmp_path: Path) -> None:
    print(f"DTF_SEED={SEED}")
    matrix = failing.Matrix(aws, tmp_path)
    known = await matrix.plans()
    for kind in (*failing.FORWARD, *failing.BACKWARD):
        of_kind = [plan for plan in known if plan.kind == kind]
        chosen = random.Random(SEED).sample(of_kind, min(CASES, len(of_kind)))
        assert [(plan, await matrix.problem_of(plan)) for plan in chosen] == [(plan, "") for plan in chosen]
