"""Random programs are data; this orchestration runs them. A node is a list: its kind, then what that kind needs.

Each step leaves a mark on a common trail, whose length goes into the arguments of later calls: so another order of steps is another history.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from dtf_runtime import OrchestrationContext, Registry, RetryPolicy, Saga, activity, orchestration

REGISTRY = Registry()
Node = list[Any]
RETRY = RetryPolicy(max_attempts=3, first_interval=1.0)


@activity(registry=REGISTRY)
async def work(key: int, steps: int) -> int:
    return key


@orchestration(registry=REGISTRY)
async def child(ctx: OrchestrationContext, key: list[int]) -> int:
    return key[0]


class Machine:
    """What the steps of one run share."""

    def __init__(self, ctx: OrchestrationContext) -> None:
        self.ctx = ctx
        self.trail: list[str] = []
        self.side: list[asyncio.Task[None]] = []
        self.lock = asyncio.Lock()
        self.semaphore = asyncio.Semaphore(2)
        self.queue: asyncio.Queue[int] = asyncio.Queue()

    def mark(self, what: object) -> None:
        self.trail.append(str(what))

    @property
    def steps(self) -> int:
        return len(self.trail)

    async def run(self, node: Node) -> None:
        kind, *parts = node
        await STEPS[kind](self, *parts)


async def _call(machine: Machine, key: int) -> None:
    machine.mark(await work(key, machine.steps))


async def _retried(machine: Machine, key: int) -> None:
    machine.mark(await work.options(retry=RETRY)(key, machine.steps))


async def _child(machine: Machine, key: int) -> None:
    machine.mark(await child([key, machine.steps]))


async def _retried_child(machine: Machine, key: int) -> None:
    machine.mark(await child.options(retry=RETRY)([key, machine.steps]))


async def _named_calls(machine: Machine, key: int) -> None:
    """By name and at once, awaited in the other order."""
    first = machine.ctx.call_activity("work", key, machine.steps, result_type=int)
    second = machine.ctx.call_sub_orchestration("child", [key], result_type=int)
    machine.mark(await second)
    machine.mark(await first)


async def _sleep(machine: Machine, milliseconds: int) -> None:
    await asyncio.sleep(milliseconds / 1000)
    machine.mark("slept")


async def _yield(machine: Machine) -> None:
    await asyncio.sleep(0)
    machine.mark("yielded")


async def _event(machine: Machine, name: str) -> None:
    machine.mark(await machine.ctx.wait_for_event(name, int))


async def _send(machine: Machine, name: str) -> None:
    machine.ctx.send_event("another instance", name, machine.steps)


async def _start(machine: Machine, key: int) -> None:
    machine.mark(machine.ctx.start(child, [key, machine.steps]))


async def _chance(machine: Machine) -> None:
    machine.mark(machine.ctx.uuid4())
    machine.mark(machine.ctx.random.random())


async def _patched(machine: Machine, change: str) -> None:
    machine.mark(machine.ctx.patched(change))
    machine.ctx.set_custom_status(machine.steps)


async def _fail(machine: Machine) -> None:
    machine.mark("failed")
    raise ValueError("a program that fails")


async def _sequence(machine: Machine, nodes: list[Node]) -> None:
    for node in nodes:
        await machine.run(node)


async def _gather(machine: Machine, nodes: list[Node], return_exceptions: bool) -> None:
    found = await asyncio.gather(*(machine.run(node) for node in nodes), return_exceptions=return_exceptions)
    machine.mark([type(one).__name__ for one in found])


async def _race(machine: Machine, nodes: list[Node]) -> None:
    tasks = [asyncio.create_task(machine.run(node)) for node in nodes]
    try:
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        machine.mark([tasks.index(task) for task in done])
        machine.mark([tasks.index(task) for task in pending])
    finally:
        for task in set(tasks):
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _race_of_calls(machine: Machine, keys: list[int]) -> None:
    calls = [work(key, machine.steps) for key in keys]
    calls.append(child([machine.steps]))
    done, pending = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
    machine.mark((len(done), len(pending)))
    for call in pending:
        call.cancel()
    machine.mark([call.cancelled() for call in calls])


async def _as_completed(machine: Machine, keys: list[int]) -> None:
    for ready in asyncio.as_completed([work(key, machine.steps) for key in keys]):
        machine.mark(await ready)


async def _group(machine: Machine, nodes: list[Node]) -> None:
    async with asyncio.TaskGroup() as group:
        for node in nodes:
            group.create_task(machine.run(node))
        group.create_task(work(0, machine.steps))


async def _timeout(machine: Machine, milliseconds: int, node: Node) -> None:
    async with asyncio.timeout(milliseconds / 1000):
        await machine.run(node)


async def _wait_for(machine: Machine, milliseconds: int, node: Node) -> None:
    await asyncio.wait_for(machine.run(node), milliseconds / 1000)


async def _try(machine: Machine, node: Node, handler: Node, last: Node) -> None:
    try:
        await machine.run(node)
    except Exception as error:
        machine.mark(type(error).__name__)
        await machine.run(handler)
    finally:
        await machine.run(last)


async def _stubborn(machine: Machine, node: Node, instead: Node) -> None:
    """Takes no cancel."""
    try:
        await machine.run(node)
    except asyncio.CancelledError:
        machine.mark("not me")
        await machine.run(instead)


async def _shield(machine: Machine, node: Node) -> None:
    await asyncio.shield(machine.run(node))


async def _saga(machine: Machine, key: int, node: Node) -> None:
    async with Saga() as saga:
        done = await saga.do(work(key, machine.steps), undo=lambda done: work(done + 1000, machine.steps))
        machine.mark(done)
        saga.compensate(child, [key + 2000])
        await machine.run(node)


async def _cancelled_call(machine: Machine, key: int, node: Node) -> None:
    call, other = work(key, machine.steps), child([key])
    await machine.run(node)
    machine.mark((call.cancel(), other.cancel()))


async def _spawn(machine: Machine, node: Node) -> None:
    machine.side.append(asyncio.create_task(machine.run(node)))


async def _cancel_side(machine: Machine) -> None:
    if machine.side:
        machine.mark(machine.side.pop().cancel())


async def _locked(machine: Machine, node: Node) -> None:
    async with machine.lock:
        await machine.run(node)


async def _limited(machine: Machine, node: Node) -> None:
    async with machine.semaphore:
        await machine.run(node)


async def _put(machine: Machine, key: int) -> None:
    machine.queue.put_nowait(key)


async def _get(machine: Machine, milliseconds: int) -> None:
    async with asyncio.timeout(milliseconds / 1000):
        machine.mark(await machine.queue.get())


async def _again(machine: Machine) -> None:
    machine.ctx.continue_as_new(["sequence", []])


STEPS: dict[str, Callable[..., Awaitable[None]]] = {
    name[1:]: step
    for name, step in globals().items()
    if name.startswith("_") and not name.startswith("__") and callable(step)
}


@orchestration(registry=REGISTRY)
async def program(ctx: OrchestrationContext, node: Node) -> list[str]:
    machine = Machine(ctx)
    await machine.run(node)
    return machine.trail
