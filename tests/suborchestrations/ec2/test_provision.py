"""`provision_ec2` against a server that behaves as AWS does, in virtual time."""

from typing import Any

import msgspec
import pytest

from connectors.aws.testing import AwsServer
from connectors.core import using
from dtf_runtime import OrchestrationFailedError
from dtf_runtime.testing import TestHub
from suborchestrations.ec2 import DnsRecord, Server, ServerSpec, provision_ec2
from tests.suborchestrations.ec2.world import EVERYTHING, NAME, NOTHING, account, registry

WAIT = 60.0


async def provisioned(aws: AwsServer, spec: ServerSpec) -> Server:
    with using(aws.connection()):
        async with TestHub(registry=registry()) as hub:
            return await (await hub.client.start(provision_ec2, spec, instance_id="one")).result(WAIT)


async def failure_of(aws: AwsServer, spec: ServerSpec) -> dict[str, Any]:
    with pytest.raises(OrchestrationFailedError) as error:
        await provisioned(aws, spec)
    assert error.value.failure.type == "suborchestrations.steps.StepFailedError"
    return dict(error.value.failure.properties) | {"message": error.value.failure.message}


def mutating(aws: AwsServer) -> list[str]:
    """Names of the requests that changed something, in order, as the server did them. The reader's own don't count."""
    reads = ("Describe", "Get", "List", "Head")
    return [
        call.operation
        for call in aws.calls
        if call.executed and not call.operation.startswith(reads) and call.access_key != "AKIAIOSFODNN7READER"
    ]


async def test_everything_that_was_asked_for_is_there_once(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        server = await provisioned(aws, spec)
        (instance,) = there.instances()
        assert there.made() == EVERYTHING
        assert (instance["InstanceId"], instance["State"]["Name"]) == (server.instance_id, "running")
        assert instance["KeyName"] == "web"
        assert [group["GroupId"] for group in instance["SecurityGroups"]] == [server.security_group_id]
        assert instance["IamInstanceProfile"]["Arn"].endswith("/web")
        assert instance["PublicIpAddress"] == server.public_ip
        assert server.dns_name == NAME


async def test_a_plan_changes_nothing_and_names_exactly_what_the_real_run_does(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        before = len(mutating(aws))
        plan = await provisioned(aws, msgspec.structs.replace(spec, plan=True))
        assert (there.made(), len(mutating(aws))) == (NOTHING, before)
        await provisioned(aws, spec)
        done = mutating(aws)[before:]
        assert len(plan.planned) == len(done)
        words = [call.activity.rpartition(".")[2].replace("_", "") for call in plan.planned]
        assert [a[:6] for a in words] == [
            b.lower().replace("changeresourcerecordsets", "upsertrecords")[:6] for b in done
        ]


async def test_no_capacity_means_the_next_type_then_the_next_zone_with_a_token_of_its_own(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        aws.no_capacity(zone="eu-central-1a")
        aws.no_capacity(instance_type="m5.large")
        wanted = msgspec.structs.replace(
            spec, instance_types=["m5.large", "t3.micro"], zones=["eu-central-1a", "eu-central-1b"]
        )
        server = await provisioned(aws, wanted)
        tried = {
            str(call.parameters["ClientToken"]): (
                call.parameters["Placement"]["AvailabilityZone"],
                call.parameters["InstanceType"],
            )
            for call in aws.calls
            if call.operation == "RunInstances"
        }
        assert list(tried.values()) == [(zone, kind) for zone in wanted.zones for kind in wanted.instance_types]
        assert (server.instance_type, server.zone) == ("t3.micro", "eu-central-1b")
        assert there.made() == EVERYTHING


async def test_an_instance_that_ends_while_it_starts_fails_the_run_at_once_with_the_reason(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        aws.doom(code="Client.InvalidSnapshot.NotFound", message="the snapshot is gone")
        found = await failure_of(aws, spec)
        assert found["step"] == "running"
        assert "the snapshot is gone" in found["message"]
        assert there.made() == NOTHING


async def test_an_existing_record_is_not_touched_unless_told_and_put_back_on_failure(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        assert spec.dns is not None
        record = {"Name": NAME, "Type": "A", "TTL": 60, "ResourceRecords": [{"Value": "192.0.2.7"}]}
        batch = {"Changes": [{"Action": "CREATE", "ResourceRecordSet": record}]}
        there.client("route53").change_resource_record_sets(HostedZoneId=spec.dns.zone_id, ChangeBatch=batch)
        found = await failure_of(aws, spec)
        assert "has an A record already" in found["message"]
        assert there.made() == NOTHING | {"dns record": 1}
        replacing = DnsRecord(zone_id=spec.dns.zone_id, name=NAME, replace=True)
        server = await provisioned(aws, msgspec.structs.replace(spec, dns=replacing))
        records = there.client("route53").list_resource_record_sets(HostedZoneId=spec.dns.zone_id)["ResourceRecordSets"]
        assert [one["ResourceRecords"] for one in records if one["Type"] == "A"] == [[{"Value": server.public_ip}]]


async def test_keeping_on_failure_lists_ids_and_the_commands_that_remove_them(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        zone = DnsRecord(zone_id="ZNOTHERE", name=NAME)
        found = await failure_of(aws, msgspec.structs.replace(spec, dns=zone, on_failure="keep"))
        (instance,) = there.instances()
        left = {one["what"]: one for one in found["left"]}
        assert left["instance"]["id"] == instance["InstanceId"]
        assert left["instance"]["command"] == f"aws ec2 terminate-instances --instance-ids {instance['InstanceId']}"
        assert set(left) == {"security group", "key pair", "instance profile", "instance", "address"}
        assert there.made() == EVERYTHING | {"dns record": 0}


async def test_a_failed_bootstrap_says_what_the_script_said_and_leaves_nothing(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        found = await failure_of(aws, msgspec.structs.replace(spec, bootstrap=["echo no >&2", "exit 3"]))
        assert found["step"] == "bootstrap"
        assert there.made() == NOTHING


async def test_what_others_made_under_the_same_name_is_left_alone(aws: AwsServer) -> None:
    with account(aws) as (there, spec, _):
        there.client("ec2").import_key_pair(
            KeyName="web",
            PublicKeyMaterial=b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIEhB0GeJvzGwTSKqLYVrOKwGUGqZ0GgYkqPtSAVCzBH",
        )
        found = await failure_of(aws, spec)
        assert found["step"] == "key pair"
        assert there.made() == NOTHING | {"key pair": 1}
