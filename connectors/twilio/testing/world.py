"""What the fake Twilio knows: messages, calls, verifications, who has opted out. No HTTP here.

Everything that takes time takes it by the clock that the fake was given: a message is queued, then sent, then delivered, when that clock says so.
"""

import secrets
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.twilio.codes import CODES
from dtf_runtime.clock import Clock

MESSAGE_STEPS = ((0.5, "sending"), (1.0, "sent"), (2.0, "delivered"))
"""Seconds after its creation, and the status it then has."""
CALL_STEPS = ((0.5, "ringing"), (2.0, "in-progress"), (10.0, "completed"))
TOLD = frozenset(
    {"sent", "delivered", "undelivered", "failed", "completed", "busy", "no-answer", "in-progress", "ringing"}
)
_STOP = frozenset({"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"})
_START = frozenset({"START", "YES", "UNSTOP"})


class Refusal(Exception):
    """An answer with one of Twilio's codes."""

    def __init__(self, code: int, status: int = 0, message: str = "") -> None:
        listed = CODES.get(code)
        self.code = code
        self.status = status or (listed.status if listed else 400)
        self.message = message or (listed.says if listed else "refused")


@dataclass
class Thing:
    """A message or a call."""

    sid: str
    to: str
    from_: str
    created: datetime
    status: str = "queued"
    direction: str = "outbound-api"
    body: str = ""
    messaging_service_sid: str = ""
    media: int = 0
    error_code: int | None = None
    sent: datetime | None = None
    updated: datetime | None = None
    callback: str = ""
    ahead: list[tuple[datetime, str]] = field(default_factory=list)
    """What is still to come, soonest first."""
    asked: dict[str, list[str]] = field(default_factory=dict)
    """The parameters it was made with."""


@dataclass
class Verification:
    sid: str
    to: str
    channel: str
    code: str
    created: datetime
    status: str = "pending"
    sends: list[tuple[datetime, str]] = field(default_factory=list)
    checks: int = 0


@dataclass(frozen=True)
class News:
    """One change that a callback is to tell."""

    thing: Thing
    status: str


class World:
    """From any thread; hold `lock` to look at several things at once."""

    def __init__(self, clock: Clock, read_lag: float) -> None:
        self.clock = clock
        self.read_lag = read_lag
        """Seconds until lists show what was accepted."""
        self.lock = threading.RLock()
        self.messages: dict[str, Thing] = {}
        self.calls: dict[str, Thing] = {}
        self.verifications: dict[str, Verification] = {}
        self.opted_out: set[tuple[str, str]] = set()
        """(recipient, sender or messaging service)."""
        self.ends: dict[str, tuple[str, int | None]] = {}
        """Recipient: the status that what is sent there ends with, and its error code."""
        self.news: list[News] = []
        self.stirred: Callable[[], None] = lambda: None

    # -- what clients ask for -----------------------------------------------------------------------------------------

    def send(self, to: str, from_: str, service: str, body: str, **more: object) -> Thing:
        if (to, service or from_) in self.opted_out:
            raise Refusal(21610)
        now = self.clock.now()
        thing = Thing(sid=f"SM{secrets.token_hex(16)}", to=to, from_=from_, created=now, body=body)
        thing.messaging_service_sid = service
        for name, value in more.items():
            setattr(thing, name, value)
        with self.lock:
            begin = now
            if thing.ahead:  # scheduled
                begin, thing.status = thing.ahead[0][0], "scheduled"
            thing.ahead = self._ahead(to, begin, MESSAGE_STEPS)
            self.messages[thing.sid] = thing
        self.stirred()
        return thing

    def call(self, to: str, from_: str, **more: object) -> Thing:
        now = self.clock.now()
        thing = Thing(sid=f"CA{secrets.token_hex(16)}", to=to, from_=from_, created=now)
        for name, value in more.items():
            setattr(thing, name, value)
        with self.lock:
            thing.ahead = self._ahead(to, now, CALL_STEPS)
            self.calls[thing.sid] = thing
        self.stirred()
        return thing

    def _ahead(self, to: str, begin: datetime, steps: Iterable[tuple[float, str]]) -> list[tuple[datetime, str]]:
        ahead = [(begin + timedelta(seconds=after), status) for after, status in steps]
        if to in self.ends:
            ahead[-1] = (ahead[-1][0], self.ends[to][0])
        return ahead

    def change(self, thing: Thing, status: str) -> None:
        """A client ended it."""
        with self.lock:
            thing.ahead.clear()
            self._becomes(thing, status, self.clock.now())
        self.stirred()

    def receive(self, from_: str, to: str, body: str) -> Thing:
        """A message from a handset. STOP and START do what they do at Twilio."""
        now, word = self.clock.now(), body.strip().upper()
        thing = Thing(sid=f"SM{secrets.token_hex(16)}", to=to, from_=from_, created=now, body=body, sent=now)
        thing.status, thing.direction = "received", "inbound"
        with self.lock:
            if word in _STOP:
                self.opted_out.add((from_, to))
            elif word in _START:
                self.opted_out.discard((from_, to))
            self.messages[thing.sid] = thing
        return thing

    # -- time ---------------------------------------------------------------------------------------------------------

    def settle(self) -> None:
        """Everything becomes what it is by now."""
        with self.lock:
            now = self.clock.now()
            for thing in (*self.messages.values(), *self.calls.values()):
                while thing.ahead and thing.ahead[0][0] <= now:
                    when, status = thing.ahead.pop(0)
                    self._becomes(thing, status, when)

    def _becomes(self, thing: Thing, status: str, when: datetime) -> None:
        thing.status, thing.updated = status, when
        if status == "sent":
            thing.sent = when
        if not thing.ahead and thing.to in self.ends and status == self.ends[thing.to][0]:
            thing.error_code = self.ends[thing.to][1]
        if thing.callback and status in TOLD:
            self.news.append(News(thing, status))

    def next_due(self) -> datetime | None:
        with self.lock:
            ahead = [thing.ahead[0][0] for thing in (*self.messages.values(), *self.calls.values()) if thing.ahead]
            return min(ahead, default=None)

    def take_news(self) -> list[News]:
        with self.lock:
            news, self.news = self.news, []
            return news

    def visible(self, things: Iterable[Thing]) -> list[Thing]:
        """As lists give them: what was accepted a moment ago is not there yet; by date sent, newest first, unsent ones before all."""
        seen_until = self.clock.now() - timedelta(seconds=self.read_lag)
        found = [one for one in things if one.created <= seen_until]
        return sorted(found, key=lambda one: (one.sent is None, one.sent or one.created, one.created), reverse=True)
