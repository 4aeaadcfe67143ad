"""What is in use is not deleted: groups, subnets, addresses."""

from collections.abc import Callable, Iterator
from typing import Any

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.wire import Request


class Dependencies(Behaviour):
    def before(self, request: Request) -> Answer | None:
        checks: dict[str, Callable[[Request], Answer | None]] = {
            "DeleteSecurityGroup": self._group,
            "DeleteSubnet": self._subnet,
            "ReleaseAddress": self._address,
        }
        check = checks.get(request.operation) if request.service == "ec2" else None
        return check(request) if check else None

    def _group(self, request: Request) -> Answer | None:
        backend = self.world.ec2(request.region)
        wanted = request.text("GroupId")
        group = backend.get_security_group_from_id(wanted) if wanted else None
        group = group or backend.get_security_group_from_name(request.text("GroupName"))
        if group is None:
            return None
        if group.name == "default":
            text = f'the specified group: "{group.id}" name: "default" cannot be deleted by a user'
            return error(request, "CannotDelete", text)
        used = any(group.id in {one.id for one in groups} for groups in self._groups_of_interfaces(request))
        if used or self._is_named_by_another(backend, group):
            return error(request, "DependencyViolation", f"resource {group.id} has a dependent object")
        return None

    def _groups_of_interfaces(self, request: Request) -> Iterator[list[Any]]:
        """Also of an instance that is shutting down: it holds them until it is gone."""
        for instance in self.world.instances(request.region):
            if instance.state != "terminated":
                yield list(instance.security_groups)
                yield from (list(interface.group_set) for interface in instance.nics.values())
        for interface in self.world.ec2(request.region).enis.values():
            if interface.instance is None or interface.instance.state != "terminated":
                yield list(interface.group_set)

    def _is_named_by_another(self, backend: Any, group: Any) -> bool:
        for groups in backend.groups.values():
            for other in groups.values():
                rules = [*other.ingress_rules, *other.egress_rules] if other.id != group.id else []
                for rule in rules:
                    sources = [*(getattr(rule, "source_groups", None) or []), getattr(rule, "source_group", None) or {}]
                    if any(source.get("GroupId") == group.id for source in sources):
                        return True
        return False

    def _subnet(self, request: Request) -> Answer | None:
        wanted = request.text("SubnetId")
        for instance in self.world.instances(request.region):
            if instance.subnet_id == wanted and instance.state != "terminated":
                text = f"The subnet '{wanted}' has dependencies and cannot be deleted."
                return error(request, "DependencyViolation", text)
        return None

    def _address(self, request: Request) -> Answer | None:
        for address in self.world.ec2(request.region).addresses:
            if request.text("AllocationId") != address.allocation_id and request.text("PublicIp") != address.public_ip:
                continue
            instance = address.instance or (address.eni.instance if address.eni else None)
            if instance is not None and instance.state != "terminated":
                return error(request, "InvalidIPAddress.InUse", f"Address {address.public_ip} is in use.")
        return None
