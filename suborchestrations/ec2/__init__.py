"""Servers on EC2. Loads no boto3."""

from suborchestrations.ec2.models import DnsRecord, Ec2Spec, Server, ServerSpec
from suborchestrations.ec2.power import PowerSpec, ResizeSpec, ServerState, resize_ec2, start_ec2, stop_ec2
from suborchestrations.ec2.provision import provision_ec2
from suborchestrations.ec2.terminate import Terminated, TerminateSpec, terminate_ec2

ORCHESTRATIONS = (provision_ec2, terminate_ec2, start_ec2, stop_ec2, resize_ec2)

__all__ = [
    "ORCHESTRATIONS",
    "DnsRecord",
    "Ec2Spec",
    "PowerSpec",
    "ResizeSpec",
    "Server",
    "ServerSpec",
    "ServerState",
    "TerminateSpec",
    "Terminated",
    "provision_ec2",
    "resize_ec2",
    "start_ec2",
    "stop_ec2",
    "terminate_ec2",
]
