"""EC2 as AWS has it and moto has not: what is in use, what must be there, tokens, states by the clock, late news, no room."""

from typing import Any

from connectors.aws.testing import AwsServer
from tests.connectors.aws.raw import IMAGE, behaviour, launch, public_key, raw, refused, state


@behaviour("DependencyViolation")
def test_a_group_in_use_is_not_deleted_until_its_instance_is_gone(aws: AwsServer) -> None:
    ec2 = raw(aws, "ec2")
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    instance = launch(aws, SecurityGroupIds=[group])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)
    ec2.terminate_instances(InstanceIds=[instance])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=group)  # it is only shutting down
    aws.clock.advance(10)
    ec2.delete_security_group(GroupId=group)


@behaviour("DependencyViolation, by a rule")
def test_a_group_that_another_groups_rule_names_is_not_deleted(aws: AwsServer) -> None:
    ec2 = raw(aws, "ec2")
    first = ec2.create_security_group(GroupName="first", Description="-")["GroupId"]
    second = ec2.create_security_group(GroupName="second", Description="-")["GroupId"]
    rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "UserIdGroupPairs": [{"GroupId": first}]}
    ec2.authorize_security_group_ingress(GroupId=second, IpPermissions=[rule])
    refused("DependencyViolation", ec2.delete_security_group, GroupId=first)
    ec2.delete_security_group(GroupId=second)
    ec2.delete_security_group(GroupId=first)


@behaviour("InvalidAMIID.NotFound")
def test_an_unknown_image_is_refused(aws: AwsServer) -> None:
    refused("InvalidAMIID.NotFound", lambda: launch(aws, ImageId="ami-0123456789abcdef0"))
    refused("InvalidAMIID.Malformed", lambda: launch(aws, ImageId="my-image"))


@behaviour("InvalidKeyPair.NotFound")
def test_an_unknown_key_pair_is_refused(aws: AwsServer) -> None:
    refused("InvalidKeyPair.NotFound", lambda: launch(aws, KeyName="nobody"))
    raw(aws, "ec2").import_key_pair(KeyName="nobody", PublicKeyMaterial=public_key())
    launch(aws, KeyName="nobody")


@behaviour("InvalidInstanceType")
def test_an_unknown_instance_type_is_refused(aws: AwsServer) -> None:
    refused("InvalidInstanceType", lambda: launch(aws, InstanceType="t99.huge"))


@behaviour("InvalidIPAddress.InUse")
def test_an_associated_address_is_not_released(aws: AwsServer) -> None:
    ec2 = raw(aws, "ec2")
    instance = launch(aws)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    association = ec2.associate_address(AllocationId=address, InstanceId=instance)["AssociationId"]
    refused("InvalidIPAddress.InUse", ec2.release_address, AllocationId=address)
    ec2.disassociate_address(AssociationId=association)
    ec2.release_address(AllocationId=address)


@behaviour("ClientToken, same result")
def test_a_known_token_answers_with_the_same_instance(aws: AwsServer) -> None:
    first = launch(aws, ClientToken="one")
    assert launch(aws, ClientToken="one") == first
    assert launch(aws, ClientToken="two") != first
    assert aws.count("RunInstances") == 2


@behaviour("ClientToken, of other operations")
def test_a_volume_has_a_token_too(aws: AwsServer) -> None:
    given = {"AvailabilityZone": "eu-central-1a", "Size": 1, "ClientToken": "one"}
    ec2 = raw(aws, "ec2")
    assert ec2.create_volume(**given)["VolumeId"] == ec2.create_volume(**given)["VolumeId"]
    assert aws.count("CreateVolume") == 1


@behaviour("IdempotentParameterMismatch")
def test_a_known_token_with_other_parameters_is_refused(aws: AwsServer) -> None:
    launch(aws, ClientToken="one")
    refused("IdempotentParameterMismatch", lambda: launch(aws, ClientToken="one", InstanceType="t3.large"))


@behaviour("ClientToken, region and zone apart")
def test_the_same_token_in_another_region_or_zone_is_another(aws: AwsServer) -> None:
    here = launch(aws, ClientToken="one")
    assert launch(aws, ClientToken="one", region="eu-west-1", ImageId=_image_in(aws, "eu-west-1")) != here
    in_a = launch(aws, ClientToken="one", Placement={"AvailabilityZone": "eu-central-1a"})
    in_b = launch(aws, ClientToken="one", Placement={"AvailabilityZone": "eu-central-1b"})
    assert len({here, in_a, in_b}) == 3
    subnets = raw(aws, "ec2").describe_subnets(Filters=[{"Name": "availability-zone", "Values": ["eu-central-1c"]}])
    subnet = subnets["Subnets"][0]["SubnetId"]
    in_c = launch(aws, ClientToken="one", SubnetId=subnet)
    assert in_c not in {here, in_a, in_b}
    assert launch(aws, ClientToken="one", SubnetId=subnet) == in_c


@behaviour("IdempotentInstanceTerminated")
def test_the_token_of_a_terminated_instance_stays_used_up(aws: AwsServer) -> None:
    instance = launch(aws, ClientToken="one")
    raw(aws, "ec2").terminate_instances(InstanceIds=[instance])
    refused("IdempotentInstanceTerminated", lambda: launch(aws, ClientToken="one"))


@behaviour("pending, running, stopping, stopped, shutting-down, terminated")
def test_states_come_by_the_clock(aws: AwsServer) -> None:
    aws.clock.run(tick=0)
    ec2 = raw(aws, "ec2")
    instance = launch(aws)
    assert state(aws, instance) == "pending"
    aws.clock.advance(3)
    assert state(aws, instance) == "running"
    change = ec2.stop_instances(InstanceIds=[instance])["StoppingInstances"][0]
    assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "stopping")
    assert state(aws, instance) == "stopping"
    refused("IncorrectInstanceState", ec2.start_instances, InstanceIds=[instance])
    aws.clock.advance(3)
    assert state(aws, instance) == "stopped"
    ec2.start_instances(InstanceIds=[instance])
    assert state(aws, instance) == "pending"
    ec2.terminate_instances(InstanceIds=[instance])
    assert state(aws, instance) == "shutting-down"
    aws.clock.advance(3)
    assert state(aws, instance) == "terminated"
    again = ec2.terminate_instances(InstanceIds=[instance])["TerminatingInstances"][0]
    assert again["CurrentState"]["Name"] == "terminated"


@behaviour("states in filters")
def test_filters_see_the_same_states(aws: AwsServer) -> None:
    aws.clock.run(tick=0)
    instance = launch(aws)
    pending = [{"Name": "instance-state-name", "Values": ["pending"]}]
    found = raw(aws, "ec2").describe_instances(Filters=pending)["Reservations"]
    assert [one["InstanceId"] for group in found for one in group["Instances"]] == [instance]


@behaviour("status checks")
def test_status_checks_initialise_before_they_are_ok(aws: AwsServer) -> None:
    aws.clock.run(tick=0)
    instance = launch(aws)
    assert _checks(aws, instance) == ("not-applicable", "not-applicable")
    aws.clock.advance(3)
    assert _checks(aws, instance) == ("initializing", "initializing")
    aws.clock.advance(5)
    assert _checks(aws, instance) == ("ok", "ok")


@behaviour("a launch that fails")
def test_an_instance_may_end_terminated_with_the_reason(aws: AwsServer) -> None:
    aws.doom(code="Client.InternalError", message="Client error on launch")
    doomed, other = launch(aws), launch(aws)
    aws.clock.advance(10)
    found = raw(aws, "ec2").describe_instances(InstanceIds=[doomed])["Reservations"][0]["Instances"][0]
    assert (found["State"]["Name"], found["StateReason"]["Code"]) == ("terminated", "Client.InternalError")
    assert state(aws, other) == "running"


@behaviour("snapshots, images and volumes by the clock")
def test_a_snapshot_is_pending_at_first(aws: AwsServer) -> None:
    ec2 = raw(aws, "ec2")
    volume = ec2.create_volume(AvailabilityZone="eu-central-1a", Size=1)
    assert volume["State"] == "creating"
    aws.clock.advance(3)
    assert ec2.describe_volumes(VolumeIds=[volume["VolumeId"]])["Volumes"][0]["State"] == "available"
    snapshot = ec2.create_snapshot(VolumeId=volume["VolumeId"])
    assert snapshot["State"] == "pending"
    aws.clock.advance(3)
    assert ec2.describe_snapshots(SnapshotIds=[snapshot["SnapshotId"]])["Snapshots"][0]["State"] == "completed"


@behaviour("InsufficientInstanceCapacity")
def test_no_room_in_a_zone_for_a_type(aws: AwsServer) -> None:
    aws.no_capacity(zone="eu-central-1a", instance_type="t3.micro")
    in_a: dict[str, Any] = {"Placement": {"AvailabilityZone": "eu-central-1a"}}
    in_b: dict[str, Any] = {"Placement": {"AvailabilityZone": "eu-central-1b"}}
    refused("InsufficientInstanceCapacity", lambda: launch(aws, **in_a))
    launch(aws, **in_b)
    launch(aws, InstanceType="t3.small", **in_a)
    aws.capacity_back()
    launch(aws, **in_a)


@behaviour("Invalid*.NotFound right after creation")
def test_what_was_just_made_is_not_there_yet(aws: AwsServer) -> None:
    aws.clock.run(tick=0)
    aws.set(consistency=5)
    ec2 = raw(aws, "ec2")
    instance = launch(aws)
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    refused("InvalidInstanceID.NotFound", ec2.describe_instances, InstanceIds=[instance])
    refused("InvalidInstanceID.NotFound", ec2.create_tags, Resources=[instance], Tags=[{"Key": "a", "Value": "b"}])
    refused("InvalidGroup.NotFound", ec2.describe_security_groups, GroupIds=[group])
    assert ec2.describe_instances()["Reservations"] == []
    by_name = [{"Name": "group-name", "Values": ["web"]}]
    assert ec2.describe_security_groups(Filters=by_name)["SecurityGroups"] == []
    aws.clock.advance(5)
    assert state(aws, instance) == "running"
    assert len(ec2.describe_security_groups(Filters=by_name)["SecurityGroups"]) == 1


@behaviour("key pairs right after creation")
def test_a_key_pair_is_not_there_yet(aws: AwsServer) -> None:
    aws.set(consistency=5)
    ec2 = raw(aws, "ec2")
    ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=public_key())
    refused("InvalidKeyPair.NotFound", lambda: launch(aws, KeyName="mine"))
    refused("InvalidKeyPair.NotFound", ec2.describe_key_pairs, KeyNames=["mine"])
    refused("InvalidKeyPair.Duplicate", ec2.import_key_pair, KeyName="mine", PublicKeyMaterial=public_key())
    aws.clock.advance(5)
    launch(aws, KeyName="mine")


@behaviour("IAM profile invisible for some seconds")
def test_ec2_hears_of_a_profile_late(aws: AwsServer) -> None:
    iam = raw(aws, "iam")
    iam.create_role(RoleName="web", AssumeRolePolicyDocument="{}")
    iam.create_instance_profile(InstanceProfileName="web")
    iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
    refused("InvalidParameterValue", lambda: launch(aws, IamInstanceProfile={"Name": "web"}))
    aws.clock.advance(3)
    launch(aws, IamInstanceProfile={"Name": "web"})


@behaviour("IAM profile without a role")
def test_a_profile_without_a_role_is_refused(aws: AwsServer) -> None:
    raw(aws, "iam").create_instance_profile(InstanceProfileName="empty")
    aws.clock.advance(3)
    refused("InvalidParameterValue", lambda: launch(aws, IamInstanceProfile={"Name": "empty"}))


@behaviour("an association keeps its id")
def test_an_address_associated_twice_keeps_its_association(aws: AwsServer) -> None:
    ec2 = raw(aws, "ec2")
    instance = launch(aws)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    first = ec2.associate_address(AllocationId=address, InstanceId=instance)["AssociationId"]
    assert ec2.associate_address(AllocationId=address, InstanceId=instance)["AssociationId"] == first
    assert ec2.describe_addresses(AllocationIds=[address])["Addresses"][0]["AssociationId"] == first
    moved = ec2.associate_address(AllocationId=address, InstanceId=launch(aws), AllowReassociation=True)
    assert moved["AssociationId"] != first


@behaviour("a policy attached twice counts once")
def test_a_policy_that_was_attached_twice_is_deleted_once_it_is_detached(aws: AwsServer) -> None:
    iam = raw(aws, "iam")
    allow = '{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}'
    document = f'{{"Version": "2012-10-17", "Statement": [{allow}]}}'
    iam.create_role(RoleName="web", AssumeRolePolicyDocument="{}")
    policy = iam.create_policy(PolicyName="mine", PolicyDocument=document)["Policy"]["Arn"]
    for _ in range(2):
        iam.attach_role_policy(RoleName="web", PolicyArn=policy)
    assert iam.get_policy(PolicyArn=policy)["Policy"]["AttachmentCount"] == 1
    iam.detach_role_policy(RoleName="web", PolicyArn=policy)
    iam.delete_policy(PolicyArn=policy)


@behaviour("an instance started twice keeps its address")
def test_an_instance_started_twice_keeps_its_address(aws: AwsServer) -> None:
    ec2 = raw(aws, "ec2")
    instance = launch(aws)
    aws.clock.advance(10)
    seen = set()
    for _ in range(2):
        (change,) = ec2.start_instances(InstanceIds=[instance])["StartingInstances"]
        assert (change["PreviousState"]["Name"], change["CurrentState"]["Name"]) == ("running", "running")
        found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
        seen.add(found["PublicIpAddress"])
    assert len(seen) == 1


@behaviour("filter client-token")
def test_instances_are_found_by_their_token(aws: AwsServer) -> None:
    instance = launch(aws, ClientToken="one")
    launch(aws, ClientToken="two")
    by_token = [{"Name": "client-token", "Values": ["one"]}]
    found = raw(aws, "ec2").describe_instances(Filters=by_token)["Reservations"]
    assert [one["InstanceId"] for group in found for one in group["Instances"]] == [instance]


def _checks(aws: AwsServer, instance: str) -> tuple[str, str]:
    found = raw(aws, "ec2").describe_instance_status(InstanceIds=[instance], IncludeAllInstances=True)
    status = found["InstanceStatuses"][0]
    return status["InstanceStatus"]["Status"], status["SystemStatus"]["Status"]


def _image_in(aws: AwsServer, region: str) -> str:
    images = raw(aws, "ec2", region=region).describe_images()["Images"]
    return str(next((one["ImageId"] for one in images if one["ImageId"] == IMAGE), images[0]["ImageId"]))
