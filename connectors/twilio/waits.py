"""Waiting for messages to arrive and calls to end: what Twilio's callbacks say, against single polls and durable timers, with a deadline.

Must never send again because a poll failed. The events come to the instance that the send named (`notify`), which is the one that sent, unless
it said otherwise: `deliver_message` and `place_call` send by themselves, so they hear; `wait_for_delivery` and `wait_for_call` poll, and hear
when the send's `notify` is their instance id.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Literal, NoReturn

import msgspec

from connectors.core import InvalidRequest, Throttled, Transient
from connectors.twilio.calls import CallSid, MakeCall, get_call, hang_up, make_call
from connectors.twilio.codes import DELIVERY
from connectors.twilio.errors import DeadlinePassed, OptedOut, Undelivered
from connectors.twilio.events import CallNews, MessageNews, call_event, message_event
from connectors.twilio.messages import MessageSid, SendMessage, cancel_message, get_message, send_message
from connectors.twilio.models import FINAL_CALL, FINAL_MESSAGE, TwilioCall
from dtf_runtime import OrchestrationContext, TaskFailedError, orchestration

_LONGEST_HISTORY = 2_000  # events
_ARRIVED = frozenset({"delivered", "read", "received"})


class Wait(TwilioCall, frozen=True, kw_only=True, omit_defaults=True):
    """Base of every wait's input."""

    timeout: float = 3600.0
    """Seconds from its start; then DeadlinePassed."""
    poll_interval: float = 30.0
    """Seconds between two polls, at least 1."""
    started: datetime | None = None
    """Set by the wait itself when it continues as new."""


class WaitForDelivery(Wait, frozen=True, kw_only=True, omit_defaults=True):
    sid: str
    until: Literal["delivered", "sent"] = "delivered"
    """Not every carrier tells about delivery: then `sent` is all there is."""
    cancel: bool = False
    """At the deadline, or when this is cancelled: cancel it at Twilio too, if it isn't sent yet."""


class WaitForCall(Wait, frozen=True, kw_only=True, omit_defaults=True):
    sid: str
    hang_up: bool = False
    """At the deadline, or when this is cancelled."""


class DeliverMessage(Wait, frozen=True, kw_only=True, omit_defaults=True):
    message: SendMessage
    """Its own `connection` counts; its `notify` must be empty."""
    until: Literal["delivered", "sent"] = "delivered"
    cancel: bool = False


class PlaceCall(Wait, frozen=True, kw_only=True, omit_defaults=True):
    call: MakeCall
    hang_up: bool = False


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    sid: str
    status: str
    told_by: Literal["callback", "poll"]
    polls: int


class CallEnded(msgspec.Struct, frozen=True, kw_only=True):
    sid: str
    status: str
    """completed, busy, failed, no-answer, canceled: which of them is a success is for the caller to judge."""
    duration: int
    """Seconds."""
    told_by: Literal["callback", "poll"]
    polls: int


@orchestration(name="twilio.wait_for_delivery")
async def wait_for_delivery(ctx: OrchestrationContext, wait: WaitForDelivery) -> Delivery:
    """Until it has arrived. Raises Undelivered, OptedOut, DeadlinePassed, and NotFound for a message that isn't there."""
    look = MessageSid(sid=wait.sid, connection=wait.connection)

    async def poll() -> MessageNews:
        found = await get_message(look)
        return MessageNews(sid=found.sid, status=found.status, error_code=found.error_code)

    watch = _Watch(ctx, wait, f"message {wait.sid}", message_event(wait.sid), MessageNews, poll)
    is_enough = _ARRIVED | {"sent"} if wait.until == "sent" else _ARRIVED

    async def stop() -> None:
        if wait.cancel:
            await cancel_message(look)

    news = await watch.until(lambda news: news.status in FINAL_MESSAGE | is_enough, stop)
    if news.status not in is_enough:
        _not_delivered(news)
    return Delivery(sid=wait.sid, status=news.status, told_by=watch.told_by, polls=watch.polls)


@orchestration(name="twilio.deliver_message")
async def deliver_message(ctx: OrchestrationContext, call: DeliverMessage) -> Delivery:
    """Sends it and waits until it has arrived. Raises what `send_message` and `wait_for_delivery` raise."""
    if call.message.notify:
        raise InvalidRequest("deliver_message hears the news itself: leave the message's `notify` empty")
    watch_id = f"{ctx.instance_id}~delivery"
    sent = await send_message(msgspec.structs.replace(call.message, notify=watch_id))
    return await wait_for_delivery.options(instance_id=watch_id)(
        WaitForDelivery(
            sid=sent.sid,
            connection=call.message.connection,
            timeout=call.timeout,
            poll_interval=call.poll_interval,
            until=call.until,
            cancel=call.cancel,
        )
    )


@orchestration(name="twilio.wait_for_call")
async def wait_for_call(ctx: OrchestrationContext, wait: WaitForCall) -> CallEnded:
    """Until it has ended, however. Raises DeadlinePassed, and NotFound for a call that isn't there."""
    look = CallSid(sid=wait.sid, connection=wait.connection)

    async def poll() -> CallNews:
        found = await get_call(look)
        return CallNews(sid=found.sid, status=found.status, duration=found.duration)

    async def stop() -> None:
        if wait.hang_up:
            await hang_up(look)

    watch = _Watch(ctx, wait, f"call {wait.sid}", call_event(wait.sid), CallNews, poll)
    news = await watch.until(lambda news: news.status in FINAL_CALL, stop)
    return CallEnded(sid=wait.sid, status=news.status, duration=news.duration, told_by=watch.told_by, polls=watch.polls)


@orchestration(name="twilio.place_call")
async def place_call(ctx: OrchestrationContext, call: PlaceCall) -> CallEnded:
    """Makes it and waits until it has ended. Raises what `make_call` and `wait_for_call` raise."""
    if call.call.notify:
        raise InvalidRequest("place_call hears the news itself: leave the call's `notify` empty")
    watch_id = f"{ctx.instance_id}~call"
    made = await make_call(msgspec.structs.replace(call.call, notify=watch_id))
    return await wait_for_call.options(instance_id=watch_id)(
        WaitForCall(
            sid=made.sid,
            connection=call.call.connection,
            timeout=call.timeout,
            poll_interval=call.poll_interval,
            hang_up=call.hang_up,
        )
    )


ORCHESTRATIONS = (wait_for_delivery, deliver_message, wait_for_call, place_call)


class _Watch:
    """Polls, and listens in between."""

    def __init__(
        self,
        ctx: OrchestrationContext,
        wait: Wait,
        what: str,
        event: str,
        kind: type[Any],
        poll: Callable[[], Awaitable[Any]],
    ) -> None:
        if not wait.timeout > 0 or not wait.poll_interval >= 1:
            raise InvalidRequest("a wait needs a timeout above 0 and a poll_interval of at least 1 second")
        self._ctx, self._wait, self._what = ctx, wait, what
        self._event, self._kind, self._poll = event, kind, poll
        self._started = wait.started or ctx.now()
        self.seen = "nothing yet"
        self.polls = 0
        self.told_by: Literal["callback", "poll"] = "poll"

    async def until(self, is_over: Callable[[Any], bool], stop: Callable[[], Awaitable[None]]) -> Any:
        try:
            return await self._until(is_over)
        except (DeadlinePassed, asyncio.CancelledError):
            with suppress(TaskFailedError):  # it is the deadline that the caller must hear of
                await stop()
            raise

    async def _until(self, is_over: Callable[[Any], bool]) -> Any:
        deadline = self._started + timedelta(seconds=self._wait.timeout)
        while True:
            news = await self._polled()
            while news is not None:
                self.seen = news.status
                self._ctx.set_custom_status(f"{self._what}: {news.status}")
                if is_over(news):
                    return news
                news = await self._heard(deadline)
            if (self._ctx.now() - deadline).total_seconds() >= 0:
                raise DeadlinePassed(
                    f"{self._what} was not over within {self._wait.timeout:g} s; last seen: {self.seen}",
                    status_seen=self.seen,
                )
            if self._ctx.history_length > _LONGEST_HISTORY:
                self._ctx.continue_as_new(msgspec.structs.replace(self._wait, started=self._started))

    async def _polled(self) -> Any | None:
        """None after a poll that failed for a passing reason: it says nothing, and the next interval has another."""
        self.polls += 1
        self.told_by = "poll"
        try:
            return await self._poll()
        except TaskFailedError as error:
            if not (error.failure.is_caused_by(Transient) or error.failure.is_caused_by(Throttled)):
                raise
            self.seen = "a poll failed"
            await asyncio.sleep(self._wait.poll_interval)
            return None

    async def _heard(self, deadline: datetime) -> Any | None:
        """The next news by callback; None when it is time to poll."""
        left = (deadline - self._ctx.now()).total_seconds()
        try:
            async with asyncio.timeout(max(min(self._wait.poll_interval, left), 0.0)):
                news = await self._ctx.wait_for_event(self._event, self._kind)
        except TimeoutError:
            return None
        self.told_by = "callback"
        return news


def _not_delivered(news: MessageNews) -> NoReturn:
    code, listed = news.error_code, DELIVERY.get(news.error_code or 0)
    why = listed.says if listed else "Twilio gave no reason" if code is None else "see Twilio's page of that code"
    text = f"message {news.sid} is {news.status}" + (f" with {code}" if code else "") + f": {why}"
    if code == 21610:
        raise OptedOut(text, code=str(code), sid=news.sid)
    may_pass = listed.may_pass if listed else False
    raise Undelivered(text, code=str(code or ""), sid=news.sid, delivery=news.status, may_pass=may_pass)
