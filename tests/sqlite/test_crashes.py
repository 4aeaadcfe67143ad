"""Processes that are killed in the middle of an activity or a turn: what was in flight runs again, and what kills each time fails alone."""

import asyncio
import signal

import pytest

from dtf_runtime import OrchestrationFailedError, OrchestrationStatus, TaskHubClient
from tests.scenarios.support import eventually
from tests.sqlite.conftest import File, Processes

_DELIVERIES = 6


async def test_an_activity_whose_process_was_killed_runs_again_with_its_heartbeat_and_key(
    file: File, processes: Processes
) -> None:
    async with file.client() as client:
        first = await processes.start()
        handle = await client.start("heartbeats", str(file.gate()))
        await eventually(
            lambda: file.rows("select heartbeat from tasks") == [('{"rows":7}',)], "the heartbeat is on disk"
        )
        first.send_signal(signal.SIGKILL)
        await first.wait()
        second = await processes.start()
        token, last = await handle.result(20)
    runs = file.runs()
    assert [run.pid for run in runs] == [first.pid, second.pid]
    assert last == {"rows": 7} == runs[1].heartbeat
    assert token == runs[1].token
    assert runs[0].key == runs[1].key


async def test_a_killed_process_is_noticed_long_before_its_lease_ends(file: File, processes: Processes) -> None:
    async with file.client() as client:
        await processes.start("--lock-duration", "600")
        first = processes.started[0]
        handle = await client.start("behind_gate", str(file.gate()))
        await eventually(lambda: len(file.runs()) == 1, "its activity runs")
        other = await processes.start("--lock-duration", "600")
        first.kill()
        await eventually(lambda: len(file.runs()) == 2, "the other process runs it", timeout=5)
        file.gate().touch()
        assert len(await handle.result(20)) == 2
    assert [run.pid for run in file.runs()[:2]] == [first.pid, other.pid]


async def _run_until_over(client: TaskHubClient, processes: Processes, instance: str) -> int:
    """A supervisor that starts the worker again whenever it died. Gives how often it died."""
    deaths = 0
    while True:
        process = await processes.start("--max-deliveries", str(_DELIVERIES))
        dying = asyncio.create_task(process.wait())
        ended = asyncio.create_task(client.handle(instance).wait())
        await asyncio.wait([dying, ended], timeout=20, return_when=asyncio.FIRST_COMPLETED)
        assert dying.done() or ended.done(), "it neither ended nor died"
        if ended.done():
            return deaths
        ended.cancel()
        deaths += 1
        assert deaths <= 2 * _DELIVERIES, "it would go on for ever"


@pytest.mark.parametrize("name", ["kills_in_an_activity", "kills_in_a_turn"])
async def test_what_kills_its_process_each_time_fails_alone_and_its_neighbours_finish(
    file: File, processes: Processes, name: str
) -> None:
    async with file.client() as client:
        bad = await client.start(name, instance_id="bad")
        neighbours = [await client.start("steps", 5) for _ in range(10)]
        neighbours += [await client.start("behind_gate", str(file.gate())) for _ in range(5)]
        waiting = await client.start("waits")
        deaths = await _run_until_over(client, processes, "bad")
        assert 3 <= deaths <= _DELIVERIES
        with pytest.raises(OrchestrationFailedError) as caught:
            await bad.result()
        assert caught.value.failure.is_caused_by("NonRetriableError" if "activity" in name else "DurableTaskError")
        assert "bad" in str(caught.value)
        file.gate().touch()
        await client.raise_event(waiting.instance_id, "go")
        states = await asyncio.gather(*(handle.wait(20) for handle in [*neighbours, waiting]))
        assert {state.status for state in states} == {OrchestrationStatus.COMPLETED}
