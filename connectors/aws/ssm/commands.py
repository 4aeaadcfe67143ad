"""Run Command: send, look, cancel; and which instances have an agent. Nothing here waits: see `connectors.aws.waits`.

SendCommand takes no token. Its comment ends in this call's key, and a repeat looks for a command with that comment among those of the same
document, newest first, as far back as `look_back_hours`.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.models import KEY_TAG, AwsCall
from connectors.aws.retry import LOOKUP_RETRY
from connectors.aws.ssm._shared import ssm, ssm_pages
from connectors.core import DEFAULT_RETRY, Effect, InvalidRequest, Mutation, NotFound, call_key, declare
from dtf_runtime import activity

SHELL = "AWS-RunShellScript"
_LONGEST_COMMENT = 100  # characters, of which the key takes 41 with its name and a space
_PAGES = 200  # of 50 commands: the look-up gives up there


class SendCommand(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """Commands are kept in history, and in Systems Manager for 30 days, in clear: no secrets."""

    instance_ids: list[str]
    """1 to 50."""
    commands: list[str] = msgspec.field(default_factory=list)
    """Lines of a script, for the documents that take `commands`."""
    document: str = SHELL
    parameters: Mapping[str, list[str]] = msgspec.field(default_factory=dict)
    """Of the document, beside `commands`."""
    working_directory: str | None = None
    delivery_timeout: int = 600
    """Seconds within which the agent must have begun, at least 30."""
    execution_timeout: int | None = None
    """Seconds that the script may take; None: the document's own, an hour."""
    comment: str = ""
    """At most 59 characters of it are sent."""
    output_bucket: str | None = None
    """For output longer than what an answer holds: 24,000 characters of stdout, 8,000 of stderr."""
    output_prefix: str | None = None
    look_back_hours: float = 72.0
    """How far back a repeat looks for the command: longer than any downtime of the workers."""


class SendCommandResult(Mutation, frozen=True, kw_only=True):
    command_id: str


class GetCommandResult(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    command_id: str
    instance_id: str


class CommandResult(msgspec.Struct, frozen=True, kw_only=True):
    """On one instance."""

    instance_id: str
    status: str
    """Pending, InProgress, Delayed, Success, Cancelled, Cancelling, TimedOut, Failed."""
    details: str
    """Why, such as "DeliveryTimedOut", "Undeliverable", "ExecutionTimedOut"."""
    exit_code: int
    """-1 until it has ended."""
    stdout: str
    """At most 24,000 characters."""
    stderr: str
    """At most 8,000 characters."""

    @property
    def ended(self) -> bool:
        return self.status in ENDED


ENDED = frozenset({"Success", "Cancelled", "TimedOut", "Failed"})


class CancelCommand(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    command_id: str
    instance_ids: list[str] = msgspec.field(default_factory=list)
    """None: everywhere."""


class DescribeAgents(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    instance_ids: list[str]
    """1 to 100."""


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    instance_id: str
    ping: str
    """Online, ConnectionLost, Inactive."""
    version: str
    platform: str


class DescribeAgentsResult(msgspec.Struct, frozen=True, kw_only=True):
    """Instances whose agent has not reported yet are left out."""

    agents: list[Agent]


@declare(
    Effect.LOOKUP,
    "a command whose comment ends in this call's key is adopted",
    permissions=("ssm:SendCommand", "ssm:ListCommands"),
)
@activity(name="aws.ssm.send_command", retry=LOOKUP_RETRY)
def send_command(call: SendCommand) -> SendCommandResult:
    """Raises NotFound (InvalidInstanceId) while an instance has no agent that is online."""
    if not call.instance_ids:
        raise InvalidRequest("send_command names no instance")
    mark = f"{KEY_TAG}={call_key(call)}"
    found = _sent(call, mark)
    if found:
        return SendCommandResult(command_id=found, replayed=True)
    parameters = dict(call.parameters)
    if call.commands:
        parameters["commands"] = call.commands
    if call.working_directory:
        parameters["workingDirectory"] = [call.working_directory]
    if call.execution_timeout:
        parameters["executionTimeout"] = [str(call.execution_timeout)]
    given = {
        "DocumentName": call.document,
        "InstanceIds": call.instance_ids,
        "Parameters": parameters or None,
        "TimeoutSeconds": call.delivery_timeout,
        "Comment": f"{call.comment[: _LONGEST_COMMENT - len(mark) - 1]} {mark}".strip(),
        "OutputS3BucketName": call.output_bucket,
        "OutputS3KeyPrefix": call.output_prefix,
    }
    answer = ssm(call, "send_command", given, effect=Effect.LOOKUP)
    return SendCommandResult(request_id=request_id(answer), command_id=answer["Command"]["CommandId"])


def _sent(call: SendCommand, mark: str) -> str:
    look = {"Filters": [{"key": "DocumentName", "value": call.document}], "MaxResults": 50}
    for answer in ssm_pages(call, "list_commands", look, most=_PAGES):
        commands = answer["Commands"]
        for command in commands:
            if (command.get("Comment") or "").endswith(mark):
                return str(command["CommandId"])
        asked = [command["RequestedDateTime"] for command in commands if command.get("RequestedDateTime")]
        if asked and min(asked) < _now(answer) - timedelta(hours=call.look_back_hours):
            break
    return ""


def _now(answer: Mapping[str, Any]) -> datetime:
    """By the server's clock: this machine's may be off."""
    date = answer["ResponseMetadata"].get("HTTPHeaders", {}).get("date")
    return parsedate_to_datetime(date).astimezone(UTC) if date else datetime.now(UTC)


@declare(Effect.READ, permissions=("ssm:GetCommandInvocation",))
@activity(name="aws.ssm.get_command_result", retry=DEFAULT_RETRY)
def get_command_result(call: GetCommandResult) -> CommandResult:
    """One look. Raises NotFound (InvocationDoesNotExist) for some seconds after a command was sent, too."""
    given = {"CommandId": call.command_id, "InstanceId": call.instance_id}
    answer = ssm(call, "get_command_invocation", given)
    return CommandResult(
        instance_id=call.instance_id,
        status=answer.get("Status") or "Pending",
        details=answer.get("StatusDetails") or "",
        exit_code=int(answer.get("ResponseCode", -1)),
        stdout=answer.get("StandardOutputContent") or "",
        stderr=answer.get("StandardErrorContent") or "",
    )


@declare(Effect.NATURAL, "cancelling what has ended changes nothing", permissions=("ssm:CancelCommand",))
@activity(name="aws.ssm.cancel_command", retry=DEFAULT_RETRY)
def cancel_command(call: CancelCommand) -> Mutation:
    """Asks the agents to stop it, which may come too late. A command that Systems Manager doesn't know (any more) is nothing to cancel."""
    given = {"CommandId": call.command_id, "InstanceIds": call.instance_ids or None}
    try:
        answer = ssm(call, "cancel_command", given, effect=Effect.NATURAL)
    except NotFound as error:
        if error.code != "InvalidCommandId":
            raise
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("ssm:DescribeInstanceInformation",))
@activity(name="aws.ssm.describe_agents", retry=DEFAULT_RETRY)
def describe_agents(call: DescribeAgents) -> DescribeAgentsResult:
    """Which of the instances Systems Manager can send commands to, now."""
    given = {"Filters": [{"Key": "InstanceIds", "Values": call.instance_ids}]}
    found = [
        Agent(
            instance_id=raw["InstanceId"],
            ping=raw.get("PingStatus") or "",
            version=raw.get("AgentVersion") or "",
            platform=raw.get("PlatformName") or "",
        )
        for answer in ssm_pages(call, "describe_instance_information", given)
        for raw in answer["InstanceInformationList"]
    ]
    return DescribeAgentsResult(agents=found)
