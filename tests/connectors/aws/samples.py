"""One call of every mutating activity of EC2, Systems Manager, IAM and Route 53, with what must be there before it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from connectors.aws import ec2, iam, route53, ssm
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from dtf_runtime import Activity

IMAGE = "ami-12c6146b"  # one that moto has in every region
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgbuEXb7OBKbj0Xh6wdnzHYPwnhNcD0EwxEfNpHpkDL somebody"


@dataclass(frozen=True)
class Sample:
    activity: Activity[..., Any]
    operation: str
    """That does it, as AWS calls it."""
    prepare: Callable[[AwsServer], Any]
    """Makes what the call needs, and gives the call."""

    def __str__(self) -> str:
        return self.activity.name


def instance(aws: AwsServer) -> str:
    """A running one."""
    made = ec2.run_instances.fn(ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro", tags={"team": "blue"}))
    aws.clock.advance(60)
    return str(made.instances[0].instance_id)


def zone() -> str:
    return str(aws_call("ec2", "describe_availability_zones")["AvailabilityZones"][0]["ZoneName"])


def group(name: str = "web") -> str:
    return str(ec2.create_security_group.fn(ec2.CreateSecurityGroup(name=name)).group_id)


def group_with_rule() -> str:
    found = group()
    ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=found, rules=[HTTPS]))
    return found


def address() -> str:
    return str(ec2.allocate_address.fn(ec2.AllocateAddress()).allocation_id)


def associated(aws: AwsServer) -> str:
    call = ec2.AssociateAddress(allocation_id=address(), instance_id=instance(aws))
    return str(ec2.associate_address.fn(call).association_id)


def volume(aws: AwsServer) -> str:
    found = str(ec2.create_volume.fn(ec2.CreateVolume(zone=zone(), size_gib=1)).volume_id)
    aws.clock.advance(60)
    return found


def detaching(aws: AwsServer) -> ec2.DetachVolume:
    found, where = volume_beside(aws)
    ec2.attach_volume.fn(attaching(found, where))
    aws.clock.advance(60)
    return ec2.DetachVolume(volume_id=found, instance_id=where)


def volume_beside(aws: AwsServer) -> tuple[str, str]:
    """A volume in an instance's zone, and the instance."""
    where = instance(aws)
    lies = ec2.describe_instances.fn(ec2.DescribeInstances(instance_ids=[where])).instances[0].zone
    found = str(ec2.create_volume.fn(ec2.CreateVolume(zone=lies, size_gib=1)).volume_id)
    aws.clock.advance(60)
    return found, where


def snapshot(aws: AwsServer) -> str:
    found = str(ec2.create_snapshot.fn(ec2.CreateSnapshot(volume_id=volume(aws))).snapshot_id)
    aws.clock.advance(60)
    return found


def own_image(aws: AwsServer) -> str:
    found = str(ec2.create_image.fn(ec2.CreateImage(instance_id=instance(aws), name="golden")).image_id)
    aws.clock.advance(60)
    return found


def key_pair() -> str:
    ec2.import_key_pair.fn(ec2.ImportKeyPair(name="door", public_key=PUBLIC_KEY))
    return "door"


def command(aws: AwsServer) -> str:
    call = ssm.SendCommand(instance_ids=[instance(aws)], commands=["sleep 600"])
    return str(ssm.send_command.fn(call).command_id)


def role(name: str = "clerk") -> str:
    iam.create_role.fn(iam.CreateRole(name=name, trust_policy=iam.trust("ec2.amazonaws.com")))
    return name


def policy() -> str:
    given = {"PolicyName": "reader", "PolicyDocument": json.dumps(DOCUMENT)}
    return str(aws_call("iam", "create_policy", given)["Policy"]["Arn"])


def attached_policy() -> str:
    arn = policy()
    iam.attach_role_policy.fn(iam.RolePolicy(role=role(), policy_arn=arn))
    return arn


def inline_policy() -> str:
    iam.put_role_policy.fn(iam.PutRolePolicy(role=role(), policy_name="inline", document=DOCUMENT))
    return "inline"


def profile(*, with_role: bool = False) -> str:
    iam.create_instance_profile.fn(iam.CreateInstanceProfile(name="desk"))
    if with_role:
        iam.add_role_to_instance_profile.fn(iam.InstanceProfileRole(name="desk", role=role()))
    return "desk"


def hosted_zone() -> str:
    given = {"Name": "example.org.", "CallerReference": "once"}
    return str(aws_call("route53", "create_hosted_zone", given)["HostedZone"]["Id"]).rpartition("/")[2]


def zone_with_record() -> str:
    found = hosted_zone()
    route53.upsert_records.fn(route53.UpsertRecords(zone_id=found, records=[RECORD]))
    return found


HTTPS = ec2.Rule(from_port=443, cidr="0.0.0.0/0")
RECORD = route53.Record(name="www.example.org", values=["192.0.2.1"])
DOCUMENT: dict[str, Any] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shelf/*"}],
}

EC2 = (
    Sample(
        ec2.run_instances,
        "ec2:RunInstances",
        lambda aws: ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro", tags={"team": "blue"}),
    ),
    Sample(ec2.start_instances, "ec2:StartInstances", lambda aws: ec2.InstanceIds(instance_ids=[stopped(aws)])),
    Sample(ec2.stop_instances, "ec2:StopInstances", lambda aws: ec2.StopInstances(instance_ids=[instance(aws)])),
    Sample(ec2.reboot_instances, "ec2:RebootInstances", lambda aws: ec2.InstanceIds(instance_ids=[instance(aws)])),
    Sample(
        ec2.terminate_instances,
        "ec2:TerminateInstances",
        lambda aws: ec2.TerminateInstances(instance_ids=[instance(aws)]),
    ),
    Sample(
        ec2.modify_instance,
        "ec2:ModifyInstanceAttribute",
        lambda aws: ec2.ModifyInstance(instance_id=instance(aws), termination_protection=True),
    ),
    Sample(
        ec2.set_tags,
        "ec2:CreateTags",
        lambda aws: ec2.SetTags(resource_ids=[instance(aws)], tags={"team": "red"}),
    ),
    Sample(ec2.remove_tags, "ec2:DeleteTags", lambda aws: ec2.RemoveTags(resource_ids=[instance(aws)], names=["team"])),
    Sample(ec2.create_security_group, "ec2:CreateSecurityGroup", lambda aws: ec2.CreateSecurityGroup(name="web")),
    Sample(ec2.delete_security_group, "ec2:DeleteSecurityGroup", lambda aws: ec2.DeleteSecurityGroup(group_id=group())),
    Sample(
        ec2.authorize_rules,
        "ec2:AuthorizeSecurityGroupIngress",
        lambda aws: ec2.SecurityGroupRules(group_id=group(), rules=[HTTPS]),
    ),
    Sample(
        ec2.revoke_rules,
        "ec2:RevokeSecurityGroupIngress",
        lambda aws: ec2.SecurityGroupRules(group_id=group_with_rule(), rules=[HTTPS]),
    ),
    Sample(ec2.import_key_pair, "ec2:ImportKeyPair", lambda aws: ec2.ImportKeyPair(name="door", public_key=PUBLIC_KEY)),
    Sample(ec2.delete_key_pair, "ec2:DeleteKeyPair", lambda aws: ec2.KeyPairName(name=key_pair())),
    Sample(ec2.allocate_address, "ec2:AllocateAddress", lambda aws: ec2.AllocateAddress(tags={"team": "blue"})),
    Sample(
        ec2.associate_address,
        "ec2:AssociateAddress",
        lambda aws: ec2.AssociateAddress(allocation_id=address(), instance_id=instance(aws)),
    ),
    Sample(
        ec2.disassociate_address,
        "ec2:DisassociateAddress",
        lambda aws: ec2.DisassociateAddress(association_id=associated(aws)),
    ),
    Sample(ec2.release_address, "ec2:ReleaseAddress", lambda aws: ec2.ReleaseAddress(allocation_id=address())),
    Sample(ec2.create_volume, "ec2:CreateVolume", lambda aws: ec2.CreateVolume(zone=zone(), size_gib=1)),
    Sample(ec2.delete_volume, "ec2:DeleteVolume", lambda aws: ec2.VolumeId(volume_id=volume(aws))),
    Sample(
        ec2.attach_volume,
        "ec2:AttachVolume",
        lambda aws: attaching(*volume_beside(aws)),
    ),
    Sample(ec2.detach_volume, "ec2:DetachVolume", detaching),
    Sample(ec2.create_snapshot, "ec2:CreateSnapshot", lambda aws: ec2.CreateSnapshot(volume_id=volume(aws))),
    Sample(ec2.delete_snapshot, "ec2:DeleteSnapshot", lambda aws: ec2.SnapshotId(snapshot_id=snapshot(aws))),
    Sample(ec2.create_image, "ec2:CreateImage", lambda aws: ec2.CreateImage(instance_id=instance(aws), name="golden")),
    Sample(
        ec2.copy_image,
        "ec2:CopyImage",
        lambda aws: ec2.CopyImage(source_image_id=own_image(aws), source_region="eu-central-1", name="copy"),
    ),
    Sample(ec2.deregister_image, "ec2:DeregisterImage", lambda aws: ec2.DeregisterImage(image_id=own_image(aws))),
)
SSM = (
    Sample(
        ssm.send_command,
        "ssm:SendCommand",
        lambda aws: ssm.SendCommand(instance_ids=[instance(aws)], commands=["uptime"], comment="how long"),
    ),
    Sample(ssm.cancel_command, "ssm:CancelCommand", lambda aws: ssm.CancelCommand(command_id=command(aws))),
    Sample(ssm.put_plain_parameter, "ssm:PutParameter", lambda aws: ssm.PutPlainParameter(name="/shop/url", value="x")),
    Sample(ssm.delete_parameter, "ssm:DeleteParameter", lambda aws: ssm.ParameterName(name=parameter())),
)
IAM = (
    Sample(
        iam.create_role,
        "iam:CreateRole",
        lambda aws: iam.CreateRole(name="clerk", trust_policy=iam.trust("ec2.amazonaws.com")),
    ),
    Sample(iam.delete_role, "iam:DeleteRole", lambda aws: iam.DeleteRole(name=role())),
    Sample(
        iam.attach_role_policy,
        "iam:AttachRolePolicy",
        lambda aws: iam.RolePolicy(role=role(), policy_arn=policy()),
    ),
    Sample(
        iam.detach_role_policy,
        "iam:DetachRolePolicy",
        lambda aws: iam.RolePolicy(role="clerk", policy_arn=attached_policy()),
    ),
    Sample(
        iam.put_role_policy,
        "iam:PutRolePolicy",
        lambda aws: iam.PutRolePolicy(role=role(), policy_name="inline", document=DOCUMENT),
    ),
    Sample(
        iam.delete_role_policy,
        "iam:DeleteRolePolicy",
        lambda aws: iam.DeleteRolePolicy(role="clerk", policy_name=inline_policy()),
    ),
    Sample(
        iam.create_instance_profile,
        "iam:CreateInstanceProfile",
        lambda aws: iam.CreateInstanceProfile(name="desk"),
    ),
    Sample(
        iam.add_role_to_instance_profile,
        "iam:AddRoleToInstanceProfile",
        lambda aws: iam.InstanceProfileRole(name=profile(), role=role()),
    ),
    Sample(
        iam.remove_role_from_instance_profile,
        "iam:RemoveRoleFromInstanceProfile",
        lambda aws: iam.InstanceProfileRole(name=profile(with_role=True), role="clerk"),
    ),
    Sample(
        iam.delete_instance_profile,
        "iam:DeleteInstanceProfile",
        lambda aws: iam.InstanceProfileName(name=profile()),
    ),
)
ROUTE53 = (
    Sample(
        route53.upsert_records,
        "route53:ChangeResourceRecordSets",
        lambda aws: route53.UpsertRecords(zone_id=hosted_zone(), records=[RECORD]),
    ),
    Sample(
        route53.delete_record,
        "route53:ChangeResourceRecordSets",
        lambda aws: route53.DeleteRecord(zone_id=zone_with_record(), name="www.example.org"),
    ),
)
SAMPLES = (*EC2, *SSM, *IAM, *ROUTE53)


def attaching(volume_id: str, instance_id: str) -> ec2.AttachVolume:
    return ec2.AttachVolume(volume_id=volume_id, instance_id=instance_id, device="/dev/sdf")


def stopped(aws: AwsServer) -> str:
    found = instance(aws)
    ec2.stop_instances.fn(ec2.StopInstances(instance_ids=[found]))
    aws.clock.advance(60)
    return found


def parameter() -> str:
    ssm.put_plain_parameter.fn(ssm.PutPlainParameter(name="/shop/url", value="x"))
    return "/shop/url"
