"""A session queue's rules, without sockets and on time that is moved by hand."""

import pytest

from dtf_runtime.testing.servicebus.broker.options import QueueOptions
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.broker.session_queue import SessionQueue
from dtf_runtime.testing.servicebus.clock import EmulatorClock
from tests.azure.emulator.support import HandMovedClock, KeepingReceiver, content, stopped_clock


@pytest.fixture
def clock() -> EmulatorClock:
    return stopped_clock()


@pytest.fixture
def queue(clock: EmulatorClock) -> SessionQueue:
    return SessionQueue("orders", QueueOptions(requires_session=True, lock_duration=30, max_delivery_count=3), clock)


def accept(queue: SessionQueue, session_id: str | None, credit: int = 1_000) -> KeepingReceiver:
    receiver = KeepingReceiver(credit)
    if session_id is None:
        queue.accept_next(receiver)
    else:
        queue.accept(receiver, session_id)
    queue.flowed(receiver)
    return receiver


def refused_condition(refused: "pytest.ExceptionInfo[Refused]") -> str:
    return refused.value.condition.rpartition(":")[2]


def test_a_receiver_gets_its_own_session_and_nothing_else(queue: SessionQueue) -> None:
    queue.send([content("a1", session="A"), content("b1", session="B"), content("a2", session="A")])
    receiver = accept(queue, "A")
    queue.send([content("a3", session="A"), content("b2", session="B")])
    assert receiver.names == ["a1", "a2", "a3"]


def test_an_empty_session_can_be_held_and_a_second_holder_is_refused(queue: SessionQueue) -> None:
    accept(queue, "A")
    with pytest.raises(Refused) as refused:
        accept(queue, "A")
    assert refused_condition(refused) == "session-cannot-be-locked"
    assert accept(queue, "B").losses == []


def test_a_session_is_free_again_when_its_holder_closes_and_that_delivery_does_not_count(queue: SessionQueue) -> None:
    queue.send([content("a", session="A")])
    first = accept(queue, "A")
    queue.detach(first)
    with pytest.raises(Refused) as refused:
        queue.complete(first.tokens[0])
    assert refused_condition(refused) == "session-lock-lost"
    assert accept(queue, "A").counts == [0]


def test_when_a_session_lock_runs_out_the_holder_is_told_and_the_delivery_counts(
    queue: SessionQueue, clock: EmulatorClock
) -> None:
    queue.send([content("a", session="A")])
    first = accept(queue, "A")
    clock.advance(30)
    assert first.losses == ["com.microsoft:session-lock-lost"]
    for action in (
        lambda: queue.complete(first.tokens[0]),
        lambda: queue.set_state("A", first, b"late"),
        lambda: queue.state_of("A", first),
        lambda: queue.renew_session("A", first),
    ):
        with pytest.raises(Refused) as refused:
            action()
        assert refused_condition(refused) == "session-lock-lost"
    second = accept(queue, "A")
    assert (second.counts, queue.state_of("A", second)) == ([1], None)
    with pytest.raises(Refused):
        queue.set_state("A", first, b"from the old holder")


def test_a_session_that_has_ended_is_lost_even_before_its_alarm_could_ring() -> None:
    machine = HandMovedClock()
    queue = SessionQueue("orders", QueueOptions(requires_session=True, lock_duration=30), EmulatorClock(source=machine))
    queue.send([content("a", session="A")])
    receiver = accept(queue, "A")
    machine.seconds += 30
    for action in (
        lambda: queue.complete(receiver.tokens[0]),
        lambda: queue.set_state("A", receiver, b"late"),
        lambda: queue.renew_session("A", receiver),
    ):
        with pytest.raises(Refused) as refused:
            action()
        assert refused_condition(refused) == "session-lock-lost"


def test_renewing_the_session_keeps_its_messages_locked(queue: SessionQueue, clock: EmulatorClock) -> None:
    queue.send([content("a", session="A")])
    receiver = accept(queue, "A")
    for _ in range(5):
        clock.advance(20)
        assert queue.renew_session("A", receiver) == clock.now() + 30
    assert queue.messages[1].lock is not None and queue.messages[1].lock.until == clock.now() + 30
    queue.complete(receiver.tokens[0])
    with pytest.raises(Refused) as refused:
        queue.renew(receiver.tokens)
    assert refused_condition(refused) == "not-allowed"


def test_a_message_that_is_lost_with_its_session_too_often_dies(queue: SessionQueue, clock: EmulatorClock) -> None:
    queue.send([content("a", session="A")])
    for _ in range(3):
        accept(queue, "A")
        clock.advance(30)
    assert queue.messages == {}
    assert queue.dead_letters is not None and len(queue.dead_letters.messages) == 1


def test_the_next_session_is_one_with_messages_that_nobody_holds(queue: SessionQueue) -> None:
    holder = accept(queue, "held")
    waiting = accept(queue, None)
    queue.send([content("h", session="held")])
    assert waiting.sessions == []
    queue.send([content("f", session="free")])
    queue.flowed(waiting)
    assert ([session.id for session in waiting.sessions], waiting.names) == (["free"], ["f"])
    later = accept(queue, None)
    queue.detach(holder)
    assert [session.id for session in later.sessions] == ["held"]


def test_who_no_longer_waits_is_given_no_session(queue: SessionQueue) -> None:
    gone = accept(queue, None)
    queue.detach(gone)
    queue.send([content("a", session="A")])
    assert gone.sessions == []
    assert [session.id for session in accept(queue, None).sessions] == ["A"]


def test_state_outlives_messages_and_holders_until_it_is_taken_away(queue: SessionQueue) -> None:
    first = accept(queue, "A")
    queue.set_state("A", first, b"state")
    queue.detach(first)
    assert queue.session_ids() == ["A"]
    second = accept(queue, "A")
    assert queue.state_of("A", second) == b"state"
    queue.set_state("A", second, None)
    queue.detach(second)
    assert queue.session_ids() == []


def test_a_state_of_256_kilobytes_is_taken_and_no_byte_more(queue: SessionQueue) -> None:
    receiver = accept(queue, "A")
    queue.set_state("A", receiver, b"x" * 262_144)
    with pytest.raises(Refused) as refused:
        queue.set_state("A", receiver, b"x" * 262_145)
    assert refused_condition(refused) == "not-allowed"


def test_sessions_are_listed_by_messages_or_by_when_their_state_was_set(
    queue: SessionQueue, clock: EmulatorClock
) -> None:
    queue.send([content("m", session="messages")])
    queue.set_state("old", accept(queue, "old"), b"1")
    clock.advance(10)
    middle = clock.now()
    clock.advance(10)
    queue.set_state("new", accept(queue, "new"), b"1")
    accept(queue, "empty")
    assert queue.session_ids() == ["messages", "old", "new"]
    assert queue.session_ids(state_changed_after=middle) == ["new"]


def test_a_session_queue_takes_no_message_and_no_receiver_without_a_session(queue: SessionQueue) -> None:
    for action in (lambda: queue.send([content()]), lambda: queue.attach(KeepingReceiver())):
        with pytest.raises(Refused) as refused:
            action()
        assert refused_condition(refused) == "not-allowed"


def test_holders_and_those_who_wait_are_told_when_the_queue_is_deleted(
    queue: SessionQueue, clock: EmulatorClock
) -> None:
    queue.send([content("a", session="A")])
    holder, waiting = accept(queue, "A"), accept(queue, None)
    queue.close()
    clock.advance(3_600)
    assert (holder.losses, waiting.losses) == (["amqp:not-found"], ["amqp:not-found"])


def test_scheduled_deferred_and_dead_messages_of_a_session(queue: SessionQueue, clock: EmulatorClock) -> None:
    queue.send([content("later", session="A", scheduled=clock.now() + 5), content("now", session="A")])
    receiver = accept(queue, "A")
    queue.defer(receiver.tokens[0])
    clock.advance(5)
    assert receiver.names == ["now", "later"]
    queue.dead_letter(receiver.tokens[1], "why", None)
    with pytest.raises(Refused):
        queue.receive_deferred([2], receiver, session_id="B")
    ((message, token),) = queue.receive_deferred([2], receiver, session_id="A")
    assert message.content.message_id == "now"
    queue.complete(token)
    queue.detach(receiver)
    assert (queue.session_ids(), queue.messages) == ([], {})


def test_a_forced_loss_is_the_same_as_a_lock_that_ran_out(queue: SessionQueue) -> None:
    queue.send([content("a", session="A"), content("b", session="B")])
    a, b = accept(queue, "A"), accept(queue, "B")
    assert queue.expire_sessions("A") == 1
    assert (a.losses, b.losses) == (["com.microsoft:session-lock-lost"], [])
    assert queue.expire_locks(b.tokens) == 1
    assert accept(queue, "B").counts == [1]
