"""The recipe as a reader runs it, its plan, its demo, and the demo's verdict, which must notice a second launch or text."""

import os
import re
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from connectors.aws.testing import Call
from cookbook._provision_web_server_demo import tell
from cookbook.provision_web_server import PHONE, Job, Ready, World, wanted
from suborchestrations.ec2 import Server
from tests.cookbook.conftest import ROOT, Kitchen

ONCE = (
    "ec2:CreateSecurityGroup",
    "ec2:ImportKeyPair",
    "iam:CreateInstanceProfile",
    "ssm:SendCommand",
    "ec2:AllocateAddress",
)


def test_it_runs_offline_from_the_copied_file(kitchen: Kitchen) -> None:
    code, output = kitchen.run("provision_web_server")
    assert code == 0, output
    assert "web is up" in output and "t3.micro" in output  # there was no room for the first type
    assert not kitchen.refused


def test_a_plan_makes_nothing(kitchen: Kitchen) -> None:
    code, output = kitchen.run("provision_web_server", "--plan")
    assert code == 0, output
    assert "What it would do" in output and "aws.ec2.run_instances" in output
    assert "is up" not in output


def test_the_demo_kills_its_worker_in_the_middle_of_the_launch(kitchen: Kitchen) -> None:
    paths = f"{kitchen.environment['PYTHONPATH']}{os.pathsep}{ROOT}"
    demo = subprocess.run(
        [sys.executable, "-m", "cookbook.provision_web_server", "--demo"],
        cwd=ROOT,
        env={**kitchen.environment, "FORBIDDEN_IMPORT": "", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert demo.returncode == 0, demo.stdout + demo.stderr
    first = re.search(r"Worker (\d+) starts", demo.stdout)
    killed = re.search(r"kill -9 (\d+) after step (\d+) of 10: AWS has launched 1 machine", demo.stdout)
    second = re.search(r"Worker (\d+) takes over", demo.stdout)
    assert first and killed and second, demo.stdout
    assert killed[1] == first[1] != second[1]
    assert "one machine, one of everything, one text" in demo.stdout
    assert not kitchen.refused


# -- The verdict --------------------------------------------------------------------------------------------------


class Log:
    """What an AwsServer would say of these calls."""

    def __init__(self, *calls: tuple[str, bool]) -> None:
        self.calls = [
            Call(
                service=name.partition(":")[0],
                operation=name.partition(":")[2],
                region="r",
                parameters={},
                actions=[],
                executed=done,
            )
            for name, done in calls
        ]

    def count(self, name: str) -> int:
        return sum(call.executed and call.name == name for call in self.calls)


def verdict(*calls: tuple[str, bool], texts: int = 1, looked: int = 1) -> int:
    log: Any = Log(*((name, True) for name in ONCE), *calls)
    messages = [SimpleNamespace(to=PHONE, sid="SM1") for _ in range(texts)]
    twilio, page = SimpleNamespace(messages=messages), SimpleNamespace(served=looked)
    world = World(log, twilio, page)  # type: ignore[arg-type]
    server = Server(instance_id="i-1", image_id="ami-1", instance_type="t3.micro")
    return tell(world, Ready(server, "", "SM1"), Job(wanted("ami-1", None, []), PHONE))


LAUNCHED, REPLAYED = ("ec2:RunInstances", True), ("ec2:RunInstances", False)


def test_one_of_everything_is_well() -> None:
    assert verdict(LAUNCHED, REPLAYED) == 0


@pytest.mark.parametrize(
    "calls",
    [(LAUNCHED, LAUNCHED), (REPLAYED, REPLAYED), (LAUNCHED,), (LAUNCHED, REPLAYED, ("ec2:AllocateAddress", True))],
    ids=["launched twice", "never launched", "not asked again", "two addresses"],
)
def test_anything_else_at_aws_is_not(calls: tuple[tuple[str, bool], ...]) -> None:
    assert verdict(*calls) == 1


@pytest.mark.parametrize(("texts", "looked"), [(0, 1), (2, 1), (1, 0)])
def test_no_text_two_texts_or_no_look_at_the_page_are_not(texts: int, looked: int) -> None:
    assert verdict(LAUNCHED, REPLAYED, texts=texts, looked=looked) == 1
