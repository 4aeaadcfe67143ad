"""Rules 17, 19 and 20: compensation, changed code, and the Python that made a history."""

# ruff: noqa: RUF006 - the loop of an orchestration holds its tasks (rule 6)

import asyncio
from typing import Any

import pytest

from dtf_runtime import OrchestrationContext, OrchestrationStatus, Registry, Saga, TaskFailedError, orchestration
from dtf_runtime.model import history as h
from dtf_runtime.replay.execution import PYTHON
from dtf_runtime.testing import TestHub
from tests.replay.definitions import first, second, undo
from tests.replay.instance import Instance


def undone(instance: Instance) -> list[str]:
    return [bytes(event.input).decode() for event in instance.of_kind(h.TaskScheduled) if event.name == "undo"]


@orchestration(registry=Registry())
async def booking(ctx: OrchestrationContext) -> str:
    async with Saga() as saga:
        await saga.do(first(1), undo=lambda result: undo(f"first {result}"))
        saga.compensate(undo, "second")
        await second(2)
    return "booked"


@pytest.mark.rule(17)
def test_compensations_run_last_in_first_out_each_to_its_end_and_the_error_goes_on() -> None:
    instance = Instance(booking)
    instance.turn()
    instance.turn(instance.completed(1, 7))
    instance.turn(instance.failed(2, OSError("full")))
    assert undone(instance) == ['["second"]']
    instance.evict()
    instance.turn(instance.failed(3, OSError("undo failed too")))
    assert undone(instance) == ['["second"]', '["first 7"]']
    instance.turn(instance.completed(4, None))
    assert instance.status == OrchestrationStatus.FAILED and "full" in instance.failure.message
    assert "undo failed too" in instance.failure.stack_trace  # as a note
    instance.replay()


@pytest.mark.rule(17)
def test_a_second_cancel_from_a_task_group_does_not_cut_compensation_short() -> None:
    """On 3.13 a TaskGroup may cancel its parent again while that cleans up."""

    @orchestration(registry=Registry())
    async def pressed(ctx: OrchestrationContext) -> None:
        main = asyncio.current_task()
        assert main is not None

        async def press() -> None:
            for _ in range(3):
                await asyncio.sleep(1)
                main.cancel()

        asyncio.create_task(press())
        async with Saga() as saga:
            saga.compensate(undo, "one")
            saga.compensate(undo, "two")
            await second()

    instance = Instance(pressed)
    instance.turn()
    numbers = iter(range(1, 99))
    while instance.live is not None:
        waiting = [e.number for e in instance.of_kind(h.TimerCreated) if e.number in instance.live.timers]
        if waiting:
            instance.turn(instance.due(waiting[0]), after=1)
        else:
            instance.turn(*[instance.completed(n, None) for n in instance.live.open])
        assert next(numbers) < 20
    assert undone(instance) == ['["two"]', '["one"]']
    assert instance.status == OrchestrationStatus.FAILED  # CancelledError, and nobody asked the instance


@pytest.mark.rule(17)
def test_a_call_made_with_do_is_waited_for_under_a_cancel_and_undone() -> None:
    instance = Instance(booking)
    instance.turn()
    commit = instance.turn(instance.control("cancel"))
    assert list(commit.cancelled_tasks) == [] and instance.live is not None
    instance.turn(instance.completed(1, 7))
    assert undone(instance) == ['["first 7"]']
    instance.turn(instance.completed(2, None))
    assert instance.status == OrchestrationStatus.CANCELLED


@pytest.mark.rule(17)
def test_success_and_forget_compensate_nothing() -> None:
    @orchestration(registry=Registry())
    async def forgetting(ctx: OrchestrationContext) -> None:
        async with Saga() as saga:
            saga.compensate(undo, "it")
            saga.forget()
            await first()

    good, bad = Instance(booking), Instance(forgetting)
    good.turn(), bad.turn()
    good.turn(good.completed(1)), bad.turn(bad.failed(1, OSError()))
    good.turn(good.completed(2))
    assert good.output == "booked" and undone(good) == undone(bad) == []
    assert bad.failure.is_caused_by(TaskFailedError)


def _changing(new: bool) -> Any:
    @orchestration(name="changing", registry=Registry())
    async def changing(ctx: OrchestrationContext) -> list[bool]:
        seen: list[bool] = []
        if new:
            seen.append(ctx.patched("checks"))
            if seen[0]:
                await second()
        await first()
        if new:
            seen.append(ctx.patched("checks"))
        return seen

    return changing


@pytest.mark.rule(19)
def test_patched_is_false_where_history_was_made_without_it_and_stays_so() -> None:
    instance = Instance(_changing(False))
    instance.turn()
    instance.evict()
    instance.orchestration = _changing(True)
    instance.turn(instance.completed(1))
    assert instance.output == [False, False] and "PatchRecorded" not in instance.kinds()


@pytest.mark.rule(19)
def test_patched_is_true_where_new_code_comes_first_recorded_once_and_takes_no_number() -> None:
    instance = Instance(_changing(True))
    instance.turn()
    assert instance.kinds()[2:] == ["PatchRecorded", "TaskScheduled"]
    instance.evict()
    instance.turn(instance.completed(1))
    instance.evict()
    instance.turn(instance.completed(2))
    assert instance.output == [True, True]
    assert [event.number for event in instance.of_kind(h.TaskScheduled)] == [1, 2]
    assert len(instance.of_kind(h.PatchRecorded)) == 1
    instance.replay()


@pytest.mark.rule(19)
async def test_an_instance_runs_the_version_it_was_started_with() -> None:
    registry = Registry()
    for version in ("1", "2"):

        @orchestration(name="many", version=version, registry=registry)
        async def many(ctx: OrchestrationContext, own: str = version) -> str:
            await asyncio.sleep(10)
            return f"{ctx.version} ran {own}"

    async with TestHub(registry=registry) as hub:
        old, new = [await hub.client.start("many", version=version) for version in ("1", "2")]
        assert (await old.result(), await new.result()) == ("1 ran 1", "2 ran 2")


@pytest.mark.rule(20)
def test_the_first_turn_and_each_other_python_are_recorded() -> None:
    instance = Instance(booking)
    instance.turn()
    instance.turn(instance.completed(1))
    assert [event.python for event in instance.of_kind(h.OrchestratorStarted)] == [PYTHON]
    instance.evict()
    instance.rows = [row.replace(f'"{PYTHON}"'.encode(), b'"3.10"') for row in instance.rows]
    instance.turn(instance.completed(2))
    assert [event.python for event in instance.of_kind(h.OrchestratorStarted)] == ["3.10", PYTHON]
    instance.replay()
