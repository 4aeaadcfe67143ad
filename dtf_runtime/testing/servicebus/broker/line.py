"""Messages that wait for a receiver, the lowest sequence number first: one that comes back stands where it stood."""

import heapq

from dtf_runtime.testing.servicebus.broker.message import Message, State


class Line:
    """Messages leave by themselves when they are no longer active, or locked."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, Message]] = []

    def add(self, message: Message) -> None:
        heapq.heappush(self._heap, (message.sequence_number, message))

    def first(self) -> Message | None:
        """Without taking it."""
        while self._heap:
            number, message = self._heap[0]
            waits = message.state is State.ACTIVE and message.lock is None and not message.is_gone
            if waits and message.sequence_number == number:
                return message
            heapq.heappop(self._heap)
        return None

    def take(self) -> Message | None:
        message = self.first()
        if message is not None:
            heapq.heappop(self._heap)
        return message
