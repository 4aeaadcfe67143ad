"""What can be made to go wrong, and when.

A rule names a fault and the operations that it befalls; the first rule that fits is used up first. What is injected is
what a real service or network does: nothing here breaks a promise that Service Bus makes, `DUPLICATE` excepted, which
stands for an acknowledgement that was lost before the window began.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from dtf_runtime.errors import Duration, InvalidArgumentError, seconds


class Operation(StrEnum):
    """What clients do, one each: also what `ServiceBusEmulator.operations` counts."""

    ATTACH = "attach"  # a link to a queue, a session accepted with it
    SEND = "send"  # one transfer: a message or a batch
    DELIVER = "deliver"  # a message to a receiver
    COMPLETE = "complete"
    ABANDON = "abandon"
    DEFER = "defer"
    DEAD_LETTER = "dead_letter"
    RELEASE = "release"  # a message comes back as if it had not been delivered
    RENEW_LOCK = "renew_lock"
    RENEW_SESSION = "renew_session"
    GET_STATE = "get_state"
    SET_STATE = "set_state"
    PEEK = "peek"
    SCHEDULE = "schedule"
    CANCEL_SCHEDULED = "cancel_scheduled"
    RECEIVE_DEFERRED = "receive_deferred"
    LIST_SESSIONS = "list_sessions"
    ADMINISTER = "administer"  # a request of the administration client


class Fault(StrEnum):
    DROP_CONNECTION = "drop_connection"  # before anything is done
    LOSE_ACKNOWLEDGEMENT = "lose_acknowledgement"  # done, and the connection drops before the answer
    EXPIRE_LOCK = "expire_lock"  # the message's or session's lock runs out just before; of a delivery, just after
    DELAY = "delay"  # done later, on the emulator's clock, whatever becomes of the connection meanwhile
    THROTTLE = "throttle"  # refused: the server is busy
    DUPLICATE = "duplicate"  # a message is stored twice, duplicate detection or not


SETTLEMENTS = frozenset(
    {Operation.COMPLETE, Operation.ABANDON, Operation.DEFER, Operation.DEAD_LETTER, Operation.RELEASE}
)
_ALL = frozenset(Operation)
_LOCKING = SETTLEMENTS | {
    Operation.DELIVER,
    Operation.RENEW_LOCK,
    Operation.RENEW_SESSION,
    Operation.GET_STATE,
    Operation.SET_STATE,
}
_BEFALLS = {
    Fault.DROP_CONNECTION: _ALL,
    Fault.LOSE_ACKNOWLEDGEMENT: _ALL - {Operation.DELIVER, Operation.ATTACH},
    Fault.EXPIRE_LOCK: _LOCKING,
    Fault.DELAY: _ALL,
    Fault.THROTTLE: _ALL - {Operation.DELIVER},
    Fault.DUPLICATE: frozenset({Operation.SEND}),
}


@dataclass(eq=False, slots=True)
class Rule:
    """`times_left` None: for ever. `delay` in seconds."""

    fault: Fault
    operations: frozenset[Operation]
    queue: str | None
    to_skip: int
    times_left: int | None
    delay: float
    when: Callable[[], bool] | None

    def fits(self, operation: Operation, queue: str) -> bool:
        is_meant = operation in self.operations and self.queue in (None, queue.lower()) and self.times_left != 0
        return is_meant and (self.when is None or self.when())


E = TypeVar("E", bound=StrEnum)


def _named(kind: type[E], name: str) -> E:
    try:
        return kind(name)
    except ValueError as error:
        raise InvalidArgumentError(f"{name!r} is none of {', '.join(sorted(kind))}") from error


class Faults:
    """The rules in force. `injected` counts what really happened, by fault and operation."""

    def __init__(self) -> None:
        self.injected: Counter[tuple[Fault, Operation]] = Counter()
        self._rules: list[Rule] = []

    def add(
        self,
        fault: Fault | str,
        *operations: Operation | str,
        queue: str | None = None,
        times: int | None = 1,
        skip: int = 0,
        delay: Duration = 0,
        when: Callable[[], bool] | None = None,
    ) -> None:
        """From now on `fault` befalls these operations (on that queue, if one is named): `times` of them (None: all),
        after the first `skip`, each only if `when()` says so (a seeded random, say). InvalidArgumentError for an
        operation that it can't befall.
        """
        fault, befallen = _named(Fault, fault), frozenset(_named(Operation, each) for each in operations)
        impossible = sorted(befallen - _BEFALLS[fault])
        if impossible or not befallen:
            possible = ", ".join(sorted(_BEFALLS[fault]))
            raise InvalidArgumentError(
                f"{fault} can't befall {', '.join(impossible) or 'nothing'}; it befalls: {possible}"
            )
        name = queue.lower() if queue is not None else None
        wait = seconds(delay, "the delay of a fault")
        self._rules.append(Rule(fault, befallen, name, skip, times, wait, when))

    def clear(self) -> None:
        """No rule is in force any more."""
        self._rules.clear()

    def take(self, operation: Operation, queue: str) -> Rule | None:
        """The rule that befalls this operation, if one does."""
        for rule in self._rules:
            if not rule.fits(operation, queue):
                continue
            if rule.to_skip:
                rule.to_skip -= 1
                continue
            if rule.times_left is not None:
                rule.times_left -= 1
            self.injected[rule.fault, operation] += 1
            return rule
        return None
