"""Waits for EC2: instances in a state, their checks, images, snapshots, volumes."""

from typing import Any, Literal

from connectors.aws.ec2.images import DescribeImages, Image, describe_images
from connectors.aws.ec2.instances import describe_instance_status, describe_instances
from connectors.aws.ec2.models import (
    DescribeInstances,
    DescribeInstancesResult,
    Instance,
    InstanceIds,
    InstanceStatusesResult,
)
from connectors.aws.ec2.snapshots import DescribeSnapshots, Snapshot, describe_snapshots
from connectors.aws.ec2.volumes import DescribeVolumes, Volume, describe_volumes
from connectors.aws.waits._polling import Seen, Wait, WaitFailed, is_missing, is_new, polled
from connectors.core import CapacityUnavailable, InvalidRequest
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration

_GONE = frozenset({"terminated", "shutting-down"})


class WaitForInstances(Wait, frozen=True, kw_only=True, omit_defaults=True):
    instance_ids: list[str]
    state: Literal["running", "stopped", "terminated"] = "running"


class WaitForChecks(Wait, frozen=True, kw_only=True, omit_defaults=True):
    instance_ids: list[str]


class WaitForImage(Wait, frozen=True, kw_only=True, omit_defaults=True):
    image_id: str
    timeout: float = 7200.0
    poll_interval: float = 30.0


class WaitForSnapshot(Wait, frozen=True, kw_only=True, omit_defaults=True):
    snapshot_id: str
    timeout: float = 7200.0
    poll_interval: float = 30.0


class WaitForVolume(Wait, frozen=True, kw_only=True, omit_defaults=True):
    volume_id: str
    state: Literal["available", "in-use"] = "available"


@orchestration(name="aws.ec2.wait_for_instances")
async def wait_for_instances(ctx: OrchestrationContext, wait: WaitForInstances) -> DescribeInstancesResult:
    """Until all of them are in the state; `terminated` is also met by instances that EC2 doesn't know any more.

    Fails at once, with EC2's StateReason, when one is on its way to `terminated` instead: WaitFailed, or CapacityUnavailable when that is
    the reason. Later: DeadlinePassed.
    """
    if not wait.instance_ids:
        raise InvalidRequest("wait_for_instances names no instance")
    began = ctx.now()

    async def look(seen: Seen) -> DescribeInstancesResult | None:
        found = await describe_instances(
            DescribeInstances(
                instance_ids=wait.instance_ids, missing_ok=True, connection=wait.connection, region=wait.region
            )
        )
        states = {one.instance_id: one for one in found.instances}
        missing = [one for one in wait.instance_ids if one not in states]
        seen.last = ", ".join(f"{one} {states[one].state if one in states else 'missing'}" for one in wait.instance_ids)
        if missing and wait.state != "terminated" and (seen.ever or not is_new(ctx, wait, began)):
            raise WaitFailed(f"instances {', '.join(missing)} are not there (any more)", state="missing")
        seen.ever = seen.ever or not missing
        for one in found.instances:
            if wait.state != "terminated" and one.state in _GONE:
                raise _ended(one)
        return (
            found
            if {one.state for one in found.instances} <= {wait.state} and not (missing and wait.state != "terminated")
            else None
        )

    return await polled(ctx, wait, f"instances {wait.state}", look)


def _ended(one: Instance) -> Exception:
    reason = " ".join(part for part in (one.state_reason_code, one.state_reason) if part) or "EC2 gave no reason"
    text = f"instance {one.instance_id} is {one.state}: {reason}"
    kind = CapacityUnavailable if "InsufficientInstanceCapacity" in one.state_reason_code else WaitFailed
    return kind(text, code=one.state_reason_code, state=one.state, instance_id=one.instance_id)


@orchestration(name="aws.ec2.wait_for_instance_checks")
async def wait_for_instance_checks(ctx: OrchestrationContext, wait: WaitForChecks) -> InstanceStatusesResult:
    """Until the system's and the instance's own check of each are ok, "2/2". One that is impaired may recover, until the deadline.

    Fails at once when an instance doesn't run any more: WaitFailed.
    """
    if not wait.instance_ids:
        raise InvalidRequest("wait_for_instance_checks names no instance")
    began = ctx.now()

    async def look(seen: Seen) -> InstanceStatusesResult | None:
        found = await describe_instance_status(
            InstanceIds(instance_ids=wait.instance_ids, connection=wait.connection, region=wait.region)
        )
        seen.last = ", ".join(f"{one.instance_id} {one.system}/{one.instance}" for one in found.statuses) or "no status"
        for one in found.statuses:
            if one.state in _GONE | {"stopping", "stopped"}:
                raise WaitFailed(
                    f"instance {one.instance_id} is {one.state}: its checks will not pass", state=one.state
                )
        missing = set(wait.instance_ids) - {one.instance_id for one in found.statuses}
        if missing:
            if not is_new(ctx, wait, began):
                raise WaitFailed(f"instances {', '.join(sorted(missing))} are not there (any more)", state="missing")
            return None
        return found if all((one.system, one.instance) == ("ok", "ok") for one in found.statuses) else None

    return await polled(ctx, wait, "status checks 2/2", look)


@orchestration(name="aws.ec2.wait_for_image")
async def wait_for_image(ctx: OrchestrationContext, wait: WaitForImage) -> Image:
    """Until it is available. WaitFailed with EC2's reason when it failed, is invalid or deregistered."""
    call = DescribeImages(image_ids=[wait.image_id], connection=wait.connection, region=wait.region)
    began = ctx.now()

    async def look(seen: Seen) -> Image | None:
        found = await _listed(ctx, wait, began, seen, describe_images, call)
        images: list[Image] = found.images if found else []
        for one in images:
            seen.last = f"{one.state} {one.state_reason}".strip()
            if one.state in ("failed", "error", "invalid", "deregistered"):
                raise WaitFailed(f"image {one.image_id} is {seen.last}", state=one.state, reason=one.state_reason)
            if one.state == "available":
                return one
        return None

    return await polled(ctx, wait, f"image {wait.image_id} available", look)


@orchestration(name="aws.ec2.wait_for_snapshot")
async def wait_for_snapshot(ctx: OrchestrationContext, wait: WaitForSnapshot) -> Snapshot:
    """Until it is completed. WaitFailed with EC2's reason for one in error."""
    call = DescribeSnapshots(snapshot_ids=[wait.snapshot_id], connection=wait.connection, region=wait.region)
    began = ctx.now()

    async def look(seen: Seen) -> Snapshot | None:
        found = await _listed(ctx, wait, began, seen, describe_snapshots, call)
        snapshots: list[Snapshot] = found.snapshots if found else []
        for one in snapshots:
            seen.last = f"{one.state} {one.progress}".strip()
            if one.state == "error":
                raise WaitFailed(f"snapshot {one.snapshot_id} failed: {one.state_reason}", state=one.state)
            if one.state == "completed":
                return one
        return None

    return await polled(ctx, wait, f"snapshot {wait.snapshot_id} completed", look)


@orchestration(name="aws.ec2.wait_for_volume")
async def wait_for_volume(ctx: OrchestrationContext, wait: WaitForVolume) -> Volume:
    """Until it is in the state. WaitFailed for one in error, or being deleted."""
    call = DescribeVolumes(volume_ids=[wait.volume_id], connection=wait.connection, region=wait.region)
    began = ctx.now()

    async def look(seen: Seen) -> Volume | None:
        found = await _listed(ctx, wait, began, seen, describe_volumes, call)
        volumes: list[Volume] = found.volumes if found else []
        for one in volumes:
            seen.last = one.state
            if one.state in ("error", "deleting", "deleted"):
                raise WaitFailed(f"volume {one.volume_id} is {one.state}", state=one.state)
            if one.state == wait.state:
                return one
        return None

    return await polled(ctx, wait, f"volume {wait.volume_id} {wait.state}", look)


async def _listed(ctx: OrchestrationContext, wait: Wait, began: Any, seen: Seen, activity: Any, call: Any) -> Any:
    """One look; None while what was made moments ago isn't visible yet."""
    try:
        found = await activity(call)
    except TaskFailedError as error:
        if not is_missing(error) or seen.ever or not is_new(ctx, wait, began):
            raise
        seen.last = "not visible yet"
        return None
    seen.ever = True
    return found
