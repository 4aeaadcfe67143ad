"""Instances take their time: pending, running, stopping, stopped, shutting-down, terminated by the clock, and checks that first initialise."""

import re
from dataclasses import dataclass
from typing import Any

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.wire import Request
from connectors.aws.testing.world import STATES

_MAY = {  # in which states an operation is possible
    "StartInstances": {"stopped", "running", "pending"},
    "StopInstances": {"running", "stopping", "stopped"},
    "RebootInstances": {"running"},
    "TerminateInstances": set(STATES),
}
_STEPS = {  # what an operation leads through, and where it changes nothing
    "StartInstances": ("pending", "running"),
    "StopInstances": ("stopping", "stopped"),
    "TerminateInstances": ("shutting-down", "terminated"),
}
_LAUNCHED = re.compile(r"<instanceId>(i-[^<]+)</instanceId>")
_RUNNING = re.compile(r"<instanceState><code>16</code><name>running</name></instanceState>")
_CHANGE = re.compile(
    r"(<instanceId>(i-[^<]+)</instanceId>)<currentState>.*?</currentState><previousState>.*?</previousState>"
)
_CHECKS = re.compile(
    r"(<instanceId>(i-[^<]+)</instanceId><instanceState>.*?</instanceState>)(<instanceStatus>.*?</systemStatus>)", re.S
)


@dataclass
class _Doom:
    times: int
    code: str
    message: str


class Instances(Behaviour):
    VERBS = ("doom",)

    def reset(self) -> None:
        self._states: dict[str, str] = {}
        self._kept: dict[str, tuple[str, dict[int, Any]]] = {}
        self._dooms: list[_Doom] = []

    def doom(self, times: int = 1, code: str = "Server.InternalError", message: str = "Server.InternalError") -> None:
        """The next instances end terminated instead of running."""
        self._dooms.append(_Doom(times, code, message))

    def before(self, request: Request) -> Answer | None:
        if request.service != "ec2" or request.operation not in _MAY:
            return None
        found = [self.world.instance(request.region, one) for one in request.texts("InstanceId")]
        self._states = {one.id: one.state for one in found if one is not None}
        self._kept = {one.id: (one._reason, _addresses(one)) for one in found if one is not None}
        for instance_id, state in self._states.items():
            if state not in _MAY[request.operation]:
                verb = request.operation.removesuffix("Instances").lower()
                text = f"The instance '{instance_id}' is not in a state from which it can be {_PAST[verb]}."
                return error(request, "IncorrectInstanceState", text)
        return None

    def after(self, request: Request, answer: Answer) -> Answer:
        if request.service != "ec2" or not answer.ok:
            return answer
        if request.operation == "RunInstances":
            for instance_id in _LAUNCHED.findall(answer.text):
                self._launch(self.world.instance(request.region, instance_id))
            return answer.with_text(_RUNNING.sub(_element("instanceState", "pending"), answer.text))
        if request.operation in _STEPS:
            return answer.with_text(_CHANGE.sub(lambda found: self._changed(request, found), answer.text))
        if request.operation == "DescribeInstanceStatus":
            return answer.with_text(_CHECKS.sub(self._checked, answer.text))
        return answer

    def _launch(self, instance: Any) -> None:
        doom = next((one for one in self._dooms if one.times > 0), None)
        if doom is None:
            self._step(instance, "pending", "running", self.world.settings.pending)
            return
        doom.times -= 1
        self.world.set_state(instance, "pending")

        def end() -> None:
            instance.terminate()
            instance.state_reason.code, instance.state_reason.message = doom.code, doom.message

        self.world.later(self.world.settings.pending, end)

    def _changed(self, request: Request, found: re.Match[str]) -> str:
        """moto has done it at once; here it begins."""
        instance: Any = self.world.instance(request.region, found.group(2))
        previous, steps = self._states.get(found.group(2), "running"), _STEPS[request.operation]
        if previous in steps:
            self.world.set_state(instance, previous)
            instance._reason, addresses = self._kept[
                instance.id
            ]  # moto does it again, at another time, with a new address
            for index, public_ip in addresses.items():
                instance.nics[index].public_ip = public_ip
        else:
            self._step(instance, *steps, self._takes(steps[0]))
        current = str(instance.state)
        return found.group(1) + _element("currentState", current) + _element("previousState", previous)

    def _step(self, instance: Any, now: str, then: str, seconds: float) -> None:
        self.world.set_state(instance, now)
        self.world.running_since.pop(instance.id, None)
        began = self.world.now()

        def go_on() -> None:
            if instance.state == now:  # nothing else happened to it in between
                self.world.set_state(instance, then)
                if then == "running":
                    self.world.running_since[instance.id] = began + seconds

        self.world.later(seconds, go_on)

    def _takes(self, state: str) -> float:
        settings = self.world.settings
        return {"pending": settings.pending, "stopping": settings.stopping}.get(state, settings.shutting_down)

    def _checked(self, found: re.Match[str]) -> str:
        since = self.world.running_since.get(found.group(2))
        if since is None or self.world.now() - since >= self.world.settings.checks:
            return found.group(0)
        return found.group(1) + found.group(3).replace(">ok<", ">initializing<").replace(">passed<", ">initializing<")


def _addresses(instance: Any) -> dict[int, Any]:
    return {index: interface.public_ip for index, interface in instance.nics.items()}


_PAST = {"start": "started", "stop": "stopped", "reboot": "rebooted", "terminate": "terminated"}


def _element(name: str, state: str) -> str:
    return f"<{name}><code>{STATES[state]}</code><name>{state}</name></{name}>"
