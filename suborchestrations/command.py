"""`run_command`: a script on instances through Systems Manager, and what it said on each."""

from typing import Any

import msgspec

from connectors.aws.ssm import CommandResult, SendCommand, SendCommandResult, send_command
from connectors.aws.waits import CommandResults, WaitForAgents, WaitForCommand, wait_for_agents, wait_for_command
from connectors.core import InvalidRequest
from dtf_runtime import NonRetriableError, OrchestrationContext, orchestration
from suborchestrations.steps import Outcome, Spec, Steps

_MOST_INSTANCES = 50  # of one command
_SHOWN = 500  # characters of an instance's output in an error


class CommandSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """What was run can't be taken back: on cancel and at the deadline it is stopped where it still runs, whatever `on_failure` says."""

    instance_ids: list[str]
    """1 to 50."""
    commands: list[str]
    """Lines of a shell script. Kept in history in clear: no secrets."""
    working_directory: str | None = None
    execution_timeout: int = 3600
    """Seconds that the script may take."""
    wait_for_agents: bool = True
    """Until Systems Manager can reach all of them; else one that it can't reach is an error at once."""
    may_fail: bool = False
    """Failures on single instances are told by their results, instead of failing this run."""
    comment: str = ""
    connection: str = "default"
    region: str | None = None


class CommandOutcome(Outcome, frozen=True, kw_only=True):
    command_id: str
    results: list[CommandResult]
    """One an instance, in the order asked for."""


class CommandFailedError(NonRetriableError):
    """It did not succeed everywhere. `failure.properties` has `results`."""

    def __init__(self, message: str, results: list[CommandResult]) -> None:
        super().__init__(message)
        self.results = results

    def failure_properties(self) -> dict[str, Any]:
        return {"results": msgspec.to_builtins(self.results)}


@orchestration(name="suborchestrations.command.run", version="1")
async def run_command(ctx: OrchestrationContext, spec: CommandSpec) -> CommandOutcome:
    """Raises StepFailedError, in `inner_failure` of which is CommandFailedError when the script failed somewhere."""
    if not 1 <= len(spec.instance_ids) <= _MOST_INSTANCES or not spec.commands:
        raise InvalidRequest(f"run_command takes 1 to {_MOST_INSTANCES} instances and at least one command")
    where: dict[str, Any] = {"connection": spec.connection, "region": spec.region}
    waiting: dict[str, Any] = {"instance_ids": spec.instance_ids, "poll_interval": spec.poll_interval, **where}
    async with Steps(ctx, spec, ("agents", "command", "results")) as steps:
        if spec.wait_for_agents:
            await steps.look("agents", lambda: wait_for_agents(WaitForAgents(timeout=spec.deadline, **waiting)))
        else:
            steps.skip("agents")
        sent = await steps.make(
            "command",
            send_command,
            SendCommand(
                instance_ids=spec.instance_ids,
                commands=spec.commands,
                working_directory=spec.working_directory,
                execution_timeout=spec.execution_timeout,
                comment=spec.comment,
                **where,
            ),
            assumed=SendCommandResult(command_id="<command>"),
            detail=lambda made: made.command_id,
        )
        wait = WaitForCommand(command_id=sent.command_id, timeout=spec.deadline, **waiting)
        ended = await steps.wait("results", lambda: wait_for_command(wait), assumed=CommandResults(results=[]))
        failed = [one for one in ended.results if one.status != "Success"]
        if failed and not spec.may_fail:
            raise CommandFailedError("; ".join(map(_told, failed)), ended.results)
        return CommandOutcome(planned=steps.planned, command_id=sent.command_id, results=ended.results)


def _told(result: CommandResult) -> str:
    said = (result.stderr or result.stdout).strip()[-_SHOWN:] or result.details
    return f"{result.instance_id}: {result.status}, exit code {result.exit_code}: {said}"
