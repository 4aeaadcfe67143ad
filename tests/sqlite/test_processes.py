"""Several worker processes on one file: they share the work, and one that was thought dead applies nothing late."""

import asyncio
import signal
import sqlite3
from collections import Counter

from dtf_runtime import OrchestrationStatus, TaskHubClient
from tests.faults.oracle import Run
from tests.scenarios.support import eventually
from tests.sqlite.conftest import File, Process, Processes

_STEPS = 4


async def _start(client: TaskHubClient, count: int) -> list[str]:
    handles = await asyncio.gather(
        *(client.start("steps", _STEPS - 1, instance_id=f"i{number}") for number in range(count))
    )
    return [handle.instance_id for handle in handles]


async def _results(client: TaskHubClient, ids: list[str], within: float) -> dict[str, list[str]]:
    async with asyncio.timeout(within):
        results = await asyncio.gather(*(client.handle(one, list[str]).result() for one in ids))
    return dict(zip(ids, results, strict=True))


def _used_once(results: dict[str, list[str]], runs: list[Run]) -> None:
    """Each step used one run of its own."""
    steps = {run.token: (run.instance, run.step) for run in runs}
    for instance, tokens in results.items():
        expected = [(instance, f"step{number}") for number in range(_STEPS - 1)] + [(instance, "last")]
        assert [steps[token] for token in tokens] == expected


async def test_four_processes_share_500_instances_and_run_each_step_once(file: File, processes: Processes) -> None:
    async with file.client() as client:
        workers = [await processes.start("--slots", "8") for _ in range(4)]
        results = await _results(client, await _start(client, 500), within=60)
        statuses = await client.count()
        runs = file.runs()
        for worker in workers:
            assert await processes.stop(worker) == 0
    assert statuses == {OrchestrationStatus.COMPLETED: 500}
    _used_once(results, runs)
    assert Counter((run.instance, run.step) for run in runs).most_common(1)[0][1] == 1, "a step ran twice"
    by_process = Counter(run.pid for run in runs)
    assert len(by_process) == 4, f"not everybody worked: {by_process}"


async def _stop_between_transactions(file: File, process: Process) -> None:
    """SIGSTOP within one would keep the file locked for everybody: there is nothing that others could do about it but wait."""
    while True:
        process.send_signal(signal.SIGSTOP)
        connection = sqlite3.connect(file.path, timeout=0, isolation_level=None)
        try:
            connection.execute("begin immediate")
            connection.execute("rollback")
            return
        except sqlite3.OperationalError:
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(0)
        finally:
            connection.close()


async def test_a_process_that_was_stopped_past_its_lease_applies_nothing_late_and_works_on(
    file: File, processes: Processes
) -> None:
    async with file.client() as client:
        paused = await processes.start("--lock-duration", "1", "--slots", "8")
        ids = await _start(client, 100)
        await eventually(lambda: len(file.runs()) > 40, "the first process is in the middle of it")
        await _stop_between_transactions(file, paused)
        before = len(file.runs())
        other = await processes.start("--lock-duration", "30", "--slots", "8")
        results = await _results(client, ids, within=30)
        states = {one: await client.get_state(one) for one in ids}
        old_owners = {name for (name,) in file.rows("select name from owners")}
        assert not any(name.startswith(f"{paused.pid}") for name in old_owners), "its lease was taken from it"
        paused.send_signal(signal.SIGCONT)
        await eventually(
            lambda: "lease" in file.log.read_text() and len(file.rows("select id from owners")) == 3,
            "it has noticed, and works under a new number",
        )
        assert {one: await client.get_state(one) for one in ids} == states, "its late commits changed nothing"
        assert await processes.stop(other) == 0
        later = await (await client.start("steps", 3, instance_id="later")).result(20)
        assert {run.pid for run in file.runs() if run.instance == "later"} == {paused.pid}
    runs = file.runs()
    assert before < len(runs)
    _used_once(results | {"later": later}, runs)
    twice = [runs_ for runs_ in Counter((run.execution, run.step) for run in runs).items() if runs_[1] > 1]
    again = {run.pid for run in runs if any((run.execution, run.step) == call for call, _ in twice)}
    assert not again or again == {paused.pid, other.pid}, "only what was in flight in the stopped process ran again"
    assert all(times == 2 for _, times in twice)


async def test_an_instance_that_another_process_replaced_runs_as_the_new_one(file: File, processes: Processes) -> None:
    """The worker that waits with the old one learns of it from the file."""
    async with file.client() as client:
        await processes.start()
        first = await client.start("waits", instance_id="one")
        await eventually(lambda: len(file.runs()) == 1, "it waits for its event")
        live = tuple(status for status in OrchestrationStatus if not status.is_final)
        second = await client.start("steps", 3, instance_id="one", reuse=live)
        assert len(await second.result(20)) == 4
        assert first.instance_id == second.instance_id


async def test_what_another_process_terminated_does_not_go_on(file: File, processes: Processes) -> None:
    async with file.client() as client:
        await processes.start()
        handle = await client.start("behind_gate", str(file.gate()), instance_id="one")
        await eventually(lambda: len(file.runs()) == 1, "its activity runs")
        await client.terminate("one", "enough")
        file.gate().touch()
        other = await client.start("behind_gate", str(file.gate()), instance_id="two")
        assert len(await other.result(20)) == 2
        assert (await handle.state()).status == OrchestrationStatus.TERMINATED
        assert [run.step for run in file.runs() if run.instance == "one"] == ["gated"]
