"""Rows that this version can't read stay where they are and are reported; everybody else goes on."""

import sqlite3

import pytest

from dtf_runtime import OrchestrationStatus, ProviderError
from tests.scenarios.support import eventually, listening
from tests.sqlite.conftest import File


async def _made(file: File, *names: str) -> None:
    """Instances that wait for an event, and nobody who runs them."""
    async with file.both() as client:
        for name in names:
            await client.start("waits", instance_id=name)
        await eventually(lambda: len(file.runs()) == len(names), "all wait for their event")


def _changed(file: File, statement: str, *parameters: object) -> None:
    connection = sqlite3.connect(file.path)
    assert connection.execute(statement, parameters).rowcount == 1, statement
    connection.commit()
    connection.close()


async def test_an_event_of_an_unknown_kind_in_history_stops_its_instance_alone(file: File) -> None:
    await _made(file, "odd", "even")
    (row,) = file.rows("select k, events from history h join instances i on i.x=h.x where id='odd' limit 1")
    odd = row[1].replace("ExecutionStarted", "ExecutionDreamt")
    _changed(file, "update history set events=? where k=?", odd, row[0])
    with listening() as heard:
        async with file.both() as client:
            for name in ("odd", "even"):
                await client.raise_event(name, "go", 1)
            assert (await client.handle("even").result(20))[1] == 1
            await eventually(lambda: any("set aside" in line and "'odd'" in line for line in heard), "it is reported")
            with pytest.raises(ProviderError, match=r"history of instance 'odd'.*kept"):
                await client.get_history("odd")
            assert (await client.handle("odd").state()).status == OrchestrationStatus.RUNNING
    assert file.rows("select events from history where k=?", row[0]) == [(odd,)]
    waiting = file.rows("select body from messages m join instances i on i.n=m.n where i.id='odd'")
    assert len(waiting) == 1, "its event is still there"
    _changed(file, "update history set events=? where k=?", row[1], row[0])
    async with file.both() as client:
        assert (await client.handle("odd").result(40))[1] == 1, "the version that can read it goes on"


@pytest.mark.parametrize("place", ["first", "middle", "last"])
async def test_a_history_that_lacks_a_row_is_an_error_wherever_the_hole_is(file: File, place: str) -> None:
    async with file.both() as client:
        await (await client.start("steps", 3, instance_id="one")).result(20)
        assert len(await client.get_history("one")) == (await client.handle("one").state()).history_length
    rows = [k for (k,) in file.rows("select k from history order by revision")]
    assert len(rows) >= 3
    _changed(file, "delete from history where k=?", {"first": rows[0], "middle": rows[1], "last": rows[-1]}[place])
    async with file.client() as client:
        with pytest.raises(ProviderError, match=r"history of instance 'one'.*missing"):
            await client.get_history("one")


@pytest.mark.parametrize(
    "body",
    [b'{"kind":"Telegram","text":"stop"}', b"{not json", b"\xff\xfe"],
    ids=["unknown kind", "no JSON", "no text"],
)
async def test_a_message_of_an_unknown_kind_is_kept_and_reported(file: File, body: bytes) -> None:
    await _made(file, "odd", "even")
    (instance,) = file.rows("select n from instances where id='odd'")
    _changed(
        file, "insert into messages(k, n, execution, due, body) values(7, ?, '', 1, cast(? as text))", instance[0], body
    )
    with listening() as heard:
        async with file.both() as client:
            await client.raise_event("even", "go", 1)
            assert (await client.handle("even").result(20))[1] == 1
            await eventually(lambda: any("row_set_aside" in line for line in heard), "it is reported")
            assert len(file.rows("select k from messages where k=7")) == 1, "it is kept"
            await client.raise_event("odd", "go", 1)
            assert (await client.handle("odd").result(20))[1] == 1, "what its instance can read, it runs on"
    reports = [line for line in heard if "row_set_aside" in line]
    assert len(reports) == 1, "said once, not at each look"


async def test_an_activity_that_cannot_be_read_is_kept_and_the_others_run(file: File) -> None:
    await _made(file, "odd")
    (instance,) = file.rows("select n, execution from instances where id='odd'")
    _changed(
        file,
        "insert into tasks(k, n, execution, number, attempt, due, deliveries, body) values(7, ?, ?, 99, 1, 1, 0, '{\"new\":1}')",
        *instance,
    )
    with listening() as heard:
        async with file.both() as client:
            assert len(await (await client.start("steps", 3)).result(20)) == 4
            await eventually(lambda: any("row_set_aside" in line for line in heard), "it is reported")
    assert file.rows("select body from tasks where k=7") == [('{"new":1}',)]
    assert len([line for line in heard if "row_set_aside" in line]) == 1


async def test_a_start_that_cannot_be_read_is_kept_and_the_others_run(file: File) -> None:
    async with file.client() as client:
        await client.start("steps", 3, instance_id="odd")
        await client.start("steps", 3, instance_id="even")
    _changed(file, "update executions set parent='{\"who\":1}' where x=(select x from instances where id='odd')")
    with listening() as heard:
        async with file.both() as client:
            assert len(await client.handle("even").result(20)) == 4
            await eventually(lambda: any("row_set_aside" in line for line in heard), "it is reported")
            assert (await client.handle("odd").state()).status == OrchestrationStatus.PENDING
    assert file.rows("select status, owner from instances where id='odd'") == [("pending", None)]


async def test_a_state_that_cannot_be_read_is_an_error_that_names_its_instance(file: File) -> None:
    await _made(file, "odd", "even")
    _changed(file, "update instances set status='dreaming' where id='odd'")
    async with file.client() as client:
        with pytest.raises(ProviderError, match=r"'odd'.*kept"):
            await client.get_state("odd")
        assert (await client.handle("even").state()).status == OrchestrationStatus.RUNNING
