"""`fan_out`: a limit in flight, a budget of failures, a report."""

import asyncio

import pytest

from dtf_runtime import OrchestrationFailedError, Registry, activity
from dtf_runtime.testing import TestHub
from suborchestrations.fan_out import FanOut, FanOutReport, fan_out

WAIT = 30.0


class Kitchen:
    def __init__(self) -> None:
        self.now = self.most = 0
        self.calls: list[int] = []

    def registry(self) -> Registry:
        @activity(name="bake", registry=(registry := Registry()))
        async def bake(item: int) -> int:
            self.calls.append(item)
            self.now += 1
            self.most = max(self.most, self.now)
            await asyncio.sleep(0.001)
            self.now -= 1
            if item < 0:
                raise ValueError(f"{item} is burnt")
            return item * 2

        return registry.add(fan_out)


async def run(kitchen: Kitchen, spec: FanOut) -> FanOutReport:
    async with TestHub(registry=kitchen.registry()) as hub:
        return await (await hub.client.start(fan_out, spec)).result(WAIT)


async def test_every_item_is_called_once_and_no_more_than_the_limit_at_once() -> None:
    kitchen = Kitchen()
    report = await run(kitchen, FanOut(activity="bake", items=list(range(100)), limit=7))
    assert (report.results, report.failed) == ([2 * n for n in range(100)], [])
    assert sorted(kitchen.calls) == list(range(100))
    assert kitchen.most == 7


async def test_failures_within_the_budget_are_reported() -> None:
    report = await run(Kitchen(), FanOut(activity="bake", items=[1, -2, 3], failure_budget=1, attempts=1))
    assert report.results == [2, None, 6]
    assert [(item.index, item.error) for item in report.failed] == [(1, "builtins.ValueError: -2 is burnt")]


async def test_one_failure_too_many_ends_the_run_and_leaves_the_rest_alone() -> None:
    kitchen = Kitchen()
    items = [-1, -2, *range(100)]
    with pytest.raises(OrchestrationFailedError) as error:
        await run(kitchen, FanOut(activity="bake", items=items, limit=2, failure_budget=1, attempts=1))
    properties = error.value.failure.properties
    assert [item["index"] for item in properties["failed"]] == [0, 1]
    assert len(kitchen.calls) < 10
    assert "2 of 102 items failed, 1 were allowed" in error.value.failure.message


async def test_a_plan_names_every_call_and_makes_none() -> None:
    kitchen = Kitchen()
    report = await run(kitchen, FanOut(activity="bake", items=[1, 2], plan=True))
    assert ([(call.activity, call.input) for call in report.planned], kitchen.calls) == ([("bake", 1), ("bake", 2)], [])


async def test_the_deadline_ends_it() -> None:
    kitchen = Kitchen()
    with pytest.raises(OrchestrationFailedError, match="TimeoutError"):
        await run(kitchen, FanOut(activity="bake", items=[-1, 1], attempts=1000, deadline=300.0))
    assert kitchen.calls.count(1) == 1
