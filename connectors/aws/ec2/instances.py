"""EC2 instances that are there: look, start, stop, reboot, terminate, modify. Nothing here waits: see `connectors.aws.waits`."""

from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, ec2_pages
from connectors.aws.ec2.models import (
    DescribeInstances,
    DescribeInstancesResult,
    Instance,
    InstanceIds,
    InstanceStatusesResult,
    ModifyInstance,
    StateChangesResult,
    StopInstances,
    TerminateInstances,
)
from connectors.aws.ec2.parsing import change_of, instance_of, status_of
from connectors.aws.models import filters
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Mutation, NotFound, declare
from dtf_runtime import activity


@declare(Effect.READ, permissions=("ec2:DescribeInstances",))
@activity(name="aws.ec2.describe_instances", retry=DEFAULT_RETRY)
def describe_instances(call: DescribeInstances) -> DescribeInstancesResult:
    """The instances of these ids that meet the filters; terminated ones stay visible for about an hour.

    Raises NotFound for an unknown id, also one made moments ago, unless `missing_ok`.
    """
    if call.missing_ok and call.instance_ids:  # an id as a filter is no error when it is unknown
        given: dict[str, Any] = {"Filters": [{"Name": "instance-id", "Values": call.instance_ids}]}
        given["Filters"] += filters(call.filters) or []
    else:
        given = {"InstanceIds": call.instance_ids or None, "Filters": filters(call.filters)}
    found: list[Instance] = []
    for answer in ec2_pages(call, "describe_instances", given):
        found += [instance_of(raw) for group in answer["Reservations"] for raw in group["Instances"]]
    return DescribeInstancesResult(instances=found)


@declare(Effect.READ, permissions=("ec2:DescribeInstanceStatus",))
@activity(name="aws.ec2.describe_instance_status", retry=DEFAULT_RETRY)
def describe_instance_status(call: InstanceIds) -> InstanceStatusesResult:
    """System and instance checks, and what AWS has scheduled, whatever state the instances are in."""
    given = {"InstanceIds": _some(call), "IncludeAllInstances": True}
    try:
        answers = list(ec2_pages(call, "describe_instance_status", given))
    except NotFound:
        if len(call.instance_ids) == 1:
            return InstanceStatusesResult(statuses=[])
        each = [describe_instance_status.fn(_one(call, one)) for one in call.instance_ids]
        return InstanceStatusesResult(statuses=[status for result in each for status in result.statuses])
    return InstanceStatusesResult(statuses=[status_of(raw) for answer in answers for raw in answer["InstanceStatuses"]])


@declare(Effect.NATURAL, "starting a running instance changes nothing", permissions=("ec2:StartInstances",))
@activity(name="aws.ec2.start_instances", retry=DEFAULT_RETRY)
def start_instances(call: InstanceIds) -> StateChangesResult:
    """Raises Conflict (IncorrectInstanceState) for one that is stopping or terminated, CapacityUnavailable when there is no room for it."""
    answer = ec2(call, "start_instances", {"InstanceIds": _some(call)}, effect=Effect.NATURAL)
    return _changes(answer, "StartingInstances", already=("running", "pending"))


@declare(Effect.NATURAL, "stopping a stopped instance changes nothing", permissions=("ec2:StopInstances",))
@activity(name="aws.ec2.stop_instances", retry=DEFAULT_RETRY)
def stop_instances(call: StopInstances) -> StateChangesResult:
    """Begins to stop them. Raises Conflict for one that is terminated, pending or protected against stopping."""
    given = {"InstanceIds": _some(call), "Force": call.force or None, "Hibernate": call.hibernate or None}
    answer = ec2(call, "stop_instances", given, effect=Effect.NATURAL)
    return _changes(answer, "StoppingInstances", already=("stopped", "stopping"))


@declare(Effect.AT_LEAST_ONCE, "EC2 takes no token, and a reboot leaves no trace", permissions=("ec2:RebootInstances",))
@activity(name="aws.ec2.reboot_instances", retry=DEFAULT_RETRY)
def reboot_instances(call: InstanceIds) -> Mutation:
    """Asks for a reboot, which follows some moments later. A redelivery asks again; a lost answer is Ambiguous."""
    answer = ec2(call, "reboot_instances", {"InstanceIds": _some(call)}, effect=Effect.AT_LEAST_ONCE)
    return Mutation(request_id=request_id(answer))


@declare(
    Effect.NATURAL,
    "terminating a terminated instance changes nothing; a missing one is what was wanted",
    permissions=("ec2:TerminateInstances", "ec2:ModifyInstanceAttribute"),
)
@activity(name="aws.ec2.terminate_instances", retry=DEFAULT_RETRY)
def terminate_instances(call: TerminateInstances) -> StateChangesResult:
    """Begins to terminate them; those that EC2 doesn't know are `missing`.

    Raises Conflict (OperationNotPermitted) for a protected one, unless `lift_protection`, which alone needs ec2:ModifyInstanceAttribute.
    """
    ids = _some(call)
    try:
        for one in ids if call.lift_protection else ():
            given = {"InstanceId": one, "DisableApiTermination": {"Value": False}}
            ec2(call, "modify_instance_attribute", given, effect=Effect.NATURAL)
        answer = ec2(call, "terminate_instances", {"InstanceIds": ids}, effect=Effect.NATURAL)
    except NotFound:  # EC2 refuses all of them for one
        if len(ids) == 1:
            return StateChangesResult(changes=[], missing=ids, replayed=True)
        each = [terminate_instances.fn(_one(call, one)) for one in ids]
        return StateChangesResult(
            request_id=next((result.request_id for result in each if result.request_id), ""),
            replayed=all(result.replayed for result in each),
            changes=[change for result in each for change in result.changes],
            missing=[one for result in each for one in result.missing],
        )
    return _changes(answer, "TerminatingInstances", already=("terminated", "shutting-down"))


@declare(Effect.NATURAL, "the request says how it shall be", permissions=("ec2:ModifyInstanceAttribute",))
@activity(name="aws.ec2.modify_instance", retry=DEFAULT_RETRY)
def modify_instance(call: ModifyInstance) -> Mutation:
    """One request an attribute, in the order of the input's fields: an error leaves those before it changed, and a repeat sets all again.

    Raises Conflict (IncorrectInstanceState) for what only changes while the instance is stopped.
    """
    changes = _attributes(call)
    if not changes:
        raise InvalidRequest("modify_instance was given nothing to change")
    answer: dict[str, Any] = {}
    for given in changes:
        whole = {"InstanceId": call.instance_id, **given}
        answer = ec2(call, "modify_instance_attribute", whole, effect=Effect.NATURAL)
    return Mutation(request_id=request_id(answer))


def _attributes(call: ModifyInstance) -> list[dict[str, Any]]:
    wanted: list[tuple[str, Any]] = [
        ("InstanceType", call.instance_type),
        ("DisableApiTermination", call.termination_protection),
        ("DisableApiStop", call.stop_protection),
        ("SourceDestCheck", call.source_dest_check),
        ("EbsOptimized", call.ebs_optimized),
        ("UserData", None if call.user_data is None else call.user_data.encode()),
    ]
    if call.shutdown_terminates is not None:
        wanted.append(("InstanceInitiatedShutdownBehavior", "terminate" if call.shutdown_terminates else "stop"))
    each = [{name: {"Value": value}} for name, value in wanted if value is not None]
    return [*each, {"Groups": call.security_group_ids}] if call.security_group_ids is not None else each


def _some(call: InstanceIds) -> list[str]:
    if not call.instance_ids:
        raise InvalidRequest(f"{type(call).__name__} names no instance")
    return list(call.instance_ids)


def _one(call: InstanceIds, instance_id: str) -> Any:
    return msgspec.structs.replace(call, instance_ids=[instance_id])


def _changes(answer: dict[str, Any], member: str, *, already: tuple[str, ...]) -> StateChangesResult:
    changes = [change_of(raw) for raw in answer.get(member) or ()]
    replayed = bool(changes) and all(change.before in already for change in changes)
    return StateChangesResult(request_id=request_id(answer), replayed=replayed, changes=changes)
