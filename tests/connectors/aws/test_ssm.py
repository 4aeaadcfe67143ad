"""Systems Manager: commands sent once and looked at, parameters that stay where they are."""

import pytest

from connectors.aws import ec2, ssm
from connectors.aws.client import aws_call
from connectors.aws.testing import AwsServer
from connectors.core import AlreadyExists, InvalidRequest, NotFound, Permanent, Secret, Transient
from tests.connectors.aws.delivery import delivered
from tests.connectors.aws.samples import IMAGE, instance

UNKNOWN = "i-0123456789abcdef0"


def result(command_id: str, instance_id: str) -> ssm.CommandResult:
    call = ssm.GetCommandResult(command_id=command_id, instance_id=instance_id)
    found: ssm.CommandResult = ssm.get_command_result.fn(call)
    return found


# == commands =====================================================================================================


def test_a_command_says_what_it_printed_and_how_it_ended(aws: AwsServer) -> None:
    one = instance(aws)
    sent = ssm.send_command.fn(ssm.SendCommand(instance_ids=[one], commands=["echo out", "echo err >&2", "exit 4"]))
    assert result(sent.command_id, one).status in ("Pending", "InProgress")
    assert not result(sent.command_id, one).ended
    aws.clock.advance(60)
    found = result(sent.command_id, one)
    assert (found.status, found.exit_code, found.ended) == ("Failed", 4, True)
    assert (found.stdout.strip(), found.stderr.strip()) == ("out", "err")


def test_what_is_asked_for_is_what_is_sent(aws: AwsServer) -> None:
    call = ssm.SendCommand(
        instance_ids=[instance(aws)],
        commands=["make"],
        working_directory="/src",
        execution_timeout=90,
        delivery_timeout=45,
        comment="x" * 300,
    )
    ssm.send_command.fn(call)
    asked = aws.calls[-1].parameters
    assert asked["Parameters"] == {"commands": ["make"], "workingDirectory": ["/src"], "executionTimeout": ["90"]}
    assert (asked["DocumentName"], asked["TimeoutSeconds"]) == ("AWS-RunShellScript", 45)
    assert len(asked["Comment"]) == 100
    assert asked["Comment"].startswith("xxx")


async def test_a_repeat_finds_its_command_behind_hundreds_of_others(aws: AwsServer) -> None:
    one = instance(aws)

    def many() -> None:
        for _ in range(120):
            given = {"DocumentName": "AWS-RunShellScript", "InstanceIds": [one], "Parameters": {"commands": ["true"]}}
            aws_call("ssm", "send_command", given)

    first, second = await delivered(
        ssm.send_command, ssm.SendCommand(instance_ids=[one], commands=["echo once"]), between=many
    )
    assert (second.command_id, second.replayed) == (first.command_id, True)
    pages = [call for call in aws.calls if call.operation == "ListCommands"]
    assert len(pages) >= 1 + 3  # the first look, and then three pages of fifty


async def test_two_calls_with_the_same_words_are_two_commands(aws: AwsServer) -> None:
    call = ssm.SendCommand(instance_ids=[instance(aws)], commands=["date"])
    (first,), (second,) = await delivered(ssm.send_command, call, 1), await delivered(ssm.send_command, call, 1)
    assert first.command_id != second.command_id


async def test_a_lost_answer_is_transient_since_the_next_attempt_looks_first(aws: AwsServer) -> None:
    aws.cut("SendCommand", when="after")
    call = ssm.SendCommand(instance_ids=[instance(aws)], commands=["date"])
    first, second = await delivered(ssm.send_command, call)
    assert isinstance(first, Transient)
    assert second.replayed
    assert aws.count("SendCommand") == 1


def test_an_instance_without_an_agent_gets_no_command(aws: AwsServer) -> None:
    aws.set(agent_online=1_000)
    one = ec2.run_instances.fn(ec2.RunInstances(image_id=IMAGE, instance_type="t3.micro")).instances[0].instance_id
    aws.clock.advance(60)
    assert ssm.describe_agents.fn(ssm.DescribeAgents(instance_ids=[one])).agents == []
    with pytest.raises(NotFound) as raised:
        ssm.send_command.fn(ssm.SendCommand(instance_ids=[one], commands=["date"]))
    assert raised.value.code == "InvalidInstanceId"
    aws.clock.advance(2_000)
    assert [agent.ping for agent in ssm.describe_agents.fn(ssm.DescribeAgents(instance_ids=[one])).agents] == ["Online"]


def test_a_result_of_no_command_is_not_found_and_there_is_nothing_to_cancel(aws: AwsServer) -> None:
    nobody = "00000000-0000-0000-0000-000000000000"
    with pytest.raises(NotFound):
        result(nobody, UNKNOWN)
    assert ssm.cancel_command.fn(ssm.CancelCommand(command_id=nobody)).replayed
    with pytest.raises(InvalidRequest):
        ssm.send_command.fn(ssm.SendCommand(instance_ids=[], commands=["date"]))


# == parameters ===================================================================================================


def secret_parameter() -> None:
    aws_call("ssm", "put_parameter", {"Name": "/db/password", "Value": "swordfish-9", "Type": "SecureString"})


def test_a_parameter_is_answered_as_a_reference_and_its_value_is_not_even_asked_for(aws: AwsServer) -> None:
    secret_parameter()
    found = ssm.get_parameter_reference.fn(ssm.ParameterName(name="/db/password"))
    assert (found.name, found.type, found.version) == ("/db/password", "SecureString", 1)
    assert "swordfish" not in repr(found)
    assert "GetParameter" not in {call.operation for call in aws.calls}
    with pytest.raises(NotFound):
        ssm.get_parameter_reference.fn(ssm.ParameterName(name="/db/nothing"))


def test_inside_an_activity_the_reference_gives_a_secret_of_the_version_it_names(aws: AwsServer) -> None:
    secret_parameter()
    found = ssm.get_parameter_reference.fn(ssm.ParameterName(name="/db/password"))
    given = {"Name": "/db/password", "Value": "changed-since", "Type": "SecureString", "Overwrite": True}
    aws_call("ssm", "put_parameter", given)
    value = ssm.parameter_value(found)
    assert isinstance(value, Secret)
    assert (value.reveal(), repr(value)) == ("swordfish-9", "Secret(***)")


def test_a_plain_parameter_gets_no_new_version_by_a_repeat(aws: AwsServer) -> None:
    call = ssm.PutPlainParameter(name="/shop/url", value="https://shop.example")
    assert ssm.put_plain_parameter.fn(call).version == 1
    again = ssm.put_plain_parameter.fn(call)
    assert (again.version, again.replayed) == (1, True)
    other = ssm.PutPlainParameter(name="/shop/url", value="https://new.example", overwrite=False)
    with pytest.raises(AlreadyExists):
        ssm.put_plain_parameter.fn(other)
    changed = ssm.put_plain_parameter.fn(ssm.PutPlainParameter(name="/shop/url", value="https://new.example"))
    assert changed.version == 2


def test_a_missing_parameter_is_deleted_already(aws: AwsServer) -> None:
    assert ssm.delete_parameter.fn(ssm.ParameterName(name="/nobody")).replayed


def test_an_image_is_resolved_and_nothing_else_is_told(aws: AwsServer) -> None:
    ssm.put_plain_parameter.fn(ssm.PutPlainParameter(name="/golden", value=IMAGE))
    assert ssm.resolve_image.fn(ssm.ParameterName(name="/golden")).image_id == IMAGE
    secret_parameter()
    with pytest.raises(Permanent, match="no image's id") as raised:
        ssm.resolve_image.fn(ssm.ParameterName(name="/db/password"))
    assert "swordfish" not in str(raised.value)
