"""What stands around instances: groups and rules, key pairs, addresses, volumes, snapshots, images, tags."""

import pytest

from connectors.aws import ec2
from connectors.aws.models import Filter
from connectors.aws.testing import AwsServer
from connectors.core import AlreadyExists, Conflict, InvalidRequest, NotFound, Transient, using
from tests.connectors.aws.delivery import delivered
from tests.connectors.aws.samples import (
    HTTPS,
    IMAGE,
    PUBLIC_KEY,
    address,
    associated,
    group,
    instance,
    own_image,
    snapshot,
    volume,
    volume_beside,
)
from tests.connectors.aws.wire import Answer, to, wire

SSH = ec2.Rule(from_port=22, cidr="192.0.2.0/24", description="the office")
OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPk7dZ1HqJ4zS3l6OqXtFm0s5Zb8vQw2nYx1Rr9TtUuV nobody"


def rules(group_id: str) -> list[ec2.Rule]:
    found = ec2.describe_security_groups.fn(ec2.DescribeSecurityGroups(group_ids=[group_id])).groups[0]
    return list(found.ingress)


# == groups =======================================================================================================


def test_a_group_of_another_call_is_refused_or_used_and_told_apart(aws: AwsServer) -> None:
    made = ec2.create_security_group.fn(ec2.CreateSecurityGroup(name="web", tags={"team": "blue"}))
    assert made.created
    with pytest.raises(AlreadyExists):
        ec2.create_security_group.fn(ec2.CreateSecurityGroup(name="web"))
    used = ec2.create_security_group.fn(ec2.CreateSecurityGroup(name="web", existing="use"))
    assert (used.group_id, used.created, used.replayed) == (made.group_id, False, False)


async def test_a_group_that_is_not_visible_yet_is_not_made_twice(aws: AwsServer) -> None:
    """The name is in the way although the look-up sees nothing: better AlreadyExists than a second one."""
    aws.cut("CreateSecurityGroup", when="after")
    first, second = await delivered(ec2.create_security_group, ec2.CreateSecurityGroup(name="web"))
    assert isinstance(first, Transient)
    assert (second.created, second.replayed) == (True, True)
    assert aws.count("CreateSecurityGroup") == 1


def test_rules_are_added_that_are_not_there_yet_and_only_those(aws: AwsServer) -> None:
    web = group()
    ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[HTTPS]))
    added = ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[HTTPS, SSH]))
    assert not added.replayed
    assert {(rule.from_port, rule.cidr, rule.description) for rule in rules(web)} == {
        (443, "0.0.0.0/0", None),
        (22, "192.0.2.0/24", "the office"),
    }
    assert ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[SSH, HTTPS])).replayed


def test_rules_are_taken_away_that_are_there_and_a_missing_group_has_none(aws: AwsServer) -> None:
    web = group()
    ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[HTTPS]))
    assert not ec2.revoke_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[SSH, HTTPS])).replayed
    assert rules(web) == []
    assert ec2.revoke_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[HTTPS])).replayed
    assert ec2.revoke_rules.fn(ec2.SecurityGroupRules(group_id="sg-0123456789abcdef0", rules=[HTTPS])).replayed


def test_rules_out_of_a_group_and_from_another_group(aws: AwsServer) -> None:
    web, database = group("web"), group("database")
    from_web = ec2.Rule(from_port=5432, group_id=web)
    ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=database, rules=[from_web]))
    assert [(rule.from_port, rule.group_id) for rule in rules(database)] == [(5432, web)]
    out = ec2.Rule(from_port=8080, to_port=8090, cidr="198.51.100.0/24")
    ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id=web, rules=[out], direction="egress"))
    seen = ec2.describe_security_groups.fn(ec2.DescribeSecurityGroups(group_ids=[web])).groups[0].egress
    assert (8080, 8090, "198.51.100.0/24") in [(rule.from_port, rule.to_port, rule.cidr) for rule in seen]


@pytest.mark.parametrize("rule", [ec2.Rule(from_port=1), ec2.Rule(from_port=1, cidr="10.0.0.0/8", group_id="sg-1")])
def test_a_rule_names_one_peer(aws: AwsServer, rule: ec2.Rule) -> None:
    with pytest.raises(InvalidRequest, match="exactly one of"):
        ec2.authorize_rules.fn(ec2.SecurityGroupRules(group_id="sg-1", rules=[rule]))
    assert aws.calls == []


def test_a_rule_for_a_group_made_moments_ago_is_worth_another_try(aws: AwsServer) -> None:
    aws.set(consistency=1_000)
    call = ec2.SecurityGroupRules(group_id=group(), rules=[HTTPS], just_made=True)
    with pytest.raises(Transient):
        ec2.authorize_rules.fn(call)
    assert ec2.revoke_rules.fn(call).replayed  # what isn't there needs no revoking


def test_a_group_in_use_is_a_conflict_and_a_missing_one_is_gone(aws: AwsServer) -> None:
    web = group()
    made = ec2.run_instances.fn(ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro", security_group_ids=[web]))
    assert made.instances
    with pytest.raises(Conflict) as raised:
        ec2.delete_security_group.fn(ec2.DeleteSecurityGroup(group_id=web))
    assert raised.value.code == "DependencyViolation"
    assert ec2.delete_security_group.fn(ec2.DeleteSecurityGroup(group_id="sg-0123456789abcdef0")).replayed


# == key pairs ====================================================================================================


def test_a_key_pair_of_another_call_is_only_used_when_it_holds_the_same_key(aws: AwsServer) -> None:
    made = ec2.import_key_pair.fn(ec2.ImportKeyPair(name="door", public_key=PUBLIC_KEY))
    with pytest.raises(AlreadyExists):
        ec2.import_key_pair.fn(ec2.ImportKeyPair(name="door", public_key=PUBLIC_KEY))
    with pytest.raises(AlreadyExists):
        ec2.import_key_pair.fn(ec2.ImportKeyPair(name="door", public_key=OTHER_KEY, existing="use"))
    assert ec2.describe_key_pair.fn(ec2.KeyPairName(name="door")).key_pair_id == made.key_pair_id


def test_a_key_pair_that_is_missing_is_not_found_or_gone(aws: AwsServer) -> None:
    with pytest.raises(NotFound):
        ec2.describe_key_pair.fn(ec2.KeyPairName(name="nobody"))
    assert ec2.delete_key_pair.fn(ec2.KeyPairName(name="nobody")).request_id is not None


# == addresses ====================================================================================================


def test_an_address_that_another_instance_has_is_a_conflict_unless_it_is_taken_over(aws: AwsServer) -> None:
    one, other, found = instance(aws), instance(aws), address()
    first = ec2.associate_address.fn(ec2.AssociateAddress(allocation_id=found, instance_id=one))
    again = ec2.associate_address.fn(ec2.AssociateAddress(allocation_id=found, instance_id=one))
    assert again.association_id == first.association_id
    with pytest.raises(Conflict) as raised:
        ec2.associate_address.fn(ec2.AssociateAddress(allocation_id=found, instance_id=other))
    assert raised.value.code == "Resource.AlreadyAssociated"
    ec2.associate_address.fn(ec2.AssociateAddress(allocation_id=found, instance_id=other, take_over=True))
    assert ec2.describe_addresses.fn(ec2.DescribeAddresses(allocation_ids=[found])).addresses[0].instance_id == other


def test_an_address_in_use_is_not_released_and_a_missing_one_is_gone(aws: AwsServer) -> None:
    association = associated(aws)
    found = ec2.describe_addresses.fn(ec2.DescribeAddresses()).addresses[0]
    with pytest.raises(Conflict):
        ec2.release_address.fn(ec2.ReleaseAddress(allocation_id=found.allocation_id))
    ec2.disassociate_address.fn(ec2.DisassociateAddress(association_id=association))
    assert not ec2.release_address.fn(ec2.ReleaseAddress(allocation_id=found.allocation_id)).replayed
    assert ec2.release_address.fn(ec2.ReleaseAddress(allocation_id=found.allocation_id)).replayed


# == volumes and snapshots ========================================================================================


def test_a_volume_in_use_is_not_deleted_and_attached_once(aws: AwsServer) -> None:
    disk, one = volume_beside(aws)
    ec2.attach_volume.fn(ec2.AttachVolume(volume_id=disk, instance_id=one, device="/dev/sdf"))
    aws.clock.advance(60)
    seen = ec2.describe_volumes.fn(ec2.DescribeVolumes(volume_ids=[disk])).volumes[0]
    assert (seen.state, seen.instance_id, seen.device, seen.size_gib) == ("in-use", one, "/dev/sdf", 1)
    with pytest.raises(Conflict) as raised:
        ec2.delete_volume.fn(ec2.VolumeId(volume_id=disk))
    assert raised.value.code == "VolumeInUse"
    aws.fail("AttachVolume", status=400, code="VolumeInUse", times=2)
    assert ec2.attach_volume.fn(ec2.AttachVolume(volume_id=disk, instance_id=one, device="/dev/sdf")).replayed
    with pytest.raises(Conflict):
        ec2.attach_volume.fn(ec2.AttachVolume(volume_id=disk, instance_id=one, device="/dev/sdg"))


def test_what_is_missing_is_detached_and_deleted(aws: AwsServer) -> None:
    gone = "vol-0123456789abcdef0"
    assert ec2.detach_volume.fn(ec2.DetachVolume(volume_id=gone)).replayed
    assert ec2.delete_volume.fn(ec2.VolumeId(volume_id=gone)).replayed
    assert ec2.delete_snapshot.fn(ec2.SnapshotId(snapshot_id="snap-0123456789abcdef0")).replayed
    with pytest.raises(NotFound):
        ec2.describe_volumes.fn(ec2.DescribeVolumes(volume_ids=[gone]))
    with pytest.raises(NotFound):
        ec2.create_snapshot.fn(ec2.CreateSnapshot(volume_id=gone))


def test_snapshots_are_those_of_this_account(aws: AwsServer) -> None:
    mine = snapshot(aws)
    found = ec2.describe_snapshots.fn(ec2.DescribeSnapshots()).snapshots
    assert aws.calls[-1].parameters["Owner"] == ["self"]
    assert [one.state for one in found if one.snapshot_id == mine] == ["completed"]


def test_tags_are_set_in_the_request_that_makes_the_snapshot(aws: AwsServer) -> None:
    made = ec2.create_snapshot.fn(ec2.CreateSnapshot(volume_id=volume(aws), description="before", tags={"why": "test"}))
    seen = ec2.describe_snapshots.fn(ec2.DescribeSnapshots(snapshot_ids=[made.snapshot_id])).snapshots[0]
    assert seen.tags["why"] == "test"
    assert aws.count("CreateTags") == 0


# == images =======================================================================================================


def test_an_image_is_found_by_its_name_and_gone_once_deregistered(aws: AwsServer) -> None:
    image = own_image(aws)
    look = ec2.DescribeImages(owners=["self"], filters=[Filter(name="name", values=["golden"])])
    assert [one.image_id for one in ec2.describe_images.fn(look).images] == [image]
    assert not ec2.deregister_image.fn(ec2.DeregisterImage(image_id=image)).replayed
    assert ec2.deregister_image.fn(ec2.DeregisterImage(image_id=image)).replayed
    assert ec2.deregister_image.fn(ec2.DeregisterImage(image_id="ami-0123456789abcdef0")).replayed


def test_images_come_newest_first() -> None:
    dates = {"ami-1": "2026-01-01", "ami-2": "2026-03-01", "ami-3": "2026-02-01"}
    items = "".join(
        f"<item><imageId>{one}</imageId><creationDate>{day}</creationDate></item>" for one, day in dates.items()
    )
    body = f"<DescribeImagesResponse><imagesSet>{items}</imagesSet></DescribeImagesResponse>"
    with wire() as server, using(to(server.url)):
        server.answer = lambda: Answer(200, body.encode())
        found = ec2.describe_images.fn(ec2.DescribeImages(owners=["amazon"])).images
    assert [one.image_id for one in found] == ["ami-2", "ami-3", "ami-1"]


# == tags =========================================================================================================


def test_tags_are_set_and_removed_and_others_stay(aws: AwsServer) -> None:
    one = instance(aws)
    ec2.set_tags.fn(ec2.SetTags(resource_ids=[one], tags={"team": "blue", "stage": "test"}))
    ec2.remove_tags.fn(ec2.RemoveTags(resource_ids=[one], names=["team"]))
    seen = ec2.describe_instances.fn(ec2.DescribeInstances(instance_ids=[one])).instances[0].tags
    assert set(seen) == {"stage", "dtf:key"}
    aws.fail("CreateTags", status=400, code="InvalidInstanceID.NotFound", times=2)
    with pytest.raises(NotFound):
        ec2.set_tags.fn(ec2.SetTags(resource_ids=[one], tags={"team": "red"}))
    with pytest.raises(Transient):
        ec2.set_tags.fn(ec2.SetTags(resource_ids=[one], tags={"team": "red"}, just_made=True))


def test_tags_of_one_that_is_missing_do_not_keep_the_others_from_losing_theirs(aws: AwsServer) -> None:
    one, other = instance(aws), instance(aws)
    aws.fail("DeleteTags", status=400, code="InvalidInstanceID.NotFound", times=2)  # all of them, then the first
    found = ec2.remove_tags.fn(ec2.RemoveTags(resource_ids=[one, other], names=["dtf:key"]))
    assert not found.replayed
    seen = ec2.describe_instances.fn(ec2.DescribeInstances(instance_ids=[other])).instances[0]
    assert "dtf:key" not in seen.tags


def test_removing_no_tags_in_particular_is_refused_since_aws_would_remove_all(aws: AwsServer) -> None:
    with pytest.raises(InvalidRequest):
        ec2.remove_tags.fn(ec2.RemoveTags(resource_ids=["i-0123456789abcdef0"], names=[]))
    assert aws.calls == []
