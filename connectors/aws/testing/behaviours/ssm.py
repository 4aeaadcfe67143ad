"""Run Command: an agent that comes online late, commands that are delivered, run, end, time out or are cancelled, with output.

moto says Success at once, with no output, and has neither agents nor cancelling.
"""

import time
from dataclasses import dataclass, field
from typing import Any

from connectors.aws.testing.answers import Answer, error, json_answer
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.script import Outcome, run_script
from connectors.aws.testing.wire import Request
from connectors.aws.testing.world import World

_DONE = ("Success", "Failed", "TimedOut", "Cancelled")


@dataclass
class Invocation:
    instance_id: str
    delivered: float
    """Seconds of the server's clock, as all of these."""
    ends: float
    status: str
    """What it ends with."""
    details: str
    outcome: Outcome
    cancelled: bool = False

    def at(self, now: float) -> tuple[str, str]:
        """Status and details."""
        if now >= self.ends:
            return self.status, self.details
        if self.cancelled:
            return "Cancelling", "Cancelling"
        return ("InProgress", "InProgress") if now >= self.delivered else ("Pending", "Pending")


@dataclass
class Command:
    command_id: str
    document: str
    comment: str
    parameters: dict[str, Any]
    visible: float
    asked: float = field(default_factory=time.time)
    """Seconds of the epoch: clients compare it with the Date of answers."""
    invocations: list[Invocation] = field(default_factory=list)

    def at(self, now: float) -> str:
        states = [one.at(now)[0] for one in self.invocations]
        if any(state not in _DONE for state in states):
            return next(state for state in ("Cancelling", "InProgress", "Pending") if state in states)
        return next((state for state in ("Failed", "TimedOut", "Cancelled") if state in states), "Success")


def online(world: World, region: str, instance_id: str) -> bool:
    instance, since = world.instance(region, instance_id), world.running_since.get(instance_id)
    if instance is None or since is None or instance.state != "running":
        return False
    return world.now() - since >= world.settings.agent_online


class RunCommand(Behaviour):
    HOLDS = ("_commands",)

    def reset(self) -> None:
        self._commands: dict[str, Command] = {}

    def before(self, request: Request) -> Answer | None:
        if request.service != "ssm":
            return None
        if request.operation == "SendCommand":
            return self._refused(request)
        named = f"_{_SNAKE[request.operation]}" if request.operation in _SNAKE else ""
        return getattr(self, named)(request) if named else None

    def after(self, request: Request, answer: Answer) -> Answer:
        if request.name != "ssm:SendCommand" or not answer.ok:
            return answer
        content = answer.json()
        sent = content["Command"]
        now, settings = self.world.now(), self.world.settings
        command = Command(
            sent["CommandId"],
            request.text("DocumentName"),
            request.text("Comment"),
            request.parameters.get("Parameters") or {},
            now + settings.consistency,
        )
        command.invocations = [self._planned(request, command, one) for one in sent["InstanceIds"]]
        self._commands[command.command_id] = command
        content["Command"] = sent | {"Status": "Pending", "StatusDetails": "Pending", "CompletedCount": 0}
        return answer.with_text(json_answer(content).text)

    def _refused(self, request: Request) -> Answer | None:
        away = [one for one in request.texts("InstanceIds") if not online(self.world, request.region, one)]
        if away:
            text = f"Instances [[{', '.join(away)}]] not in a valid state for account"
            return error(request, "InvalidInstanceId", text)
        document = request.text("DocumentName")
        if not document.startswith("AWS-") and document not in self.world.ssm(request.region)._documents:
            return error(request, "InvalidDocument", f"Document with name {document} does not exist.")
        return None

    def _planned(self, request: Request, command: Command, instance_id: str) -> Invocation:
        outcome = run_script(command.parameters.get("commands") or [])
        settings = self.world.settings
        delivered = self.world.now() + settings.delivery
        if settings.delivery > float(request.parameters.get("TimeoutSeconds") or 3600):
            late = self.world.now() + float(request.parameters["TimeoutSeconds"])
            return Invocation(instance_id, delivered, late, "TimedOut", "DeliveryTimedOut", Outcome(-1, 0, "", ""))
        takes = outcome.seconds or settings.command
        limit = float((command.parameters.get("executionTimeout") or ["3600"])[0])
        if takes > limit:
            return Invocation(instance_id, delivered, delivered + limit, "TimedOut", "ExecutionTimedOut", outcome)
        status = "Failed" if outcome.exit_code else "Success"
        return Invocation(instance_id, delivered, delivered + takes, status, status, outcome)

    def _get(self, request: Request) -> Answer:
        command = self._commands.get(request.text("CommandId"))
        found = [one for one in command.invocations if one.instance_id == request.text("InstanceId")] if command else []
        if command is None or not found or command.visible > self.world.now():
            return error(request, "InvocationDoesNotExist", "")
        return json_answer(self._invocation(command, found[0]) | {"ResponseCode": self._code(found[0])})

    def _code(self, one: Invocation) -> int:
        return one.outcome.exit_code if one.at(self.world.now())[0] in ("Success", "Failed") else -1

    def _invocation(self, command: Command, one: Invocation) -> dict[str, Any]:
        status, details = one.at(self.world.now())
        ended = status in _DONE and one.details != "DeliveryTimedOut"
        return {
            "CommandId": command.command_id,
            "InstanceId": one.instance_id,
            "Comment": command.comment,
            "DocumentName": command.document,
            "PluginName": "aws:runShellScript",
            "Status": status,
            "StatusDetails": details,
            "StandardOutputContent": one.outcome.stdout if ended else "",
            "StandardErrorContent": one.outcome.stderr if ended else "",
        }

    def _cancel(self, request: Request) -> Answer:
        command = self._commands.get(request.text("CommandId"))
        if command is None:
            return error(request, "InvalidCommandId", "")
        now, only = self.world.now(), request.texts("InstanceIds")
        for one in command.invocations:
            if (not only or one.instance_id in only) and now < one.ends and not one.cancelled:
                one.cancelled, one.status, one.details = True, "Cancelled", "Cancelled"
                one.ends = min(one.ends, now + self.world.settings.delivery)
        return json_answer({})

    def _list(self, request: Request) -> Answer:
        found = [one for one in self._commands.values() if one.visible <= self.world.now()]
        wanted = request.text("CommandId")
        instance = request.text("InstanceId")
        filters = {one["key"]: one["value"] for one in request.parameters.get("Filters") or []}
        found = [one for one in reversed(found) if wanted in ("", one.command_id)]
        found = [one for one in found if not instance or any(each.instance_id == instance for each in one.invocations)]
        found = [one for one in found if filters.get("DocumentName", one.document) == one.document]
        found = [one for one in found if filters.get("Status", one.at(self.world.now())) == one.at(self.world.now())]
        if request.operation == "ListCommandInvocations":
            named = [(one, each) for one in found for each in one.invocations if instance in ("", each.instance_id)]
            page = [self._invocation(one, each) for one, each in named]
            return _paged(request, "CommandInvocations", page)
        return _paged(request, "Commands", [self._listed(one) for one in found])

    def _listed(self, command: Command) -> dict[str, Any]:
        now = self.world.now()
        states = [one.at(now)[0] for one in command.invocations]
        return {
            "CommandId": command.command_id,
            "DocumentName": command.document,
            "Comment": command.comment,
            "Parameters": command.parameters,
            "InstanceIds": [one.instance_id for one in command.invocations],
            "RequestedDateTime": command.asked,
            "Status": command.at(now),
            "StatusDetails": command.at(now),
            "TargetCount": len(states),
            "CompletedCount": sum(state in _DONE for state in states),
            "ErrorCount": sum(state in ("Failed", "TimedOut") for state in states),
        }

    def _agents(self, request: Request) -> Answer:
        wanted: list[str] | None = None
        for one in request.parameters.get("Filters") or []:
            wanted = one["Values"] if one["Key"] == "InstanceIds" else wanted
        for one in request.parameters.get("InstanceInformationFilterList") or []:
            wanted = one["valueSet"] if one["key"] == "InstanceIds" else wanted
        found = [
            {
                "InstanceId": instance.id,
                "PingStatus": "Online",
                "LastPingDateTime": time.time(),
                "AgentVersion": "3.3.1142.0",
                "IsLatestVersion": True,
                "PlatformType": "Linux",
                "PlatformName": "Amazon Linux",
                "PlatformVersion": "2023",
                "ResourceType": "EC2Instance",
                "IPAddress": instance.private_ip,
                "ComputerName": instance.private_dns_name,
            }
            for instance in self.world.instances(request.region)
            if (wanted is None or instance.id in wanted) and online(self.world, request.region, instance.id)
        ]
        return _paged(request, "InstanceInformationList", found)


_SNAKE = {
    "GetCommandInvocation": "get",
    "CancelCommand": "cancel",
    "ListCommands": "list",
    "ListCommandInvocations": "list",
    "DescribeInstanceInformation": "agents",
}


def _paged(request: Request, name: str, found: list[dict[str, Any]]) -> Answer:
    start, size = int(request.text("NextToken") or 0), int(request.parameters.get("MaxResults") or 50)
    more = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return json_answer({name: found[start : start + size], **more})
