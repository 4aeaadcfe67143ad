"""`terminate_ec2`: the end of a server, with a last copy of its disks if wanted, and of what was made for it.

Nothing is terminated before the copies are complete. What was terminated can't be undone, so from there on the run only goes on; until then a
failure takes the copies away again and leaves the server as it was.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from connectors.aws.ec2 import (
    CreateSnapshot,
    CreateSnapshotResult,
    DescribeInstances,
    DescribeSnapshots,
    Instance,
    SnapshotId,
    StateChangesResult,
    TerminateInstances,
    create_snapshot,
    delete_snapshot,
    describe_instances,
    describe_snapshots,
    terminate_instances,
)
from connectors.aws.route53 import ChangeResult, DeleteRecord, ListRecords, delete_record, list_records
from connectors.aws.waits import WaitForInstances, WaitForSnapshot, wait_for_instances, wait_for_snapshot
from dtf_runtime import OrchestrationContext, orchestration
from suborchestrations.ec2.models import DnsRecord, Ec2Spec
from suborchestrations.ec2.removing import (
    RUN_TAG,
    remove_addresses,
    remove_groups,
    remove_key_pair,
    remove_profile,
    run_of,
)
from suborchestrations.steps import Leftover, Outcome, Steps

STEPS = ("server", "snapshots", "dns record", "terminate", "clean up")


class TerminateSpec(Ec2Spec, frozen=True, kw_only=True, omit_defaults=True):
    instance_id: str
    """One that is not there (any more) is no error: the rest is still cleaned up."""
    snapshot: bool = False
    """Copies each of its volumes first. The copies stay, and cost."""
    lift_protection: bool = False
    dns: DnsRecord | None = None
    """Deleted, if it still has an address of this server."""
    clean_up: bool = True
    """Removes what `provision_ec2` made for it: address, security group, key pair, instance profile, found by the server's `dtf:run` tag."""
    name: str = ""
    """Of key pair and instance profile, when the server, whose Name tag says it otherwise, is gone already."""
    run: str = ""
    """`Server.run`, likewise."""


class Terminated(Outcome, frozen=True, kw_only=True):
    instance_id: str
    snapshot_ids: list[str]
    tags: Mapping[str, str]
    """Of the server."""


@orchestration(name="suborchestrations.ec2.terminate", version="1")
async def terminate_ec2(ctx: OrchestrationContext, spec: TerminateSpec) -> Terminated:
    """Fails with StepFailedError; after the termination has begun that means that something could not be cleaned up."""
    async with Steps(ctx, spec, STEPS) as steps:
        return await _Termination(ctx, spec, steps).end()


class _Termination:
    def __init__(self, ctx: OrchestrationContext, spec: TerminateSpec, steps: Steps) -> None:
        self.spec, self.steps = spec, steps
        self.where: dict[str, Any] = {"connection": spec.connection, "region": spec.region}
        self.run = run_of(ctx, spec)

    async def end(self) -> Terminated:
        server = await self.steps.look("server", self.server, detail=lambda one: one.state if one else "not there")
        copies = await self.copies(server)
        await self.record(server)
        await self.terminate(server)
        await self.clean_up(server)
        return Terminated(
            planned=self.steps.planned,
            instance_id=self.spec.instance_id,
            snapshot_ids=copies,
            tags=server.tags if server else {},
        )

    async def server(self) -> Instance | None:
        call = DescribeInstances(instance_ids=[self.spec.instance_id], missing_ok=True, **self.where)
        found = (await describe_instances(call)).instances
        return found[0] if found and found[0].state != "terminated" else None

    async def copies(self, server: Instance | None) -> list[str]:
        name = "snapshots"
        if not self.spec.snapshot or server is None:
            self.steps.skip(name, "not asked for" if server else "the server is not there")
            return []
        made: list[str] = []
        tags = {"Name": server.tags.get("Name", server.instance_id), RUN_TAG: self.run.tag}
        for volume_id in server.volume_ids:
            copy = await self.steps.make(
                name,
                create_snapshot,
                CreateSnapshot(
                    volume_id=volume_id, description=f"last of {server.instance_id}", tags=tags, **self.where
                ),
                assumed=CreateSnapshotResult(snapshot_id=f"<snapshot of {volume_id}>", state="pending"),
                undo=self.remove_copies,
                left=lambda: [
                    Leftover(what="snapshot", id=one, command=f"aws ec2 delete-snapshot --snapshot-id {one}")
                    for one in made
                ],
            )
            made.append(copy.snapshot_id)
        for snapshot_id in made:
            wait = WaitForSnapshot(
                snapshot_id=snapshot_id, poll_interval=self.spec.poll_interval, timeout=self.spec.deadline, **self.where
            )
            await self.steps.wait(name, lambda wait=wait: wait_for_snapshot(wait), assumed=None)  # type: ignore[misc]
        return made

    async def remove_copies(self) -> None:
        found = await describe_snapshots(DescribeSnapshots(filters=self.run.mine, **self.where))
        for one in found.snapshots:
            await delete_snapshot(SnapshotId(snapshot_id=one.snapshot_id, **self.where))

    async def record(self, server: Instance | None) -> None:
        record, name = self.spec.dns, "dns record"
        if record is None or server is None:
            self.steps.skip(name)
            return
        zone: dict[str, Any] = {"zone_id": record.zone_id, **self.where}
        found = await self.steps.look(name, lambda: list_records(ListRecords(name=record.name, type="A", **zone)))
        mine = [one.values for one in found.records if set(one.values) <= {server.public_ip, server.private_ip}]
        if not mine:
            self.steps.skip(name, "there is none with its address")
            return
        await self.steps.make(
            name,
            delete_record,
            DeleteRecord(name=record.name, only_values=mine[0], **zone),
            assumed=ChangeResult(change_id="<change>", status="PENDING"),
        )

    async def terminate(self, server: Instance | None) -> None:
        name = "terminate"
        if server is None:
            self.steps.skip(name, "the server is not there")
            return
        self.steps.keep("snapshots")
        ids = [server.instance_id]
        await self.steps.make(
            name,
            terminate_instances,
            TerminateInstances(instance_ids=ids, lift_protection=self.spec.lift_protection, **self.where),
            assumed=StateChangesResult(changes=[]),
        )
        wait = WaitForInstances(
            instance_ids=ids,
            state="terminated",
            poll_interval=self.spec.poll_interval,
            timeout=self.spec.deadline,
            **self.where,
        )
        await self.steps.wait(name, lambda: wait_for_instances(wait), assumed=None)

    async def clean_up(self, server: Instance | None) -> None:
        tag = self.spec.run or (server.tags.get(RUN_TAG, "") if server else "")
        if not self.spec.clean_up or not tag:
            self.steps.skip("clean up", "not asked for" if tag else "no run of provision_ec2 is known for it")
            return
        theirs = replace(self.run, tag=tag)
        server_name = self.spec.name or (server.tags.get("Name", "") if server else "")

        change = self.steps.change

        async def cleaned() -> None:
            await remove_addresses(theirs, change)
            await remove_groups(theirs, change)
            if server_name:
                await remove_key_pair(theirs, server_name, change)
                await remove_profile(theirs, server_name, change)

        await self.steps.look("clean up", cleaned)
