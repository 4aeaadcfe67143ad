"""Takes away what one run made, found by its `dtf:run` tag: so it also finds what was made by a call whose answer never came.

Each function is content with finding nothing, and may be called again after a failure in its middle. None touches what has another tag.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from connectors.aws.ec2 import (
    DeleteSecurityGroup,
    DescribeAddresses,
    DescribeInstances,
    DescribeSecurityGroups,
    DisassociateAddress,
    KeyPairName,
    ReleaseAddress,
    TerminateInstances,
    delete_key_pair,
    delete_security_group,
    describe_addresses,
    describe_instances,
    describe_key_pair,
    describe_security_groups,
    disassociate_address,
    release_address,
    terminate_instances,
)
from connectors.aws.iam import (
    InstanceProfileName,
    InstanceProfileRole,
    delete_instance_profile,
    get_instance_profile,
    remove_role_from_instance_profile,
)
from connectors.aws.models import Filter
from connectors.aws.waits import WaitForInstances, wait_for_instances
from connectors.core import Conflict, NotFound
from dtf_runtime import Activity, OrchestrationContext, TaskFailedError
from suborchestrations.ec2.models import Ec2Spec
from suborchestrations.steps import patient

RUN_TAG = "dtf:run"
_ALIVE = ["pending", "running", "stopping", "stopped", "shutting-down"]
_PATIENCE = 40  # times that something still in use is asked for again
_LOOKS = 2  # for something that may have been made moments ago


@dataclass(frozen=True)
class Run:
    """Whose things: the tag's value, and where they are."""

    tag: str
    connection: str
    region: str | None
    poll_interval: float

    @property
    def mine(self) -> list[Filter]:
        return [Filter(name=f"tag:{RUN_TAG}", values=[self.tag])]


Change = Callable[[Activity[[Any], Any], Any], Awaitable[Any]]
"""Makes a call that changes something, or notes it for a plan."""


async def call(activity: Activity[[Any], Any], input: Any) -> Any:
    return await patient(activity)(input)


def run_of(ctx: OrchestrationContext, spec: Ec2Spec) -> Run:
    """Of this execution, so that a restart under the same id has another."""
    tag = blake2b(f"{ctx.instance_id}\0{ctx.execution_id}".encode(), digest_size=10).hexdigest()
    return Run(tag, spec.connection, spec.region, spec.poll_interval)


async def remove_instances(run: Run) -> None:
    """Terminates them and waits until they are gone, since what they use can't be removed before."""
    for look in range(_LOOKS):
        found = await patient(describe_instances)(
            DescribeInstances(
                filters=[*run.mine, Filter(name="instance-state-name", values=_ALIVE)],
                connection=run.connection,
                region=run.region,
            )
        )
        ids = [one.instance_id for one in found.instances]
        if ids:
            await patient(terminate_instances)(
                TerminateInstances(instance_ids=ids, lift_protection=True, connection=run.connection, region=run.region)
            )
            await wait_for_instances(
                WaitForInstances(
                    instance_ids=ids,
                    state="terminated",
                    poll_interval=run.poll_interval,
                    connection=run.connection,
                    region=run.region,
                )
            )
            return
        if look + 1 < _LOOKS:
            await asyncio.sleep(run.poll_interval)


async def remove_groups(run: Run, change: Change = call) -> None:
    """A group stays in use for a while after its instance is gone, so this has patience."""
    for group_id in await _groups(run):
        for _ in range(_PATIENCE):
            try:
                await change(
                    delete_security_group,
                    DeleteSecurityGroup(group_id=group_id, connection=run.connection, region=run.region),
                )
                break
            except TaskFailedError as error:
                if not error.failure.is_caused_by(Conflict):
                    raise
                last = error
            await asyncio.sleep(run.poll_interval)
        else:
            raise last


async def _groups(run: Run) -> list[str]:
    for look in range(_LOOKS):
        found = await patient(describe_security_groups)(
            DescribeSecurityGroups(filters=run.mine, connection=run.connection, region=run.region)
        )
        if found.groups or look + 1 == _LOOKS:
            return [group.group_id for group in found.groups]
        await asyncio.sleep(run.poll_interval)
    return []


async def remove_key_pair(run: Run, name: str, change: Change = call) -> None:
    call = KeyPairName(name=name, connection=run.connection, region=run.region)
    try:
        found = await patient(describe_key_pair)(call)
    except TaskFailedError as error:
        if error.failure.is_caused_by(NotFound):
            return
        raise
    if found.tags.get(RUN_TAG) == run.tag:
        await change(delete_key_pair, call)


async def remove_profile(run: Run, name: str, change: Change = call) -> None:
    call = InstanceProfileName(name=name, connection=run.connection, region=run.region)
    try:
        found = await patient(get_instance_profile)(call)
    except TaskFailedError as error:
        if error.failure.is_caused_by(NotFound):
            return
        raise
    if found.tags.get(RUN_TAG) != run.tag:
        return
    for role in found.roles:
        await change(
            remove_role_from_instance_profile,
            InstanceProfileRole(name=name, role=role, connection=run.connection, region=run.region),
        )
    await change(delete_instance_profile, call)


async def remove_addresses(run: Run, change: Change = call) -> None:
    for look in range(_LOOKS):
        found = await patient(describe_addresses)(
            DescribeAddresses(filters=run.mine, connection=run.connection, region=run.region)
        )
        for address in found.addresses:
            if address.association_id:
                await change(
                    disassociate_address,
                    DisassociateAddress(
                        association_id=address.association_id, connection=run.connection, region=run.region
                    ),
                )
            await change(
                release_address,
                ReleaseAddress(allocation_id=address.allocation_id, connection=run.connection, region=run.region),
            )
        if found.addresses or look + 1 == _LOOKS:
            return
        await asyncio.sleep(run.poll_interval)
