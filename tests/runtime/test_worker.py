"""A worker's life: signals, leaving, threads that outlive it, and what the package loads."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(program: str, cwd: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WORKER = """
    import asyncio, sys, time
    from dtf_runtime import OrchestrationContext, TaskHubClient, TaskHubWorker, WorkerOptions, activity, connect, orchestration

    @activity
    def stubborn() -> None:
        print("running", flush=True)
        time.sleep(60)

    @orchestration
    async def flow(ctx: OrchestrationContext) -> None:
        await stubborn()

    async def main() -> None:
        service = connect("sqlite:///hub.db")
        async with TaskHubClient(service) as client:
            await client.start(flow, instance_id="flow")
            await TaskHubWorker(service, options=WorkerOptions(shutdown_grace=0.1)).run()
            state = await client.get_state("flow")
            print("left", state.status, flush=True)

    asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: signal.Signals(number).name)
def test_a_signal_ends_a_worker_within_its_grace_though_a_thread_runs_on(tmp_path: Path, number: int) -> None:
    with python(WORKER, tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        process.send_signal(number)
        output, errors = process.communicate(timeout=20)
    assert output == "left running\n"
    assert process.returncode == 0, errors


def test_importing_the_package_loads_no_sdk_no_provider_and_no_command(tmp_path: Path) -> None:
    program = "import dtf_runtime, sys; print(sorted({name.partition('.')[0] for name in sys.modules}))"
    with python(program, tmp_path) as process:
        output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    loaded = set(eval(output))
    assert "dtf_runtime" in loaded
    assert loaded.isdisjoint(
        {"typer", "rich", "httpx", "filelock", "sqlite3", "boto3", "azure", "twilio", "opentelemetry"}
    )


def test_every_public_name_is_there_and_another_is_an_attribute_error(tmp_path: Path) -> None:
    program = """
        import dtf_runtime
        for name in dtf_runtime.__all__:
            assert name in dir(dtf_runtime) and getattr(dtf_runtime, name) is not None
        from dtf_runtime import *
        assert run is dtf_runtime.run and TaskHubWorker.__name__ == "TaskHubWorker"
        try:
            dtf_runtime.nonsense
        except AttributeError as error:
            print(error)
    """
    with python(program, tmp_path) as process:
        output, errors = process.communicate(timeout=20)
    assert output == "module 'dtf_runtime' has no attribute 'nonsense'\n", errors
