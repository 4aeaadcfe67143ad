"""`aws.ec2.run_instances`: the request that it sends, and how a repeat is told."""

from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Any

from connectors.aws.client import request_id
from connectors.aws.ec2._shared import ec2, not_yet, tagged
from connectors.aws.ec2.models import BlockDevice, RunInstances, RunInstancesResult
from connectors.aws.ec2.parsing import instance_of
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Permanent, call_key, declare
from dtf_runtime import activity

_CLOCK_STEP = 2.0  # seconds: launch times and the Date header have whole ones
_PERMISSIONS = ("ec2:RunInstances", "ec2:CreateTags", "iam:PassRole", "ssm:GetParameters")


@declare(Effect.TOKEN, "ClientToken", permissions=_PERMISSIONS)
@activity(name="aws.ec2.run_instances", retry=DEFAULT_RETRY)
def run_instances(call: RunInstances) -> RunInstancesResult:
    """Launches instances, tags set in the same request, and answers while they are pending.

    Raises CapacityUnavailable when the zone has no room for the type: name another in a new call, which has a new token. A repeat after
    its instances were terminated is a Conflict (IdempotentInstanceTerminated): the token stands for them. Of the permissions,
    iam:PassRole is for an instance profile and ssm:GetParameters for an image that is resolved.
    Source: EC2 API reference, RunInstances; "Ensuring idempotency in Amazon EC2 API requests".
    """
    key = call_key(call)
    try:
        answer = ec2(call, "run_instances", _request(call, key), effect=Effect.TOKEN, just_made=call.just_made)
    except Permanent as error:
        if call.just_made and error.code == "InvalidParameterValue" and "instance profile" in str(error).lower():
            raise not_yet(error) from None
        raise
    return RunInstancesResult(
        request_id=request_id(answer),
        replayed=_is_old(answer),
        reservation_id=answer.get("ReservationId") or "",
        instances=[instance_of(raw) for raw in answer["Instances"]],
    )


def _request(call: RunInstances, key: str) -> dict[str, Any]:
    if call.count < 1:
        raise InvalidRequest(f"run_instances makes at least one instance, not {call.count}")
    if call.zone and call.subnet_id:
        raise InvalidRequest("run_instances takes a zone or a subnet, which lies in one, not both")
    return {
        "ClientToken": key,
        "MinCount": call.count,
        "MaxCount": call.count,
        "ImageId": call.image_id,
        "InstanceType": call.instance_type,
        "Placement": {"AvailabilityZone": call.zone} if call.zone else None,
        "KeyName": call.key_name,
        "UserData": call.user_data,  # boto3 makes it base64
        "IamInstanceProfile": _profile(call.instance_profile),
        "BlockDeviceMappings": [_device(one) for one in call.block_devices] or None,
        "TagSpecifications": [*tagged("instance", call.tags, key), *tagged("volume", call.tags, key)],
        "InstanceMarketOptions": {"MarketType": "spot"} if call.spot else None,
        "MetadataOptions": {"HttpTokens": "required"} if call.require_imdsv2 else None,
        "DisableApiTermination": True if call.termination_protection else None,
        "InstanceInitiatedShutdownBehavior": "terminate" if call.shutdown_terminates else None,
        "Monitoring": {"Enabled": True} if call.monitoring else None,
        "LaunchTemplate": _template(call.launch_template),
        **_network(call),
    }


def _network(call: RunInstances) -> dict[str, Any]:
    if call.public_ip is None:
        return {"SubnetId": call.subnet_id, "SecurityGroupIds": call.security_group_ids or None}
    interface: dict[str, Any] = {"DeviceIndex": 0, "AssociatePublicIpAddress": call.public_ip}
    if call.subnet_id:
        interface["SubnetId"] = call.subnet_id
    if call.security_group_ids:
        interface["Groups"] = call.security_group_ids
    return {"NetworkInterfaces": [interface]}


def _profile(text: str | None) -> dict[str, str] | None:
    return None if text is None else {"Arn" if text.startswith("arn:") else "Name": text}


def _template(text: str | None) -> dict[str, str] | None:
    if text is None:
        return None
    template, _, version = text.partition(":")
    return {"LaunchTemplateId": template, "Version": version} if version else {"LaunchTemplateId": template}


def _device(one: BlockDevice) -> dict[str, Any]:
    ebs = {
        "VolumeSize": one.size_gib,
        "VolumeType": one.type,
        "Iops": one.iops,
        "Throughput": one.throughput,
        "SnapshotId": one.snapshot_id,
        "Encrypted": one.encrypted,
        "DeleteOnTermination": one.delete_on_termination,
    }
    return {"DeviceName": one.device, "Ebs": {name: value for name, value in ebs.items() if value is not None}}


def _is_old(answer: dict[str, Any]) -> bool:
    """Launched before this request: EC2 repeats the answer, maybe with the states of today. Times are the server's own in both cases."""
    if any(raw["State"]["Name"] != "pending" for raw in answer["Instances"]):
        return True
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    launched = [raw["LaunchTime"] for raw in answer["Instances"] if raw.get("LaunchTime")]
    if not date or not launched:
        return False
    answered = parsedate_to_datetime(date)
    if answered.tzinfo is None:
        answered = answered.replace(tzinfo=UTC)
    return bool((answered - min(launched)).total_seconds() > _CLOCK_STEP)
