"""A queue's rules, without sockets and on time that is moved by hand."""

from uuid import uuid4

import pytest

from dtf_runtime.testing.servicebus.broker.message import State
from dtf_runtime.testing.servicebus.broker.namespace import Namespace
from dtf_runtime.testing.servicebus.broker.options import QueueOptions
from dtf_runtime.testing.servicebus.broker.queue import Queue
from dtf_runtime.testing.servicebus.broker.refusals import Refused
from dtf_runtime.testing.servicebus.clock import EmulatorClock
from tests.azure.emulator.support import HandMovedClock, KeepingReceiver, content, stopped_clock


@pytest.fixture
def clock() -> EmulatorClock:
    return stopped_clock()


def make(clock: EmulatorClock, **options: object) -> Queue:
    return Queue("orders", QueueOptions(**options), clock)  # type: ignore[arg-type]


def receive(queue: Queue, credit: int = 1_000, *, is_destructive: bool = False) -> KeepingReceiver:
    receiver = KeepingReceiver(credit, is_destructive=is_destructive)
    queue.attach(receiver)
    queue.flowed(receiver)
    return receiver


def condition(refused: "pytest.ExceptionInfo[Refused]") -> str:
    return refused.value.condition.rpartition(":")[2]


def test_messages_go_out_in_order_as_far_as_credit_goes_and_in_turns(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content(name) for name in "abcde"])
    first = receive(queue, credit=1)
    assert first.names == ["a"]
    second = receive(queue, credit=2)
    assert second.names == ["b", "c"]
    first.credit += 1
    second.credit += 1
    queue.flowed(first)
    assert sorted([*map(str, first.names), *map(str, second.names)]) == ["a", "b", "c", "d", "e"]


def test_an_abandoned_message_comes_back_before_younger_ones_and_its_deliveries_count(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content("a"), content("b")])
    receiver = receive(queue, credit=1)
    receiver.credit = 1
    queue.abandon(receiver.tokens[0])
    assert (receiver.names, receiver.counts) == (["a", "a"], [0, 1])


def test_a_released_message_comes_back_as_if_it_had_not_been_delivered(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content()])
    receiver = receive(queue)
    queue.release(receiver.tokens[0])
    assert receiver.counts == [0, 0]


def test_a_lock_lasts_as_long_as_it_says_and_not_longer(clock: EmulatorClock) -> None:
    queue = make(clock, lock_duration=30)
    queue.send([content()])
    receiver = receive(queue, credit=1)
    clock.advance(29.9)
    assert queue.messages[1].lock is not None
    clock.advance(0.1)
    assert queue.messages[1].lock is None
    for settle in (queue.complete, queue.abandon, queue.defer, queue.release):
        with pytest.raises(Refused) as refused:
            settle(receiver.tokens[0])
        assert condition(refused) == "message-lock-lost"
    assert receive(queue).counts == [1]


def test_a_lock_that_has_ended_is_lost_even_before_its_alarm_could_ring() -> None:
    machine = HandMovedClock()
    queue = make(EmulatorClock(source=machine), lock_duration=30)
    queue.send([content()])
    receiver = receive(queue)
    machine.seconds += 30
    for action in (lambda: queue.complete(receiver.tokens[0]), lambda: queue.renew(receiver.tokens)):
        with pytest.raises(Refused) as refused:
            action()
        assert condition(refused) == "message-lock-lost"


def test_a_renewed_lock_lasts_its_whole_duration_from_then(clock: EmulatorClock) -> None:
    queue = make(clock, lock_duration=30)
    queue.send([content()])
    receiver = receive(queue, credit=1)
    clock.advance(20)
    assert queue.renew(receiver.tokens) == [clock.now() + 30]
    clock.advance(29.9)
    queue.complete(receiver.tokens[0])
    with pytest.raises(Refused) as refused:
        queue.renew(receiver.tokens)
    assert condition(refused) == "message-lock-lost"


def test_renewing_is_for_all_of_the_locks_or_none(clock: EmulatorClock) -> None:
    queue = make(clock, lock_duration=30)
    queue.send([content()])
    receiver = receive(queue)
    clock.advance(20)
    with pytest.raises(Refused):
        queue.renew([receiver.tokens[0], uuid4()])
    clock.advance(10)
    assert receiver.counts == [0, 1]


def test_a_message_dies_after_its_last_delivery_however_that_ended(clock: EmulatorClock) -> None:
    queue = make(clock, max_delivery_count=2, lock_duration=5)
    queue.send([content("a")])
    receiver = receive(queue, credit=2)
    queue.abandon(receiver.tokens[0])
    clock.advance(5)
    assert (receiver.counts, queue.messages) == ([0, 1], {})
    assert queue.dead_letters is not None
    (dead,) = queue.dead_letters.messages.values()
    assert (dead.content.message_id, dead.delivery_count, dead.dead_letter_source) == ("a", 2, "orders")
    assert dead.content.property("DeadLetterReason") == "MaxDeliveryCountExceeded"


def test_a_dead_letter_has_its_reason_and_stays_when_it_is_abandoned_often(clock: EmulatorClock) -> None:
    queue = make(clock, max_delivery_count=1, default_message_time_to_live=10)
    queue.send([content("a")])
    queue.dead_letter(receive(queue).tokens[0], "why", "because")
    dead = queue.dead_letters
    assert dead is not None
    clock.advance(3_600)
    receiver = receive(dead, credit=20)
    while receiver.credit:
        dead.abandon(receiver.tokens[-1])
    (message,) = dead.messages.values()
    assert message.content.property("DeadLetterReason") == "why"
    assert message.content.property("DeadLetterErrorDescription") == "because"
    with pytest.raises(Refused) as refused:
        dead.dead_letter(receiver.tokens[-1], "again", None)
    assert condition(refused) == "not-allowed"
    with pytest.raises(Refused) as refused:
        dead.send([content()])
    assert condition(refused) == "not-allowed"


def test_receive_and_delete_leaves_nothing_behind(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content("a"), content("b")])
    assert receive(queue, is_destructive=True).names == ["a", "b"]
    assert queue.messages == {} and queue.size == 0


def test_a_closed_receiver_gets_nothing_and_what_it_had_stays_locked(clock: EmulatorClock) -> None:
    queue = make(clock, lock_duration=30)
    queue.send([content("a"), content("b")])
    gone = receive(queue, credit=1)
    gone.credit = 5
    queue.detach(gone)
    other = receive(queue)
    assert (gone.names, other.names) == (["a"], ["b"])
    clock.advance(30)
    assert other.names[:2] == ["b", "a"]


# == Scheduling and deferral ======================================================================================


def test_a_scheduled_message_is_seen_only_by_peeking_until_it_is_due(clock: EmulatorClock) -> None:
    queue = make(clock, lock_duration=300)
    receiver = receive(queue)
    queue.send([content("later", scheduled=clock.now() + 60), content("now")])
    assert receiver.names == ["now"]
    assert [message.state for message in queue.peek(1, 10)] == [State.SCHEDULED, State.ACTIVE]
    clock.advance(59.9)
    assert receiver.names == ["now"]
    clock.advance(0.1)
    assert receiver.names == ["now", "later"]
    later = receiver.messages[1]
    assert (later.sequence_number, later.enqueued_sequence_number, later.enqueued_at) == (3, 1, clock.now())


def test_a_message_scheduled_for_the_past_is_there_at_once(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content("late", scheduled=clock.now() - 1)])
    assert receive(queue).names == ["late"]


def test_a_cancelled_message_never_comes_and_can_be_cancelled_once(clock: EmulatorClock) -> None:
    queue = make(clock)
    receiver = receive(queue)
    numbers = queue.send([content(name, scheduled=clock.now() + 60) for name in "ab"])
    queue.cancel_scheduled([numbers[0]])
    for again in ([numbers[0]], numbers, [numbers[1], numbers[1]]):
        with pytest.raises(Refused) as refused:
            queue.cancel_scheduled(again)
        assert condition(refused) == "message-not-found"
    clock.advance(60)
    assert receiver.names == ["b"]


def test_a_deferred_message_comes_by_its_number_alone_and_stays_deferred_until_settled(clock: EmulatorClock) -> None:
    queue = make(clock, lock_duration=30)
    queue.send([content("a")])
    receiver = receive(queue)
    queue.defer(receiver.tokens[0])
    assert (receiver.names, queue.messages[1].state) == (["a"], State.DEFERRED)
    ((message, token),) = queue.receive_deferred([1], receiver)
    assert message.delivery_count == 1
    with pytest.raises(Refused) as refused:
        queue.receive_deferred([1], receiver)
    assert condition(refused) == "message-not-found"
    clock.advance(30)
    with pytest.raises(Refused):
        queue.complete(token)
    ((message, token),) = queue.receive_deferred([1], receiver)
    assert (message.delivery_count, receiver.names) == (2, ["a"])
    queue.complete(token)
    assert queue.messages == {}


# == Expiry and duplicates ========================================================================================


@pytest.mark.parametrize("keeps", [True, False])
def test_a_message_past_its_time_is_dropped_or_a_dead_letter(clock: EmulatorClock, keeps: bool) -> None:
    queue = make(clock, dead_lettering_on_message_expiration=keeps, default_message_time_to_live=100)
    queue.send([content("own", lives=10), content("the queue's"), content("too long", lives=1_000)])
    clock.advance(9.9)
    assert len(queue.messages) == 3
    clock.advance(0.1)
    assert [message.content.message_id for message in queue.messages.values()] == ["the queue's", "too long"]
    clock.advance(90)
    assert (queue.messages, receive(queue).names) == ({}, [])
    assert queue.dead_letters is not None
    reasons = [each.content.property("DeadLetterReason") for each in queue.dead_letters.messages.values()]
    assert reasons == (["TTLExpiredException"] * 3 if keeps else [])


def test_a_locked_message_does_not_expire_before_it_is_let_go(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content("a", lives=10), content("b", lives=10)])
    receiver = receive(queue)
    clock.advance(20)
    queue.complete(receiver.tokens[0])
    queue.abandon(receiver.tokens[1])
    assert (queue.messages, receiver.names) == ({}, ["a", "b"])


def test_a_scheduled_message_lives_from_when_it_is_due(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.send([content("a", lives=10, scheduled=clock.now() + 60)])
    clock.advance(69)
    assert len(queue.messages) == 1
    clock.advance(1)
    assert queue.messages == {}


def test_a_duplicate_is_dropped_inside_the_window_and_taken_outside(clock: EmulatorClock) -> None:
    queue = make(clock, requires_duplicate_detection=True, duplicate_detection_history_time_window=60)
    assert queue.send([content("a"), content("a"), content("b")]) == [1, 0, 2]
    receiver = receive(queue)
    for token in receiver.tokens:
        queue.complete(token)
    clock.advance(59.9)
    assert queue.send([content("a")]) == [0]  # completed, yet remembered; and this does not lengthen the window
    clock.advance(0.1)
    assert queue.send([content("a")]) == [3]
    assert receiver.names == ["a", "b", "a"]


def test_without_duplicate_detection_every_message_is_taken(clock: EmulatorClock) -> None:
    assert make(clock).send([content("a"), content("a")]) == [1, 2]


# == Refusals =====================================================================================================


def test_a_batch_with_one_bad_message_is_refused_as_a_whole(clock: EmulatorClock) -> None:
    queue = make(clock)
    with pytest.raises(Refused) as refused:
        queue.send([content("a"), content("x" * 129)])
    assert (condition(refused), queue.messages) == ("argument-error", {})


def test_a_full_queue_takes_no_more(clock: EmulatorClock) -> None:
    queue = make(clock)
    queue.size = 1_024 * 1_024 * 1_024
    with pytest.raises(Refused) as refused:
        queue.send([content()])
    assert condition(refused) == "resource-limit-exceeded"


@pytest.mark.parametrize(
    ("status", "sends", "receives"),
    [
        ("Active", True, True),
        ("Disabled", False, False),
        ("SendDisabled", False, True),
        ("ReceiveDisabled", True, False),
    ],
)
def test_a_disabled_queue_refuses_what_it_is_disabled_for(
    clock: EmulatorClock, status: str, sends: bool, receives: bool
) -> None:
    queue = make(clock, status=status)
    for is_allowed, action in ((sends, lambda: queue.send([content()])), (receives, lambda: receive(queue))):
        if is_allowed:
            action()
            continue
        with pytest.raises(Refused) as refused:
            action()
        assert condition(refused) == "entity-disabled"


@pytest.mark.parametrize(
    "options",
    [
        {"lock_duration": 0},
        {"lock_duration": 301},
        {"duplicate_detection_history_time_window": 19},
        {"duplicate_detection_history_time_window": 604_801},
        {"default_message_time_to_live": 0.5},
        {"max_delivery_count": 0},
        {"status": "Sleepy"},
        {"max_size_in_megabytes": 1},
        {"user_metadata": "x" * 1_025},
    ],
    ids=str,
)
def test_options_that_service_bus_would_not_take_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(Refused) as refused:
        QueueOptions(**options)  # type: ignore[arg-type]
    assert refused.value.status == 400


@pytest.mark.parametrize("option", ["requires_session", "requires_duplicate_detection"])
def test_what_is_fixed_at_creation_can_not_be_changed(option: str) -> None:
    with pytest.raises(Refused, match="cannot be changed"):
        QueueOptions().changed({option: True})


def test_names_are_told_apart_without_regard_to_case_and_must_be_valid(clock: EmulatorClock) -> None:
    namespace = Namespace(clock)
    queue = namespace.create("hub/Worker", QueueOptions())
    assert namespace.find("/HUB/worker/") is queue
    assert namespace.find("hub/worker/$deadletterqueue") is queue.dead_letters
    for name in ("HUB/worker", "", "a b", "/a", "a?", "x" * 261):
        with pytest.raises(Refused):
            namespace.create(name, QueueOptions())
    for name in ("hub", "hub/worker/$DeadLetterQueue/$DeadLetterQueue", "$DeadLetterQueue"):
        with pytest.raises(Refused) as refused:
            namespace.find(name)
        assert condition(refused) == "not-found"


def test_whoever_receives_from_a_deleted_queue_is_told(clock: EmulatorClock) -> None:
    namespace = Namespace(clock)
    queue = namespace.create("orders", QueueOptions())
    receiver = receive(queue)
    queue.send([content()])
    namespace.delete("orders")
    assert receiver.losses == ["amqp:not-found"]
    with pytest.raises(Refused):
        queue.complete(receiver.tokens[0])
    clock.advance(3_600)
    assert receiver.names == ["m"]
