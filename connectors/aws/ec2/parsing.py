"""EC2's answers as our structs. Members that an answer leaves out are empty: emulators leave out more than EC2 does."""

from collections.abc import Mapping
from typing import Any

from connectors.aws.ec2.models import Instance, InstanceStateChange, InstanceStatus
from connectors.aws.models import tag_dict


def instance_of(raw: Mapping[str, Any]) -> Instance:
    reason = raw.get("StateReason") or {}
    return Instance(
        instance_id=raw["InstanceId"],
        state=raw["State"]["Name"],
        state_reason_code=reason.get("Code") or "",
        state_reason=reason.get("Message") or "",
        instance_type=raw.get("InstanceType") or "",
        image_id=raw.get("ImageId") or "",
        zone=(raw.get("Placement") or {}).get("AvailabilityZone") or "",
        subnet_id=raw.get("SubnetId") or "",
        vpc_id=raw.get("VpcId") or "",
        private_ip=raw.get("PrivateIpAddress") or "",
        public_ip=raw.get("PublicIpAddress") or "",
        private_dns=raw.get("PrivateDnsName") or "",
        public_dns=raw.get("PublicDnsName") or "",
        key_name=raw.get("KeyName") or "",
        instance_profile_arn=(raw.get("IamInstanceProfile") or {}).get("Arn") or "",
        root_device=raw.get("RootDeviceName") or "",
        security_group_ids=[group["GroupId"] for group in raw.get("SecurityGroups") or ()],
        volume_ids=[
            device["Ebs"]["VolumeId"]
            for device in raw.get("BlockDeviceMappings") or ()
            if (device.get("Ebs") or {}).get("VolumeId")
        ],
        launched_at=raw.get("LaunchTime"),
        tags=tag_dict(raw.get("Tags")),
    )


def change_of(raw: Mapping[str, Any]) -> InstanceStateChange:
    return InstanceStateChange(
        instance_id=raw["InstanceId"],
        before=(raw.get("PreviousState") or {}).get("Name") or "",
        now=(raw.get("CurrentState") or {}).get("Name") or "",
    )


def status_of(raw: Mapping[str, Any]) -> InstanceStatus:
    return InstanceStatus(
        instance_id=raw["InstanceId"],
        state=(raw.get("InstanceState") or {}).get("Name") or "",
        system=(raw.get("SystemStatus") or {}).get("Status") or "",
        instance=(raw.get("InstanceStatus") or {}).get("Status") or "",
        events=[event.get("Code") or "" for event in raw.get("Events") or ()],
    )
