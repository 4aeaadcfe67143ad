"""Effectively once where the API takes no key: note, send, and after a lost answer look before sending again.

An attempt ends in one of four ways: it got an answer; the service refused and nothing happened; nothing is known, and then it is the next
attempt's first business to find out (`Unsettled`); or it is for the caller to find out (`Ambiguous`). The wait between the two, the service's
read lag, is a durable timer of the runtime, since `Unsettled` carries it; in a plain script it is slept.

It must never adopt what another call has got, nor send while an earlier delivery's message may yet turn up.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Generic, Literal, Protocol, TypeVar

from connectors.core import Ambiguous, ConnectorError
from connectors.twilio.client import client
from connectors.twilio.connection import TwilioConnection
from connectors.twilio.errors import Unsettled
from connectors.twilio.ledger import Entry, Ledger, ledger
from dtf_runtime import OutsideActivityError, activity_context

OnAmbiguous = Literal["lookup", "fail", "resend"]
SKEW = 120.0
"""Seconds that this machine's clock may be wrong while the server's is unknown."""
MARGIN = 2.0
"""Seconds: dates of messages have no fractions, and the server's clock is read as roughly."""
_MOST_LOOKS = 5  # in a script


class Made(Protocol):
    @property
    def sid(self) -> str: ...


_M = TypeVar("_M", bound=Made)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Send(Generic[_M]):
    """One call, as `once` needs it."""

    what: str
    """For errors: "message", "call"."""
    connection: TwilioConnection
    key: str
    likeness: str
    on_ambiguous: OnAmbiguous
    post: Callable[[], _M]
    """Sends it. Raises Ambiguous when it may have happened."""
    look: Callable[[float], Sequence[_M]]
    """Those that look alike and were made at that time (seconds since 1970) or later, oldest first."""
    fetch: Callable[[str], _M]
    """One by its SID."""


def likeness_of(*parts: str) -> str:
    """A digest, so that the ledger holds no numbers and no texts."""
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()


def once(send: Send[_M]) -> tuple[_M, bool]:
    """What the call made, and whether an earlier delivery or attempt had made it.

    Raises Unsettled (the next attempt will know), Ambiguous (`on_ambiguous="fail"`), and what `post` raises when nothing happened.
    """
    return until_known(send.what, lambda: _attempt(send))


def until_known(what: str, attempt: Callable[[], _T]) -> _T:
    """In an activity the runtime makes the next attempt; a plain script waits here. Raises what `attempt` raises."""
    if _in_activity():
        return attempt()
    for _ in range(_MOST_LOOKS):
        try:
            return attempt()
        except Unsettled as error:
            time.sleep(error.retry_after or 0.0)
    raise Ambiguous(f"the {what} may have been made, and could not be found out; look before you send it again")


def _attempt(send: Send[_M]) -> tuple[_M, bool]:
    book, clock = ledger(send.connection.ledger_path), client(send.connection).time
    began = clock.now() - (MARGIN if clock.is_known else SKEW)
    entry = _handed_over(book.begin(send.key, send.likeness, began, clock.latest()))
    if entry.sid:
        return send.fetch(entry.sid), True
    if not entry.is_new:
        found = _settled(send, book, entry)
        if found is not None:
            return found, True
        book.again(send.key, clock.latest())
    _tell(entry.since)
    try:
        made = send.post()
    except Ambiguous as error:
        raise _open(send, book, error) from None
    except ConnectorError:
        book.forget(send.key)
        _tell(None)
        raise
    book.settle(send.key, made.sid)
    return made, False


def _open(send: Send[_M], book: Ledger, error: Ambiguous) -> ConnectorError:
    """What a lost answer is for the caller."""
    if send.on_ambiguous == "fail":
        book.forget(send.key)
        return error
    book.unsure(send.key, client(send.connection).time.latest())
    facts: dict[str, Any] = {"code": error.code, "status": error.status, "request_id": error.request_id}
    wait = send.connection.read_lag if send.on_ambiguous == "lookup" else 1.0
    return Unsettled(f"{error}; the next attempt of this call does", retry_after=wait, **facts)


def _settled(send: Send[_M], book: Ledger, entry: Entry) -> _M | None:
    """What an earlier delivery made. None: nothing, so it may be sent."""
    if send.on_ambiguous == "resend":
        return None
    if send.on_ambiguous == "fail":
        book.forget(send.key)
        raise Ambiguous(
            f"an earlier delivery of this call may have made the {send.what}; look before you send it again"
        )
    alike = send.look(entry.since)
    mine = book.adopt(send.key, send.likeness, [one.sid for one in alike], _patience(send.connection))
    if mine is None:
        raise Unsettled(f"another {send.what} like this one is being sent; whose is whose shows then", retry_after=1.0)
    if mine:
        return next(one for one in alike if one.sid == mine)
    left = _left(send, entry)
    if left > 0:
        if entry.latest is None:  # the look has told the server's time
            book.unsure(send.key, client(send.connection).time.latest())
        raise Unsettled(f"the {send.what} is not to be seen yet, if it was made", retry_after=left)
    return None


def _left(send: Send[Any], entry: Entry) -> float:
    """Seconds until what an earlier delivery may have made must be visible."""
    lag = send.connection.read_lag
    if entry.state == "sending":  # who began it is gone, or hangs in it until its time is up
        lag += _patience(send.connection)
    if entry.latest is None:
        return max(lag, 1.0)
    return entry.latest + lag - client(send.connection).time.now()


def _patience(connection: TwilioConnection) -> float:
    """Seconds after which a request has ended one way or the other."""
    return connection.connect_timeout + connection.read_timeout


# -- What another machine needs to know: the ledger is this one's -----------------------------------------------------


def _tell(since: float | None) -> None:
    if _in_activity():
        activity_context().heartbeat({"since": since})


def _handed_over(entry: Entry) -> Entry:
    """An attempt that another machine began is known from its heartbeat."""
    details = activity_context().last_heartbeat if entry.is_new and _in_activity() else None
    since = details.get("since") if isinstance(details, dict) else None
    if not isinstance(since, float | int):
        return entry
    return Entry(float(since), None, "sending", "", is_new=False)


def _in_activity() -> bool:
    try:
        activity_context()
    except OutsideActivityError:
        return False
    return True
