"""Which files are taken for a hub, how they are set up, and that an idle hub leaves its file alone."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from dtf_runtime import ProviderError, TaskHubClient, connect
from dtf_runtime.providers.sqlite import schema
from tests.scenarios.support import eventually
from tests.sqlite.conftest import File, Processes


async def _is_refused(file: File) -> str:
    """And left as it was, byte for byte."""
    content = file.path.read_bytes()
    with pytest.raises(ProviderError) as caught:
        async with file.client():
            pass
    with pytest.raises(ProviderError):
        async with file.worker():
            pass
    assert file.path.read_bytes() == content
    assert not [path for path in file.folder.iterdir() if path.name.endswith(("-wal", "-shm")) and path.stat().st_size]
    assert file.path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("journal", ["delete", "wal"])
async def test_another_programs_database_is_refused(file: File, journal: str) -> None:
    connection = sqlite3.connect(file.path)
    connection.execute(f"pragma journal_mode={journal}")
    connection.execute("create table history(k integer primary key, url text)")
    connection.execute("pragma user_version=1")
    connection.commit()
    connection.close()
    assert "another program" in await _is_refused(file)


async def test_a_file_of_a_newer_version_is_refused(file: File) -> None:
    async with file.client() as client:
        await client.start("echo", 1)
    connection = sqlite3.connect(file.path)
    connection.execute(f"pragma user_version={schema.SCHEMA_VERSION + 1}")
    connection.commit()
    connection.close()
    message = await _is_refused(file)
    assert f"schema {schema.SCHEMA_VERSION + 1}" in message and "Upgrade" in message


async def test_garbage_is_refused(file: File) -> None:
    file.path.write_bytes(bytes(range(256)) * 64)
    assert "not a database" in await _is_refused(file)


async def test_a_hub_whose_first_page_is_damaged_is_refused_and_kept(file: File) -> None:
    async with file.both() as client:
        await (await client.start("echo", 1)).result(20)
    data = bytearray(file.path.read_bytes())
    data[100] ^= 0xFF  # the kind of the root page
    file.path.write_bytes(data)
    message = await _is_refused(file)
    assert "damaged" in message and "backup" in message


async def test_an_older_file_is_brought_forward_in_one_step_or_not_at_all(
    file: File, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next version as it might be: a column more. A migration that fails leaves the file at the old one."""
    async with file.both() as client:
        await (await client.start("echo", 1, instance_id="old")).result(20)
    monkeypatch.setattr(schema, "SCHEMA_VERSION", 2)
    broken = "alter table instances add column mood text; alter table nowhere add column mood text"
    monkeypatch.setitem(schema._MIGRATIONS, 2, broken)
    with pytest.raises(ProviderError, match="migrate"):
        async with file.client():
            pass
    assert file.rows("pragma user_version") == [(1,)]
    assert "mood" not in {row[1] for row in file.rows("pragma table_info(instances)")}
    monkeypatch.setitem(schema._MIGRATIONS, 2, "alter table instances add column mood text")
    async with file.both() as client:
        assert await client.handle("old").result(20) == 1
        assert await (await client.start("echo", 2)).result(20) == 2
    assert file.rows("pragma user_version") == [(2,)]
    monkeypatch.undo()
    monkeypatch.setenv("DTF_SQLITE_TESTS_ORACLE", str(file.oracle))
    with pytest.raises(ProviderError, match="newer"):
        async with file.client():
            pass


@pytest.mark.parametrize(("options", "expected"), [({}, 2), ({"synchronous": "normal"}, 1)])
async def test_every_connection_is_in_wal_mode_and_as_durable_as_was_asked_for(
    file: File, monkeypatch: pytest.MonkeyPatch, options: dict[str, str], expected: int
) -> None:
    connections: list[sqlite3.Connection] = []
    open_database: Callable[..., sqlite3.Connection] = schema.open_database

    def opened(path: str, **given: str) -> sqlite3.Connection:
        connections.append(open_database(path, **given))
        return connections[-1]

    monkeypatch.setattr(schema, "open_database", opened)
    async with TaskHubClient(connect(file.url, **options)) as client:
        await client.start("echo", 1)
        assert len(connections) == 2, "the writer's and the reader's"
        for connection in connections:
            assert connection.execute("pragma synchronous").fetchone() == (expected,)
            assert connection.execute("pragma journal_mode").fetchone() == ("wal",)


async def test_an_idle_hub_does_not_write(file: File) -> None:
    """Two workers and an instance that waits: for seconds, not a byte, though the lock files of others are looked at."""
    async with file.both() as client, file.worker():
        await client.start("waits")
        await eventually(lambda: len(file.runs()) == 1, "it waits for its event")
        observer = sqlite3.connect(file.path)
        wal = Path(f"{file.path}-wal")

        def state() -> tuple[object, ...]:
            version = observer.execute("pragma data_version").fetchone()
            return version, file.path.stat().st_size, wal.stat().st_size, wal.stat().st_mtime_ns

        settled = [state()]

        async def quiet() -> bool:
            before, settled[0] = settled[0], state()
            await asyncio.sleep(0.2)
            return before == settled[0]

        await eventually(quiet, "the last turn is written")
        before = state()
        await asyncio.sleep(3)
        assert state() == before
        observer.close()


async def test_a_clean_stop_leaves_no_lock_file_and_no_owner(file: File, processes: Processes) -> None:
    async with file.client() as client:
        workers = [await processes.start() for _ in range(2)]
        handle = await client.start("steps", 3)
        await handle.result(20)
        await eventually(lambda: len(file.lock_files) == 3, "a lock file each")
        for worker in workers:
            assert await processes.stop(worker) == 0
        assert len(file.lock_files) == 1
    assert file.lock_files == []
    assert file.rows("select * from owners") == []


async def test_what_a_killed_process_leaves_is_cleared_away_by_the_next(file: File, processes: Processes) -> None:
    killed = await processes.start()
    await eventually(lambda: len(file.lock_files) == 1 and len(file.rows("select id from owners")) == 1, "it is there")
    killed.kill()
    await killed.wait()
    before = [path.name for path in file.lock_files]
    assert len(before) == 1, "nobody has cleared it away yet"
    other = await processes.start()

    def only_its_own() -> bool:
        owners = [f"{id_}.lock" for (id_,) in file.rows("select id from owners")]
        return owners == [path.name for path in file.lock_files] != before

    await eventually(only_its_own, "what the dead process left is gone")
    assert await processes.stop(other) == 0
    assert file.lock_files == []
