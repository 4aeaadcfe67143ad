"""Security groups and their rules.

CreateSecurityGroup takes no token, but a group's name is unique in its network: a repeat is refused, and the `dtf:key` tag of the group that
is in the way tells whether this call made it.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, ec2_pages, tagged
from connectors.aws.models import KEY_TAG, AwsCall, Filter, filters, tag_dict
from connectors.core import (
    DEFAULT_RETRY,
    AlreadyExists,
    Conflict,
    Effect,
    InvalidRequest,
    Mutation,
    NotFound,
    call_key,
    declare,
)
from dtf_runtime import activity


class CreateSecurityGroup(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    description: str = "Made by a workflow"
    vpc_id: str | None = None
    """None: the default network."""
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    existing: Literal["refuse", "use"] = "refuse"
    """What to do with a group of that name which another call made: AlreadyExists, or its id with `created=False`."""


class CreateSecurityGroupResult(Mutation, frozen=True, kw_only=True):
    group_id: str
    created: bool
    """Made by this call, in this delivery or an earlier one: what a compensation may delete."""


class Rule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule: exactly one of `cidr`, `ipv6_cidr`, `group_id` and `prefix_list_id`."""

    protocol: str = "tcp"
    """tcp, udp, icmp, icmpv6, a number, or "-1" for all (then the ports are not looked at)."""
    from_port: int = -1
    to_port: int | None = None
    """None: as `from_port`."""
    cidr: str | None = None
    ipv6_cidr: str | None = None
    group_id: str | None = None
    prefix_list_id: str | None = None
    description: str | None = None


class SecurityGroupRules(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    group_id: str
    rules: list[Rule]
    direction: Literal["ingress", "egress"] = "ingress"
    just_made: bool = False
    """The group was made moments ago: while EC2 doesn't see it yet, that is Transient."""


class DeleteSecurityGroup(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    group_id: str


class DescribeSecurityGroups(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    group_ids: list[str] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)


class SecurityGroup(msgspec.Struct, frozen=True, kw_only=True):
    group_id: str
    name: str
    description: str
    vpc_id: str
    ingress: list[Rule]
    egress: list[Rule]
    tags: Mapping[str, str]


class DescribeSecurityGroupsResult(msgspec.Struct, frozen=True, kw_only=True):
    groups: list[SecurityGroup]


@declare(
    Effect.LOOKUP,
    "the name is unique; a group in the way is adopted when its dtf:key tag is this call's",
    permissions=("ec2:CreateSecurityGroup", "ec2:CreateTags", "ec2:DescribeSecurityGroups", "ec2:DescribeVpcs"),
)
@activity(name="aws.ec2.create_security_group", retry=DEFAULT_RETRY)
def create_security_group(call: CreateSecurityGroup) -> CreateSecurityGroupResult:
    """Raises AlreadyExists when another call made a group of that name, unless `existing="use"`."""
    key = call_key(call)
    given = {
        "GroupName": call.name,
        "Description": call.description,
        "VpcId": call.vpc_id,
        "TagSpecifications": tagged("security-group", call.tags, key),
    }
    try:
        answer = ec2(call, "create_security_group", given, effect=Effect.LOOKUP)
    except AlreadyExists:
        found = _named(call)
        if found is None:
            raise
        mine = tag_dict(found.get("Tags")).get(KEY_TAG) == key
        if not mine and call.existing == "refuse":
            raise
        return CreateSecurityGroupResult(group_id=found["GroupId"], created=mine, replayed=mine)
    return CreateSecurityGroupResult(group_id=answer["GroupId"], created=True, request_id=request_id(answer))


def _named(call: CreateSecurityGroup) -> dict[str, Any] | None:
    vpc = call.vpc_id or _default_vpc(call)
    given = {"Filters": [{"Name": "group-name", "Values": [call.name]}, {"Name": "vpc-id", "Values": [vpc]}]}
    groups = [raw for answer in ec2_pages(call, "describe_security_groups", given) for raw in answer["SecurityGroups"]]
    return groups[0] if groups else None


def _default_vpc(call: AwsCall) -> str:
    answer = ec2(call, "describe_vpcs", {"Filters": [{"Name": "is-default", "Values": ["true"]}]})
    if not answer["Vpcs"]:
        raise NotFound("this account has no default network in this region; name one", code="VPCIdNotSpecified")
    return str(answer["Vpcs"][0]["VpcId"])


@declare(Effect.NATURAL, "a missing group is what was wanted", permissions=("ec2:DeleteSecurityGroup",))
@activity(name="aws.ec2.delete_security_group", retry=DEFAULT_RETRY)
def delete_security_group(call: DeleteSecurityGroup) -> Mutation:
    """Raises Conflict (DependencyViolation) while an interface or another group's rule uses it, for minutes after a termination too."""
    try:
        answer = ec2(call, "delete_security_group", {"GroupId": call.group_id}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("ec2:DescribeSecurityGroups",))
@activity(name="aws.ec2.describe_security_groups", retry=DEFAULT_RETRY)
def describe_security_groups(call: DescribeSecurityGroups) -> DescribeSecurityGroupsResult:
    """Raises NotFound for an unknown id."""
    given = {"GroupIds": call.group_ids or None, "Filters": filters(call.filters)}
    answers = ec2_pages(call, "describe_security_groups", given)
    return DescribeSecurityGroupsResult(groups=[_group(raw) for answer in answers for raw in answer["SecurityGroups"]])


_AUTHORIZE = ("ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress")


@declare(Effect.NATURAL, "a rule that is there already is what was wanted", permissions=_AUTHORIZE)
@activity(name="aws.ec2.authorize_rules", retry=DEFAULT_RETRY)
def authorize_rules(call: SecurityGroupRules) -> Mutation:
    """Adds the rules that are not there yet. `replayed`: all of them were."""
    return _each(call, f"authorize_security_group_{call.direction}", done="InvalidPermission.Duplicate")


_REVOKE = ("ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress")


@declare(Effect.NATURAL, "a missing rule, or group, is what was wanted", permissions=_REVOKE)
@activity(name="aws.ec2.revoke_rules", retry=DEFAULT_RETRY)
def revoke_rules(call: SecurityGroupRules) -> Mutation:
    """Takes away the rules that are there. `replayed`: none of them was."""
    try:
        return _each(call, f"revoke_security_group_{call.direction}", done="InvalidPermission.NotFound")
    except NotFound:
        return Mutation(replayed=True)


def _each(call: SecurityGroupRules, operation: str, *, done: str) -> Mutation:
    """All rules in one request; one by one when EC2 refuses all of them for one that is as it shall be already."""
    if not call.rules:
        raise InvalidRequest("no rule was given")
    wanted = [_permission(rule) for rule in call.rules]
    answer: dict[str, Any] | None = None
    for permissions in [wanted] if len(wanted) == 1 else [wanted, *([one] for one in wanted)]:
        try:
            answer = _send(call, operation, permissions)
        except (Conflict, NotFound) as error:
            if error.code != done:
                raise
            continue
        if permissions is wanted:
            break
    return Mutation(replayed=True) if answer is None else Mutation(request_id=request_id(answer))


def _send(call: SecurityGroupRules, operation: str, permissions: list[dict[str, Any]]) -> dict[str, Any]:
    given = {"GroupId": call.group_id, "IpPermissions": permissions}
    new = call.just_made and operation.startswith("authorize")  # what isn't there needs no revoking
    return ec2(call, operation, given, effect=Effect.NATURAL, just_made=new)


def _permission(rule: Rule) -> dict[str, Any]:
    targets = {
        ("IpRanges", "CidrIp"): rule.cidr,
        ("Ipv6Ranges", "CidrIpv6"): rule.ipv6_cidr,
        ("UserIdGroupPairs", "GroupId"): rule.group_id,
        ("PrefixListIds", "PrefixListId"): rule.prefix_list_id,
    }
    given = [(place, {member: value}) for (place, member), value in targets.items() if value is not None]
    if len(given) != 1:
        raise InvalidRequest("a rule names exactly one of cidr, ipv6_cidr, group_id and prefix_list_id")
    place, target = given[0]
    if rule.description is not None:
        target["Description"] = rule.description
    permission: dict[str, Any] = {"IpProtocol": rule.protocol, place: [target]}
    if rule.protocol != "-1":
        permission["FromPort"] = rule.from_port
        permission["ToPort"] = rule.from_port if rule.to_port is None else rule.to_port
    return permission


def _group(raw: Mapping[str, Any]) -> SecurityGroup:
    return SecurityGroup(
        group_id=raw["GroupId"],
        name=raw.get("GroupName") or "",
        description=raw.get("Description") or "",
        vpc_id=raw.get("VpcId") or "",
        ingress=[rule for one in raw.get("IpPermissions") or () for rule in _rules(one)],
        egress=[rule for one in raw.get("IpPermissionsEgress") or () for rule in _rules(one)],
        tags=tag_dict(raw.get("Tags")),
    )


def _rules(raw: Mapping[str, Any]) -> list[Rule]:
    def rule(target: Mapping[str, Any], **where: str) -> Rule:
        return Rule(
            protocol=raw.get("IpProtocol") or "-1",
            from_port=int(raw.get("FromPort", -1)),
            to_port=raw.get("ToPort"),
            description=target.get("Description"),
            **where,
        )

    return [
        *(rule(one, cidr=one["CidrIp"]) for one in raw.get("IpRanges") or ()),
        *(rule(one, ipv6_cidr=one["CidrIpv6"]) for one in raw.get("Ipv6Ranges") or ()),
        *(rule(one, group_id=one["GroupId"]) for one in raw.get("UserIdGroupPairs") or () if one.get("GroupId")),
        *(rule(one, prefix_list_id=one["PrefixListId"]) for one in raw.get("PrefixListIds") or ()),
    ]
