"""A disk that is full and a file that somebody else holds: a clear error, nothing half-done, and everything goes on afterwards."""

import asyncio
import sqlite3
from collections.abc import Callable

import pytest

from dtf_runtime import ProviderError
from dtf_runtime.providers.sqlite import schema
from tests.scenarios.support import eventually, listening
from tests.sqlite.conftest import File

_PAGE = 4096


class Disk:
    """SQLite's own limit on the size of a file, for each connection that is opened: what it refuses is the real SQLITE_FULL."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._connections: list[sqlite3.Connection] = []

    def opened(self, connection: sqlite3.Connection) -> sqlite3.Connection:
        self._connections.append(connection)
        return connection

    def fill(self) -> None:
        """No page more than there are now."""
        for connection in self._connections:
            pages = connection.execute("pragma page_count").fetchone()[0]
            assert connection.execute(f"pragma max_page_count={pages}").fetchone() == (pages,)

    def make_room(self) -> None:
        for connection in self._connections:
            connection.execute("pragma max_page_count=1000000")


@pytest.fixture
def disk(file: File, monkeypatch: pytest.MonkeyPatch) -> Disk:
    it = Disk(str(file.path))
    open_database: Callable[..., sqlite3.Connection] = schema.open_database
    monkeypatch.setattr(schema, "open_database", lambda path, **options: it.opened(open_database(path, **options)))
    return it


async def test_a_full_disk_is_said_to_the_client_and_nothing_is_lost(file: File, disk: Disk) -> None:
    async with file.both() as client:
        before = [await client.start("waits", instance_id=f"before{number}") for number in range(5)]
        await eventually(lambda: len(file.runs()) == 5, "they wait for their events")
        disk.fill()
        with pytest.raises(ProviderError, match="full") as caught:
            for number in range(50):
                await client.start("echo", "x" * _PAGE, instance_id=f"big{number}")
        assert "Free some space" in str(caught.value)
        accepted = [f"big{n}" for n in range(50) if await client.get_state(f"big{n}") is not None]
        assert f"big{len(accepted)}" not in accepted, "the one that was refused is not there"
        with pytest.raises(ProviderError, match="full"):
            await client.raise_event("before0", "go", "y" * 10 * _PAGE)
        assert (await before[1].state()).status == "running", "reading goes on"
        disk.make_room()
        for handle in before:
            await client.raise_event(handle.instance_id, "go", "late")
        for handle in before:
            assert (await handle.result(20))[1] == "late"
        for instance in accepted:
            assert await client.handle(instance).result(20) == "x" * _PAGE
        assert await (await client.start("echo", 1, instance_id=f"big{len(accepted)}")).result(20) == 1
    assert file.rows("pragma integrity_check") == [("ok",)]


async def test_turns_that_a_full_disk_refused_are_done_when_there_is_room_again(file: File, disk: Disk) -> None:
    async with file.both() as client:
        handles = [await client.start("behind_gate", str(file.gate())) for _ in range(200)]
        await eventually(lambda: len(file.runs()) == 100, "as many run as there are slots")
        disk.fill()
        with listening() as heard:
            file.gate().touch()
            await eventually(lambda: any("full" in line for line in heard), "the writer met the limit")
        disk.make_room()
        results = await asyncio.gather(*(handle.result(30) for handle in handles))
        assert all(len(result) == 2 for result in results)
        runs = file.runs()
        assert {token for result in results for token in result} <= {run.token for run in runs}
        assert len({(run.execution, run.step) for run in runs}) == 400
    assert file.rows("pragma integrity_check") == [("ok",)]


async def test_a_file_that_another_program_holds_for_a_while_only_delays(file: File) -> None:
    async with file.both() as client:
        waiting = await client.start("waits")
        await eventually(lambda: len(file.runs()) == 1, "it waits for its event")
        holder = sqlite3.connect(file.path, isolation_level=None)
        holder.execute("begin exclusive")
        raising = asyncio.create_task(client.raise_event(waiting.instance_id, "go", 1))
        starting = asyncio.create_task(client.start("echo", 2))
        assert (await waiting.state()).status == "running", "reading goes on meanwhile"
        await asyncio.wait([raising, starting], timeout=0.5)
        assert not raising.done() and not starting.done(), "nothing is acknowledged that is not stored"
        holder.execute("rollback")
        holder.close()
        await raising
        assert (await waiting.result(20))[1] == 1
        assert await (await starting).result(20) == 2


async def test_a_file_that_stays_locked_is_a_clear_error_and_works_again_afterwards(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections: list[sqlite3.Connection] = []
    open_database: Callable[..., sqlite3.Connection] = schema.open_database

    def impatient(path: str, **options: str) -> sqlite3.Connection:
        connection = open_database(path, **options)
        connection.execute("pragma busy_timeout=100")
        connections.append(connection)
        return connection

    monkeypatch.setattr(schema, "open_database", impatient)
    async with file.both() as client:
        assert await (await client.start("echo", 0)).result(20) == 0
        holder = sqlite3.connect(file.path, isolation_level=None)
        holder.execute("begin exclusive")
        with pytest.raises(ProviderError, match="locked") as caught:
            await client.start("echo", 1, instance_id="one")
        assert file.path.name in str(caught.value) and "close it" in str(caught.value)
        assert await client.get_state("one") is None
        holder.execute("rollback")
        holder.close()
        assert await (await client.start("echo", 1, instance_id="one")).result(20) == 1
