"""The IAM policy of a worker: no more than its activities need. That they need no more is in `test_effectively_once`."""

import json
from typing import Any

from connectors.aws import CONNECTOR, ec2
from connectors.aws.iam_policy import permissions_of, policy_of


def statements(policy: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def allowed(policy: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for statement in policy["Statement"]:
        actions = statement["Action"]
        found |= {actions} if isinstance(actions, str) else set(actions)
    return found


def test_each_activity_alone_is_allowed_what_it_declares_and_no_more() -> None:
    for activity in CONNECTOR.activities:
        assert allowed(policy_of(activity)) == permissions_of(activity)


def test_a_reader_may_only_read() -> None:
    assert allowed(policy_of(ec2.describe_instances)) == {"ec2:DescribeInstances"}


def test_tags_only_while_something_is_made_and_roles_only_for_instances() -> None:
    found = statements(policy_of(ec2.run_instances, ec2.create_volume))
    assert found["TagWhatIsMade"]["Condition"] == {
        "StringEquals": {"ec2:CreateAction": ["CreateVolume", "RunInstances"]}
    }
    assert found["PassRolesToInstances"]["Condition"] == {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    assert "ec2:CreateTags" not in found["Ec2"]["Action"]
    assert "iam:PassRole" not in json.dumps([found["Ec2"], found["Ssm"]])


def test_who_tags_whatever_there_is_may_do_so() -> None:
    assert statements(policy_of(ec2.set_tags, ec2.run_instances))["Ec2"]["Action"][0] == "ec2:CreateTags"


def test_the_whole_connector_is_one_document_that_iam_would_take() -> None:
    policy = policy_of()
    assert allowed(policy) == {action for activity in CONNECTOR.activities for action in permissions_of(activity)}
    assert policy["Version"] == "2012-10-17"
    assert all(statement["Sid"].isalnum() for statement in policy["Statement"])
    assert len({statement["Sid"] for statement in policy["Statement"]}) == len(policy["Statement"])
    assert len(json.dumps(policy, separators=(",", ":"))) < 6144  # a managed policy's limit, characters
