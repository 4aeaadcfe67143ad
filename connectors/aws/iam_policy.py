"""IAM policies for workers: no more than the activities they run need. Made from what the activities declare; loads no boto3.

    json.dumps(policy_of(run_instances, terminate_instances))

Two actions are only allowed for what they are needed for: `iam:PassRole` to EC2, `ec2:CreateTags` while something is made (unless tagging is
what the activity does). Resources are `*`: which ones yours are, only you know.
Source: Service Authorization Reference; "Grant permission to tag EC2 resources during creation".
"""

from collections.abc import Iterable
from typing import Any

from connectors.core import declaration_of
from dtf_runtime import Activity

_TAG, _PASS = "ec2:CreateTags", "iam:PassRole"
_READING = ("Describe", "Get", "List")


def policy_of(*activities: Activity[..., Any]) -> dict[str, Any]:
    """A policy document, JSON-like, that lets these activities work; without any, all of the connector's."""
    if not activities:
        from connectors.aws import CONNECTOR

        activities = CONNECTOR.activities
    plain: set[str] = set()
    creating: set[str] = set()
    passing = False
    for one in activities:
        needed = permissions_of(one)
        made_by = [action.partition(":")[2] for action in needed if _creates(action)] if _TAG in needed else []
        creating.update(made_by)
        passing = passing or _PASS in needed
        plain.update(needed - ({_TAG, _PASS} if made_by else {_PASS}))
    return {"Version": "2012-10-17", "Statement": list(_statements(plain, creating, passing))}


def permissions_of(activity: Activity[..., Any]) -> frozenset[str]:
    """What it declares. Empty when it declares nothing."""
    declared = declaration_of(activity)
    return frozenset(declared.permissions) if declared else frozenset()


def _creates(action: str) -> bool:
    service, _, name = action.partition(":")
    return service == "ec2" and action != _TAG and not name.startswith(_READING)


def _statements(plain: set[str], creating: set[str], passing: bool) -> Iterable[dict[str, Any]]:
    for service in sorted({action.partition(":")[0] for action in plain}):
        actions = sorted(action for action in plain if action.startswith(f"{service}:"))
        yield {"Sid": _sid(service), "Effect": "Allow", "Action": actions, "Resource": "*"}
    if creating and _TAG not in plain:
        yield {
            "Sid": "TagWhatIsMade",
            "Effect": "Allow",
            "Action": _TAG,
            "Resource": "*",
            "Condition": {"StringEquals": {"ec2:CreateAction": sorted(creating)}},
        }
    if passing:
        yield {
            "Sid": "PassRolesToInstances",
            "Effect": "Allow",
            "Action": _PASS,
            "Resource": "*",
            "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}},
        }


def _sid(service: str) -> str:
    return "".join(part.capitalize() for part in service.split("-"))
