"""Waits: single looks and durable timers, until it is so, can't be any more, or the deadline passes. On a virtual clock."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from connectors.aws import CONNECTOR, ec2, route53, ssm, waits
from connectors.aws.testing import AwsServer
from connectors.core import CapacityUnavailable, InvalidRequest, NotFound
from dtf_runtime import OrchestrationFailedError, OrchestrationStatus, Registry
from dtf_runtime.testing import TestHub
from tests.connectors.aws.samples import IMAGE, RECORD, command, hosted_zone, instance, own_image, snapshot, volume

REGISTRY = Registry(*CONNECTOR.activities, *CONNECTOR.orchestrations)


async def waited(wait: Any, call: Any, *, activities: dict[Any, Callable[..., Any]] | None = None) -> Any:
    async with TestHub(registry=REGISTRY, activities=activities or {}) as hub:
        handle = await hub.client.start(wait, call)
        return await handle.result(60)


async def failed(wait: Any, call: Any, *, activities: dict[Any, Callable[..., Any]] | None = None) -> Any:
    """Its failure's details."""
    with pytest.raises(OrchestrationFailedError) as raised:
        await waited(wait, call, activities=activities)
    return raised.value.failure


def launched(**settings: Any) -> list[str]:
    made = ec2.run_instances.fn(ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro", **settings))
    return [one.instance_id for one in made.instances]


# == instances ====================================================================================================


async def test_instances_that_come_up_are_waited_for_until_all_of_them_run(aws: AwsServer) -> None:
    ids = launched(count=2)
    found = await waited(waits.wait_for_instances, waits.WaitForInstances(instance_ids=ids))
    assert {one.instance_id: one.state for one in found.instances} == dict.fromkeys(ids, "running")
    assert len([call for call in aws.calls if call.operation == "DescribeInstances"]) > 1


async def test_an_instance_that_ends_instead_fails_the_wait_at_once_with_its_reason(aws: AwsServer) -> None:
    aws.control("doom", code="Client.VolumeLimitExceeded", message="Volume limit exceeded")
    ids = launched()
    failure = await failed(waits.wait_for_instances, waits.WaitForInstances(instance_ids=ids))
    assert failure.is_caused_by(waits.WaitFailed)
    assert "Client.VolumeLimitExceeded" in failure.message
    assert failure.non_retriable


async def test_an_instance_that_ends_for_want_of_room_says_so_in_its_class(aws: AwsServer) -> None:
    aws.control("doom", code="Server.InsufficientInstanceCapacity", message="no room")
    failure = await failed(waits.wait_for_instances, waits.WaitForInstances(instance_ids=launched()))
    assert failure.is_caused_by(CapacityUnavailable)


async def test_a_terminated_instance_is_what_a_wait_for_terminated_wants(aws: AwsServer) -> None:
    ids = [instance(aws)]
    ec2.terminate_instances.fn(ec2.TerminateInstances(instance_ids=ids))
    call = waits.WaitForInstances(instance_ids=[*ids, "i-0123456789abcdef0"], state="terminated")
    found = await waited(waits.wait_for_instances, call)
    assert [one.state for one in found.instances] == ["terminated"]


async def test_an_instance_not_visible_yet_is_waited_for_and_one_that_never_is_fails(aws: AwsServer) -> None:
    aws.set(consistency=5)
    found = await waited(waits.wait_for_instances, waits.WaitForInstances(instance_ids=launched()))
    assert found.instances[0].state == "running"
    unknown = waits.WaitForInstances(instance_ids=["i-0123456789abcdef0"])
    failure = await failed(waits.wait_for_instances, unknown)
    assert failure.is_caused_by(waits.WaitFailed)
    assert "not there" in failure.message


async def test_a_look_that_fails_for_a_passing_reason_does_not_end_the_wait(aws: AwsServer) -> None:
    ids = launched()
    aws.fail("DescribeInstances", status=503, code="Unavailable", times=25)  # more than one look's own retries
    found = await waited(waits.wait_for_instances, waits.WaitForInstances(instance_ids=ids, timeout=3600))
    assert found.instances[0].state == "running"
    assert aws.count("RunInstances") == 1


async def test_a_look_that_is_refused_ends_it(aws: AwsServer) -> None:
    aws.fail("DescribeInstances", status=403, code="UnauthorizedOperation", times=None)
    failure = await failed(waits.wait_for_instances, waits.WaitForInstances(instance_ids=["i-0123456789abcdef0"]))
    assert failure.is_caused_by("AuthenticationFailed")


async def test_the_deadline_says_what_was_seen_last(aws: AwsServer) -> None:
    aws.set(pending=100_000)
    call = waits.WaitForInstances(instance_ids=launched(), timeout=60, poll_interval=7)
    failure = await failed(waits.wait_for_instances, call)
    assert failure.is_caused_by(waits.DeadlinePassed)
    assert "within 60 s" in failure.message
    assert "pending" in failure.properties["seen"]
    looks = [call for call in aws.calls if call.operation == "DescribeInstances"]
    assert len(looks) == 10  # at 0, 7, ... 56 and once more at 60


async def test_status_checks_are_waited_for_two_of_two(aws: AwsServer) -> None:
    ids = launched()
    found = await waited(waits.wait_for_instance_checks, waits.WaitForChecks(instance_ids=ids))
    assert [(one.system, one.instance) for one in found.statuses] == [("ok", "ok")]


async def test_status_checks_of_an_instance_that_stops_fail_at_once(aws: AwsServer) -> None:
    one = instance(aws)
    ec2.stop_instances.fn(ec2.StopInstances(instance_ids=[one]))
    failure = await failed(waits.wait_for_instance_checks, waits.WaitForChecks(instance_ids=[one]))
    assert failure.is_caused_by(waits.WaitFailed)


async def test_a_long_wait_continues_as_new_and_keeps_its_deadline() -> None:
    pending = ec2.DescribeInstancesResult(instances=[ec2.Instance(instance_id="i-1", state="pending")])
    call = waits.WaitForInstances(instance_ids=["i-1"], timeout=700, poll_interval=1)
    async with TestHub(registry=REGISTRY, activities={ec2.describe_instances: lambda _: pending}) as hub:
        handle = await hub.client.start(waits.wait_for_instances, call)
        began = hub.now()
        state = await handle.wait(100)
        assert state.status is OrchestrationStatus.FAILED
        assert state.failure is not None
        assert state.failure.is_caused_by(waits.DeadlinePassed)
        assert state.history_length < 2_500
        assert 699 <= (hub.now() - began).total_seconds() < 710
        assert state.input["started"] is not None  # so it did continue


@pytest.mark.parametrize(("timeout", "poll_interval"), [(0.0, 10.0), (-1.0, 10.0), (60.0, 0.01), (60.0, 0.0)])
async def test_a_wait_that_makes_no_sense_is_refused(aws: AwsServer, timeout: float, poll_interval: float) -> None:
    ids = ["i-0123456789abcdef0"]
    call = waits.WaitForInstances(instance_ids=ids, timeout=timeout, poll_interval=poll_interval)
    assert (await failed(waits.wait_for_instances, call)).is_caused_by(InvalidRequest)
    assert aws.calls == []


# == images, snapshots, volumes ===================================================================================


async def test_an_image_a_snapshot_and_a_volume_are_waited_for(aws: AwsServer) -> None:
    made = ec2.create_image.fn(ec2.CreateImage(instance_id=instance(aws), name="golden"))
    image = await waited(waits.wait_for_image, waits.WaitForImage(image_id=made.image_id, poll_interval=1))
    assert image.state == "available"
    zone = ec2.describe_instances.fn(ec2.DescribeInstances()).instances[0].zone
    disk = ec2.create_volume.fn(ec2.CreateVolume(zone=zone, size_gib=1)).volume_id
    assert (await waited(waits.wait_for_volume, waits.WaitForVolume(volume_id=disk))).state == "available"
    copy = ec2.create_snapshot.fn(ec2.CreateSnapshot(volume_id=disk)).snapshot_id
    done = await waited(waits.wait_for_snapshot, waits.WaitForSnapshot(snapshot_id=copy))
    assert done.state == "completed"


@pytest.mark.parametrize("kind", ["image", "snapshot", "volume"])
async def test_one_that_failed_ends_the_wait_with_the_reason(aws: AwsServer, kind: str) -> None:
    empty: dict[str, Any] = {"tags": {}}
    calls: dict[str, tuple[Any, Any, Any, Any]] = {
        "image": (
            waits.wait_for_image,
            waits.WaitForImage(image_id=own_image(aws)),
            ec2.describe_images,
            ec2.DescribeImagesResult(
                images=[
                    ec2.Image(
                        image_id="ami-1",
                        name="",
                        state="failed",
                        state_reason="disk full",
                        architecture="",
                        root_device="",
                        created="",
                        snapshot_ids=[],
                        **empty,
                    )
                ]
            ),
        ),
        "snapshot": (
            waits.wait_for_snapshot,
            waits.WaitForSnapshot(snapshot_id=snapshot(aws)),
            ec2.describe_snapshots,
            ec2.DescribeSnapshotsResult(
                snapshots=[
                    ec2.Snapshot(
                        snapshot_id="snap-1",
                        volume_id="",
                        state="error",
                        state_reason="disk full",
                        progress="",
                        size_gib=1,
                        started_at=None,
                        **empty,
                    )
                ]
            ),
        ),
        "volume": (
            waits.wait_for_volume,
            waits.WaitForVolume(volume_id=volume(aws)),
            ec2.describe_volumes,
            ec2.DescribeVolumesResult(
                volumes=[
                    ec2.Volume(
                        volume_id="vol-1",
                        state="error",
                        size_gib=1,
                        type="",
                        zone="",
                        instance_id="",
                        device="",
                        **empty,
                    )
                ]
            ),
        ),
    }
    wait, call, activity, answer = calls[kind]
    failure = await failed(wait, call, activities={activity: lambda _: answer})
    assert failure.is_caused_by(waits.WaitFailed)


async def test_an_image_that_is_not_there_is_not_found_only_after_it_could_have_come(aws: AwsServer) -> None:
    failure = await failed(waits.wait_for_image, waits.WaitForImage(image_id="ami-0123456789abcdef0"))
    assert failure.is_caused_by(NotFound)
    looks = [call for call in aws.calls if call.operation == "DescribeImages"]
    assert len(looks) == 7  # each 30 s, for three minutes


# == commands =====================================================================================================


async def test_an_agent_is_waited_for_until_it_is_online(aws: AwsServer) -> None:
    found = await waited(waits.wait_for_agents, waits.WaitForAgents(instance_ids=launched(), poll_interval=1))
    assert [one.ping for one in found.agents] == ["Online"]


async def test_a_command_is_waited_for_however_it_ends(aws: AwsServer) -> None:
    one = instance(aws)
    sent = ssm.send_command.fn(ssm.SendCommand(instance_ids=[one], commands=["echo done", "exit 3"]))
    call = waits.WaitForCommand(command_id=sent.command_id, instance_ids=[one], poll_interval=1)
    found = await waited(waits.wait_for_command, call)
    assert [(r.status, r.exit_code, r.stdout.strip()) for r in found.results] == [("Failed", 3, "done")]
    assert not found.ok
    assert aws.count("SendCommand") == 1


async def test_a_command_not_visible_yet_is_waited_for(aws: AwsServer) -> None:
    one = instance(aws)
    aws.set(consistency=5)
    sent = ssm.send_command.fn(ssm.SendCommand(instance_ids=[one], commands=["echo done"]))
    call = waits.WaitForCommand(command_id=sent.command_id, instance_ids=[one], poll_interval=1)
    assert (await waited(waits.wait_for_command, call)).ok


async def test_a_command_that_takes_too_long_is_cancelled_at_the_deadline(aws: AwsServer) -> None:
    found = command(aws)
    ids = [one.instance_id for one in ec2.describe_instances.fn(ec2.DescribeInstances()).instances]
    call = waits.WaitForCommand(command_id=found, instance_ids=ids, timeout=20, poll_interval=5)
    failure = await failed(waits.wait_for_command, call)
    assert failure.is_caused_by(waits.DeadlinePassed)
    aws.clock.advance(60)
    result = ssm.get_command_result.fn(ssm.GetCommandResult(command_id=found, instance_id=ids[0]))
    assert result.status == "Cancelled"


async def test_a_wait_that_is_cancelled_cancels_the_command(aws: AwsServer) -> None:
    found = command(aws)
    ids = [one.instance_id for one in ec2.describe_instances.fn(ec2.DescribeInstances()).instances]
    call = waits.WaitForCommand(command_id=found, instance_ids=ids)
    async with TestHub(registry=REGISTRY, auto_advance=False) as hub:
        handle = await hub.client.start(waits.wait_for_command, call)
        while not any(seen.operation == "GetCommandInvocation" for seen in aws.calls):
            await asyncio.sleep(0.01)
        await hub.client.cancel(handle.instance_id, "not needed")
        state = await handle.wait(30)
    assert state.status is OrchestrationStatus.CANCELLED
    assert [seen.operation for seen in aws.calls].count("CancelCommand") == 1


# == records ======================================================================================================


async def test_a_change_is_waited_for_until_it_is_in_sync(aws: AwsServer) -> None:
    made = route53.upsert_records.fn(route53.UpsertRecords(zone_id=hosted_zone(), records=[RECORD]))
    looks = iter(["PENDING", "PENDING", "INSYNC"])
    found = await waited(
        waits.wait_for_change,
        waits.WaitForChange(change_id=made.change_id),
        activities={route53.get_change: lambda call: route53.Change(change_id=call.change_id, status=next(looks))},
    )
    assert found == route53.Change(change_id=made.change_id, status="INSYNC")
    assert next(looks, None) is None
    assert (await waited(waits.wait_for_change, waits.WaitForChange(change_id=made.change_id))).status == "INSYNC"
