"""Specs and outcomes of the EC2 family. Durations in seconds, sizes in GiB, ids and states as AWS writes them."""

from collections.abc import Mapping

import msgspec

from connectors.aws.ec2 import BlockDevice, Rule
from suborchestrations.steps import Outcome, Spec


class Ec2Spec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """The base of the family's specs."""

    connection: str = "default"
    """The name of an AwsConnection of the worker."""
    region: str | None = None
    """None: the connection's."""


class DnsRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An A record with the server's public address, or its private one when it has no other."""

    zone_id: str
    name: str
    ttl: int = 300
    replace: bool = False
    """A record of this name that is there already is replaced, and put back on failure. Else it is an error."""


class ServerSpec(Ec2Spec, frozen=True, kw_only=True, omit_defaults=True):
    """One server and what it needs. What has no field set is not made, and its step is skipped."""

    name: str
    """The Name tag; also of the security group, the key pair and the instance profile, where those are made."""
    image: str
    """"ami-...", or the name of a Systems Manager parameter that holds one, such as
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64"."""
    instance_types: list[str] = msgspec.field(default_factory=lambda: ["t3.micro"])
    """In order of preference: the next one is tried when there is no capacity."""
    zones: list[str] = msgspec.field(default_factory=list)
    """Availability zones in order of preference, each tried with every type; empty: AWS chooses. Not with `subnet_id`."""
    subnet_id: str | None = None
    vpc_id: str | None = None
    """Of the security group; None: the default network."""
    rules: list[Rule] = msgspec.field(default_factory=list)
    """What may come in. Makes a security group."""
    security_group_ids: list[str] = msgspec.field(default_factory=list)
    """Of groups that are there already."""
    public_key: str | None = None
    """As in authorized_keys. Imports a key pair."""
    key_name: str | None = None
    """Of a key pair that is there already."""
    role: str | None = None
    """An IAM role that EC2 may assume. Makes an instance profile with it."""
    instance_profile: str | None = None
    """One that is there already: its name or ARN."""
    user_data: str | None = None
    """Kept in history in clear: no secrets."""
    block_devices: list[BlockDevice] = msgspec.field(default_factory=list)
    public_ip: bool | None = None
    """None: as the subnet says."""
    spot: bool = False
    wait_for_checks: bool = True
    """The system's and the instance's own, 2/2."""
    bootstrap: list[str] = msgspec.field(default_factory=list)
    """Lines of a shell script, run through Systems Manager: the role must allow that. No secrets."""
    bootstrap_timeout: int = 1800
    elastic_ip: bool = False
    """An address that stays; it costs while it exists."""
    dns: DnsRecord | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class Server(Outcome, frozen=True, kw_only=True):
    """What there is now. Empty texts: not asked for, or not known."""

    instance_id: str
    image_id: str
    instance_type: str
    zone: str = ""
    private_ip: str = ""
    public_ip: str = ""
    security_group_id: str = ""
    key_name: str = ""
    instance_profile: str = ""
    allocation_id: str = ""
    dns_name: str = ""
    bootstrap_output: str = ""
    run: str = ""
    """The value of the `dtf:run` tag on all that this run made."""
    cost: str = ""
    """What AWS charges for, in words."""
