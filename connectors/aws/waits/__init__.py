"""Waits, each an orchestration of its own: `await wait_for_instances(WaitForInstances(instance_ids=ids))`. Loads no boto3."""

from connectors.aws.waits._polling import DeadlinePassed, Wait, WaitFailed
from connectors.aws.waits.ec2 import (
    WaitForChecks,
    WaitForImage,
    WaitForInstances,
    WaitForSnapshot,
    WaitForVolume,
    wait_for_image,
    wait_for_instance_checks,
    wait_for_instances,
    wait_for_snapshot,
    wait_for_volume,
)
from connectors.aws.waits.route53 import WaitForChange, wait_for_change
from connectors.aws.waits.ssm import CommandResults, WaitForAgents, WaitForCommand, wait_for_agents, wait_for_command

__all__ = [
    "ORCHESTRATIONS",
    "CommandResults",
    "DeadlinePassed",
    "Wait",
    "WaitFailed",
    "WaitForAgents",
    "WaitForChange",
    "WaitForChecks",
    "WaitForCommand",
    "WaitForImage",
    "WaitForInstances",
    "WaitForSnapshot",
    "WaitForVolume",
    "wait_for_agents",
    "wait_for_change",
    "wait_for_command",
    "wait_for_image",
    "wait_for_instance_checks",
    "wait_for_instances",
    "wait_for_snapshot",
    "wait_for_volume",
]

ORCHESTRATIONS = (
    wait_for_agents,
    wait_for_change,
    wait_for_command,
    wait_for_image,
    wait_for_instance_checks,
    wait_for_instances,
    wait_for_snapshot,
    wait_for_volume,
)
