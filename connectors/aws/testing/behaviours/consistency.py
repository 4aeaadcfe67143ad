"""EC2's reads are eventually consistent: what was just made is not there yet, neither by its id nor in a list. Off until `set(consistency=...)`."""

import re
from typing import Any
from xml.etree import ElementTree

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.wire import Request

_MAKES = {  # what an operation makes: how its ids begin
    "RunInstances": ("i", "vol", "eni"),
    "CreateSecurityGroup": ("sg",),
    "CreateVolume": ("vol",),
    "CreateSnapshot": ("snap",),
    "CopySnapshot": ("snap",),
    "CreateImage": ("ami", "snap"),
    "CopyImage": ("ami",),
    "RegisterImage": ("ami",),
    "AllocateAddress": ("eipalloc",),
    "ImportKeyPair": ("key",),
    "CreateKeyPair": ("key",),
    "CreateSubnet": ("subnet",),
    "CreateVpc": ("vpc",),
    "CreateNetworkInterface": ("eni",),
}
_CODES = {
    "i": "InvalidInstanceID.NotFound",
    "sg": "InvalidGroup.NotFound",
    "vol": "InvalidVolume.NotFound",
    "snap": "InvalidSnapshot.NotFound",
    "ami": "InvalidAMIID.NotFound",
    "eipalloc": "InvalidAllocationID.NotFound",
    "key": "InvalidKeyPair.NotFound",
    "subnet": "InvalidSubnetID.NotFound",
    "vpc": "InvalidVpcID.NotFound",
    "eni": "InvalidNetworkInterfaceID.NotFound",
}
_ID = re.compile(r">(([a-z]+)-[0-9a-f]{8,17})<")
_KEY_NAME = re.compile(r"<keyName>([^<]+)</keyName>")


class Consistency(Behaviour):
    def reset(self) -> None:
        self._visible: dict[str, float] = {}

    def before(self, request: Request) -> Answer | None:
        if request.service != "ec2" or not self._visible:
            return None
        hidden = self._hidden()
        named = [text for name, value in request.parameters.items() if name != "Filter" for text in _texts(value)]
        for text in named:
            if text in hidden and not (request.operation in _MAKES and text == request.text("KeyName") != ""):
                return self._missing(request, text)
            if text in hidden and request.operation == "RunInstances":
                return self._missing(request, text)
        return None

    def after(self, request: Request, answer: Answer) -> Answer:
        if request.service != "ec2" or not answer.ok:
            return answer
        made = _MAKES.get(request.operation)
        if made and self.world.settings.consistency > 0:
            given = set(_texts(request.parameters))
            found = [text for text, kind in _ID.findall(answer.text) if kind in made and text not in given]
            found += _KEY_NAME.findall(answer.text) if "key" in made else []
            for text in found:
                self._visible[text] = self.world.now() + self.world.settings.consistency
        hidden = self._hidden() if request.operation.startswith("Describe") else frozenset()
        return _without(answer, hidden) if hidden else answer

    def _hidden(self) -> frozenset[str]:
        now = self.world.now()
        return frozenset(text for text, visible in self._visible.items() if visible > now)

    def _missing(self, request: Request, text: str) -> Answer:
        code = _CODES.get(text.partition("-")[0], "InvalidKeyPair.NotFound")
        return error(request, code, f"The ID '{text}' does not exist")


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts(one)]


def _without(answer: Answer, hidden: frozenset[str]) -> Answer:
    """The list without the items that are one of those."""
    root = ElementTree.fromstring(answer.body)
    if not _drop(root, hidden):
        return answer
    ElementTree.register_namespace("", root.tag.partition("}")[0].strip("{"))
    return answer.with_text(ElementTree.tostring(root, encoding="unicode"))


def _drop(node: ElementTree.Element, hidden: frozenset[str]) -> bool:
    dropped = False
    for child in list(node):
        is_item = child.tag.endswith("}item")
        if is_item and any((part.text or "") in hidden for part in child):
            node.remove(child)
            dropped = True
            continue
        if _drop(child, hidden):
            dropped = True
            emptied = is_item and any(part.tag.endswith("}instancesSet") and len(part) == 0 for part in child)
            if emptied:
                node.remove(child)
    return dropped
