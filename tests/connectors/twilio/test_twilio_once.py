"""Effectively once: ten of the cut points, chosen by a printed seed, and the rules that they rest on."""

import os
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from connectors.core import Ambiguous, Transient, using
from connectors.twilio import MessageSid, SendMessage, SentMessage, Unsettled, get_message, send_message
from connectors.twilio.client import client
from connectors.twilio.ledger import Ledger, ledger
from connectors.twilio.testing import SENDER, Cut, FakeTwilio, Fault
from dtf_runtime import OrchestrationContext, OrchestrationFailedError, Registry, orchestration
from dtf_runtime.testing import TestHub
from tests.connectors.twilio.once import Case, chosen, prove

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID") or str(time.time())  # the same for all workers of a run
SEED = int(os.environ.get("TWILIO_ONCE_SEED") or zlib.crc32(RUN.encode()) % 100_000)
TO = "+15551234567"
HELLO = SendMessage(to=TO, body="hello")
registry = Registry(send_message)


@orchestration(registry=registry)
async def send(ctx: OrchestrationContext, calls: list[SendMessage]) -> list[SentMessage]:
    return [await send_message(call) for call in calls]


@pytest.mark.parametrize("case", chosen(SEED, 10), ids=lambda case: f"seed {SEED}: {case}")
async def test_wherever_it_is_cut_the_server_has_what_was_meant(case: Case) -> None:
    """TWILIO_ONCE_SEED=<the seed in the test's name> chooses the same ten."""
    await prove(case)


@asynccontextmanager
async def hub_with(fake: FakeTwilio, **fields: Any) -> AsyncIterator[TestHub]:
    with using(fake.connection(**fields)):
        async with TestHub(registry=registry) as hub:
            yield hub


async def sent(fake: FakeTwilio, *calls: SendMessage, **fields: Any) -> list[SentMessage]:
    async with hub_with(fake, **fields) as hub:
        return await (await hub.client.start(send, list(calls))).result()


async def test_a_lost_message_is_found_after_the_lag_and_says_so() -> None:
    hub = TestHub(registry=registry)
    async with FakeTwilio(clock=hub.clock, read_lag=8) as fake:
        fake.fail(Cut.NO_REPLY)
        with using(fake.connection()):
            async with hub:
                began = hub.now()
                (found,) = await (await hub.client.start(send, [HELLO])).result()
                took = (hub.now() - began).total_seconds()
        assert [one.sid for one in fake.messages] == [found.sid]
    assert found.replayed
    assert took >= 8


async def test_two_identical_texts_that_were_meant_are_two_and_neither_is_replayed(twilio: FakeTwilio) -> None:
    one, other = await sent(twilio, HELLO, HELLO)
    assert not one.replayed and not other.replayed
    assert {one.sid, other.sid} == {message.sid for message in twilio.messages}


async def test_what_one_call_adopted_another_whose_own_was_lost_does_not() -> None:
    hub = TestHub(registry=registry)
    async with FakeTwilio(clock=hub.clock) as fake:
        fake.fail(Cut.NO_REPLY, Cut.BEFORE)
        with using(fake.connection()):
            async with hub:
                first, second = await (await hub.client.start(send, [HELLO, HELLO])).result()
        assert len(fake.messages) == 2
    assert first.sid != second.sid
    assert (first.replayed, second.replayed) == (True, False)


async def test_a_queued_message_is_found_though_it_has_no_date_sent(twilio: FakeTwilio) -> None:
    twilio.fail(Cut.HALF_REPLY)
    (found,) = await sent(twilio, HELLO)
    assert found.replayed
    assert twilio.messages[0].sent is None
    look = next(one for one in twilio.requests if one.method == "GET")
    assert not any(name.startswith("DateSent") for name in look.query)


@pytest.mark.parametrize(
    ("other", "adopts"),
    [
        (HELLO, True),
        (SendMessage(to="+15557654321", body="hello"), False),
        (SendMessage(to=TO, body="hello!"), False),
        (SendMessage(to=TO, body="hello", from_="+15005550009"), False),
    ],
    ids=["alike", "another recipient", "another body", "another sender"],
)
async def test_only_what_is_alike_is_adopted(tmp_path: Path, other: SendMessage, adopts: bool) -> None:
    """With a ledger that doesn't know the other one, as on a machine that shares none."""
    hub = TestHub(registry=registry)
    async with FakeTwilio(clock=hub.clock) as fake:
        fake.world.send(other.to, other.from_ or SENDER, "", other.body)
        fake.fail(Cut.BEFORE)
        with using(fake.connection()):
            async with hub:
                (found,) = await (await hub.client.start(send, [HELLO])).result()
        assert len(fake.messages) == 2 - adopts
    assert found.replayed is adopts


async def test_one_that_was_made_before_the_call_began_is_not_adopted() -> None:
    hub = TestHub(registry=registry)
    async with FakeTwilio(clock=hub.clock) as fake:
        with using(connection := fake.connection()):
            async with hub:
                earlier = fake.world.send(TO, SENDER, "", "hello")
                await hub.advance(10)
                await get_message(MessageSid(sid=earlier.sid))  # tells the server's time
                fake.fail(Cut.BEFORE)
                (found,) = await (await hub.client.start(send, [HELLO])).result()
        assert client(connection).time.is_known
        assert len(fake.messages) == 2
    assert not found.replayed


async def test_on_fail_the_caller_hears_that_it_may_have_happened_and_nothing_is_sent_again(twilio: FakeTwilio) -> None:
    twilio.fail(Cut.NO_REPLY)
    with pytest.raises(OrchestrationFailedError) as caught:
        await sent(twilio, SendMessage(to=TO, body="hello", on_ambiguous="fail"))
    assert caught.value.failure.is_caused_by(Ambiguous)
    assert [one.method for one in twilio.requests] == ["POST"]


async def test_on_resend_it_is_sent_again_without_a_look(twilio: FakeTwilio) -> None:
    twilio.fail(Cut.NO_REPLY)
    (again,) = await sent(twilio, SendMessage(to=TO, body="hello", on_ambiguous="resend"))
    assert not again.replayed
    assert [one.method for one in twilio.requests] == ["POST", "POST"]
    assert len(twilio.messages) == 2


async def test_a_refusal_leaves_nothing_open(twilio: FakeTwilio) -> None:
    twilio.fail(20429)
    (got,) = await sent(twilio, HELLO)
    assert not got.replayed
    assert [one.method for one in twilio.requests] == ["POST", "POST"]


async def test_a_script_waits_for_the_answer_itself(twilio: FakeTwilio) -> None:
    twilio.fail(Cut.NO_REPLY)
    with using(twilio.connection()):
        found = await send_message(HELLO)
    assert found.replayed
    assert len(twilio.messages) == 1


async def test_a_service_that_stays_away_leaves_it_unsettled_and_a_rewind_goes_on_with_the_look(
    twilio: FakeTwilio,
) -> None:
    twilio.fail(Fault(cut=Cut.NO_REPLY, then=lambda: setattr(twilio.faults, "outage", True)))
    async with hub_with(twilio) as hub:
        handle = await hub.client.start(send, [HELLO])
        with pytest.raises(OrchestrationFailedError) as caught:
            await handle.result()
        assert caught.value.failure.is_caused_by(Transient)
        twilio.faults.outage = False
        await hub.client.rewind(handle.instance_id)
        (found,) = await handle.result()
    assert found.replayed
    assert len(twilio.messages) == 1


async def test_an_attempt_on_another_machine_looks_too(twilio: FakeTwilio) -> None:
    """Its ledger is empty; what the first attempt began comes with its heartbeat."""
    first = twilio.connection()

    def lose_the_ledger() -> None:
        for path in first.ledger_path.parent.iterdir():
            path.unlink()
        ledger.cache_clear()

    twilio.fail(Fault(cut=Cut.NO_REPLY, then=lose_the_ledger))
    with using(first):
        async with TestHub(registry=registry) as hub:
            (found,) = await (await hub.client.start(send, [HELLO])).result()
    assert found.replayed
    assert len(twilio.messages) == 1


# -- The ledger -------------------------------------------------------------------------------------------------------


def test_what_one_call_has_got_no_other_adopts(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db")
    for key in ("a", "b", "c"):
        book.begin(key, "alike", 0.0, 0.0)
        book.unsure(key, 0.0)
    assert book.adopt("a", "alike", ["SM1", "SM2"], 60) == "SM1"
    assert book.adopt("b", "alike", ["SM1", "SM2"], 60) == "SM2"
    assert book.adopt("c", "alike", ["SM1", "SM2"], 60) == ""


def test_while_one_that_is_alike_is_being_sent_nobody_adopts(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db")
    book.begin("lost", "alike", 0.0, 0.0)
    book.unsure("lost", 0.0)
    book.begin("in flight", "alike", 0.0, 0.0)
    book.begin("another", "not alike", 0.0, 0.0)
    assert book.adopt("lost", "alike", ["SM1"], 60) is None
    book.settle("in flight", "SM1")
    assert book.adopt("lost", "alike", ["SM1"], 60) == ""


def test_who_died_while_sending_keeps_nobody_waiting_for_ever(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db")
    book.begin("dead", "alike", 0.0, 0.0)
    book.begin("lost", "alike", 0.0, 0.0)
    assert book.adopt("lost", "alike", ["SM1"], 0.0) == "SM1"


def test_a_callback_that_brings_the_key_back_settles_whose_it_is_once(tmp_path: Path) -> None:
    book = Ledger(tmp_path / "ledger.db")
    book.begin("a", "alike", 0.0, 0.0)
    book.heard("a", "SM7")
    book.heard("a", "SM8")
    book.heard("unknown", "SM9")
    assert book.begin("a", "alike", 0.0, 0.0).sid == "SM7"


def test_the_ledger_holds_no_number_and_no_text(twilio: FakeTwilio) -> None:
    import asyncio

    connection = twilio.connection()
    with using(connection):
        asyncio.run(_plain())
    written = b"".join(path.read_bytes() for path in connection.ledger_path.parent.iterdir())
    assert twilio.messages[0].sid.encode() in written
    assert TO.encode() not in written and TO[1:].encode() not in written
    assert b"a text that is private" not in written


async def _plain() -> None:
    await send_message(SendMessage(to=TO, body="a text that is private"))


def test_unsettled_says_that_it_may_have_happened() -> None:
    assert Unsettled.may_have_happened
