"""The README's table: twelve failures, what the script leaves behind and what `provision_ec2` does, both seen by the same server.

`DTF_WRITE=1 pytest tests/suborchestrations/ec2/test_twelve_failures.py` writes it anew; otherwise it must be as it stands there.
"""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import msgspec
import pytest
from botocore.config import Config

from connectors.aws.testing import REGION, AwsServer
from connectors.core import using
from dtf_runtime import OrchestrationFailedError
from dtf_runtime.testing import TestHub
from suborchestrations.ec2 import ServerSpec, provision_ec2
from tests.suborchestrations.ec2.world import IMAGE, KEY, Account, account, registry

README = Path(__file__).parents[3] / "suborchestrations" / "README.md"
BEGIN, END = (
    "<!-- failures: written by tests/suborchestrations/ec2/test_twelve_failures.py -->\n",
    "<!-- end of failures -->",
)


class Failure(NamedTuple):
    what: str
    order: Callable[[AwsServer], object]
    image: str = IMAGE


FAILURES = (
    Failure("the launch's answer is lost", lambda aws: aws.cut("ec2:RunInstances")),
    Failure("half of the launch's answer", lambda aws: aws.halve("ec2:RunInstances")),
    Failure("the group's answer is lost", lambda aws: aws.cut("ec2:CreateSecurityGroup")),
    Failure("the key pair's answer is lost", lambda aws: aws.cut("ec2:ImportKeyPair")),
    Failure("the address's answer is lost", lambda aws: aws.cut("ec2:AllocateAddress")),
    Failure("500 after the launch", lambda aws: aws.fail("ec2:RunInstances", when="after")),
    Failure("throttled for a while", lambda aws: aws.fail("ec2:*", status=503, code="RequestLimitExceeded", times=4)),
    Failure("no capacity for the type", lambda aws: aws.no_capacity(instance_type="t3.micro")),
    Failure("no such image", lambda aws: None, image="ami-00000000"),
    Failure("the instance ends while it starts", lambda aws: aws.doom()),
    Failure(
        "the account has no more addresses",
        lambda aws: aws.fail("ec2:AllocateAddress", status=400, code="AddressLimitExceeded", times=None),
    ),
    Failure(
        "not allowed to associate the address",
        lambda aws: aws.fail("ec2:AssociateAddress", status=403, code="UnauthorizedOperation", times=None),
    ),
)


def script(endpoint_url: str, image: str) -> None:
    """The one of the README, with a client that tries as often as boto3 does by itself."""
    ec2 = boto3.client(
        "ec2",
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id="AKIAIOSFODNN7SCRIPT",
        aws_secret_access_key="script",
        config=Config(read_timeout=5),
    )
    group = ec2.create_security_group(GroupName="web", Description="web")["GroupId"]
    rule: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "0.0.0.0/0"}
    ec2.authorize_security_group_ingress(GroupId=group, **rule)
    ec2.import_key_pair(KeyName="web", PublicKeyMaterial=KEY.encode())
    found = ec2.run_instances(
        ImageId=image, InstanceType="t3.micro", MinCount=1, MaxCount=1, SecurityGroupIds=[group], KeyName="web"
    )
    instance = found["Instances"][0]["InstanceId"]
    ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 0, "MaxAttempts": 30})
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(AllocationId=address, InstanceId=instance)


def there_is(there: Account) -> str:
    ec2 = there.client("ec2")
    alive = [{"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]}]
    instances = [one for group in ec2.describe_instances(Filters=alive)["Reservations"] for one in group["Instances"]]
    groups = [one for one in ec2.describe_security_groups()["SecurityGroups"] if one["GroupName"] == "web"]
    counts = (
        len(instances),
        len(groups),
        len(ec2.describe_key_pairs()["KeyPairs"]),
        len(ec2.describe_addresses()["Addresses"]),
    )
    return ", ".join(map(str, counts))


async def with_script(aws: AwsServer, failure: Failure) -> tuple[str, str]:
    with account(aws) as (there, _, _connection):
        failure.order(aws)
        try:
            await asyncio.to_thread(script, aws.endpoint_url, failure.image)
            return "completed", there_is(there)
        except Exception as error:
            left = there_is(there)
            aws.clear_faults()
            try:
                await asyncio.to_thread(script, aws.endpoint_url, IMAGE)
                return f"{type(error).__name__}; a second run completes", left
            except Exception as again:
                return f"{type(error).__name__}; a second run fails ({type(again).__name__})", left


async def with_provision(aws: AwsServer, failure: Failure) -> tuple[str, str]:
    with account(aws) as (there, spec, connection):
        wanted = ServerSpec(
            name="web", image=failure.image, rules=spec.rules, public_key=KEY, elastic_ip=True, poll_interval=5.0
        )
        failure.order(aws)
        with using(connection):
            async with TestHub(registry=registry()) as hub:
                try:
                    await (await hub.client.start(provision_ec2, wanted)).result(60)
                    return "completed", there_is(there)
                except OrchestrationFailedError:
                    left = there_is(there)
                    aws.clear_faults()
                    aws.capacity_back()
                    again = msgspec.structs.replace(wanted, image=IMAGE)
                    await (await hub.client.start(provision_ec2, again)).result(60)
                    return "failed; a second run completes", left


@pytest.mark.timeout(300)
async def test_the_readme_says_what_each_way_leaves_behind(aws_process: AwsServer) -> None:
    rows = ["| failure | the script | leaves | `provision_ec2` | leaves |", "|---|---|---|---|---|"]
    for failure in FAILURES:
        scripted, provisioned = await with_script(aws_process, failure), await with_provision(aws_process, failure)
        rows.append(f"| {failure.what} | {scripted[0]} | {scripted[1]} | {provisioned[0]} | {provisioned[1]} |")
        assert provisioned in (("completed", "1, 1, 1, 1"), ("failed; a second run completes", "0, 0, 0, 0")), rows[-1]
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    expected = f"{before}{BEGIN}\n" + "\n".join(rows) + f"\n\n{END}{rest.partition(END)[2]}"
    if os.environ.get("DTF_WRITE"):
        README.write_text(expected, encoding="utf-8")
    assert README.read_text(encoding="utf-8") == expected
