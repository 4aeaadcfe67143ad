"""What is asked for again and is so already stays as it is: an association keeps its id, an attached policy is not counted twice."""

import re
from typing import Any

from connectors.aws.testing.answers import Answer, query_answer
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.wire import Request

_ASSOCIATION = re.compile(r"(<associationId>)[^<]*(</associationId>)")


class Repeats(Behaviour):
    def reset(self) -> None:
        self._known: tuple[Any, str] | None = None

    def before(self, request: Request) -> Answer | None:
        self._known = None
        if request.name == "ec2:AssociateAddress":
            self._known = self._association(request)
        if request.name == "iam:AttachRolePolicy" and self._is_attached(request):
            return query_answer(request)
        return None

    def after(self, request: Request, answer: Answer) -> Answer:
        if self._known is None or not answer.ok:
            return answer
        address, known = self._known
        address.association_id = known
        return answer.with_text(_ASSOCIATION.sub(rf"\g<1>{known}\2", answer.text))

    def _association(self, request: Request) -> tuple[Any, str] | None:
        wanted = request.text("InstanceId")
        for address in self.world.ec2(request.region).addresses:
            named = address.allocation_id == request.text("AllocationId") or address.public_ip == request.text(
                "PublicIp"
            )
            if named and wanted and address.instance is not None and address.instance.id == wanted:
                return address, str(address.association_id)
        return None

    def _is_attached(self, request: Request) -> bool:
        role = next((one for one in self.world.roles() if one.name == request.text("RoleName")), None)
        return role is not None and request.text("PolicyArn") in role.managed_policies
