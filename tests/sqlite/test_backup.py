"""A backup is a hub of its own, consistent, made while everything goes on."""

import asyncio
from pathlib import Path

import pytest

from dtf_runtime import InvalidArgumentError, TaskHubClient, TaskHubWorker, WorkerOptions, connect
from tests.scenarios.support import eventually
from tests.sqlite.conftest import File
from tests.sqlite.programs import registry


async def test_a_backup_made_while_writing_holds_whole_instances_and_runs_on_its_own(file: File) -> None:
    target = file.folder / "copy" / "backup.db"
    target.parent.mkdir()
    service = connect(file.url)
    options = WorkerOptions(shutdown_grace=0.5)
    async with TaskHubWorker(service, registry=registry, options=options), TaskHubClient(service) as client:
        early = [await client.start("waits", instance_id=f"early{number}") for number in range(5)]
        await eventually(lambda: len(file.runs()) == 5, "they wait for their events")
        stop = asyncio.Event()

        async def write() -> int:
            done = 0
            while not stop.is_set():
                await (await client.start("steps", 3, instance_id=f"meanwhile{done}")).result(20)
                done += 1
            return done

        writing = asyncio.create_task(write())
        await eventually(lambda: len(file.runs()) > 20, "writing is under way")
        await service.backup(str(target))  # type: ignore[attr-defined]
        stop.set()
        written = await writing
        for handle in early:
            await client.raise_event(handle.instance_id, "go", "in the original")
            assert (await handle.result(20))[1] == "in the original"
    copy = File(target.parent)
    target.rename(copy.path)
    assert copy.rows("pragma integrity_check") == [("ok",)]
    async with copy.both() as client:
        kept = [state async for state in client.query()]
        assert 5 < len(kept) <= 5 + written
        for number in range(5):
            await client.raise_event(f"early{number}", "go", "in the copy")
            assert (await client.handle(f"early{number}").result(20))[1] == "in the copy"
        for state in kept:
            if state.instance_id.startswith("meanwhile"):
                assert len(await client.handle(state.instance_id, list[str]).result(20)) == 4


async def test_a_backup_overwrites_nothing(file: File) -> None:
    target = Path(file.folder / "precious")
    target.write_text("precious")
    service = connect(file.url)
    async with TaskHubClient(service):
        with pytest.raises(InvalidArgumentError, match="exists already"):
            await service.backup(str(target))  # type: ignore[attr-defined]
    assert target.read_text() == "precious"
