"""What a RunInstances asks for."""

from typing import TYPE_CHECKING

from connectors.aws.testing.wire import Request

if TYPE_CHECKING:
    from connectors.aws.testing.world import World


def zone_asked(request: Request, world: "World") -> str:
    """The zone that the request names, itself or by a subnet; "" when EC2 may choose."""
    placement = request.parameters.get("Placement")
    if isinstance(placement, dict) and placement.get("AvailabilityZone"):
        return str(placement["AvailabilityZone"])
    subnet = request.text("SubnetId")
    interfaces = request.parameters.get("NetworkInterface")
    if not subnet and isinstance(interfaces, list) and interfaces:
        subnet = str(interfaces[0].get("SubnetId") or "")
    return world.zone_of(request.region, subnet) if subnet else ""


def profile_asked(request: Request) -> str:
    """The instance profile's name, "" for none."""
    profile = request.parameters.get("IamInstanceProfile")
    if not isinstance(profile, dict):
        return ""
    return str(profile.get("Name") or str(profile.get("Arn", "")).rpartition("/")[2])
