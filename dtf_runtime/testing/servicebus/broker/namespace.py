"""The queues of a namespace, by name. Names are told apart without regard to case, as Service Bus does."""

import re
from collections.abc import Iterator

from dtf_runtime.testing.servicebus.broker import refusals
from dtf_runtime.testing.servicebus.broker.options import QueueOptions
from dtf_runtime.testing.servicebus.broker.queue import DEAD_LETTER_SUFFIX, Queue
from dtf_runtime.testing.servicebus.broker.session_queue import SessionQueue
from dtf_runtime.testing.servicebus.clock import EmulatorClock

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._/~-]{0,258}[A-Za-z0-9_])?")


class Namespace:
    def __init__(self, clock: EmulatorClock) -> None:
        self._clock = clock
        self._queues: dict[str, Queue] = {}

    def create(self, name: str, options: QueueOptions) -> Queue:
        if _NAME.fullmatch(name) is None:
            raise refusals.bad_request(f"'{name}' is not a valid entity name.")
        if name.lower() in self._queues:
            raise refusals.entity_exists(name)
        kind = SessionQueue if options.requires_session else Queue
        queue = self._queues[name.lower()] = kind(name, options, self._clock)
        return queue

    def find(self, address: str) -> Queue:
        """A queue, or the dead-letter queue of one."""
        name, _, last = address.strip("/").rpartition("/")
        if name and last.lower() == DEAD_LETTER_SUFFIX.lower():
            dead_letters = self.find(name).dead_letters
            if dead_letters is None:
                raise refusals.entity_not_found(address)
            return dead_letters
        queue = self._queues.get(address.strip("/").lower())
        if queue is None:
            raise refusals.entity_not_found(address)
        return queue

    def delete(self, name: str) -> None:
        queue = self.find(name)
        if queue.dead_letters is None:
            raise refusals.not_allowed(f"'{name}' can't be deleted by itself.")
        del self._queues[queue.name.lower()]
        queue.close()

    def __iter__(self) -> Iterator[Queue]:
        """By name."""
        return iter([self._queues[name] for name in sorted(self._queues)])
