"""EC2 instances, against a server that behaves as EC2 does; and a workflow that launches one, through a real worker and a file."""

import base64
from pathlib import Path
from typing import Any

import pytest

from connectors.aws import ec2
from connectors.aws.client import aws_call
from connectors.aws.models import Filter
from connectors.aws.testing import AwsServer
from connectors.aws.waits import WaitForInstances, wait_for_instances
from connectors.core import CapacityUnavailable, Conflict, InvalidRequest, NotFound, Permanent, Transient, using
from dtf_runtime import OrchestrationContext, Saga, TaskFailedError, TaskHubClient, TaskHubWorker, orchestration
from tests.connectors.aws.delivery import delivered
from tests.connectors.aws.samples import IMAGE, group, instance, profile, stopped, zone
from tests.connectors.aws.wire import Answer, to, wire

UNKNOWN = "i-0123456789abcdef0"


def launch(**settings: Any) -> ec2.RunInstancesResult:
    call = ec2.RunInstances(**({"image_id": IMAGE, "instance_type": "t3.micro"} | settings))
    found: ec2.RunInstancesResult = ec2.run_instances.fn(call)
    return found


def described(*ids: str) -> list[ec2.Instance]:
    found: ec2.DescribeInstancesResult = ec2.describe_instances.fn(ec2.DescribeInstances(instance_ids=list(ids)))
    return found.instances


def sent(aws: AwsServer, operation: str) -> dict[str, Any]:
    """The parameters of the last one."""
    return [call.parameters for call in aws.calls if call.operation == operation][-1]


# == run ==========================================================================================================


def test_what_is_asked_for_is_what_is_launched(aws: AwsServer) -> None:
    web, where = group(), zone()
    made = launch(
        count=2,
        zone=where,
        security_group_ids=[web],
        user_data="#!/bin/sh\necho hello",
        tags={"team": "blue"},
        block_devices=[ec2.BlockDevice(device="/dev/sdf", size_gib=9, encrypted=True)],
        termination_protection=True,
    )
    assert [one.state for one in made.instances] == ["pending", "pending"]
    assert (made.replayed, made.request_id != "", len(set(made.instance_ids))) == (False, True, 2)
    aws.clock.advance(60)
    for one in described(*made.instance_ids):
        assert (one.state, one.zone, one.instance_type, one.image_id) == ("running", where, "t3.micro", IMAGE)
        assert one.tags["team"] == "blue"
        assert len(one.tags["dtf:key"]) == 32
    disks = ec2.describe_volumes.fn(ec2.DescribeVolumes()).volumes
    assert {disk.tags.get("team") for disk in disks} == {"blue"}
    asked = sent(aws, "RunInstances")
    assert base64.b64decode(asked["UserData"]).decode() == "#!/bin/sh\necho hello"
    assert asked["MetadataOptions"]["HttpTokens"] == "required"
    assert asked["DisableApiTermination"] == "true"


def test_a_public_address_is_asked_for_at_the_interface_with_subnet_and_groups(aws: AwsServer) -> None:
    web = group()
    subnet = aws_call("ec2", "describe_subnets")["Subnets"][0]["SubnetId"]
    launch(public_ip=True, subnet_id=subnet, security_group_ids=[web])
    interface = sent(aws, "RunInstances")["NetworkInterface"][0]
    assert interface["SubnetId"] == subnet
    assert interface["AssociatePublicIpAddress"] == "true"
    assert "SubnetId" not in sent(aws, "RunInstances")


@pytest.mark.parametrize(
    ("settings", "says"),
    [({"count": 0}, "at least one"), ({"zone": "eu-central-1a", "subnet_id": "subnet-1"}, "zone or a subnet")],
)
def test_what_can_not_be_is_refused_before_anything_is_sent(
    aws: AwsServer, settings: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequest, match=says):
        launch(**settings)
    assert aws.calls == []


def test_no_room_in_a_zone_is_for_the_caller_and_another_zone_has_some(aws: AwsServer) -> None:
    first, second = "eu-central-1a", "eu-central-1b"
    aws.control("no_capacity", zone=first)
    with pytest.raises(CapacityUnavailable) as raised:
        launch(zone=first)
    assert raised.value.code == "InsufficientInstanceCapacity"
    assert launch(zone=second).instances[0].state == "pending"


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"image_id": "ami-0123456789abcdef0"}, NotFound),
        ({"image_id": "no-image"}, Permanent),
        ({"instance_type": "t3.elephant"}, Permanent),
        ({"key_name": "nobody"}, NotFound),
    ],
)
def test_what_is_not_there_or_malformed_is_told_and_nothing_launched(
    aws: AwsServer, settings: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        launch(**settings)
    assert aws.count("RunInstances") == 0


def test_a_profile_made_moments_ago_is_worth_another_try_when_the_caller_says_so(aws: AwsServer) -> None:
    aws.set(profile=1_000)
    name = profile(with_role=True)
    with pytest.raises(Transient, match="not visible yet"):
        launch(instance_profile=name, just_made=True)
    with pytest.raises(Permanent):
        launch(instance_profile=name)
    aws.clock.advance(2_000)
    assert launch(instance_profile=name, just_made=True).instances


def test_a_group_made_moments_ago_is_worth_another_try_when_the_caller_says_so(aws: AwsServer) -> None:
    aws.set(consistency=1_000)
    web = group()
    with pytest.raises(Transient):
        launch(security_group_ids=[web], just_made=True)
    with pytest.raises(NotFound):
        launch(security_group_ids=[web])


async def test_a_repeat_after_they_were_terminated_is_a_conflict_and_launches_nothing(aws: AwsServer) -> None:
    def end() -> None:
        ids = [one.instance_id for one in described()]
        ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=ids))
        aws.clock.advance(60)

    call = ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro")
    first, second = await delivered(ec2.run_instances, call, between=end)
    assert len(first.instances) == 1
    assert isinstance(second, Conflict)
    assert second.code == "IdempotentInstanceTerminated"
    assert aws.count("RunInstances") == 1


# == look =========================================================================================================


def test_instances_are_found_by_id_by_filter_and_page_by_page(aws: AwsServer) -> None:
    blue, red = launch(tags={"team": "blue"}, count=3), launch(tags={"team": "red"})
    team = ec2.DescribeInstances(filters=[Filter(name="tag:team", values=["blue"])])
    assert {one.instance_id for one in ec2.describe_instances.fn(team).instances} == set(blue.instance_ids)
    assert [one.instance_id for one in described(*red.instance_ids)] == red.instance_ids


def test_an_unknown_id_is_not_found_or_left_out(aws: AwsServer) -> None:
    known = instance(aws)
    with pytest.raises(NotFound):
        described(known, UNKNOWN)
    call = ec2.DescribeInstances(instance_ids=[known, UNKNOWN], missing_ok=True)
    assert [one.instance_id for one in ec2.describe_instances.fn(call).instances] == [known]
    statuses = ec2.describe_instance_status.fn(ec2.InstanceIds(instance_ids=[known, UNKNOWN])).statuses
    assert [(one.instance_id, one.state, one.system) for one in statuses] == [(known, "running", "ok")]
    assert ec2.describe_instance_status.fn(ec2.InstanceIds(instance_ids=[UNKNOWN])).statuses == []


# == power ========================================================================================================


def test_stop_and_start_say_what_was_and_what_is(aws: AwsServer) -> None:
    one = instance(aws)
    stopping = ec2.stop_instances.fn(ec2.StopInstances(instance_ids=[one]))
    assert [(change.before, change.now) for change in stopping.changes] == [("running", "stopping")]
    with pytest.raises(Conflict):
        ec2.start_instances.fn(ec2.InstanceIds(instance_ids=[one]))  # while it is stopping
    aws.clock.advance(60)
    starting = ec2.start_instances.fn(ec2.InstanceIds(instance_ids=[one]))
    assert [(change.before, change.now) for change in starting.changes] == [("stopped", "pending")]
    assert ec2.start_instances.fn(ec2.InstanceIds(instance_ids=[one])).replayed


@pytest.mark.parametrize("activity", [ec2.start_instances, ec2.reboot_instances], ids=lambda one: str(one.name))
def test_an_unknown_instance_is_not_found(aws: AwsServer, activity: Any) -> None:
    with pytest.raises(NotFound):
        activity.fn(ec2.InstanceIds(instance_ids=[UNKNOWN]))
    with pytest.raises(InvalidRequest, match="names no instance"):
        activity.fn(ec2.InstanceIds(instance_ids=[]))


def test_terminating_what_is_missing_is_success_and_the_others_are_terminated_all_the_same(aws: AwsServer) -> None:
    one = instance(aws)
    found = ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=[UNKNOWN, one]))
    assert found.missing == [UNKNOWN]
    assert [change.instance_id for change in found.changes] == [one]
    assert not found.replayed
    again = ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=[one]))
    assert again.replayed
    gone = ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=[UNKNOWN]))
    assert (gone.missing, gone.replayed) == ([UNKNOWN], True)


def test_a_protected_instance_is_a_conflict_until_its_protection_is_lifted(aws: AwsServer) -> None:
    one = [instance(aws)]
    ec2.modify_instance.fn(ec2.ModifyInstance(instance_id=one[0], termination_protection=True))
    with pytest.raises(Conflict) as raised:
        ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=one))
    assert raised.value.code == "OperationNotPermitted"
    assert ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=one, lift_protection=True)).changes


def test_a_modification_sends_each_attribute_and_only_those_that_were_given(aws: AwsServer) -> None:
    one, web = stopped(aws), group()
    already = len(aws.calls)
    call = ec2.ModifyInstance(
        instance_id=one, instance_type="t3.large", security_group_ids=[web], source_dest_check=False
    )
    ec2.modify_instance.fn(call)
    given = [set(call.parameters) - {"InstanceId"} for call in aws.calls[already:]]
    assert given == [{"InstanceType"}, {"SourceDestCheck"}, {"GroupId"}]
    assert described(one)[0].instance_type == "t3.large"
    with pytest.raises(InvalidRequest, match="nothing to change"):
        ec2.modify_instance.fn(ec2.ModifyInstance(instance_id=one))


def test_changed_user_data_goes_out_in_base64_once() -> None:
    with wire() as server, using(to(server.url)):
        server.answer = lambda: Answer(
            200, b"<ModifyInstanceAttributeResponse><return>true</return></ModifyInstanceAttributeResponse>"
        )
        ec2.modify_instance.fn(ec2.ModifyInstance(instance_id=UNKNOWN, user_data="#!/bin/sh"))
    assert b"UserData.Value=IyEvYmluL3No" in server.requests[0][1]


# == in a workflow ================================================================================================


@orchestration(name="tests.aws.one_server")
async def one_server(ctx: OrchestrationContext, zones: list[str]) -> ec2.Instance:
    for place in zones:
        try:
            call = ec2.run_instances(ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro", zone=place))
            async with Saga() as saga:
                made = await saga.do(
                    call,
                    undo=lambda made: ec2.terminate_instances(ec2.TerminateInstances(instance_ids=made.instance_ids)),
                )
                found = await wait_for_instances(WaitForInstances(instance_ids=made.instance_ids, poll_interval=0.1))
            return found.instances[0]
        except TaskFailedError as error:
            if not error.failure.is_caused_by(CapacityUnavailable):
                raise
    raise RuntimeError("no zone has room")


async def test_a_workflow_falls_back_to_the_next_zone_and_loses_nothing_to_a_lost_answer(
    aws: AwsServer, tmp_path: Path
) -> None:
    aws.control("no_capacity", zone="eu-central-1a")
    aws.cut("RunInstances", when="after", skip=2)  # the first zone is asked twice: botocore takes its 500 for a blip
    url = f"sqlite:///{tmp_path / 'servers.db'}"
    async with TaskHubWorker(url, connections=[aws.connection()]), TaskHubClient(url) as client:
        handle = await client.start(one_server, ["eu-central-1a", "eu-central-1b"])
        found = await handle.result(60)
    assert (found.state, found.zone) == ("running", "eu-central-1b")
    assert aws.count("RunInstances") == 1
    assert [one.instance_id for one in described()] == [found.instance_id]
