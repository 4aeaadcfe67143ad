"""A queue with sessions: messages wait by session, go to the one receiver that holds it, and are locked as long as it is.

A delivery counts when the session's lock ran out, not when its receiver let go of it (Service Bus documents that).
"""

from collections import deque
from collections.abc import Iterable
from uuid import UUID

from dtf_runtime.testing.servicebus.amqp.message import Content
from dtf_runtime.testing.servicebus.broker import refusals
from dtf_runtime.testing.servicebus.broker.line import Line
from dtf_runtime.testing.servicebus.broker.message import Lock, Message
from dtf_runtime.testing.servicebus.broker.options import LARGEST_MESSAGE, QueueOptions
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.receiver import Receiver
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.broker.sessions import Session
from dtf_runtime.testing.servicebus.clock import EmulatorClock


class SessionQueue(Queue):
    def __init__(self, name: str, options: QueueOptions, clock: EmulatorClock) -> None:
        super().__init__(name, options, clock)
        self._sessions: dict[str, Session] = {}
        self._free: dict[str, None] = {}  # ids of sessions that have messages and perhaps no receiver, in order
        self._waiting: deque[Receiver] = deque()  # for any session
        self._holdings: dict[Receiver, Session] = {}

    # == Whose a session is =======================================================================================

    def attach(self, receiver: Receiver) -> None:
        raise refusals.not_allowed(
            "It is not possible for an entity that requires sessions to create a non-sessionful message receiver."
        )

    def accept(self, receiver: Receiver, session_id: str) -> None:
        """That session, though it may be empty or new. Refused when somebody holds it."""
        self.check_can_receive()
        session = self._session(session_id)
        if session.receiver is not None:
            raise refusals.session_taken(session_id)
        self._grant(session, receiver)

    def accept_next(self, receiver: Receiver) -> None:
        """The next session that has messages and no receiver; waits for one until `detach`."""
        self.check_can_receive()
        self._waiting.append(receiver)
        self._assign()

    def _assign(self) -> None:
        while self._waiting and self._free:
            session = self._sessions.get(next(iter(self._free)))
            if session is None or session.receiver is not None or session.line.first() is None:
                self._free.pop(next(iter(self._free)))
            else:
                self._grant(session, self._waiting.popleft())

    def _grant(self, session: Session, receiver: Receiver) -> None:
        session.receiver = receiver
        self._holdings[receiver] = session
        self._free.pop(session.id, None)
        self._extend(session)
        receiver.accepted(session)

    def _extend(self, session: Session) -> None:
        session.stop_alarm()
        session.until = self._clock.now() + self.options.lock_duration
        session.alarm = self._clock.at(session.until, lambda: self._lose(session))
        for lock in session.locks.values():
            lock.until = session.until

    def _lose(self, session: Session) -> None:
        receiver = session.receiver
        self._let_go(session, counts=True)
        if receiver is not None:
            receiver.lose(refusals.session_lock_lost())

    def detach(self, receiver: Receiver) -> None:
        if receiver in self._waiting:
            self._waiting.remove(receiver)
        session = self._holdings.get(receiver)
        if session is not None:
            self._let_go(session, counts=False)

    def _let_go(self, session: Session, *, counts: bool) -> None:
        if session.receiver is not None:
            self._holdings.pop(session.receiver)
            session.receiver = None
        session.stop_alarm()
        locks = list(session.locks.values())
        for lock in locks:
            self._drop(lock)
        for lock in locks:
            self._came_back(lock.message, counts=counts)
        if session.line.first() is not None:
            self._free.setdefault(session.id)
        self._forget_if_empty(session)
        self._assign()

    def held(self, session_id: str, receiver: Receiver | None) -> Session:
        """The session, if that receiver holds it."""
        session = self._sessions.get(session_id)
        if session is None or session.receiver is None or session.receiver is not receiver:
            raise refusals.session_lock_lost()
        if session.until <= self._clock.now():
            raise refusals.session_lock_lost()
        return session

    def renew_session(self, session_id: str, receiver: Receiver | None) -> float:
        """The instant until which it is locked now."""
        session = self.held(session_id, receiver)
        self._extend(session)
        return session.until

    def state_of(self, session_id: str, receiver: Receiver | None) -> bytes | None:
        return self.held(session_id, receiver).state

    def set_state(self, session_id: str, receiver: Receiver | None, state: bytes | None) -> None:
        session = self.held(session_id, receiver)
        if state is not None and len(state) > LARGEST_MESSAGE:
            raise refusals.not_allowed(f"A session's state of {len(state)} bytes exceeds {LARGEST_MESSAGE} bytes.")
        session.state = state
        session.state_changed_at = self._clock.now()

    def session_ids(self, *, state_changed_after: float | None = None) -> list[str]:
        """Of sessions with messages or a state; or those whose state was set after an instant."""
        if state_changed_after is None:
            found = [each for each in self._sessions.values() if each.messages or each.state is not None]
        else:
            changed = [each for each in self._sessions.values() if each.state_changed_at is not None]
            found = [each for each in changed if (each.state_changed_at or 0) > state_changed_after]
        return [session.id for session in found]

    def expire_sessions(self, session_id: str | None = None) -> int:
        """A fault: the lock of that session, or of all that are held, runs out now. Gives how many did."""
        lost = [each for each in self._holdings.values() if session_id in (None, each.id)]
        for session in lost:
            self._lose(session)
        return len(lost)

    def expire_locks(self, tokens: Iterable[UUID] | None = None) -> int:
        """With sessions there is no lock of a message alone: the sessions of these messages are lost."""
        if tokens is None:
            return self.expire_sessions()
        locks = [self._locks[token] for token in tokens if token in self._locks]
        return sum(self.expire_sessions(lock.message.content.session_id) for lock in locks)

    def close(self) -> None:
        gone = refusals.entity_not_found(self.name)
        lost = [*self._waiting, *self._holdings]
        for session in self._holdings.values():
            session.receiver = None
            session.stop_alarm()
        self._waiting.clear()
        self._holdings.clear()
        for receiver in lost:
            receiver.lose(gone)
        super().close()

    # == What differs for a message ===============================================================================

    def _check(self, content: Content) -> None:
        super()._check(content)
        if content.session_id is None:
            raise refusals.not_allowed(
                "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session "
                "support enabled can only receive messages that have the SessionId set to a valid value."
            )

    def _session(self, session_id: str | None) -> Session:
        assert session_id is not None, "checked when it was sent"
        session = self._sessions.get(session_id)
        if session is None:
            session = self._sessions[session_id] = Session(session_id)
        return session

    def _line_of(self, message: Message) -> Line:
        return self._session(message.content.session_id).line

    def _add(self, message: Message) -> None:
        super()._add(message)
        self._session(message.content.session_id).messages += 1

    def _remove(self, message: Message) -> None:
        super()._remove(message)
        session = self._session(message.content.session_id)
        session.messages -= 1
        self._forget_if_empty(session)

    def _forget_if_empty(self, session: Session) -> None:
        if session.is_empty:
            self._sessions.pop(session.id, None)
            self._free.pop(session.id, None)

    def _dispatch(self, hint: Message | None) -> None:
        if hint is None:
            return
        session = self._session(hint.content.session_id)
        if session.receiver is None:
            self._free.setdefault(session.id)
            self._assign()
        else:
            self._serve(session)

    def flowed(self, receiver: Receiver) -> None:
        session = self._holdings.get(receiver)
        if session is not None:
            self._serve(session)

    def _serve(self, session: Session) -> None:
        while session.receiver is not None and session.receiver.credit > 0 and session.line.first() is not None:
            self._hand_over(session.line, session.receiver)

    def _lock_end(self, message: Message) -> float:
        return self._session(message.content.session_id).until

    def _watch(self, lock: Lock) -> None:
        """Ends with the session's lock, by `_lose`."""
        self._session(lock.message.content.session_id).locks[lock.token] = lock

    def _drop(self, lock: Lock) -> None:
        super()._drop(lock)
        self._session(lock.message.content.session_id).locks.pop(lock.token, None)

    def _lock_lost(self) -> Refused:
        return refusals.session_lock_lost()

    def renew(self, tokens: Iterable[UUID]) -> list[float]:
        raise refusals.not_allowed("The lock of a session's message is renewed with the session's.")
