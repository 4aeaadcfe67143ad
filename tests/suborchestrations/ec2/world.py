"""An AWS account to provision in, and what of a run is in it, read from the server and never from the run."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import boto3

from connectors.aws import CONNECTOR, AwsConnection
from connectors.aws.ec2 import Rule
from connectors.aws.testing import REGION, AwsServer
from dtf_runtime import Registry
from suborchestrations.command import run_command
from suborchestrations.ec2 import ORCHESTRATIONS, DnsRecord, ServerSpec
from suborchestrations.ec2.removing import RUN_TAG

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIEhB0GeJvzGwTSKqLYVrOKwGUGqZ0GgYkqPtSAVCzBH somebody"
IMAGE = "ami-03cf127a"  # one of those that moto has in every account
ROLE, DOMAIN, NAME = "web-role", "example.org", "www.example.org"
_TRUST = '{"Version": "2012-10-17", "Statement": []}'


def registry() -> Registry:
    return Registry().add(*CONNECTOR.activities, *CONNECTOR.orchestrations, *ORCHESTRATIONS, run_command)


@cache
def _reader(endpoint_url: str, service: str) -> Any:
    return boto3.client(
        service,
        region_name=REGION,
        endpoint_url=endpoint_url,
        aws_access_key_id="AKIAIOSFODNN7READER",
        aws_secret_access_key="reader",
    )


class Account:
    """Reads and prepares with a client of its own, whose requests are not counted: they are made outside of the run."""

    def __init__(self, aws: AwsServer) -> None:
        self.aws = aws

    def client(self, service: str) -> Any:
        return _reader(self.aws.endpoint_url, service)

    def prepare(self) -> ServerSpec:
        """What a run finds: a role, a zone. The spec asks for all that `provision_ec2` can make."""
        self.client("iam").create_role(RoleName=ROLE, AssumeRolePolicyDocument=_TRUST)
        zone = self.client("route53").create_hosted_zone(Name=DOMAIN, CallerReference="tests")["HostedZone"]["Id"]
        return ServerSpec(
            name="web",
            image=IMAGE,
            instance_types=["t3.micro"],
            rules=[Rule(from_port=443, cidr="0.0.0.0/0")],
            public_key=KEY,
            role=ROLE,
            bootstrap=["echo hello"],
            elastic_ip=True,
            dns=DnsRecord(zone_id=zone.rpartition("/")[2], name=NAME),
            poll_interval=0.1,
            deadline=3600.0,
        )

    def instances(self, *, dead: bool = False) -> list[dict[str, Any]]:
        groups = self.client("ec2").describe_instances(Filters=[{"Name": "tag-key", "Values": [RUN_TAG]}])[
            "Reservations"
        ]
        found = [one for group in groups for one in group["Instances"]]
        return [one for one in found if dead or one["State"]["Name"] not in ("terminated", "shutting-down")]

    def made(self) -> dict[str, int]:
        """How many of each kind carry a run's tag, or its name where there are no tags."""
        ec2, mine = self.client("ec2"), [{"Name": "tag-key", "Values": [RUN_TAG]}]
        profiles = self.client("iam").list_instance_profiles()["InstanceProfiles"]
        zones = self.client("route53").list_hosted_zones()["HostedZones"]
        records = [
            record
            for zone in zones
            for record in self.client("route53").list_resource_record_sets(HostedZoneId=zone["Id"])[
                "ResourceRecordSets"
            ]
            if record["Name"].rstrip(".") == NAME
        ]
        return {
            "instance": len(self.instances()),
            "security group": len(ec2.describe_security_groups(Filters=mine)["SecurityGroups"]),
            "key pair": len(ec2.describe_key_pairs()["KeyPairs"]),
            "instance profile": len(profiles),
            "address": len(ec2.describe_addresses(Filters=mine)["Addresses"]),
            "dns record": len(records),
        }


NOTHING = dict.fromkeys(("instance", "security group", "key pair", "instance profile", "address", "dns record"), 0)
EVERYTHING = dict.fromkeys(NOTHING, 1)


@contextmanager
def account(aws: AwsServer) -> Iterator[tuple[Account, ServerSpec, AwsConnection]]:
    aws.reset()
    found = Account(aws)
    yield found, found.prepare(), aws.connection()
    aws.clear_faults()
