"""Volumes, snapshots and images take their time as well: creating, pending, then available or completed, by the clock."""

import re
from typing import Any

from connectors.aws.testing.answers import Answer
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.wire import Request

_ID = re.compile(r"<(volumeId|snapshotId|imageId)>([^<]+)<")
_OPERATIONS = {
    "CreateVolume": "volumeId",
    "CreateSnapshot": "snapshotId",
    "CopySnapshot": "snapshotId",
    "CreateImage": "imageId",
    "CopyImage": "imageId",
}
_STATES = {
    "volumeId": ("status", "creating", "available"),
    "snapshotId": ("status", "pending", "completed"),
    "imageId": ("state", "pending", "available"),
}
_STATUS = re.compile(r"<status>(available|completed)</status>")


class Copies(Behaviour):
    def after(self, request: Request, answer: Answer) -> Answer:
        kind = _OPERATIONS.get(request.operation) if request.service == "ec2" and answer.ok else None
        if kind is None or self.world.settings.copying <= 0:
            return answer
        attribute, first, last = _STATES[kind]
        backend = self.world.ec2(request.region)
        known = {"volumeId": backend.volumes, "snapshotId": backend.snapshots, "imageId": backend.amis}[kind]
        for name, text in _ID.findall(answer.text):
            if name == kind and text in known:
                self._begin(known[text], attribute, first, last)
        return answer.with_text(_STATUS.sub(f"<status>{first}</status>", answer.text))

    def _begin(self, resource: Any, attribute: str, first: str, last: str) -> None:
        if attribute in vars(resource):
            setattr(resource, attribute, first)
        else:  # a volume works its status out
            kind = type(resource)
            resource.__class__ = type(kind.__name__, (kind,), {attribute: first})

        def end() -> None:
            if attribute not in vars(resource):
                resource.__class__ = type(resource).__mro__[1]
            elif getattr(resource, attribute) == first:
                setattr(resource, attribute, last)

        self.world.later(self.world.settings.copying, end)
