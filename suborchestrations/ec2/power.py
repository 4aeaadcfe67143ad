"""`start_ec2`, `stop_ec2`, `resize_ec2`: power state and type of servers that are there, put back when something fails on the way."""

from collections.abc import Awaitable, Callable
from typing import Any, Literal

from connectors.aws.ec2 import (
    DescribeInstances,
    Instance,
    InstanceIds,
    ModifyInstance,
    StateChangesResult,
    StopInstances,
    describe_instances,
    modify_instance,
    start_instances,
    stop_instances,
)
from connectors.aws.waits import WaitForChecks, WaitForInstances, wait_for_instance_checks, wait_for_instances
from connectors.core import Conflict, InvalidRequest, Mutation, NotFound
from dtf_runtime import OrchestrationContext, orchestration
from suborchestrations.ec2.models import Ec2Spec
from suborchestrations.steps import Leftover, Outcome, Steps

_Power = Literal["running", "stopped"]


class PowerSpec(Ec2Spec, frozen=True, kw_only=True, omit_defaults=True):
    """One server. Starting one that runs, and stopping one that is stopped, is done at once."""

    instance_id: str
    wait_for_checks: bool = True
    """After a start: the system's and the instance's own, 2/2."""
    force: bool = False
    """Stops without flushing file systems: for one that hangs."""


class ResizeSpec(PowerSpec, frozen=True, kw_only=True, omit_defaults=True):
    instance_type: str
    """What it becomes. It is stopped for that and started again, if it ran."""


class ServerState(Outcome, frozen=True, kw_only=True):
    instance_id: str
    state: str
    instance_type: str
    was_state: str
    was_type: str


@orchestration(name="suborchestrations.ec2.start", version="1")
async def start_ec2(ctx: OrchestrationContext, spec: PowerSpec) -> ServerState:
    """Until it runs and its checks pass; stopped again when that fails, if it was stopped before."""
    async with Steps(ctx, spec, ("server", "start", "status checks")) as steps:
        server = _Server(spec, steps)
        was = await server.look()
        await server.become("running", was)
        return server.outcome(was, state="running")


@orchestration(name="suborchestrations.ec2.stop", version="1")
async def stop_ec2(ctx: OrchestrationContext, spec: PowerSpec) -> ServerState:
    """Until it is stopped; started again when that fails, if it ran before."""
    async with Steps(ctx, spec, ("server", "stop")) as steps:
        server = _Server(spec, steps)
        was = await server.look()
        await server.become("stopped", was)
        return server.outcome(was, state="stopped")


@orchestration(name="suborchestrations.ec2.resize", version="1")
async def resize_ec2(ctx: OrchestrationContext, spec: ResizeSpec) -> ServerState:
    """Stops it, changes the type, and starts it if it ran. When the new type has no room, say, it gets its old one and runs again."""
    async with Steps(ctx, spec, ("server", "stop", "type", "start", "status checks")) as steps:
        server = _Server(spec, steps)
        was = await server.look()
        if was.instance_type == spec.instance_type:
            for name in ("stop", "type", "start", "status checks"):
                steps.skip(name, "it has that type")
            return server.outcome(was, state=was.state)
        await server.become("stopped", was)
        await server.change_type(spec.instance_type, was)
        if was.state == "running":
            await server.become("running", was, now="stopped")
        else:
            steps.skip("start", "it was stopped")
            steps.skip("status checks", "it was stopped")
        return server.outcome(was, state=was.state, instance_type=spec.instance_type)


class _Server:
    def __init__(self, spec: PowerSpec, steps: Steps) -> None:
        self.spec, self.steps = spec, steps
        self.where: dict[str, Any] = {"connection": spec.connection, "region": spec.region}

    async def look(self) -> Instance:
        async def found() -> Instance:
            answer = await describe_instances(
                DescribeInstances(instance_ids=[self.spec.instance_id], missing_ok=True, **self.where)
            )
            if not answer.instances:
                raise NotFound(f"there is no instance {self.spec.instance_id}")
            (instance,) = answer.instances
            if instance.state not in ("running", "stopped"):
                raise Conflict(f"instance {instance.instance_id} is {instance.state}, neither running nor stopped")
            return instance

        if not self.spec.instance_id:
            raise InvalidRequest("instance_id is empty")
        return await self.steps.look("server", found, detail=lambda one: f"{one.instance_type}, {one.state}")

    async def become(self, wanted: _Power, was: Instance, *, now: str = "") -> None:
        name = "start" if wanted == "running" else "stop"
        before = now or was.state
        if before == wanted:
            self.steps.skip(name, f"it is {wanted}")
            if wanted == "running":
                self.steps.skip("status checks", "it runs already")
            return
        assumed = StateChangesResult(changes=[])
        back: dict[str, Any] = {
            "assumed": assumed,
            "undo": self._back_to(before),
            "left": lambda: [
                Leftover(what="power state", id=was.instance_id, command=_command(was.instance_id, before))
            ],
        }
        ids = [was.instance_id]
        if wanted == "running":
            await self.steps.make(name, start_instances, InstanceIds(instance_ids=ids, **self.where), **back)
        else:
            call = StopInstances(instance_ids=ids, force=self.spec.force, **self.where)
            await self.steps.make(name, stop_instances, call, **back)
        await self.steps.wait(name, lambda: self._wait(wanted), assumed=None, detail=lambda _: wanted)
        if wanted == "running":
            await self._checks()

    async def change_type(self, wanted: str, was: Instance) -> None:
        async def undo() -> None:
            await self._stopped()  # a started one can't be changed
            await modify_instance(self._typed(was.instance_type))

        await self.steps.make(
            "type",
            modify_instance,
            self._typed(wanted),
            assumed=Mutation(),
            undo=undo,
            left=lambda: [
                Leftover(
                    what="instance type",
                    id=was.instance_id,
                    command=f"aws ec2 modify-instance-attribute --instance-id {was.instance_id} --instance-type {was.instance_type}",
                )
            ],
            detail=lambda _: f"{was.instance_type} -> {wanted}",
        )

    def outcome(self, was: Instance, *, state: str, instance_type: str = "") -> ServerState:
        return ServerState(
            planned=self.steps.planned,
            instance_id=was.instance_id,
            state=state,
            instance_type=instance_type or was.instance_type,
            was_state=was.state,
            was_type=was.instance_type,
        )

    def _typed(self, instance_type: str) -> ModifyInstance:
        return ModifyInstance(instance_id=self.spec.instance_id, instance_type=instance_type, **self.where)

    def _wait(self, state: _Power) -> Awaitable[Any]:
        return wait_for_instances(
            WaitForInstances(
                instance_ids=[self.spec.instance_id],
                state=state,
                poll_interval=self.spec.poll_interval,
                timeout=self.spec.deadline,
                **self.where,
            )
        )

    async def _checks(self) -> None:
        if not self.spec.wait_for_checks:
            self.steps.skip("status checks")
            return
        wait = WaitForChecks(
            instance_ids=[self.spec.instance_id],
            poll_interval=self.spec.poll_interval,
            timeout=self.spec.deadline,
            **self.where,
        )
        await self.steps.wait(
            "status checks", lambda: wait_for_instance_checks(wait), assumed=None, detail=lambda _: "2/2"
        )

    async def _stopped(self) -> None:
        await stop_instances(StopInstances(instance_ids=[self.spec.instance_id], **self.where))
        await self._wait("stopped")

    def _back_to(self, state: str) -> Callable[[], Awaitable[None]]:
        async def undo() -> None:
            if state == "stopped":
                await self._stopped()
                return
            await self._wait_out_stopping()
            await start_instances(InstanceIds(instance_ids=[self.spec.instance_id], **self.where))
            await self._wait("running")

        return undo

    async def _wait_out_stopping(self) -> None:
        """One that is on its way down can't be started before it is there."""
        answer = await describe_instances(DescribeInstances(instance_ids=[self.spec.instance_id], **self.where))
        if any(one.state == "stopping" for one in answer.instances):
            await self._wait("stopped")


def _command(instance_id: str, state: str) -> str:
    return f"aws ec2 {'start' if state == 'running' else 'stop'}-instances --instance-ids {instance_id}"
