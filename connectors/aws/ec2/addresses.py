"""Elastic addresses. AllocateAddress takes no token, so the `dtf:key` tag of an address tells a repeat: it is looked for first."""

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, made_by, tagged
from connectors.aws.models import AwsCall, Filter, filters, tag_dict
from connectors.aws.retry import LOOKUP_RETRY
from connectors.core import DEFAULT_RETRY, Conflict, Effect, Mutation, NotFound, call_key, declare
from dtf_runtime import activity


class AllocateAddress(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    public_ipv4_pool: str | None = None
    """None: Amazon's own."""


class AllocateAddressResult(Mutation, frozen=True, kw_only=True):
    allocation_id: str
    public_ip: str


class AssociateAddress(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    allocation_id: str
    instance_id: str
    take_over: bool = False
    """From another instance that has it; else that is a Conflict (Resource.AlreadyAssociated)."""
    just_made: bool = False
    """Address or instance were made moments ago: while EC2 doesn't see them yet, that is Transient."""


class AssociateAddressResult(Mutation, frozen=True, kw_only=True):
    association_id: str


class DisassociateAddress(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    association_id: str


class ReleaseAddress(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    allocation_id: str


class DescribeAddresses(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    allocation_ids: list[str] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    allocation_id: str
    public_ip: str
    association_id: str
    """Empty: with nothing."""
    instance_id: str
    tags: Mapping[str, str]


class DescribeAddressesResult(msgspec.Struct, frozen=True, kw_only=True):
    addresses: list[Address]


@declare(
    Effect.LOOKUP,
    "an address with this call's dtf:key tag is adopted",
    permissions=("ec2:AllocateAddress", "ec2:CreateTags", "ec2:DescribeAddresses"),
)
@activity(name="aws.ec2.allocate_address", retry=LOOKUP_RETRY)
def allocate_address(call: AllocateAddress) -> AllocateAddressResult:
    """It costs from now on. Raises Permanent (AddressLimitExceeded) at the account's limit, CapacityUnavailable when AWS has none."""
    key = call_key(call)
    found = ec2(call, "describe_addresses", {"Filters": made_by(key)})["Addresses"]
    if found:
        return AllocateAddressResult(
            allocation_id=found[0]["AllocationId"], public_ip=found[0]["PublicIp"], replayed=True
        )
    given = {
        "Domain": "vpc",
        "PublicIpv4Pool": call.public_ipv4_pool,
        "TagSpecifications": tagged("elastic-ip", call.tags, key),
    }
    answer = ec2(call, "allocate_address", given, effect=Effect.LOOKUP)
    return AllocateAddressResult(
        request_id=request_id(answer), allocation_id=answer["AllocationId"], public_ip=answer["PublicIp"]
    )


@declare(
    Effect.NATURAL,
    "an address that the instance has already is what was wanted",
    permissions=("ec2:AssociateAddress", "ec2:DescribeAddresses"),
)
@activity(name="aws.ec2.associate_address", retry=DEFAULT_RETRY)
def associate_address(call: AssociateAddress) -> AssociateAddressResult:
    """Raises Conflict (Resource.AlreadyAssociated) when another instance has it, unless `take_over`."""
    given = {
        "AllocationId": call.allocation_id,
        "InstanceId": call.instance_id,
        "AllowReassociation": call.take_over,
    }
    try:
        answer = ec2(call, "associate_address", given, effect=Effect.NATURAL, just_made=call.just_made)
    except Conflict as error:
        if error.code != "Resource.AlreadyAssociated":
            raise
        raw = ec2(call, "describe_addresses", {"AllocationIds": [call.allocation_id]})["Addresses"][0]
        if raw.get("InstanceId") != call.instance_id:
            raise
        return AssociateAddressResult(association_id=raw["AssociationId"], replayed=True)
    return AssociateAddressResult(request_id=request_id(answer), association_id=answer["AssociationId"])


@declare(Effect.NATURAL, "a missing association is what was wanted", permissions=("ec2:DisassociateAddress",))
@activity(name="aws.ec2.disassociate_address", retry=DEFAULT_RETRY)
def disassociate_address(call: DisassociateAddress) -> Mutation:
    """The address stays allocated, and costs."""
    try:
        answer = ec2(call, "disassociate_address", {"AssociationId": call.association_id}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.NATURAL, "a missing address is what was wanted", permissions=("ec2:ReleaseAddress",))
@activity(name="aws.ec2.release_address", retry=DEFAULT_RETRY)
def release_address(call: ReleaseAddress) -> Mutation:
    """Gives it back for good. Raises Conflict (InvalidIPAddress.InUse) while something has it."""
    try:
        answer = ec2(call, "release_address", {"AllocationId": call.allocation_id}, effect=Effect.NATURAL)
    except NotFound:
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("ec2:DescribeAddresses",))
@activity(name="aws.ec2.describe_addresses", retry=DEFAULT_RETRY)
def describe_addresses(call: DescribeAddresses) -> DescribeAddressesResult:
    """Raises NotFound for an unknown id. EC2 answers with all of them at once."""
    given = {"AllocationIds": call.allocation_ids or None, "Filters": filters(call.filters)}
    return DescribeAddressesResult(
        addresses=[_address(raw) for raw in ec2(call, "describe_addresses", given)["Addresses"]]
    )


def _address(raw: Mapping[str, Any]) -> Address:
    return Address(
        allocation_id=raw.get("AllocationId") or "",
        public_ip=raw.get("PublicIp") or "",
        association_id=raw.get("AssociationId") or "",
        instance_id=raw.get("InstanceId") or "",
        tags=tag_dict(raw.get("Tags")),
    )
