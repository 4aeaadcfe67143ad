"""Systems Manager as AWS has it and moto has not: agents that come late, commands that take time, fail, time out and are cancelled."""

from typing import Any

from connectors.aws.testing import AwsServer
from tests.connectors.aws.raw import behaviour, launch, raw, refused


@behaviour("SSM agent online after a delay")
def test_an_agent_comes_online_some_time_after_its_instance(aws: AwsServer) -> None:
    aws.clock.run(tick=0)
    instance = launch(aws)
    ssm = raw(aws, "ssm")
    assert _agents(aws, instance) == []
    refused("InvalidInstanceId", ssm.send_command, InstanceIds=[instance], DocumentName="AWS-RunShellScript")
    aws.clock.advance(3)  # running, but the agent isn't there yet
    assert _agents(aws, instance) == []
    aws.clock.advance(4)
    assert _agents(aws, instance) == ["Online"]
    raw(aws, "ec2").stop_instances(InstanceIds=[instance])
    assert _agents(aws, instance) == []


@behaviour("SSM Pending, InProgress, Success with output")
def test_a_command_is_delivered_then_runs_then_has_output(aws: AwsServer) -> None:
    instance = _online(aws)
    aws.clock.run(tick=0)
    command = _send(aws, instance, ["echo hello", "echo oh >&2", "echo world"])
    seen = _look(aws, command, instance)
    assert (seen["Status"], seen["ResponseCode"], seen["StandardOutputContent"]) == ("Pending", -1, "")
    aws.clock.advance(1)
    assert _look(aws, command, instance)["Status"] == "InProgress"
    aws.clock.advance(2)
    seen = _look(aws, command, instance)
    assert (seen["Status"], seen["ResponseCode"]) == ("Success", 0)
    assert (seen["StandardOutputContent"], seen["StandardErrorContent"]) == ("hello\nworld\n", "oh\n")


@behaviour("SSM Failed")
def test_a_command_that_exits_with_an_error_has_failed(aws: AwsServer) -> None:
    instance = _online(aws)
    command = _send(aws, instance, ["echo before", "exit 3", "echo after"])
    aws.clock.advance(10)
    seen = _look(aws, command, instance)
    assert (seen["Status"], seen["ResponseCode"], seen["StandardOutputContent"]) == ("Failed", 3, "before\n")


@behaviour("SSM TimedOut")
def test_a_command_that_takes_longer_than_it_may_times_out(aws: AwsServer) -> None:
    instance = _online(aws)
    command = _send(aws, instance, ["sleep 100"], executionTimeout=["30"])
    aws.clock.advance(20)
    assert _look(aws, command, instance)["Status"] == "InProgress"
    aws.clock.advance(20)
    seen = _look(aws, command, instance)
    assert (seen["Status"], seen["StatusDetails"]) == ("TimedOut", "ExecutionTimedOut")


@behaviour("SSM TimedOut before delivery")
def test_a_command_that_is_never_delivered_times_out(aws: AwsServer) -> None:
    instance = _online(aws)
    aws.set(delivery=1000)
    command = _send(aws, instance, ["echo hello"])
    aws.clock.advance(600)
    seen = _look(aws, command, instance)
    assert (seen["Status"], seen["StatusDetails"]) == ("TimedOut", "DeliveryTimedOut")


@behaviour("SSM Cancelled")
def test_a_command_is_cancelled(aws: AwsServer) -> None:
    instance = _online(aws)
    aws.clock.run(tick=0)
    command = _send(aws, instance, ["sleep 100"])
    raw(aws, "ssm").cancel_command(CommandId=command)
    assert _look(aws, command, instance)["Status"] == "Cancelling"
    aws.clock.advance(1)
    assert _look(aws, command, instance)["Status"] == "Cancelled"


@behaviour("SSM InvocationDoesNotExist right after sending")
def test_an_invocation_is_not_there_yet(aws: AwsServer) -> None:
    instance = _online(aws)
    aws.set(consistency=5)
    command = _send(aws, instance, ["echo hello"])
    given = {"CommandId": command, "InstanceId": instance}
    refused("InvocationDoesNotExist", raw(aws, "ssm").get_command_invocation, **given)
    aws.clock.advance(5)
    assert _look(aws, command, instance)["Status"] == "Success"


@behaviour("SSM lists by document and status")
def test_commands_are_listed_newest_first_by_filter(aws: AwsServer) -> None:
    instance = _online(aws)
    aws.clock.run(tick=0)
    first, second = _send(aws, instance, ["echo a"]), _send(aws, instance, ["sleep 50"])
    aws.clock.advance(10)
    ssm = raw(aws, "ssm")
    listed = ssm.list_commands(Filters=[{"key": "DocumentName", "value": "AWS-RunShellScript"}])["Commands"]
    assert [one["CommandId"] for one in listed] == [second, first]
    listed = ssm.list_commands(Filters=[{"key": "Status", "value": "InProgress"}])["Commands"]
    assert [one["CommandId"] for one in listed] == [second]
    assert ssm.list_commands(Filters=[{"key": "DocumentName", "value": "AWS-Other"}])["Commands"] == []
    listed = ssm.list_command_invocations(CommandId=first)["CommandInvocations"]
    assert [(one["InstanceId"], one["Status"]) for one in listed] == [(instance, "Success")]


def _online(aws: AwsServer) -> str:
    instance = launch(aws)
    aws.clock.advance(3)
    raw(aws, "ec2").describe_instances()
    aws.clock.advance(10)
    return instance


def _send(aws: AwsServer, instance: str, commands: list[str], **parameters: list[str]) -> str:
    given = {"commands": commands, **parameters}
    sent = raw(aws, "ssm").send_command(
        InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters=given, TimeoutSeconds=600
    )
    return str(sent["Command"]["CommandId"])


def _look(aws: AwsServer, command: str, instance: str) -> dict[str, Any]:
    found: dict[str, Any] = raw(aws, "ssm").get_command_invocation(CommandId=command, InstanceId=instance)
    return found


def _agents(aws: AwsServer, instance: str) -> list[str]:
    wanted = [{"Key": "InstanceIds", "Values": [instance]}]
    found = raw(aws, "ssm").describe_instance_information(Filters=wanted)["InstanceInformationList"]
    return [one["PingStatus"] for one in found]
