"""One request from beginning to end: seen, refused or executed, told."""

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext

from connectors.aws.testing.answers import Answer, error
from connectors.aws.testing.behaviours import Behaviour
from connectors.aws.testing.calls import Call
from connectors.aws.testing.faults import Cut, Faults
from connectors.aws.testing.state import state
from connectors.aws.testing.wire import Request
from connectors.aws.testing.world import World

_logger = logging.getLogger("connectors.aws.testing")
_LONG = frozenset({"sqs:ReceiveMessage"})  # waits in moto, so it must not keep others out


class Engine:
    """Behaviours are asked in their order before moto is, and in the opposite order about its answer. `plain`: they are not asked."""

    def __init__(self, world: World, behaviours: Sequence[Behaviour], *, plain: bool = False) -> None:
        self.world = world
        self.behaviours = behaviours
        self._asked = () if plain else behaviours
        self.faults = Faults()
        self.calls: list[Call] = []
        self._marked: frozenset[str] = frozenset()
        self._lock = threading.RLock()

    def reset(self) -> None:
        self.faults.clear()
        with self._lock:
            self.world.reset()
            for behaviour in self.behaviours:
                behaviour.reset()
            self.calls = []

    def mark(self) -> None:
        """From here on, `changes` are counted."""
        with self._lock:
            self._marked = state(tuple(self.behaviours))

    def changes(self) -> dict[str, list[str]]:
        """What the account has and had not when it was marked, and the other way round; a line for each value."""
        with self._lock:
            now = state(tuple(self.behaviours))
        return {"added": sorted(now - self._marked), "removed": sorted(self._marked - now)}

    def handle(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        """The answer for the client. Raises Cut when it shall get none."""
        call = self._seen(request)
        try:
            instead = self.faults.pass_through(request, "before")
            answer = instead or self._answer(request, call, execute)
            if instead is None:
                answer = self.faults.pass_through(request, "after", answer) or answer
        except Cut as cut:
            call.status = cut.answer.status if cut.answer else 0
            raise
        call.status = answer.status
        return answer

    def _answer(self, request: Request, call: Call, execute: Callable[[], Answer]) -> Answer:
        with self._lock if request.name not in _LONG else nullcontext():
            self.world.settle()
            asked: list[Behaviour] = []
            answer: Answer | None = None
            for behaviour in self._asked:
                answer = behaviour.before(request)
                if answer is not None:
                    break
                asked.append(behaviour)
            if answer is None:
                answer = self._executed(request, execute)
                call.executed = answer.ok
            for behaviour in reversed(asked):
                answer = behaviour.after(request, answer)
            call.status = answer.status
            return answer

    def _executed(self, request: Request, execute: Callable[[], Answer]) -> Answer:
        try:
            return execute()
        except Exception as unable:  # moto answers what it hasn't got with an exception
            text = f"moto can't do this {request.name}: {unable!r}"
            _logger.warning("%s", text, exc_info=not isinstance(unable, NotImplementedError))
            return error(request, "InternalFailure", text, status=500)

    def _seen(self, request: Request) -> Call:
        call = Call(
            service=request.service,
            operation=request.operation,
            region=request.region,
            parameters=request.parameters,
            actions=list(request.actions),
            access_key=request.access_key,
        )
        with self._lock:
            self.world.clock.tick()
            self.calls.append(call)
        return call
