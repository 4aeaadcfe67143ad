"""A file, worker processes on it that do not outlive the test, and an oracle."""

import asyncio
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dtf_runtime import InstanceState, TaskHubClient, TaskHubWorker, WorkerOptions, connect
from tests.faults.oracle import Run, runs_of
from tests.sqlite import programs

Process = asyncio.subprocess.Process


@dataclass(frozen=True)
class File:
    """A hub's file in a folder of its own."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "hub.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.path}"

    @property
    def oracle(self) -> Path:
        return self.folder / "oracle.jsonl"

    @property
    def log(self) -> Path:
        return self.folder / "workers.log"

    @property
    def lock_files(self) -> list[Path]:
        return sorted((self.folder / "hub.db.locks").glob("*"))

    def runs(self) -> list[Run]:
        return runs_of(self.oracle)

    def rows(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """By a connection that no part of the product knows."""
        connection = sqlite3.connect(self.path, timeout=10)
        try:
            found = connection.execute(query, parameters).fetchall()
            connection.commit()
            return found
        finally:
            connection.close()

    def gate(self, name: str = "gate") -> Path:
        return self.folder / name

    def client(self) -> TaskHubClient:
        return TaskHubClient(connect(self.url))

    def worker(self, options: WorkerOptions | None = None) -> TaskHubWorker:
        """In this process."""
        return TaskHubWorker(
            connect(self.url), registry=programs.registry, options=options or WorkerOptions(shutdown_grace=0.5)
        )

    def both(self) -> AbstractAsyncContextManager[TaskHubClient]:
        """A worker and a client of this process, on one service."""

        @asynccontextmanager
        async def entered() -> AsyncIterator[TaskHubClient]:
            service = connect(self.url)
            options = WorkerOptions(shutdown_grace=0.5)
            async with (
                TaskHubWorker(service, registry=programs.registry, options=options),
                TaskHubClient(service) as client,
            ):
                yield client

        return entered()


@dataclass
class Processes:
    file: File
    started: list[Process]

    async def start(self, *arguments: str) -> Process:
        """A worker process that is about to take work."""
        with self.file.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "tests.sqlite.process", self.file.url, *arguments),
                env={**os.environ, programs.ORACLE_VARIABLE: str(self.file.oracle)},
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        self.started.append(process)
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n", self.file.log.read_text()
        return process

    async def stop(self, process: Process) -> int:
        process.terminate()
        return await asyncio.wait_for(process.wait(), 20)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> File:
    here = File(tmp_path)
    monkeypatch.setenv(programs.ORACLE_VARIABLE, str(here.oracle))
    programs._oracles.clear()
    return here


@pytest.fixture
async def processes(file: File) -> AsyncIterator[Processes]:
    running = Processes(file, [])
    yield running
    for process in running.started:
        if process.returncode is None:
            process.kill()
        await process.wait()


def unended(states: list[InstanceState]) -> list[str]:
    return [f"{state.instance_id} is {state.status}" for state in states if not state.status.is_final]
