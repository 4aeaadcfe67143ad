"""The README's tables of activities and orchestrations say what the code says."""

import json
import typing
from pathlib import Path
from typing import Any

import pytest

import connectors.aws
from connectors.aws import CONNECTOR
from connectors.aws.ec2 import describe_instances, run_instances, terminate_instances
from connectors.aws.iam_policy import policy_of
from connectors.aws.retry import LOOKUP_RETRY
from connectors.core import DEFAULT_RETRY, Effect, declaration_of
from dtf_runtime import Activity, Orchestration

README = (Path(connectors.aws.__file__).parent / "README.md").read_text()


def row(activity: Activity[..., Any]) -> str:
    declared = declaration_of(activity)
    assert declared is not None
    hints = typing.get_type_hints(activity.fn)
    given = ", ".join(named(hint) for name, hint in hints.items() if name != "return")
    how = "it reads" if declared.effect is Effect.READ else f"{declared.effect.value}: {declared.how}"
    allowed = ", ".join(declared.permissions)
    return f"| `{activity.name}` | `{given}` | `{named(hints['return'])}` | {how} | {tries(activity)} | {allowed} |"


def line(orchestration: Orchestration[..., Any]) -> str:
    hints = typing.get_type_hints(orchestration.fn)
    given = ", ".join(named(hint) for name, hint in hints.items() if name not in ("return", "ctx"))
    return f"| `{orchestration.name}` | `{given}` | `{named(hints['return'])}` | "


def named(hint: Any) -> str:
    return hint.__name__ if isinstance(hint, type) else str(hint)


def tries(activity: Activity[..., Any]) -> str:
    policy = activity.retry
    if policy is None:
        return "never"
    if policy == DEFAULT_RETRY:
        return "yes"
    return "yes, from 5 s" if policy == LOOKUP_RETRY else "yes, its own"


@pytest.mark.parametrize("activity", CONNECTOR.activities, ids=lambda one: str(one.name))
def test_an_activity_stands_in_the_readme_as_it_is(activity: Activity[..., Any]) -> None:
    assert row(activity) in README


@pytest.mark.parametrize("orchestration", CONNECTOR.orchestrations, ids=lambda one: str(one.name))
def test_an_orchestration_stands_in_the_readme_as_it_is(orchestration: Orchestration[..., Any]) -> None:
    assert line(orchestration) in README


def test_nothing_stands_there_that_is_gone() -> None:
    known = {one.name for one in CONNECTOR.activities} | {one.name for one in CONNECTOR.orchestrations}
    told = {text.split("`")[1] for text in README.splitlines() if text.startswith("| `aws.")}
    assert told == known


def test_the_policy_there_is_the_one_that_is_made() -> None:
    block = README.split("```json\n", 1)[1].split("```", 1)[0]
    assert json.loads(block) == policy_of(run_instances, describe_instances, terminate_instances)
