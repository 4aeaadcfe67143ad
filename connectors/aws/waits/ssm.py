"""Waits for Systems Manager: agents online, a command ended on all of its instances."""

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime

import msgspec

from connectors.aws.ssm.commands import (
    CancelCommand,
    CommandResult,
    DescribeAgents,
    DescribeAgentsResult,
    GetCommandResult,
    cancel_command,
    describe_agents,
    get_command_result,
)
from connectors.aws.waits._polling import DeadlinePassed, Seen, Wait, is_missing, is_new, polled
from connectors.core import InvalidRequest
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration


class WaitForAgents(Wait, frozen=True, kw_only=True, omit_defaults=True):
    instance_ids: list[str]


class WaitForCommand(Wait, frozen=True, kw_only=True, omit_defaults=True):
    command_id: str
    instance_ids: list[str]
    timeout: float = 3600.0
    poll_interval: float = 5.0
    cancel: bool = True
    """Stops the command when the deadline passes or this wait is cancelled; what agents then report is not waited for."""


class CommandResults(msgspec.Struct, frozen=True, kw_only=True):
    """One result an instance, in the order asked for; whether it is a success is for the caller to judge."""

    results: list[CommandResult]

    @property
    def ok(self) -> bool:
        return all(one.status == "Success" for one in self.results)


@orchestration(name="aws.ssm.wait_for_agents")
async def wait_for_agents(ctx: OrchestrationContext, wait: WaitForAgents) -> DescribeAgentsResult:
    """Until Systems Manager can send commands to all of them. An instance without the agent, or whose role doesn't let it, never comes."""
    if not wait.instance_ids:
        raise InvalidRequest("wait_for_agents names no instance")
    call = DescribeAgents(instance_ids=wait.instance_ids, connection=wait.connection, region=wait.region)

    async def look(seen: Seen) -> DescribeAgentsResult | None:
        found = await describe_agents(call)
        online = {one.instance_id for one in found.agents if one.ping == "Online"}
        seen.last = f"{len(online)} of {len(wait.instance_ids)} online"
        return found if online >= set(wait.instance_ids) else None

    return await polled(ctx, wait, "agents online", look)


@orchestration(name="aws.ssm.wait_for_command")
async def wait_for_command(ctx: OrchestrationContext, wait: WaitForCommand) -> CommandResults:
    """Until it has ended on each instance, however. A failed look never sends it again."""
    if not wait.instance_ids:
        raise InvalidRequest("wait_for_command names no instance")
    began = ctx.now()
    ended: dict[str, CommandResult] = {}

    async def look(seen: Seen) -> CommandResults | None:
        open_ones = [one for one in wait.instance_ids if one not in ended]
        states = await asyncio.gather(*(_result(ctx, wait, began, one) for one in open_ones))
        ended.update({one.instance_id: one for one in states if one is not None and one.ended})
        seen.last = _summary(states, len(ended))
        if len(ended) < len(wait.instance_ids):
            return None
        return CommandResults(results=[ended[one] for one in wait.instance_ids])

    try:
        return await polled(ctx, wait, f"command {wait.command_id} ended", look)
    except (DeadlinePassed, asyncio.CancelledError):
        if wait.cancel:
            with contextlib.suppress(TaskFailedError):  # it is the deadline that the caller must hear of
                await cancel_command(
                    CancelCommand(command_id=wait.command_id, connection=wait.connection, region=wait.region)
                )
        raise


async def _result(ctx: OrchestrationContext, wait: WaitForCommand, began: datetime, one: str) -> CommandResult | None:
    """None: not visible yet."""
    try:
        return await get_command_result(
            GetCommandResult(
                command_id=wait.command_id, instance_id=one, connection=wait.connection, region=wait.region
            )
        )
    except TaskFailedError as error:
        if not is_missing(error) or not is_new(ctx, wait, began):
            raise
        return None


def _summary(states: Sequence[CommandResult | None], ended: int) -> str:
    going = sorted({one.status for one in states if one is not None and not one.ended})
    return f"{ended} ended" + (f", others {', '.join(going)}" if going else "")
