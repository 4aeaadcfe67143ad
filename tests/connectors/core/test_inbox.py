"""The file of deliveries."""

import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.core.webhooks.inbox import Delivery, Inbox

ONE = Delivery("1", "digest", "i", "paid", b'"a"')


@pytest.fixture
def inbox(tmp_path: Path) -> Iterator[Inbox]:
    opened = Inbox(tmp_path / "new folder" / "inbox.db")
    yield opened
    opened.close()


def test_a_delivery_is_new_then_waits_then_was_raised(inbox: Inbox) -> None:
    assert inbox.accept(ONE, 1.0) == "new"
    assert inbox.accept(ONE, 2.0) == "waiting"
    assert inbox.waiting() == [ONE]
    inbox.raised("1")
    assert inbox.accept(ONE, 3.0) == "raised"
    assert inbox.waiting() == []
    assert inbox.knows("1") and not inbox.knows("2")


def test_one_id_is_good_for_one_thing(inbox: Inbox) -> None:
    inbox.accept(ONE, 1.0)
    assert inbox.accept(ONE._replace(digest="another"), 2.0) == "other"
    inbox.raised("1")
    assert inbox.accept(ONE._replace(digest="another"), 2.0) == "other"


def test_what_led_nowhere_is_new_again(inbox: Inbox) -> None:
    inbox.accept(ONE, 1.0)
    inbox.forget("1")
    assert inbox.accept(ONE, 2.0) == "new"


def test_what_was_raised_is_forgotten_in_time_and_what_waits_is_not(inbox: Inbox) -> None:
    for name in ("1", "2", "3"):
        inbox.accept(ONE._replace(id=name), float(name))
    inbox.raised("1")
    inbox.raised("3")
    assert inbox.prune(2.5) == 1
    assert [inbox.knows(name) for name in ("1", "2", "3")] == [False, True, True]


def test_no_payload_is_kept_that_is_not_needed_and_nobody_else_may_read_it(inbox: Inbox) -> None:
    inbox.accept(ONE, 1.0)
    inbox.raised("1")
    assert [row[4] for row in inbox._db.execute("select * from deliveries")] == [None]
    assert stat.S_IMODE(inbox.path.stat().st_mode) == 0o600


def test_of_several_processes_that_accept_at_once_one_is_the_first(inbox: Inbox) -> None:
    others = [Inbox(inbox.path) for _ in range(4)]
    gate = threading.Barrier(len(others))
    found: list[str] = []

    def accept(each: Inbox) -> None:
        gate.wait()
        found.extend(each.accept(ONE._replace(id=str(n)), 1.0) for n in range(20))

    threads = [threading.Thread(target=accept, args=(each,)) for each in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found.count("new"), found.count("waiting")) == (20, 60)
    for each in others:
        each.close()
