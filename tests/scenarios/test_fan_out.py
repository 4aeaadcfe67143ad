"""Fan-out and fan-in with asyncio's own tools."""

import asyncio
from collections import Counter

import pytest

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, TaskFailedError, activity, orchestration
from tests.scenarios.support import WAIT, Hub, Sizes


async def test_gather_gives_results_in_the_order_of_the_calls(hub: Hub, registry: Registry) -> None:
    others_began = asyncio.Event()
    ran: Counter[int] = Counter()

    @activity(registry=registry)
    async def square(n: int) -> int:
        ran[n] += 1
        if n == 0:
            await others_began.wait()  # the first call ends last
        if n == 9:
            others_began.set()
        return n * n

    @orchestration(registry=registry)
    async def squares(ctx: OrchestrationContext, count: int) -> list[int]:
        return list(await asyncio.gather(*(square(n) for n in range(count))))

    async with hub.worker(registry):
        state = await hub.finished(squares, 10)
    assert state.output == [n * n for n in range(10)]
    assert ran == dict.fromkeys(range(10), 1)
    counts = await hub.counts(state.instance_id)
    assert counts["TaskScheduled"] == counts["TaskCompleted"] == 10


async def test_large_fan_out(hub: Hub, registry: Registry, sizes: Sizes) -> None:
    ran: Counter[int] = Counter()

    @activity(registry=registry)
    async def touch(n: int) -> int:
        ran[n] += 1
        return n

    @orchestration(registry=registry)
    async def wide(ctx: OrchestrationContext, count: int) -> int:
        return sum(await asyncio.gather(*(touch(n) for n in range(count))))

    async with hub.worker(registry):
        state = await hub.finished(wide, sizes.fan_out, within=sizes.patience)
    assert state.output == sum(range(sizes.fan_out))
    assert len(ran) == sizes.fan_out and set(ran.values()) == {1}
    counts = await hub.counts(state.instance_id)
    assert counts["TaskScheduled"] == counts["TaskCompleted"] == sizes.fan_out


async def test_wait_for_the_first_of_several_leaves_the_others_running(hub: Hub, registry: Registry) -> None:
    slow_may_end = asyncio.Event()

    @activity(registry=registry)
    async def answer(name: str) -> str:
        if name == "slow":
            await slow_may_end.wait()
        return name

    @orchestration(registry=registry)
    async def race(ctx: OrchestrationContext) -> list[str]:
        slow, fast = answer("slow"), answer("fast")
        done, pending = await asyncio.wait([slow, fast], return_when=asyncio.FIRST_COMPLETED)
        ctx.set_custom_status(sorted(call.result() for call in done))
        return [*(call.result() for call in done), *[await call for call in pending]]

    async with hub.worker(registry):
        handle = await hub.client.start(race)
        await hub.until_custom_status(handle, ["fast"])
        slow_may_end.set()
        assert await handle.result(WAIT) == ["fast", "slow"]


async def test_as_completed_gives_results_as_they_come(hub: Hub, registry: Registry) -> None:
    turns = [asyncio.Event() for _ in range(3)]
    turns[2].set()

    @activity(registry=registry)
    async def answer(n: int) -> int:
        await turns[n].wait()
        return n

    @activity(registry=registry)
    async def let(n: int) -> None:
        turns[n].set()

    @orchestration(registry=registry)
    async def completed(ctx: OrchestrationContext) -> list[int]:
        order: list[int] = []
        for call in asyncio.as_completed([answer(n) for n in range(3)]):
            n = await call
            order.append(n)
            if n:
                await let(n - 1)
        return order

    async with hub.worker(registry):
        assert await hub.run(completed) == [2, 1, 0]


async def test_a_task_group_runs_calls_and_coroutines(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def square(n: int) -> int:
        return n * n

    @orchestration(registry=registry)
    async def grouped(ctx: OrchestrationContext) -> list[int]:
        async def plus_one(n: int) -> int:
            return await square(n) + 1

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(square(3)), group.create_task(plus_one(3))]
        return [task.result() for task in tasks]

    async with hub.worker(registry):
        assert await hub.run(grouped) == [9, 10]


async def test_a_failure_in_a_task_group_cancels_its_siblings(hub: Hub, registry: Registry) -> None:
    cleaned: list[str] = []

    @activity(registry=registry)
    async def fail() -> None:
        raise ValueError("no")

    @activity(registry=registry)
    async def clean(name: str) -> None:
        cleaned.append(name)

    @orchestration(registry=registry)
    async def grouped(ctx: OrchestrationContext) -> list[str]:
        async def sibling(name: str) -> None:
            try:
                await ctx.wait_for_event("never")
            finally:
                await clean(name)

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(sibling("a"))
                group.create_task(sibling("b"))
                group.create_task(fail())
        except ExceptionGroup as errors:
            return [error.failure.message for error in errors.exceptions if isinstance(error, TaskFailedError)]
        return []

    async with hub.worker(registry):
        assert await hub.run(grouped) == ["no"]
    assert sorted(cleaned) == ["a", "b"]


async def test_gather_raises_the_first_failure_or_returns_them_all(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def odd_only(n: int) -> int:
        if n % 2 == 0:
            raise ValueError(f"{n} is even")
        return n

    @orchestration(registry=registry)
    async def gathered(ctx: OrchestrationContext) -> list[str]:
        answers = await asyncio.gather(*(odd_only(n) for n in range(4)), return_exceptions=True)
        with pytest.raises(TaskFailedError):
            await asyncio.gather(odd_only(1), odd_only(2))
        return [str(a.failure.message) if isinstance(a, TaskFailedError) else str(a) for a in answers]

    async with hub.worker(registry):
        assert await hub.run(gathered) == ["0 is even", "1", "2 is even", "3"]


async def test_a_semaphore_limits_how_many_run_at_once(hub: Hub, registry: Registry) -> None:
    running = 0
    most = 0

    @activity(registry=registry)
    async def work(n: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return n

    @orchestration(registry=registry)
    async def limited(ctx: OrchestrationContext) -> int:
        semaphore = asyncio.Semaphore(3)

        async def one(n: int) -> int:
            async with semaphore:
                return await work(n)

        return sum(await asyncio.gather(*(one(n) for n in range(12))))

    async with hub.worker(registry):
        state = await hub.finished(limited)
    assert (state.status, state.output) == (OrchestrationStatus.COMPLETED, sum(range(12)))
    assert most <= 3


async def test_locks_events_and_queues_pass_work_between_tasks(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def square(n: int) -> int:
        return n * n

    @orchestration(registry=registry)
    async def pipeline(ctx: OrchestrationContext) -> list[int]:
        queue: asyncio.Queue[int | None] = asyncio.Queue(maxsize=2)
        opened, lock, out = asyncio.Event(), asyncio.Lock(), list[int]()

        async def produce() -> None:
            await opened.wait()
            for n in range(5):
                await queue.put(await square(n))
            await queue.put(None)

        async def consume() -> None:
            while (value := await queue.get()) is not None:
                async with lock:
                    out.append(value)

        async with asyncio.TaskGroup() as group:
            group.create_task(produce())
            group.create_task(consume())
            opened.set()
        return out

    async with hub.worker(registry):
        assert await hub.run(pipeline) == [0, 1, 4, 9, 16]


async def test_many_instances_fan_out_beside_each_other(hub: Hub, registry: Registry) -> None:
    @activity(registry=registry)
    async def add(a: int, b: int) -> int:
        return a + b

    @orchestration(registry=registry)
    async def fan(ctx: OrchestrationContext, base: int) -> list[int]:
        return list(await asyncio.gather(*(add(base, n) for n in range(5))))

    async with hub.worker(registry):
        handles = [await hub.client.start(fan, base) for base in range(0, 1000, 50)]
        results = await asyncio.gather(*(handle.result(WAIT) for handle in handles))
    assert results == [[base + n for n in range(5)] for base in range(0, 1000, 50)]
