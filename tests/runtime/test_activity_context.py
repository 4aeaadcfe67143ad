"""What an activity's context tells, and what of it must be the same, or different, from one delivery to the next."""

import asyncio
import threading
from typing import Any

import pytest
from msgspec import UNSET, Raw

from dtf_runtime import ActivityContext, OutsideActivityError, SerializationError, activity_context
from dtf_runtime.model.messages import ActivityTask
from dtf_runtime.service import ActivityWorkItem


class Listener:
    """Takes heartbeats, as the dispatcher does."""

    connections: tuple[Any, ...] = ("a connection",)

    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def beat(self, details: Raw) -> None:
        self.heard.append(bytes(details))


def context(
    *, execution: str = "e", number: int = 1, attempt: int = 1, deliveries: int = 0, heartbeat: Any = UNSET
) -> ActivityContext:
    task = ActivityTask(number=number, attempt=attempt, name="work", input=Raw(b"[]"), heartbeat=heartbeat)
    item = ActivityWorkItem(instance_id="i", execution_id=execution, task=task, deliveries=deliveries)
    return ActivityContext(item, Listener())


def test_the_key_is_the_same_for_each_attempt_and_delivery_of_a_call() -> None:
    keys = {context(attempt=attempt, deliveries=n).idempotency_key for attempt in (1, 2, 3) for n in (0, 1)}
    assert len(keys) == 1
    assert len(key := keys.pop()) == 32 and set(key) <= set("0123456789abcdef")


def test_the_key_is_new_for_every_other_call_and_execution() -> None:
    calls = [("e", 1), ("e", 2), ("e", 11), ("e1", 1), ("f", 1), ("e/1", 1), ("e", 12)]
    assert len({context(execution=execution, number=number).idempotency_key for execution, number in calls}) == len(
        calls
    )


def test_the_key_does_not_change_with_a_release() -> None:
    """It is what a remote API has seen: an upgrade in the middle of a payment must not make another one."""
    assert context(execution="0123456789abcdef", number=7).idempotency_key == "73800532c6b8631ea03d6b48ede6b2de"


def test_the_last_heartbeat_is_decoded_and_none_when_there_was_none() -> None:
    assert context().last_heartbeat is None
    assert context(heartbeat=Raw(b'{"row":[1,2]}')).last_heartbeat == {"row": [1, 2]}


def test_a_heartbeat_that_can_not_be_stored_is_refused_where_it_is_given() -> None:
    with pytest.raises(SerializationError, match="the heartbeat of activity 'work'"):
        context().heartbeat({"lock": threading.Lock()})


def test_heartbeats_are_encoded_when_they_are_given() -> None:
    listener = Listener()
    task = ActivityTask(number=1, name="work", input=Raw(b"[]"))
    telling = ActivityContext(ActivityWorkItem(instance_id="i", execution_id="e", task=task), listener)
    rows = [1]
    telling.heartbeat(rows)
    rows.append(2)
    telling.heartbeat(rows)
    telling.heartbeat()
    assert listener.heard == [b"[1]", b"[1,2]", b"null"]


@pytest.mark.parametrize("looked_before", [False, True])
def test_a_context_that_was_told_says_so_whenever_it_is_asked(looked_before: bool) -> None:
    telling = context()
    if looked_before:
        assert not telling.cancelled.is_set()
    telling.raise_if_cancelled()  # nothing yet
    telling.tell()
    assert telling.cancelled.is_set()
    with pytest.raises(asyncio.CancelledError, match="'work' of 'i'"):
        telling.raise_if_cancelled()


def test_tags_are_a_copy() -> None:
    telling = context()
    telling.tags["a"] = "b"  # type: ignore[index]
    assert telling.tags == {}


def test_outside_an_activity_there_is_none() -> None:
    with pytest.raises(OutsideActivityError, match="TestHub"):
        activity_context()
