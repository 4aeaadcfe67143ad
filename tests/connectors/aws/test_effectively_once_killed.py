"""Ten mutating activities, chosen by a seed, across kill -9 of their worker; `python -m tests.connectors.aws.once` does all of them."""

import os
import random
from pathlib import Path

import pytest

from connectors.aws import CONNECTOR, ec2
from connectors.aws.testing import AwsServer
from connectors.core import Effect, declaration_of
from tests.connectors.aws.once import LOCAL, SAMPLES, choose, tell
from tests.connectors.aws.once_worker import launch_with_a_random_token
from tests.connectors.aws.samples import IMAGE, Sample

CASES = 10
RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID")  # the same in all processes of a run, so that they choose the same ten
SEED = int(os.environ.get("DTF_ONCE_SEED") or (int(RUN[:8], 16) if RUN else random.randrange(10**6)))


@pytest.mark.parametrize("sample", choose(SEED, CASES), ids=lambda sample: f"{sample}, seed {SEED}")
async def test_an_activity_whose_worker_was_killed_is_done_once(
    aws: AwsServer, tmp_path: Path, sample: Sample, capsys: pytest.CaptureFixture[str]
) -> None:
    with capsys.disabled():
        print(f" [{sample}, seed {SEED}] ", end="")
    story = await tell(aws, sample, tmp_path)
    assert story.faults() == [], f"{sample}: once more with DTF_ONCE_SEED={SEED}"


async def test_the_proof_finds_out_who_sends_a_random_token(aws: AwsServer, tmp_path: Path) -> None:
    call = ec2.RunInstances(image_id=IMAGE)
    story = await tell(aws, Sample(launch_with_a_random_token, "ec2:RunInstances", lambda _: call), tmp_path)
    assert story.done == 2
    assert any("counts 2 ec2:RunInstances, not 1" in fault for fault in story.faults())
    assert any("the second delivery changed more" in fault for fault in story.faults())


def test_every_mutating_activity_has_a_case() -> None:
    declared = {one.name: declaration_of(one) for one in CONNECTOR.activities}
    mutating = {name for name, found in declared.items() if found is None or found.effect is not Effect.READ}
    assert mutating - LOCAL == {sample.activity.name for sample in SAMPLES}
