"""What goes into the instance activities and what comes out. Sizes in GiB, instants aware UTC, ids as AWS writes them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from connectors.aws.models import AwsCall, Filter
from connectors.core import Mutation


class BlockDevice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One volume that an instance starts with."""

    device: str
    """Such as "/dev/xvda": the image says what its root device is called."""
    size_gib: int | None = None
    """None: as large as its snapshot."""
    type: Literal["gp3", "gp2", "io1", "io2", "st1", "sc1", "standard"] = "gp3"
    iops: int | None = None
    throughput: int | None = None
    """MiB a second, for gp3."""
    snapshot_id: str | None = None
    encrypted: bool | None = None
    """None: as the account says."""
    delete_on_termination: bool = True


class RunInstances(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """Instances that are alike. With `launch_template` most of the rest may be left to it."""

    image_id: str | None = None
    """"ami-...", or "resolve:ssm:/path/of/a/parameter"."""
    instance_type: str | None = None
    """Such as "t3.micro"."""
    count: int = 1
    """All of them or none."""
    zone: str | None = None
    """Availability zone, such as "eu-west-1a"; not with `subnet_id`, which lies in one."""
    subnet_id: str | None = None
    security_group_ids: list[str] = msgspec.field(default_factory=list)
    key_name: str | None = None
    instance_profile: str | None = None
    """Its name, or its ARN."""
    user_data: str | None = None
    """At most 16 KB; history keeps it in clear, so no secrets."""
    public_ip: bool | None = None
    """None: as the subnet says."""
    block_devices: list[BlockDevice] = msgspec.field(default_factory=list)
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Of the instances and of their volumes."""
    spot: bool = False
    """A one-time spot request at up to the on-demand price."""
    require_imdsv2: bool = True
    """Metadata for session-oriented requests only, so that a forged request inside can't read the role's credentials."""
    termination_protection: bool = False
    shutdown_terminates: bool = False
    """What a shutdown from inside does; else it stops."""
    monitoring: bool = False
    """Metrics each minute instead of every five."""
    launch_template: str | None = None
    """"lt-...", optionally "lt-...:3" for one version."""
    just_made: bool = False
    """The profile, key pair or security group was made moments ago: while EC2 doesn't see it yet, that is Transient."""


class Instance(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An instance as EC2 described it. Empty texts: not known, or none."""

    instance_id: str
    state: str
    """pending, running, stopping, stopped, shutting-down, terminated."""
    state_reason_code: str = ""
    """Such as "Server.InsufficientInstanceCapacity", "Client.InvalidSnapshot.NotFound"."""
    state_reason: str = ""
    instance_type: str = ""
    image_id: str = ""
    zone: str = ""
    subnet_id: str = ""
    vpc_id: str = ""
    private_ip: str = ""
    public_ip: str = ""
    private_dns: str = ""
    public_dns: str = ""
    key_name: str = ""
    instance_profile_arn: str = ""
    root_device: str = ""
    security_group_ids: list[str] = msgspec.field(default_factory=list)
    volume_ids: list[str] = msgspec.field(default_factory=list)
    launched_at: datetime | None = None
    tags: Mapping[str, str] = msgspec.field(default_factory=dict)


class RunInstancesResult(Mutation, frozen=True, kw_only=True):
    """`replayed` is told by state and launch time: a repeat within two seconds of the first may go unnoticed, though it never makes another."""

    reservation_id: str
    instances: list[Instance]

    @property
    def instance_ids(self) -> list[str]:
        return [one.instance_id for one in self.instances]


class DescribeInstances(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """By id, by filter, or both. At most 1,000 pages are read."""

    instance_ids: list[str] = msgspec.field(default_factory=list)
    filters: list[Filter] = msgspec.field(default_factory=list)
    missing_ok: bool = False
    """Ids that EC2 doesn't know are left out, instead of NotFound."""


class DescribeInstancesResult(msgspec.Struct, frozen=True, kw_only=True):
    instances: list[Instance]


class InstanceIds(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """At least one."""

    instance_ids: list[str]


class StopInstances(InstanceIds, frozen=True, kw_only=True, omit_defaults=True):
    force: bool = False
    """Without flushing file systems: for one that hangs."""
    hibernate: bool = False


class TerminateInstances(InstanceIds, frozen=True, kw_only=True, omit_defaults=True):
    lift_protection: bool = False
    """Takes termination protection off first; without, it is a Conflict (OperationNotPermitted)."""


class InstanceStateChange(msgspec.Struct, frozen=True, kw_only=True):
    instance_id: str
    before: str
    now: str


class StateChangesResult(Mutation, frozen=True, kw_only=True):
    changes: list[InstanceStateChange]
    missing: list[str] = msgspec.field(default_factory=list)
    """Terminate only: not there (any more), which is what was wanted."""


class InstanceStatus(msgspec.Struct, frozen=True, kw_only=True):
    """The checks of one instance. 2/2: `system` and `instance` are both "ok"."""

    instance_id: str
    state: str
    system: str
    """ok, impaired, initializing, insufficient-data, not-applicable."""
    instance: str
    events: list[str] = msgspec.field(default_factory=list)
    """Scheduled by AWS, such as "instance-retirement"."""


class InstanceStatusesResult(msgspec.Struct, frozen=True, kw_only=True):
    """Instances that EC2 doesn't know are left out."""

    statuses: list[InstanceStatus]


class ModifyInstance(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """What is None stays as it is. Type, user data and EBS optimisation only change while it is stopped."""

    instance_id: str
    instance_type: str | None = None
    security_group_ids: list[str] | None = None
    termination_protection: bool | None = None
    stop_protection: bool | None = None
    source_dest_check: bool | None = None
    shutdown_terminates: bool | None = None
    ebs_optimized: bool | None = None
    user_data: str | None = None
