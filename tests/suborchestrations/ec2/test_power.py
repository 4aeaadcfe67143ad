"""Starting, stopping, resizing and terminating servers, and what is put back when that fails."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from connectors.aws.testing import AwsServer
from connectors.core import using
from dtf_runtime import OrchestrationFailedError
from dtf_runtime.testing import TestHub
from suborchestrations.command import CommandSpec, run_command
from suborchestrations.ec2 import (
    PowerSpec,
    ResizeSpec,
    ServerSpec,
    TerminateSpec,
    provision_ec2,
    resize_ec2,
    start_ec2,
    stop_ec2,
    terminate_ec2,
)
from tests.suborchestrations.ec2.world import NOTHING, Account, account, registry

WAIT = 60.0
FAST: dict[str, Any] = {"poll_interval": 5.0}


class House:
    """An account and a hub, with one server in it."""

    def __init__(self, aws: AwsServer, there: Account, spec: ServerSpec, hub: TestHub) -> None:
        self.aws, self.there, self.spec, self.hub = aws, there, spec, hub
        self.instance_id = ""

    async def call(self, orchestration: Any, spec: Any) -> Any:
        return await (await self.hub.client.start(orchestration, spec)).result(WAIT)

    async def failure_of(self, orchestration: Any, spec: Any) -> dict[str, Any]:
        with pytest.raises(OrchestrationFailedError) as error:
            await self.call(orchestration, spec)
        return dict(error.value.failure.properties)

    def server(self) -> tuple[str, str]:
        (one,) = self.there.instances()
        return one["State"]["Name"], one["InstanceType"]


@pytest.fixture
async def house(aws: AwsServer) -> AsyncIterator[House]:
    with account(aws) as (there, spec, _), using(aws.connection()):
        async with TestHub(registry=registry()) as hub:
            found = House(aws, there, spec, hub)
            found.instance_id = (await found.call(provision_ec2, spec)).instance_id
            yield found


async def test_stop_and_start(house: House) -> None:
    power = PowerSpec(instance_id=house.instance_id, **FAST)
    stopped = await house.call(stop_ec2, power)
    assert (stopped.was_state, stopped.state, house.server()) == ("running", "stopped", ("stopped", "t3.micro"))
    started = await house.call(start_ec2, power)
    assert (started.was_state, started.state, house.server()) == ("stopped", "running", ("running", "t3.micro"))


async def test_what_is_so_already_changes_nothing(house: House) -> None:
    before = house.aws.count("ec2:StartInstances")
    assert (await house.call(start_ec2, PowerSpec(instance_id=house.instance_id, **FAST))).was_state == "running"
    assert house.aws.count("ec2:StartInstances") == before


async def test_resize(house: House) -> None:
    resized = await house.call(resize_ec2, ResizeSpec(instance_id=house.instance_id, instance_type="t3.large", **FAST))
    assert (resized.was_type, resized.instance_type, house.server()) == (
        "t3.micro",
        "t3.large",
        ("running", "t3.large"),
    )


async def test_a_resize_that_finds_no_room_gives_back_the_old_type_and_runs_again(house: House) -> None:
    house.aws.fail("ec2:StartInstances", status=400, code="InsufficientInstanceCapacity", times=1)
    found = await house.failure_of(
        resize_ec2, ResizeSpec(instance_id=house.instance_id, instance_type="t3.large", **FAST)
    )
    assert found == {"step": "start", "undone": ["start", "type", "stop"], "left": []}
    assert house.server() == ("running", "t3.micro")


async def test_a_plan_of_a_resize_stops_nothing(house: House) -> None:
    wanted = ResizeSpec(instance_id=house.instance_id, instance_type="t3.large", plan=True, **FAST)
    plan = await house.call(resize_ec2, wanted)
    assert [call.activity for call in plan.planned] == [
        "aws.ec2.stop_instances",
        "aws.ec2.modify_instance",
        "aws.ec2.start_instances",
    ]
    assert house.server() == ("running", "t3.micro")


async def test_terminating_takes_all_that_was_made_for_it(house: House) -> None:
    wanted = TerminateSpec(instance_id=house.instance_id, snapshot=True, dns=house.spec.dns, **FAST)
    plan = await house.call(terminate_ec2, msgspec.structs.replace(wanted, plan=True))
    before = len(house.aws.calls)
    ended = await house.call(terminate_ec2, wanted)
    assert house.there.made() == NOTHING
    copies = house.there.client("ec2").describe_snapshots(OwnerIds=["self"])["Snapshots"]
    assert ended.snapshot_ids == [one["SnapshotId"] for one in copies if one["SnapshotId"] in ended.snapshot_ids] != []
    reads = ("Describe", "Get", "List")
    done = [
        call.operation for call in house.aws.calls[before:] if call.executed and not call.operation.startswith(reads)
    ]
    assert len(done) == len(plan.planned)


async def test_terminating_twice_is_content(house: House) -> None:
    wanted = TerminateSpec(instance_id=house.instance_id, dns=house.spec.dns, **FAST)
    await house.call(terminate_ec2, wanted)
    assert (await house.call(terminate_ec2, wanted)).instance_id == house.instance_id


async def test_a_copy_that_fails_leaves_the_server_and_no_copies(house: House) -> None:
    house.aws.fail("ec2:CreateSnapshot", status=400, code="SnapshotLimitExceeded")
    found = await house.failure_of(terminate_ec2, TerminateSpec(instance_id=house.instance_id, snapshot=True, **FAST))
    assert found["step"] == "snapshots"
    assert house.server()[0] == "running"


async def test_a_command_runs_and_tells_what_it_said(house: House) -> None:
    wanted = CommandSpec(instance_ids=[house.instance_id], commands=["echo hello"], **FAST)
    done = await house.call(run_command, wanted)
    assert [(one.instance_id, one.status) for one in done.results] == [(house.instance_id, "Success")]
    failed = await house.failure_of(run_command, msgspec.structs.replace(wanted, commands=["exit 3"]))
    assert failed["step"] == "results"
    told = await house.call(run_command, msgspec.structs.replace(wanted, commands=["exit 3"], may_fail=True))
    assert told.results[0].status == "Failed"
