"""One byte flipped in each of 50 pages, one at a time: a clear error or the right answer, never a wrong one that looks right; the file is kept.

SQLite has no checksums over rows. What can be noticed is: text that is no text any more, JSON that is none, events that are missing or not in
their place, pages that don't fit together. So all bits of the byte are flipped, which no text survives.
"""

import asyncio
import random
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dtf_runtime import HistoryEvent, InstanceNotFoundError, InstanceState, ProviderError, TaskHubClient
from tests.scenarios.support import eventually
from tests.sqlite.conftest import File

_PAGE = 4096
_PAGES = 50
_INSTANCES = 200


def _told(state: InstanceState | None, history: list[HistoryEvent]) -> tuple[Any, ...]:
    """What a user acts on."""
    assert state is not None
    return state.name, state.status, state.input_json, state.output_json, msgspec.json.encode(history)


async def _whole(file: File) -> dict[str, tuple[Any, ...]]:
    """A file with instances that ended and some that wait; gives the truth about each."""
    async with file.both() as client:
        ids = [f"instance-{number}" for number in range(_INSTANCES)]
        for number, id_ in enumerate(ids):
            name, data = ("waits", ()) if number % 5 == 0 else ("steps", (3,))
            await client.start(name, *data, instance_id=id_)
        ended = [client.handle(id_) for number, id_ in enumerate(ids) if number % 5]
        await asyncio.gather(*(handle.wait(30) for handle in ended))
        await eventually(lambda: len(file.runs()) == len(ended) * 4 + _INSTANCES // 5, "the others wait")
    async with file.client() as client:
        return {id_: _told(await client.get_state(id_), await client.get_history(id_)) for id_ in ids}


def _damaged(file: File, folder: Path, page: int, dice: random.Random) -> File:
    folder.mkdir()
    copy = File(folder)
    shutil.copy(file.path, copy.path)
    data = bytearray(copy.path.read_bytes())
    data[page * _PAGE + dice.randrange(_PAGE)] ^= 0xFF
    copy.path.write_bytes(data)
    return copy


async def _read_all(client: TaskHubClient, truth: dict[str, tuple[Any, ...]]) -> tuple[int, list[str], list[str]]:
    """How many are right, the errors, and those that the file says it has not."""
    right, errors, missing = 0, [], []
    for id_, expected in truth.items():
        try:
            state = await client.get_state(id_)
            if state is None:
                missing.append(id_)
                continue
            told = _told(state, await client.get_history(id_))
        except InstanceNotFoundError:
            missing.append(id_)
        except ProviderError as error:
            errors.append(str(error))
        else:
            assert told == expected, f"{id_} is wrong, and looks right"
            right += 1
    return right, errors, missing


async def test_a_flipped_byte_is_an_error_or_does_no_harm_and_never_a_wrong_answer(file: File) -> None:
    truth = await _whole(file)
    pages = file.path.stat().st_size // _PAGE
    dice = random.Random(7)
    assert pages > _PAGES
    noticed = unharmed = refused = 0
    for page in dice.sample(range(pages), _PAGES):
        copy = _damaged(file, file.folder / f"page{page}", page, dice)
        content = copy.path.read_bytes()
        try:
            async with asyncio.timeout(30), copy.client() as client:
                right, errors, missing = await _read_all(client, truth)
        except ProviderError as error:
            assert copy.path.name in str(error) and "kept" in str(error)
            refused += 1
            continue
        finally:
            assert len(copy.path.read_bytes()) >= len(content), "the file is kept"
        assert right + len(errors) + len(missing) == _INSTANCES
        assert all(str(copy.path) in text or "kept" in text for text in errors)
        if missing:
            assert copy.rows("pragma integrity_check") != [("ok",)], "SQLite's own check says what is wrong"
        noticed += bool(errors or missing)
        unharmed += right == _INSTANCES
    assert noticed + unharmed + refused == _PAGES
    assert noticed + refused >= _PAGES // 3, "enough of them hit something that matters"


async def test_work_goes_on_beside_a_damaged_page_or_fails_with_a_clear_error(file: File) -> None:
    truth = await _whole(file)
    pages = file.path.stat().st_size // _PAGE
    dice = random.Random(11)
    went_on = 0
    for page in dice.sample(range(1, pages), 12):
        copy = _damaged(file, file.folder / f"page{page}", page, dice)
        try:
            async with asyncio.timeout(30), copy.both() as client:
                handle = await client.start("steps", 3, instance_id="new")
                assert len(await handle.result(10)) == 4
                went_on += 1
                await _read_all(client, truth)
        except ProviderError as error:
            assert copy.path.name in str(error) or "kept" in str(error)
    assert went_on >= 6


async def test_a_damaged_index_gives_no_instance_the_history_of_another(file: File) -> None:
    await _whole(file)
    plain = sqlite3.connect(file.path)
    rows = plain.execute("select k, x from history order by k").fetchall()
    key, mine = rows[0]
    other = next(x for _, x in rows if x != mine)
    (id_,) = plain.execute("select id from instances where x=?", (mine,)).fetchone()
    # The row becomes another's while its index looks away, as a flipped byte would have it.
    plain.execute("pragma writable_schema=1")
    index = plain.execute("select * from sqlite_master where name='history_x'").fetchone()
    plain.execute("delete from sqlite_master where name='history_x'")
    plain.commit()
    plain.close()
    plain = sqlite3.connect(file.path)
    plain.execute("update history set x=? where k=?", (other, key))
    plain.execute("pragma writable_schema=1")
    plain.execute("insert into sqlite_master values (?, ?, ?, ?, ?)", index)
    plain.commit()
    plain.close()
    async with file.client() as client:
        with pytest.raises(ProviderError, match=id_):
            await client.get_history(id_)
