"""Roles and their policies. Names are unique in an account, so a repeat is refused, and the `dtf:key` tag tells whose the role in the way is."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.iam._shared import iam, iam_all
from connectors.aws.models import KEY_TAG, AwsCall, tag_dict, tag_list
from connectors.core import DEFAULT_RETRY, AlreadyExists, Effect, Mutation, NotFound, call_key, declare
from dtf_runtime import activity

_DELETING = (
    "iam:DeleteRole",
    "iam:ListAttachedRolePolicies",
    "iam:DetachRolePolicy",
    "iam:ListRolePolicies",
    "iam:DeleteRolePolicy",
    "iam:ListInstanceProfilesForRole",
    "iam:RemoveRoleFromInstanceProfile",
)


class CreateRole(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    trust_policy: Mapping[str, Any]
    """Who may assume it: a policy document. `trust("ec2.amazonaws.com")` makes the usual one."""
    description: str | None = None
    path: str | None = None
    max_session: int | None = None
    """Seconds, 3600 to 43200."""
    permissions_boundary: str | None = None
    """ARN of a policy."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    existing: Literal["refuse", "use"] = "refuse"
    """What to do with a role of that name which another call made: AlreadyExists, or its ARN with `created=False`."""


class CreateRoleResult(Mutation, frozen=True, kw_only=True):
    name: str
    arn: str
    created: bool
    """Made by this call, in this delivery or an earlier one: what a compensation may delete."""


class RoleName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str


class DeleteRole(RoleName, frozen=True, kw_only=True, omit_defaults=True):
    empty: bool = False
    """Detaches and deletes its policies, and takes it out of instance profiles, first; else that is a Conflict (DeleteConflict)."""


class RolePolicy(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    role: str
    policy_arn: str


class PutRolePolicy(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    role: str
    policy_name: str
    document: Mapping[str, Any]


class DeleteRolePolicy(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    role: str
    policy_name: str


class Role(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    arn: str
    tags: Mapping[str, str]


def trust(*services: str) -> dict[str, Any]:
    """The trust policy that lets these services ("ec2.amazonaws.com") assume a role."""
    statement = {"Effect": "Allow", "Principal": {"Service": sorted(services)}, "Action": "sts:AssumeRole"}
    return {"Version": "2012-10-17", "Statement": [statement]}


@declare(
    Effect.LOOKUP,
    "the name is unique; a role in the way is adopted when its dtf:key tag is this call's",
    permissions=("iam:CreateRole", "iam:TagRole", "iam:GetRole"),
)
@activity(name="aws.iam.create_role", retry=DEFAULT_RETRY)
def create_role(call: CreateRole) -> CreateRoleResult:
    """Raises AlreadyExists when another call made a role of that name, unless `existing="use"`."""
    key = call_key(call)
    given = {
        "RoleName": call.name,
        "AssumeRolePolicyDocument": _json(call.trust_policy),
        "Description": call.description,
        "Path": call.path,
        "MaxSessionDuration": call.max_session,
        "PermissionsBoundary": call.permissions_boundary,
        "Tags": tag_list(call.tags, key),
    }
    try:
        answer = iam(call, "create_role", given, effect=Effect.LOOKUP)
    except AlreadyExists:
        role = iam(call, "get_role", {"RoleName": call.name})["Role"]
        mine = tag_dict(role.get("Tags")).get(KEY_TAG) == key
        if not mine and call.existing == "refuse":
            raise
        return CreateRoleResult(name=call.name, arn=role["Arn"], created=mine, replayed=mine)
    return CreateRoleResult(request_id=request_id(answer), name=call.name, arn=answer["Role"]["Arn"], created=True)


@declare(Effect.READ, permissions=("iam:GetRole",))
@activity(name="aws.iam.get_role", retry=DEFAULT_RETRY)
def get_role(call: RoleName) -> Role:
    """Raises NotFound."""
    role = iam(call, "get_role", {"RoleName": call.name})["Role"]
    return Role(name=role["RoleName"], arn=role["Arn"], tags=tag_dict(role.get("Tags")))


@declare(Effect.NATURAL, "a missing role is what was wanted", permissions=_DELETING)
@activity(name="aws.iam.delete_role", retry=DEFAULT_RETRY)
def delete_role(call: DeleteRole) -> Mutation:
    """Raises Conflict (DeleteConflict) for one that still has policies or profiles, unless `empty`, which alone needs all but
    iam:DeleteRole."""
    try:
        if call.empty:
            _empty(call)
        answer = iam(call, "delete_role", {"RoleName": call.name}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


def _empty(call: DeleteRole) -> None:
    role = {"RoleName": call.name}
    for policy in list(iam_all(call, "list_attached_role_policies", role, "AttachedPolicies")):
        _gone(call, "detach_role_policy", {**role, "PolicyArn": policy["PolicyArn"]})
    for name in list(iam_all(call, "list_role_policies", role, "PolicyNames")):
        _gone(call, "delete_role_policy", {**role, "PolicyName": name})
    for profile in list(iam_all(call, "list_instance_profiles_for_role", role, "InstanceProfiles")):
        given = {**role, "InstanceProfileName": profile["InstanceProfileName"]}
        _gone(call, "remove_role_from_instance_profile", given)


def _gone(call: AwsCall, operation: str, given: Mapping[str, Any]) -> Mutation:
    """Missing is what was wanted."""
    try:
        return Mutation(request_id=request_id(iam(call, operation, given, effect=Effect.NATURAL)))
    except NotFound:
        return Mutation(replayed=True)


@declare(Effect.NATURAL, "attaching again changes nothing", permissions=("iam:AttachRolePolicy",))
@activity(name="aws.iam.attach_role_policy", retry=DEFAULT_RETRY)
def attach_role_policy(call: RolePolicy) -> Mutation:
    """A managed policy, AWS's or yours. Raises NotFound for role or policy."""
    given = {"RoleName": call.role, "PolicyArn": call.policy_arn}
    return Mutation(request_id=request_id(iam(call, "attach_role_policy", given, effect=Effect.NATURAL)))


@declare(Effect.NATURAL, "a missing attachment is what was wanted", permissions=("iam:DetachRolePolicy",))
@activity(name="aws.iam.detach_role_policy", retry=DEFAULT_RETRY)
def detach_role_policy(call: RolePolicy) -> Mutation:
    """The policy itself stays."""
    return _gone(call, "detach_role_policy", {"RoleName": call.role, "PolicyArn": call.policy_arn})


@declare(Effect.NATURAL, "the request says how it shall be", permissions=("iam:PutRolePolicy",))
@activity(name="aws.iam.put_role_policy", retry=DEFAULT_RETRY)
def put_role_policy(call: PutRolePolicy) -> Mutation:
    """An inline policy, added or replaced. Raises Permanent (MalformedPolicyDocument), NotFound for the role."""
    given = {"RoleName": call.role, "PolicyName": call.policy_name, "PolicyDocument": _json(call.document)}
    return Mutation(request_id=request_id(iam(call, "put_role_policy", given, effect=Effect.NATURAL)))


@declare(Effect.NATURAL, "a missing policy is what was wanted", permissions=("iam:DeleteRolePolicy",))
@activity(name="aws.iam.delete_role_policy", retry=DEFAULT_RETRY)
def delete_role_policy(call: DeleteRolePolicy) -> Mutation:
    """An inline one."""
    return _gone(call, "delete_role_policy", {"RoleName": call.role, "PolicyName": call.policy_name})


def _json(document: Mapping[str, Any]) -> str:
    return msgspec.json.encode(document).decode()
