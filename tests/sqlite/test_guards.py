"""The guards of a turn in SQL, one by one: each must refuse on its own, whatever else would have refused later."""

import asyncio
import sqlite3
from collections.abc import Awaitable
from typing import Any

from msgspec import Raw

from dtf_runtime import LockLostError, TaskHubClient, connect
from dtf_runtime.model import history as h
from dtf_runtime.model.commit import Commit
from dtf_runtime.model.messages import ActivityResult, ActivityTask
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.service import ActivityWorkItem, OrchestrationWorkItem
from tests.scenarios.support import utc_now
from tests.sqlite.conftest import File
from tests.sqlite.test_leases import _Anything, _committed


def _turn(position: int, **changes: Any) -> Commit:
    event = h.PatchRecorded(event_id=position, timestamp=utc_now(), change_id=f"turn {position}")
    return Commit(
        at=utc_now(),
        status=OrchestrationStatus.RUNNING,
        history=h.encode_events([event]),
        history_length=position + 1,
        **changes,
    )


def _changed_behind_its_back(file: File, statement: str) -> None:
    connection = sqlite3.connect(file.path)
    assert connection.execute(statement).rowcount == 1
    connection.commit()
    connection.close()


async def _locked(waiting: Awaitable[list[OrchestrationWorkItem]]) -> OrchestrationWorkItem:
    (item,) = await asyncio.wait_for(waiting, 20)
    return item


async def test_a_turn_is_refused_when_the_revision_has_moved(file: File) -> None:
    service: Any = connect(file.url)
    async with TaskHubClient(service) as client:
        await client.start("whatever", instance_id="one")
        item = await _locked(service.lock_orchestrations(_Anything(), 1))
        _changed_behind_its_back(file, "update instances set revision=revision+1")
        assert isinstance(await _committed(service, item, _turn(0)), LockLostError)


async def test_a_turn_is_refused_when_the_instance_is_no_more_ours(file: File) -> None:
    service: Any = connect(file.url)
    async with TaskHubClient(service) as client:
        await client.start("whatever", instance_id="one")
        item = await _locked(service.lock_orchestrations(_Anything(), 1))
        _changed_behind_its_back(file, "update instances set owner=null")
        task = ActivityTask(number=1, name="work", input=Raw(b"[]"))
        refused = await _committed(service, item, _turn(0, tasks=[task]))
        assert isinstance(refused, LockLostError)
        assert file.rows("select k from tasks") == []


async def _with_a_result(service: Any, worker: _Anything) -> tuple[OrchestrationWorkItem, ActivityWorkItem]:
    item = await _locked(service.lock_orchestrations(worker, 1))
    work = asyncio.ensure_future(service.lock_activities(worker, 1))
    await asyncio.sleep(0)  # so that it waits: this process then takes the activity itself
    task = ActivityTask(number=1, name="work", input=Raw(b"[]"))
    assert await _committed(service, item, _turn(0, tasks=[task])) is None
    (activity,) = await asyncio.wait_for(work, 20)
    result = ActivityResult(execution_id=activity.execution_id, number=1, result=Raw(b"7"))
    await service.complete_activity(activity, result)
    return await _locked(service.lock_orchestrations(worker, 1)), activity


async def test_a_turn_is_refused_when_the_activity_whose_result_it_takes_is_no_more_ours(file: File) -> None:
    service: Any = connect(file.url)
    worker = _Anything()
    async with TaskHubClient(service) as client:
        await client.start("whatever", instance_id="one")
        item, _ = await _with_a_result(service, worker)
        _changed_behind_its_back(file, "update tasks set owner=null")
        assert isinstance(await _committed(service, item, _turn(1)), LockLostError)
        assert len(file.rows("select k from history")) == 1
        await service.detach(worker)


async def test_a_result_goes_with_the_turn_that_took_it(file: File) -> None:
    service: Any = connect(file.url)
    worker = _Anything()
    async with TaskHubClient(service) as client:
        await client.start("whatever", instance_id="one")
        item, _ = await _with_a_result(service, worker)
        assert len(file.rows("select k from tasks")) == 1, "until then it counts as not done"
        assert await _committed(service, item, _turn(1)) is None
        assert file.rows("select k from tasks") == []
        await service.detach(worker)


async def test_what_a_refused_turn_asked_for_is_handed_to_nobody(file: File) -> None:
    service: Any = connect(file.url)
    worker = _Anything()
    async with TaskHubClient(service) as client:
        await client.start("whatever", instance_id="one")
        item = await _locked(service.lock_orchestrations(worker, 1))
        work = asyncio.ensure_future(service.lock_activities(worker, 1))
        await client.start("whatever", instance_id="before")  # a group later it waits, and no scan has its place
        _changed_behind_its_back(file, "update instances set revision=revision+1, owner=null where id='one'")
        task = ActivityTask(number=1, name="never", input=Raw(b"[]"))
        assert isinstance(await _committed(service, item, _turn(0, tasks=[task])), LockLostError)
        await client.start("whatever", instance_id="barrier")
        await _locked(service.lock_orchestrations(worker, 1))
        await _locked(service.lock_orchestrations(worker, 1))  # groups later
        assert not work.done()
        work.cancel()
        await service.detach(worker)
