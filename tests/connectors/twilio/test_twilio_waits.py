"""Waits: callbacks and polls, deadlines, what did not arrive. All on the hub's clock, which the fake lives by too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from connectors.core import NotFound, using
from connectors.twilio import (
    CONNECTOR,
    CallEnded,
    DeadlinePassed,
    DeliverMessage,
    Delivery,
    MakeCall,
    MessageNews,
    OptedOut,
    PlaceCall,
    SendMessage,
    Undelivered,
    WaitForCall,
    WaitForDelivery,
    deliver_message,
    message_event,
    place_call,
    wait_for_call,
    wait_for_delivery,
)
from connectors.twilio.testing import SENDER, FakeTwilio, Fault
from dtf_runtime import OrchestrationFailedError, Registry
from dtf_runtime.testing import TestHub

TO = "+15551234567"
registry = Registry(*CONNECTOR.activities, *CONNECTOR.orchestrations)


@dataclass
class Stage:
    hub: TestHub
    twilio: FakeTwilio
    polls: list[str] = field(default_factory=list)

    async def run(self, orchestration: Any, call: Any, **options: Any) -> Any:
        return await (await self.hub.client.start(orchestration, call, **options)).result()

    async def failing(self, orchestration: Any, call: Any) -> Any:
        with pytest.raises(OrchestrationFailedError) as caught:
            await self.run(orchestration, call)
        return caught.value.failure


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    hub = TestHub(registry=registry)
    async with FakeTwilio(clock=hub.clock) as twilio:
        with using(twilio.connection()):
            async with hub:
                yield Stage(hub, twilio)


async def test_without_webhooks_polls_find_out() -> None:
    async with staged() as stage:
        call = DeliverMessage(message=SendMessage(to=TO, body="hi"), poll_interval=10)
        delivery: Delivery = await stage.run(deliver_message, call)
        assert (delivery.status, delivery.told_by, delivery.polls) == ("delivered", "poll", 2)


async def test_news_by_callback_end_the_wait_at_once() -> None:
    async with staged() as stage:
        one = stage.twilio.world.send(TO, SENDER, "", "hi")
        began = stage.hub.now()
        handle = await stage.hub.client.start(
            wait_for_delivery, WaitForDelivery(sid=one.sid, poll_interval=3000), instance_id="watch"
        )
        for status in ("sent", "sent", "delivered", "sent"):
            await stage.hub.client.raise_event("watch", message_event(one.sid), MessageNews(sid=one.sid, status=status))
        delivery = await handle.result()
        assert (delivery.status, delivery.told_by, delivery.polls) == ("delivered", "callback", 1)
        assert (stage.hub.now() - began).total_seconds() < 3000


@pytest.mark.parametrize(("code", "may_pass"), [(30003, True), (30007, False), (63016, False), (39_999, False)])
async def test_what_did_not_arrive_says_why_and_whether_another_may(code: int, may_pass: bool) -> None:
    async with staged() as stage:
        stage.twilio.ends(TO, "undelivered", code)
        one = stage.twilio.world.send(TO, SENDER, "", "hi")
        failure = await stage.failing(wait_for_delivery, WaitForDelivery(sid=one.sid))
        assert failure.is_caused_by(Undelivered)
        assert failure.properties["code"] == str(code)
        assert failure.properties["may_pass"] is may_pass


async def test_an_opt_out_that_shows_at_delivery_has_its_type() -> None:
    async with staged() as stage:
        stage.twilio.ends(TO, "failed", 21610)
        one = stage.twilio.world.send(TO, SENDER, "", "hi")
        assert (await stage.failing(wait_for_delivery, WaitForDelivery(sid=one.sid))).is_caused_by(OptedOut)


async def test_where_carriers_tell_nothing_sent_may_be_enough() -> None:
    async with staged() as stage:
        stage.twilio.ends(TO, "sent")
        one = stage.twilio.world.send(TO, SENDER, "", "hi")
        wait = WaitForDelivery(sid=one.sid, until="sent", poll_interval=1)
        assert (await stage.run(wait_for_delivery, wait)).status == "sent"
        wait = WaitForDelivery(sid=one.sid, timeout=60)
        assert (await stage.failing(wait_for_delivery, wait)).is_caused_by(DeadlinePassed)


async def test_at_the_deadline_what_isnt_sent_yet_is_cancelled_when_asked() -> None:
    async with staged() as stage:
        later = stage.hub.now().replace(year=stage.hub.now().year + 1)
        for cancel, status in ((False, "scheduled"), (True, "canceled")):
            one = stage.twilio.world.send(TO, "", "MG" + "0" * 32, "hi", ahead=[(later, "queued")])
            wait = WaitForDelivery(sid=one.sid, timeout=90, cancel=cancel)
            failure = await stage.failing(wait_for_delivery, wait)
            assert failure.is_caused_by(DeadlinePassed)
            assert "last seen: scheduled" in failure.message
            assert one.status == status


async def test_a_poll_that_fails_for_a_time_says_nothing() -> None:
    async with staged() as stage:
        one = stage.twilio.world.send(TO, SENDER, "", "hi")
        stage.twilio.fail(*(Fault(code=20503, status=503, reads=True) for _ in range(20)))
        delivery = await stage.run(wait_for_delivery, WaitForDelivery(sid=one.sid))
        assert delivery.status == "delivered"
        assert len(stage.twilio.messages) == 1


async def test_a_message_that_isnt_there_is_not_waited_for() -> None:
    async with staged() as stage:
        failure = await stage.failing(wait_for_delivery, WaitForDelivery(sid="SM" + "0" * 32))
        assert failure.is_caused_by(NotFound)


async def test_a_long_wait_keeps_its_history_short_and_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.twilio.waits._LONGEST_HISTORY", 100)  # else it takes 300 polls
    async with staged() as stage:
        later = stage.hub.now().replace(year=stage.hub.now().year + 1)
        one = stage.twilio.world.send(TO, "", "MG" + "0" * 32, "hi", ahead=[(later, "queued")])
        began = stage.hub.now()
        handle = await stage.hub.client.start(
            wait_for_delivery, WaitForDelivery(sid=one.sid, timeout=60, poll_interval=1)
        )
        with pytest.raises(OrchestrationFailedError):
            await handle.result()
        assert (await handle.state()).history_length < 120
        assert 60 <= (stage.hub.now() - began).total_seconds() < 62
        assert len([asked for asked in stage.twilio.requests if asked.method == "GET"]) >= 60


async def test_a_call_is_waited_for_until_it_has_ended() -> None:
    async with staged() as stage:
        call = PlaceCall(call=MakeCall(to=TO, twiml="<Response/>"), poll_interval=5)
        ended: CallEnded = await stage.run(place_call, call)
        assert (ended.status, ended.duration) == ("completed", 8)
        stage.twilio.ends(TO, "busy")
        assert (await stage.run(place_call, call)).status == "busy"


async def test_at_the_deadline_a_call_is_hung_up_when_asked() -> None:
    async with staged() as stage:
        one = stage.twilio.world.call(TO, SENDER)
        failure = await stage.failing(wait_for_call, WaitForCall(sid=one.sid, timeout=5, hang_up=True))
        assert failure.is_caused_by(DeadlinePassed)
        assert one.status == "completed"
        assert not one.ahead
