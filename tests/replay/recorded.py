"""Orchestrations whose histories are kept in `histories/`, recorded on each Python, to be replayed by all of them and by every later version.

Add to them whenever replay learns something new. What stands here is never changed: it is the code that made the histories.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from dtf_runtime import (
    Orchestration,
    OrchestrationContext,
    OrchestrationStatus,
    Registry,
    RetryPolicy,
    Saga,
    SubOrchestrationFailedError,
    activity,
    orchestration,
)
from tests.replay.instance import Instance, raised

Script = Callable[[Instance], None]
REGISTRY = Registry()
SCRIPTS: dict[str, tuple[Orchestration[..., Any], Script]] = {}
OWN_MINOR_ONLY = {"waiting_for"}  # rule 20


@activity(name="recorded.work", registry=REGISTRY)
async def work(value: int = 0, *, note: str = "") -> int:
    return value


@orchestration(name="recorded.child", registry=REGISTRY)
async def child(ctx: OrchestrationContext, value: int) -> int:
    return value


def driven_by(script: Script) -> Callable[[Any], Any]:
    """Records the orchestration by that script."""

    def remember(made: Any) -> Any:
        SCRIPTS[made.name.removeprefix("recorded.")] = (made, script)
        return made

    return remember


def answering_in_order(instance: Instance) -> None:
    """Each call and timer as it comes, oldest first, one a turn."""
    instance.turn()
    while instance.live is not None:
        calls, timers = sorted(instance.live.open), sorted(instance.live.timers)
        if calls:
            number = calls[0]
            is_child = hasattr(instance.live.open[number], "start")
            answer = instance.child_ended if is_child else instance.completed
            instance.turn(answer(number, result=number * 10), after=0.25)
        else:
            instance.turn(instance.due(timers[0]), after=2.5)


@driven_by(answering_in_order)
@orchestration(name="recorded.sequence", registry=REGISTRY)
async def sequence(ctx: OrchestrationContext) -> list[Any]:
    found: list[Any] = [await work(n, note="naïve ✓") for n in range(5)]
    await asyncio.sleep(1.5)
    found.append(await ctx.call_activity("recorded.by_name", {"a": [1, None]}, kwargs={"b": 2.5}))
    return [*found, str(ctx.uuid4()), ctx.random.randint(1, 10**9), ctx.now().isoformat()]


def _out_of_order(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.completed(5, 5), instance.completed(2, 2))
    instance.turn(instance.completed(1, 1), after=1)
    instance.turn(*[instance.completed(n, n) for n in (3, 4, 6)], after=1)
    answering_in_order_from_here(instance)


def answering_in_order_from_here(instance: Instance) -> None:
    while instance.live is not None:
        instance.turn(instance.completed(min(instance.live.open), 0), after=0.5)


@driven_by(_out_of_order)
@orchestration(name="recorded.gathering", registry=REGISTRY)
async def gathering(ctx: OrchestrationContext) -> list[int]:
    async def twice(value: int) -> int:
        return await work(value) + await work(value)

    return list(await asyncio.gather(*(work(n) for n in range(4)), twice(8), twice(9)))


@driven_by(_out_of_order)
@orchestration(name="recorded.racing", registry=REGISTRY)
async def racing(ctx: OrchestrationContext) -> list[int]:
    calls = [work(n) for n in range(6)]
    done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    order = [calls.index(call) for call in [*done, *pending]]
    for value in order:
        await work(value)
    for call in pending:
        call.cancel()
    tasks = [asyncio.create_task(asyncio.sleep(0, value)) for value in range(40)]
    finished, _ = await asyncio.wait(tasks)
    return [*order, *[task.result() for task in finished]]


@driven_by(answering_in_order)
@orchestration(name="recorded.grouping", registry=REGISTRY)
async def grouping(ctx: OrchestrationContext) -> int:
    async def worker(queue: asyncio.Queue[int], found: list[int]) -> None:
        while not queue.empty():
            found.append(await work(queue.get_nowait()))

    found: list[int] = []
    queue: asyncio.Queue[int] = asyncio.Queue()
    for value in range(7):
        queue.put_nowait(value)
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(worker(queue, found))
        group.create_task(child(1))
    return sum(found)


def _failing_group(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.failed(2, OSError("down")), after=1)
    instance.turn(instance.child_ended(3, OrchestrationStatus.CANCELLED), after=1)
    answering_in_order_from_here(instance)


@driven_by(_failing_group)
@orchestration(name="recorded.failing_group", registry=REGISTRY)
async def failing_group(ctx: OrchestrationContext) -> str:
    try:
        async with asyncio.TaskGroup() as group:
            for call in (work(1), work(2), child(3)):
                group.create_task(call)
    except ExceptionGroup as group_of_errors:
        await work(len(group_of_errors.exceptions))
    return "handled"


def _timing_out(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.due(1), after=60)
    instance.turn(raised("approved", {"by": "somebody"}), after=1)
    instance.turn(instance.completed(4, 1), after=1)


@driven_by(_timing_out)
@orchestration(name="recorded.timing_out", registry=REGISTRY)
async def timing_out(ctx: OrchestrationContext) -> Any:
    try:
        async with asyncio.timeout(60):
            await ctx.wait_for_event("approved")
    except TimeoutError:
        ctx.send_event("boss", "reminder", ctx.now().isoformat())
    async with asyncio.timeout(60) as limit:
        found = await ctx.wait_for_event("approved")
        limit.reschedule(None)
    return [found, await work(1)]


def _waiting_for(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.due(2), after=5)
    while instance.live is not None:
        instance.turn(instance.completed(min(instance.live.open), 0), after=0.5)


@driven_by(_waiting_for)
@orchestration(name="recorded.waiting_for", registry=REGISTRY)
async def waiting_for(ctx: OrchestrationContext) -> int:
    try:
        await asyncio.wait_for(work(1), 5)
    except TimeoutError:
        await work(2)
    return await asyncio.wait_for(work(3), 5)


def _events(instance: Instance) -> None:
    instance.turn(raised("early", 1), raised("early", 2))
    instance.turn(instance.control("suspend"), raised("late", 3), after=1)
    instance.turn(raised("late", 4), instance.completed(1, 5), after=1)
    instance.turn(instance.control("resume"), after=60)
    instance.turn(raised("last", 6), after=1)


@driven_by(_events)
@orchestration(name="recorded.events", registry=REGISTRY)
async def events(ctx: OrchestrationContext) -> list[int]:
    call = work(1)
    found = [await ctx.wait_for_event(name, int) for name in ("early", "early", "late", "late")]
    return [*found, await call, await ctx.wait_for_event("last", int)]


def _children(instance: Instance) -> None:
    failed = OrchestrationStatus.FAILED
    instance.turn()
    instance.turn(instance.child_ended(1, result=10), after=1)
    instance.turn(instance.child_ended(2, failed, error=OSError("once")), after=1)
    instance.turn(instance.child_ended(2, result=20, attempt=2), after=5)
    instance.turn(instance.child_ended(4, failed, error=ValueError("for good")), after=1)


@driven_by(_children)
@orchestration(name="recorded.children", registry=REGISTRY)
async def children(ctx: OrchestrationContext) -> Any:
    found: list[Any] = [await child(1)]
    found.append(await child.options(instance_id="chosen", retry=RetryPolicy(max_attempts=2))(2))
    found.append(ctx.start(child, 3))
    try:
        await ctx.call_sub_orchestration("recorded.by_name", {"x": 1}, version="2")
    except SubOrchestrationFailedError as error:
        found.append(error.failure.type)
    return found


def _cancelled(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.completed(1, 7), after=1)
    instance.turn(instance.control("cancel", reason="changed my mind"), after=1)
    instance.turn(instance.control("cancel", "again"), after=1)
    instance.turn(instance.child_ended(3, OrchestrationStatus.CANCELLED), after=1)
    answering_in_order_from_here(instance)


@driven_by(_cancelled)
@orchestration(name="recorded.cancelled", registry=REGISTRY)
async def cancelled(ctx: OrchestrationContext) -> None:
    async with Saga() as saga:
        await saga.do(work(1), undo=lambda result: work(-result))
        saga.compensate(work, -2)
        try:
            await asyncio.gather(work(2), child(3))
        finally:
            await work(99)


def _continued(instance: Instance) -> None:
    instance.turn(raised("kept", 1))
    instance.turn(instance.completed(1, 1), after=1)
    instance.turn(instance.completed(2, 1), after=1)


@driven_by(_continued)
@orchestration(name="recorded.continued", registry=REGISTRY)
async def continued(ctx: OrchestrationContext) -> None:
    try:
        ctx.continue_as_new({"round": await work(1)}, version="2")
    finally:
        await work(2)


def _retried(instance: Instance) -> None:
    instance.turn()
    for attempt in (1, 2):
        instance.turn(instance.failed(1, OSError(f"attempt {attempt}"), attempt), after=5)
    instance.turn(instance.completed(1, 3, attempt=3), after=10)
    instance.turn(instance.failed(2, ValueError("for good")), after=1)


@driven_by(_retried)
@orchestration(name="recorded.retried", registry=REGISTRY)
async def retried(ctx: OrchestrationContext) -> None:
    policy = RetryPolicy(max_attempts=5, first_interval=2, jitter=0.5, non_retriable=(ValueError,))
    await work.options(retry=policy)(1)
    await work.options(retry=policy)(2)


@driven_by(answering_in_order)
@orchestration(name="recorded.patched", registry=REGISTRY)
async def patched(ctx: OrchestrationContext) -> list[bool]:
    found = [ctx.patched("new order")]
    await work(1)
    return [*found, ctx.patched("new order"), ctx.patched("another")]


def _rewound(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.completed(1, 1), after=1)
    instance.turn(instance.failed(3, OSError("down")), instance.completed(2, 2), after=1)
    instance.rewind(after=3600)
    instance.turn(instance.completed(3, 3), after=1)
    answering_in_order_from_here(instance)


@driven_by(_rewound)
@orchestration(name="recorded.rewound", registry=REGISTRY)
async def rewound(ctx: OrchestrationContext) -> int:
    first = await work(1)
    return first + sum(await asyncio.gather(work(2), work(3))) + await work(4)


@driven_by(answering_in_order)
@orchestration(name="recorded.tools", registry=REGISTRY)
async def tools(ctx: OrchestrationContext) -> list[int]:
    """Locks, semaphores, events, generators, as_completed, shield."""
    gate, lock, few = asyncio.Event(), asyncio.Lock(), asyncio.Semaphore(2)
    found: list[int] = []

    async def numbers() -> AsyncGenerator[int, None]:
        for value in range(2):
            yield await work(value)

    async def polite(value: int) -> None:
        await gate.wait()
        async with few, lock:
            found.append(await asyncio.shield(work(value)))

    waiting = [asyncio.create_task(polite(value)) for value in range(4)]
    async with aclosing(numbers()) as stream:
        async for value in stream:
            found.append(value)
    gate.set()
    for ready in asyncio.as_completed(waiting):
        await ready
    return found


def unfinished(instance: Instance) -> None:
    instance.turn()
    instance.turn(instance.completed(1, 1), after=1)
    instance.evict()


@driven_by(unfinished)
@orchestration(name="recorded.unfinished", registry=REGISTRY)
async def unfinished_one(ctx: OrchestrationContext) -> None:
    while True:
        await work(1)
        await asyncio.sleep(86_400)
