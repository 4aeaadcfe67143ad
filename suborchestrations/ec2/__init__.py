"""Servers on EC2. Loads no boto3."""

from suborchestrations.ec2.models import DnsRecord, Ec2Spec, Server, ServerSpec
from suborchestrations.ec2.provision import provision_ec2

__all__ = ["DnsRecord", "Ec2Spec", "Server", "ServerSpec", "provision_ec2"]
