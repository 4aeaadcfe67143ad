"""`monitor`: looks at something again and again, for months, and tells when it changes.

Looks more often while things are bad or new, less often while they are well. Its history never grows: it continues as new with what it knows.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import msgspec

from connectors.core import InvalidRequest
from connectors.http import HttpRequest, request
from dtf_runtime import OrchestrationContext, RetryPolicy, TaskFailedError, orchestration
from suborchestrations.steps import Outcome, Spec

_LOOKS_IN_ONE_HISTORY = 200
_YEARS = 10 * 365 * 86400.0
_LONGEST_DETAIL = 300  # characters
STOP = "stop"
"""The event that ends a monitor."""


class HttpCheck(msgspec.Struct, frozen=True, kw_only=True, tag="http"):
    """ "ok" when the answer is one that the request expects, its checks included; else "failing"."""

    request: HttpRequest


class CallCheck(msgspec.Struct, frozen=True, kw_only=True, tag="call"):
    """Any activity that reads something: an alarm, a metric, a queue's length."""

    activity: str
    input: Any
    field: str = ""
    """Of its result; the whole result when empty."""
    ok: list[Any] = msgspec.field(default_factory=list)
    """The values that are well. Empty: every value counts as itself, and any change is told."""


class Known(msgspec.Struct, frozen=True, kw_only=True):
    """What a monitor carries from one execution to the next."""

    state: str = ""
    since: datetime | None = None
    candidate: str = ""
    seen: int = 0
    """How many times in a row the candidate was seen."""
    looks: int = 0
    changes: int = 0
    started: datetime | None = None


class MonitorSpec(Spec, frozen=True, kw_only=True, omit_defaults=True):
    """`poll_interval` while all is well, and up to it; nothing is undone, whatever `on_failure` says."""

    name: str
    """What is looked at, in the words of those who are told."""
    check: HttpCheck | CallCheck
    tell: str = ""
    """The activity that is called with each Change; it must know a repeat by itself, by `number`. Empty: only the custom status tells."""
    poll_interval: float = 300.0
    fast_interval: float = 30.0
    """While a change is not confirmed, or things are not ok; then it doubles with each look up to `poll_interval`."""
    confirmations: int = 2
    """Looks in a row that must agree before a change counts."""
    deadline: float = _YEARS
    known: Known = Known()
    """Its own memory; leave it out."""


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What the telling activity gets."""

    monitor: str
    name: str
    number: int
    """1, 2, 3 ... for each monitor."""
    before: str
    """Empty at the first one."""
    now: str
    at: datetime
    detail: str


class MonitorOutcome(Outcome, frozen=True, kw_only=True):
    state: str
    looks: int
    changes: int


@orchestration(name="suborchestrations.monitor", version="1")
async def monitor(ctx: OrchestrationContext, spec: MonitorSpec) -> MonitorOutcome:
    """Ends with the event `stop`, or at its deadline. A look that fails is a state of its own, never an end."""
    if not (0 < spec.fast_interval <= spec.poll_interval and spec.confirmations >= 1):
        raise InvalidRequest("monitor needs 0 < fast_interval <= poll_interval and at least one confirmation")
    known = spec.known if spec.known.started else msgspec.structs.replace(spec.known, started=ctx.now())
    if spec.plan:
        return MonitorOutcome(state="", looks=0, changes=0)
    assert known.started is not None
    end = known.started + timedelta(seconds=spec.deadline)
    stopped = asyncio.ensure_future(ctx.wait_for_event(STOP))
    pause = spec.fast_interval
    for _ in range(_LOOKS_IN_ONE_HISTORY):
        state, detail = await _look(ctx, spec.check)
        known, change = _judge(spec, known, state, ctx.now())
        if change:
            await _tell(ctx, spec, known, change, detail)
        pause = min(pause * 2, spec.poll_interval) if _is_calm(known, state) else spec.fast_interval
        ctx.set_custom_status({"state": known.state, "since": known.since, "looks": known.looks, "detail": detail})
        left = (end - ctx.now()).total_seconds()
        if left <= 0 or await _stopped_within(stopped, min(pause, left)):
            stopped.cancel()
            return MonitorOutcome(state=known.state, looks=known.looks, changes=known.changes)
    ctx.continue_as_new(msgspec.structs.replace(spec, known=known))


async def _look(ctx: OrchestrationContext, check: HttpCheck | CallCheck) -> tuple[str, str]:
    """State and detail. A failure that is worth a repeat has been repeated by the activity's own policy."""
    try:
        if isinstance(check, HttpCheck):
            answer = await request(check.request)
            return "ok", f"status {answer.status}"
        found = await ctx.call_activity(check.activity, check.input, retry=RetryPolicy(max_attempts=3))
    except TaskFailedError as error:
        kind = error.failure.type.rpartition(".")[2]
        return "failing", f"{kind}: {error.failure.message}"[:_LONGEST_DETAIL]
    value = found.get(check.field) if check.field and isinstance(found, dict) else found
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if check.ok:
        return ("ok" if value in check.ok else "failing"), text[:_LONGEST_DETAIL]
    return text[:_LONGEST_DETAIL], ""


def _judge(spec: MonitorSpec, known: Known, state: str, now: datetime) -> tuple[Known, str | None]:
    """What is known after a look, and the state before when this look made a change count."""
    replace = msgspec.structs.replace
    known = replace(known, looks=known.looks + 1)
    if state == known.state:
        return replace(known, candidate="", seen=0), None
    seen = known.seen + 1 if state == known.candidate else 1
    if seen < spec.confirmations:
        return replace(known, candidate=state, seen=seen), None
    changed = replace(known, state=state, since=now, candidate="", seen=0, changes=known.changes + 1)
    return changed, known.state or "(nothing)"


async def _tell(ctx: OrchestrationContext, spec: MonitorSpec, known: Known, before: str, detail: str) -> None:
    if not spec.tell:
        return
    change = Change(
        monitor=ctx.instance_id,
        name=spec.name,
        number=known.changes,
        before="" if before == "(nothing)" else before,
        now=known.state,
        at=ctx.now(),
        detail=detail,
    )
    try:
        await ctx.call_activity(
            spec.tell, change, retry=RetryPolicy(max_attempts=6, first_interval=5, max_interval=300)
        )
    except TaskFailedError as error:
        ctx.logger.error("monitor %s could not tell that %s is %s: %s", ctx.instance_id, spec.name, known.state, error)


def _is_calm(known: Known, state: str) -> bool:
    return state == known.state and state != "failing"


async def _stopped_within(stopped: "asyncio.Future[Any]", seconds: float) -> bool:
    done, _ = await asyncio.wait([stopped], timeout=seconds)
    return bool(done)
