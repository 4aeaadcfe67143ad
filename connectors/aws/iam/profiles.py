"""Instance profiles: what gives the programs on an instance a role's credentials. A profile holds one role."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.iam._shared import iam
from connectors.aws.models import KEY_TAG, AwsCall, tag_dict, tag_list
from connectors.core import DEFAULT_RETRY, AlreadyExists, Effect, Mutation, NotFound, Permanent, call_key, declare
from dtf_runtime import activity


class CreateInstanceProfile(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    path: str | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    existing: Literal["refuse", "use"] = "refuse"
    """What to do with a profile of that name which another call made: AlreadyExists, or its ARN with `created=False`."""


class CreateInstanceProfileResult(Mutation, frozen=True, kw_only=True):
    name: str
    arn: str
    created: bool
    """Made by this call, in this delivery or an earlier one: what a compensation may delete."""


class InstanceProfileName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str


class InstanceProfileRole(InstanceProfileName, frozen=True, kw_only=True, omit_defaults=True):
    role: str


class InstanceProfile(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arn: str
    roles: list[str]
    """One, or none."""
    tags: Mapping[str, str]


@declare(
    Effect.LOOKUP,
    "the name is unique; a profile in the way is adopted when its dtf:key tag is this call's",
    permissions=("iam:CreateInstanceProfile", "iam:TagInstanceProfile", "iam:GetInstanceProfile"),
)
@activity(name="aws.iam.create_instance_profile", retry=DEFAULT_RETRY)
def create_instance_profile(call: CreateInstanceProfile) -> CreateInstanceProfileResult:
    """Raises AlreadyExists when another call made a profile of that name, unless `existing="use"`. EC2 sees it some seconds later."""
    key = call_key(call)
    given = {"InstanceProfileName": call.name, "Path": call.path, "Tags": tag_list(call.tags, key)}
    try:
        answer = iam(call, "create_instance_profile", given, effect=Effect.LOOKUP)
    except AlreadyExists:
        found = _found(call, call.name)
        mine = tag_dict(found.get("Tags")).get(KEY_TAG) == key
        if not mine and call.existing == "refuse":
            raise
        return CreateInstanceProfileResult(name=call.name, arn=found["Arn"], created=mine, replayed=mine)
    arn = answer["InstanceProfile"]["Arn"]
    return CreateInstanceProfileResult(request_id=request_id(answer), name=call.name, arn=arn, created=True)


@declare(Effect.READ, permissions=("iam:GetInstanceProfile",))
@activity(name="aws.iam.get_instance_profile", retry=DEFAULT_RETRY)
def get_instance_profile(call: InstanceProfileName) -> InstanceProfile:
    """Raises NotFound."""
    found = _found(call, call.name)
    roles = [role["RoleName"] for role in found.get("Roles") or ()]
    return InstanceProfile(name=call.name, arn=found["Arn"], roles=roles, tags=tag_dict(found.get("Tags")))


@declare(
    Effect.NATURAL,
    "a profile that holds the role already is what was wanted",
    permissions=("iam:AddRoleToInstanceProfile", "iam:GetInstanceProfile", "iam:PassRole"),
)
@activity(name="aws.iam.add_role_to_instance_profile", retry=DEFAULT_RETRY)
def add_role_to_instance_profile(call: InstanceProfileRole) -> Mutation:
    """Raises Permanent (LimitExceeded) when it holds another role, NotFound for role or profile."""
    given = {"InstanceProfileName": call.name, "RoleName": call.role}
    try:
        answer = iam(call, "add_role_to_instance_profile", given, effect=Effect.NATURAL)
    except (AlreadyExists, Permanent) as error:
        if error.code not in ("LimitExceeded", "EntityAlreadyExists"):
            raise
        if call.role not in _roles(call):
            raise
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(
    Effect.NATURAL,
    "a role that isn't in it is what was wanted",
    permissions=("iam:RemoveRoleFromInstanceProfile", "iam:GetInstanceProfile"),
)
@activity(name="aws.iam.remove_role_from_instance_profile", retry=DEFAULT_RETRY)
def remove_role_from_instance_profile(call: InstanceProfileRole) -> Mutation:
    """Instances that run with it lose the role's credentials when those expire."""
    try:
        if call.role not in _roles(call):
            return Mutation(replayed=True)
    except NotFound:
        return Mutation(replayed=True)
    return _gone(call, "remove_role_from_instance_profile", {"RoleName": call.role})


@declare(Effect.NATURAL, "a missing profile is what was wanted", permissions=("iam:DeleteInstanceProfile",))
@activity(name="aws.iam.delete_instance_profile", retry=DEFAULT_RETRY)
def delete_instance_profile(call: InstanceProfileName) -> Mutation:
    """Raises Conflict (DeleteConflict) while it holds a role."""
    return _gone(call, "delete_instance_profile", {})


def _found(call: AwsCall, name: str) -> dict[str, Any]:
    found: dict[str, Any] = iam(call, "get_instance_profile", {"InstanceProfileName": name})["InstanceProfile"]
    return found


def _roles(call: InstanceProfileName) -> list[str]:
    return [role["RoleName"] for role in _found(call, call.name).get("Roles") or ()]


def _gone(call: InstanceProfileName, operation: str, given: Mapping[str, Any]) -> Mutation:
    try:
        answer = iam(call, operation, {"InstanceProfileName": call.name, **given}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))
