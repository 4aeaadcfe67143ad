"""A file that is no task hub of ours: a clear error, and the file stays as it was. SQLite only: it is about files."""

import sqlite3
from pathlib import Path

import pytest

from dtf_runtime import DurableTaskError, ProviderError, Registry, TaskHubClient, TaskHubWorker, connect
from tests.scenarios.support import WAIT, Hub, bystander, bystanders


async def is_refused(path: Path) -> ProviderError:
    """Neither a client nor a worker enters it, and a second try tells the same."""
    for _ in range(2):
        with pytest.raises(ProviderError) as caught:
            async with TaskHubClient(connect(f"sqlite:///{path}")):
                pass
    with pytest.raises(ProviderError):
        async with TaskHubWorker(connect(f"sqlite:///{path}"), registry=Registry()):
            pass
    assert path.name in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "content",
    [b"This is a letter to my aunt.\n" * 200, b"\x00" * 8192, b"SQLite format 3\x00" + b"\xff" * 8000, b"x"],
    ids=["text", "zeroes", "broken header", "one byte"],
)
async def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "letter.db"
    path.write_bytes(content)
    await is_refused(path)
    assert path.read_bytes() == content


async def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE instances (id INTEGER PRIMARY KEY, machine TEXT)")
    connection.execute("INSERT INTO instances (machine) VALUES ('lathe')")
    connection.commit()
    connection.close()
    content = path.read_bytes()
    await is_refused(path)
    assert path.read_bytes() == content


async def test_a_folder_and_a_place_that_does_not_exist_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "folder.db"
    folder.mkdir()
    await is_refused(folder)
    assert list(folder.iterdir()) == []
    nowhere = tmp_path / "no" / "such" / "nowhere.db"
    with pytest.raises(DurableTaskError, match=r"nowhere\.db"):
        async with TaskHubClient(connect(f"sqlite:///{nowhere}")):
            pass


async def test_an_empty_file_becomes_a_hub(tmp_path: Path) -> None:
    path = tmp_path / "empty.db"
    path.touch()
    service = connect(f"sqlite:///{path}")
    async with TaskHubWorker(service, registry=bystanders), TaskHubClient(service) as client:
        assert await Hub(service, client).run(bystander, within=WAIT) == "done"


async def test_a_path_with_spaces_and_other_letters_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "my hub (ü).db"
    service = connect(f"sqlite:///{path}")
    async with TaskHubWorker(service, registry=bystanders), TaskHubClient(service) as client:
        assert await Hub(service, client).run(bystander) == "done"
    assert path.is_file()
