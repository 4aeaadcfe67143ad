"""A queue without sessions: peek-lock, settlement, scheduling, expiry, duplicate detection, dead letters.

Synchronous, on a clock, told everything by its methods. What differs with sessions is in `session_queue`: where messages
wait, who gets them, and how long a lock lasts.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import count
from uuid import UUID, uuid4

from dtf_runtime.testing.servicebus.amqp.message import Content
from dtf_runtime.testing.servicebus.broker import refusals
from dtf_runtime.testing.servicebus.broker.duplicates import DuplicateHistory
from dtf_runtime.testing.servicebus.broker.line import Line
from dtf_runtime.testing.servicebus.broker.message import Lock, Message, State
from dtf_runtime.testing.servicebus.broker.options import QueueOptions
from dtf_runtime.testing.servicebus.broker.receiver import Receiver
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.clock import EmulatorClock

DEAD_LETTER_SUFFIX = "$DeadLetterQueue"
_LONGEST_ID = 128  # characters


class Queue:
    """Also a dead-letter queue, which is one that has no dead letters of its own."""

    def __init__(self, name: str, options: QueueOptions, clock: EmulatorClock, *, is_dead_letter: bool = False) -> None:
        self.name = name
        self.options = options
        self.messages: dict[int, Message] = {}  # by sequence number
        self.size = 0  # bytes
        self.created_at = self.updated_at = self.accessed_at = clock.now()
        self._clock = clock
        self._locks: dict[UUID, Lock] = {}
        self._numbers = count(1)
        self._history = DuplicateHistory(options.duplicate_detection_history_time_window)
        self._line = Line()
        self._receivers: deque[Receiver] = deque()
        self.dead_letters = None if is_dead_letter else self._make_dead_letters()

    def _make_dead_letters(self) -> "Queue":
        options = QueueOptions(lock_duration=self.options.lock_duration, max_delivery_count=2**31 - 1)
        return Queue(f"{self.name}/{DEAD_LETTER_SUFFIX}", options, self._clock, is_dead_letter=True)

    def change(self, options: QueueOptions) -> None:
        self.options = options
        self._history.window = options.duplicate_detection_history_time_window
        self.updated_at = self._clock.now()

    # == Sending ==================================================================================================

    def send(self, contents: Sequence[Content], *, detect_duplicates: bool = True) -> list[int]:
        """All of them or none. Gives their sequence numbers; 0 for a duplicate, which is dropped."""
        self.check_can_send()
        if self.size >= self.options.max_size_in_megabytes * 1024 * 1024:
            raise refusals.queue_full(self.name)
        for content in contents:
            self._check(content)
        return [self._accept(content, detect_duplicates) for content in contents]

    def check_can_send(self) -> None:
        if self.options.status in ("Disabled", "SendDisabled"):
            raise refusals.entity_disabled(self.name)
        if self.dead_letters is None:
            raise refusals.not_allowed(f"Messages cannot be sent to '{self.name}', which is a dead-letter queue.")

    def check_can_receive(self) -> None:
        if self.options.status in ("Disabled", "ReceiveDisabled"):
            raise refusals.entity_disabled(self.name)

    def _check(self, content: Content) -> None:
        for what, value in (("MessageId", content.message_id), ("SessionId", content.session_id)):
            if isinstance(value, str) and len(value) > _LONGEST_ID:
                raise refusals.bad_argument(f"{what} has {len(value)} characters; at most {_LONGEST_ID} are allowed.")

    def _accept(self, content: Content, detect_duplicates: bool) -> int:
        now = self._clock.now()
        self.accessed_at = now
        watched = self.options.requires_duplicate_detection and content.message_id is not None
        if watched and detect_duplicates and self._history.is_duplicate(content.message_id, now):
            return 0
        message = Message(content, next(self._numbers), now)
        self._add(message)
        if content.scheduled_for is not None and content.scheduled_for > now:
            message.state = State.SCHEDULED
            message.alarms.append(self._clock.at(content.scheduled_for, lambda: self._activate(message)))
        else:
            self._start_life(message)
        return message.sequence_number

    def _activate(self, message: Message) -> None:
        self._remove(message)
        message.enqueued_sequence_number = message.sequence_number
        message.sequence_number = next(self._numbers)
        message.enqueued_at = self._clock.now()
        message.state = State.ACTIVE
        self._add(message)
        self._start_life(message)

    def _start_life(self, message: Message) -> None:
        lifetimes = (message.content.time_to_live, self.options.default_message_time_to_live)
        lifetime = min((each for each in lifetimes if each is not None), default=None)
        if lifetime is not None and self.dead_letters is not None:
            message.expires_at = message.enqueued_at + lifetime
            message.alarms.append(self._clock.at(message.expires_at, lambda: self._expire_if_free(message)))
        self._line_of(message).add(message)
        self._dispatch(message)

    def _expire_if_free(self, message: Message) -> bool:
        if message.is_gone or not message.is_expired(self._clock.now()):
            return False
        if self.options.dead_lettering_on_message_expiration:
            self._bury(message, "TTLExpiredException", "The message expired and was dead lettered.")
        else:
            self._remove(message)
        return True

    def _add(self, message: Message) -> None:
        message.is_gone = False
        self.size += message.content.size
        self.messages[message.sequence_number] = message

    def _remove(self, message: Message) -> None:
        message.is_gone = True
        self.size -= message.content.size
        message.cancel_alarms()
        del self.messages[message.sequence_number]

    def cancel_scheduled(self, numbers: Iterable[int]) -> None:
        for message in self._found(numbers, State.SCHEDULED):
            self._remove(message)

    # == Receiving ================================================================================================

    def attach(self, receiver: Receiver) -> None:
        self.check_can_receive()
        self._receivers.append(receiver)

    def detach(self, receiver: Receiver) -> None:
        """What it has locked stays locked until that runs out."""
        if receiver in self._receivers:
            self._receivers.remove(receiver)

    def flowed(self, receiver: Receiver) -> None:
        """The receiver has more credit."""
        self._dispatch(None)

    def close(self) -> None:
        """The queue is deleted."""
        for receiver in list(self._receivers):
            self.detach(receiver)
            receiver.lose(refusals.entity_not_found(self.name))
        for lock in list(self._locks.values()):
            self._drop(lock)
        for message in list(self.messages.values()):
            self._remove(message)
        if self.dead_letters is not None:
            self.dead_letters.close()

    def _line_of(self, message: Message) -> Line:
        return self._line

    def _dispatch(self, hint: Message | None) -> None:
        """Hands out what can be handed out, in turns, after this message has come (or back), or credit has."""
        while self._line.first() is not None:
            receiver = self._next_with_credit()
            if receiver is None:
                return
            self._hand_over(self._line, receiver)

    def _next_with_credit(self) -> Receiver | None:
        for _ in range(len(self._receivers)):
            receiver = self._receivers[0]
            self._receivers.rotate(-1)
            if receiver.credit > 0:
                return receiver
        return None

    def _hand_over(self, line: Line, receiver: Receiver) -> None:
        message = line.take()
        if message is None or self._expire_if_free(message):
            return
        self.accessed_at = self._clock.now()
        if receiver.is_destructive:
            self._remove(message)
            receiver.deliver(message, uuid4())
        else:
            receiver.deliver(message, self._lock(message, receiver).token)

    def peek(self, start: int, most: int, session_id: str | None = None) -> list[Message]:
        """Messages of any state from that sequence number on, locked or not."""
        now = self._clock.now()
        found: list[Message] = []
        for number in sorted(number for number in self.messages if number >= start):
            message = self.messages[number]
            if len(found) == most:
                break
            if session_id in (None, message.content.session_id) and not message.is_expired(now):
                found.append(message)
        return found

    def receive_deferred(
        self,
        numbers: Iterable[int],
        receiver: Receiver | None,
        *,
        is_destructive: bool = False,
        session_id: str | None = None,
    ) -> list[tuple[Message, UUID]]:
        """Locks deferred messages (of that session), or takes them out. All of them or none."""
        messages = self._found(numbers, State.DEFERRED)
        if any(session_id not in (None, message.content.session_id) for message in messages):
            raise refusals.message_not_found()
        if is_destructive:
            for message in messages:
                self._remove(message)
            return [(message, uuid4()) for message in messages]
        return [(message, self._lock(message, receiver).token) for message in messages]

    def _found(self, numbers: Iterable[int], state: State) -> list[Message]:
        messages = [self.messages.get(number) for number in numbers]
        found = [m for m in messages if m is not None and m.state is state and m.lock is None]
        if len(found) < len(messages) or len({m.sequence_number for m in found}) < len(found):
            raise refusals.message_not_found()
        return found

    # == Locks ====================================================================================================

    def _lock(self, message: Message, receiver: Receiver | None) -> Lock:
        lock = Lock(uuid4(), message, receiver, self._lock_end(message))
        self._locks[lock.token] = message.lock = lock
        self._watch(lock)
        return lock

    def _lock_end(self, message: Message) -> float:
        return self._clock.now() + self.options.lock_duration

    def _watch(self, lock: Lock) -> None:
        lock.alarm = self._clock.at(lock.until, lambda: self._run_out(lock))

    def _run_out(self, lock: Lock) -> None:
        self._drop(lock)
        self._came_back(lock.message)

    def _drop(self, lock: Lock) -> None:
        if lock.alarm is not None:
            lock.alarm.cancel()
        self._locks.pop(lock.token, None)
        lock.message.lock = None

    def _came_back(self, message: Message, *, counts: bool = True) -> None:
        """A delivery came to nothing: the message is free again, dead, or expired meanwhile."""
        message.delivery_count += counts
        if self._expire_if_free(message) or message.state is State.DEFERRED:
            return
        most = self.options.max_delivery_count
        if counts and message.delivery_count >= most:
            reason = f"Message could not be consumed after {most} delivery attempts."
            self._bury(message, "MaxDeliveryCountExceeded", reason)
            return
        self._line_of(message).add(message)
        self._dispatch(message)

    def _held(self, token: UUID) -> Lock:
        lock = self._locks.get(token)
        if lock is None or lock.until <= self._clock.now():
            raise self._lock_lost()
        return lock

    def _lock_lost(self) -> Refused:
        return refusals.message_lock_lost()

    def renew(self, tokens: Iterable[UUID]) -> list[float]:
        """All of them or none. Gives the instants until which they are locked now."""
        locks = [self._held(token) for token in tokens]
        for lock in locks:
            if lock.alarm is not None:
                lock.alarm.cancel()
            lock.until = self._lock_end(lock.message)
            self._watch(lock)
        return [lock.until for lock in locks]

    def expire_locks(self, tokens: Iterable[UUID] | None = None) -> int:
        """A fault: these locks (all, unless told) run out now. Gives how many did."""
        meant = self._locks.keys() if tokens is None else set(tokens)
        lost = [lock for token, lock in self._locks.items() if token in meant]
        for lock in lost:
            self._run_out(lock)
        return len(lost)

    # == Settling =================================================================================================

    def complete(self, token: UUID) -> None:
        lock = self._held(token)
        self._drop(lock)
        self._remove(lock.message)

    def abandon(self, token: UUID) -> None:
        lock = self._held(token)
        self._drop(lock)
        self._came_back(lock.message)

    def release(self, token: UUID) -> None:
        """Back as if it had never been delivered."""
        lock = self._held(token)
        self._drop(lock)
        self._came_back(lock.message, counts=False)

    def defer(self, token: UUID) -> None:
        lock = self._held(token)
        self._drop(lock)
        lock.message.delivery_count += 1
        lock.message.state = State.DEFERRED
        self._expire_if_free(lock.message)

    def dead_letter(self, token: UUID, reason: str | None, description: str | None) -> None:
        lock = self._held(token)
        if self.dead_letters is None:
            raise refusals.not_allowed(f"Messages of '{self.name}' are dead letters already.")
        self._drop(lock)
        lock.message.delivery_count += 1
        self._bury(lock.message, reason, description)

    def _bury(self, message: Message, reason: str | None, description: str | None) -> None:
        self._remove(message)
        if self.dead_letters is not None:
            said = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
            content = message.content.with_properties({name: text for name, text in said.items() if text})
            self.dead_letters.take_dead(content, self.name, message.delivery_count)

    def take_dead(self, content: Content, source: str, delivery_count: int) -> None:
        """Puts a message into this dead-letter queue."""
        message = Message(content, next(self._numbers), self._clock.now(), dead_letter_source=source)
        message.delivery_count = delivery_count
        self._add(message)
        self._start_life(message)

    # == Looking ==================================================================================================

    def count(self, *states: State) -> int:
        return sum(message.state in states for message in self.messages.values())
