"""The steps of a turn at which a worker can be made to kill itself, and how many turns and activities it had in flight.

Everything is put around the product's functions from outside, in the process that is to die; the product knows nothing of it. The counts lie
in a mapped file, which outlives SIGKILL.
"""

import asyncio
import mmap
import os
import signal
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dtf_runtime.dispatchers import commits
from dtf_runtime.dispatchers.activities import ActivityDispatcher
from dtf_runtime.dispatchers.orchestrations import OrchestrationDispatcher
from dtf_runtime.providers.sqlite import turns, writer
from dtf_runtime.providers.sqlite.turns import TurnOp
from tests.faults import flows

Pass = Callable[[str], object]

STEPS = (
    "turn taken",
    "turn computed",
    "turn submitted",
    "group gathered",
    "group begun",
    "turn guarded",
    "messages consumed",
    "history written",
    "work queued",
    "ends written",
    "children started",
    "events sent",
    "group applied",
    "group committed",
    "group delivered",
    "turn acknowledged",
    "activity taken",
    "activity before its code",
    "activity halfway",
    "activity ran",
    "result handed over",
)
RARE = ("children started", "events sent")  # few of the load's turns come this way


class Vitals:
    """Turns and activities in flight, readable after the process is gone."""

    _layout = struct.Struct("ii")

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_bytes(bytes(self._layout.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), self._layout.size)

    def write(self, turns_: int, activities: int) -> None:
        self._layout.pack_into(self._map, 0, turns_, activities)

    def read(self) -> tuple[int, int]:
        turns_, activities = self._layout.unpack_from(self._map, 0)
        return turns_, activities


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(step: str, passes: int) -> None:
    """This process kills itself when it comes to `step` for the `passes`-th time. At the steps of a group only those with a turn count."""
    left = passes

    def reached(name: str) -> object:
        nonlocal left
        if name == step:
            left -= 1
            if left <= 0:
                die()
        return None

    if step not in STEPS:
        raise ValueError(f"there is no step {step!r}: {', '.join(STEPS)}")
    _around_turns(reached)
    _around_groups(reached)
    _around_activities(reached)


def _before(owner: Any, name: str, report: Callable[..., object]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        report(*args)
        return original(*args, **kwargs)

    setattr(owner, name, wrapped)


def _after(owner: Any, name: str, report: Callable[..., object]) -> None:
    original = getattr(owner, name)

    def wrapped(*args: Any, **kwargs: Any) -> Any:
        answer = original(*args, **kwargs)
        report(*args)
        return answer

    setattr(owner, name, wrapped)


def _around_turns(reached: Pass) -> None:
    _before(OrchestrationDispatcher, "_take", lambda *_: reached("turn taken"))
    _after(commits, "turn", lambda *_: reached("turn computed"))
    _before(OrchestrationDispatcher, "_committed", lambda *_: reached("turn acknowledged"))
    for function, name in (
        ("_guard", "turn guarded"),
        ("_consume", "messages consumed"),
        ("_write_history", "history written"),
        ("_queue_work", "work queued"),
        ("_end", "ends written"),
    ):
        _after(turns, function, lambda *_, name=name: reached(name))
    _after(
        turns, "_start_children", lambda db, owner, ops: any(op.children for op in ops) and reached("children started")
    )
    _after(turns, "_send", lambda db, ops: any(op.sends for op in ops) and reached("events sent"))


def _around_groups(reached: Pass) -> None:
    Writer = writer.Writer

    def has_turn(batch: list[Any]) -> bool:
        return any(isinstance(op, TurnOp) for op in batch)

    _after(Writer, "submit", lambda _, op: isinstance(op, TurnOp) and reached("turn submitted"))
    _before(Writer, "_commit", lambda _, batch: has_turn(batch) and reached("group gathered"))
    _before(Writer, "_apply", lambda _, db, batch: has_turn(batch) and reached("group begun"))
    _after(Writer, "_apply", lambda _, db, batch: has_turn(batch) and reached("group applied"))
    begin = Writer.__init__

    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        deliver = self._deliver

        def delivering(batch: list[Any]) -> None:
            deliver(batch)
            if has_turn(batch):
                reached("group delivered")

        self._deliver = delivering
        self._loop = _Told(
            self._loop, lambda work, args: work is delivering and has_turn(args[0]) and reached("group committed")
        )

    setattr(Writer, "__init__", init)  # noqa: B010 - assigned from outside, which mypy rightly refuses


class _Told:
    """A loop as the writer uses it: its thread is about to hand a group that is on disk to the loop's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, report: Callable[[Any, Any], object]) -> None:
        self._loop, self._report = loop, report

    def call_soon_threadsafe(self, work: Any, *args: Any) -> Any:
        self._report(work, args)
        return self._loop.call_soon_threadsafe(work, *args)


def _around_activities(reached: Pass) -> None:
    _before(ActivityDispatcher, "_begin", lambda *_: reached("activity taken"))
    outcome, hand_over, halfway = ActivityDispatcher._outcome, ActivityDispatcher._hand_over, flows.halfway

    async def _outcome(self: Any, running: Any) -> Any:
        reached("activity before its code")
        answer = await outcome(self, running)
        reached("activity ran")
        return answer

    async def _hand_over(self: Any, running: Any, result: Any) -> None:
        await hand_over(self, running, result)
        reached("result handed over")

    async def _halfway() -> None:
        reached("activity halfway")
        await halfway()

    setattr(ActivityDispatcher, "_outcome", _outcome)  # noqa: B010
    setattr(ActivityDispatcher, "_hand_over", _hand_over)  # noqa: B010
    flows.halfway = _halfway


def count_in_flight(vitals: Vitals) -> None:
    """A turn is in flight from when it is taken until its commit is answered; an activity from when it is taken until its result is handed over."""
    under_way: set[str] = set()
    activities = 0

    def write() -> None:
        vitals.write(len(under_way), activities)

    def taken(_: Any, item: Any, *rest: Any) -> None:
        under_way.add(item.instance_id)
        write()

    def ended(_: Any, item: Any, *rest: Any) -> None:
        under_way.discard(item.instance_id)
        write()

    _before(OrchestrationDispatcher, "_take", taken)
    _before(OrchestrationDispatcher, "_give_back", ended)
    _after(OrchestrationDispatcher, "_committed", ended)
    run, begin = ActivityDispatcher._run, ActivityDispatcher._begin

    def _begin(self: Any, item: Any) -> None:
        nonlocal activities
        activities += 1
        write()
        begin(self, item)

    async def _run(self: Any, running: Any) -> None:
        nonlocal activities
        try:
            await run(self, running)
        finally:
            activities -= 1
            write()

    setattr(ActivityDispatcher, "_begin", _begin)  # noqa: B010
    setattr(ActivityDispatcher, "_run", _run)  # noqa: B010
