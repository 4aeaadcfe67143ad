"""Who holds what: a number that was given away is never good again, and a registration that failed leaves nothing behind."""

import asyncio
from typing import Any

import pytest

from dtf_runtime import DurableTaskError, LockLostError, ProviderError, TaskHubClient, connect
from dtf_runtime.model import history as h
from dtf_runtime.model.commit import Commit
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.providers.sqlite import schema
from dtf_runtime.providers.sqlite.work import take_over
from tests.scenarios.support import eventually, listening, utc_now
from tests.sqlite.conftest import File


class _Anything:
    """A worker that runs whatever comes."""

    lock_duration = 30.0
    max_delivery_count = 10

    def runs_orchestration(self, name: str, version: str) -> bool:
        return True

    def runs_activity(self, name: str, version: str) -> bool:
        return True

    def take_activity(self, name: str, version: str) -> bool:
        return True


def _turn(change: str) -> Commit:
    event = h.PatchRecorded(event_id=0, timestamp=utc_now(), change_id=change)
    return Commit(at=utc_now(), status=OrchestrationStatus.RUNNING, history=h.encode_events([event]), history_length=1)


async def _committed(service: Any, item: Any, commit: Commit) -> BaseException | None:
    answer: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
    service.commit(item, commit, answer.set_result)
    return await asyncio.wait_for(answer, 20)


async def test_a_turn_computed_under_a_lost_number_is_refused_though_the_process_holds_the_instance_again(
    file: File,
) -> None:
    """Its process was taken for dead, and in the very group that brings the turn it takes the instance back under a new number."""
    service: Any = connect(file.url)
    worker = _Anything()
    async with TaskHubClient(service) as client:
        await client.start("whatever", instance_id="one")
        (item,) = await asyncio.wait_for(service.lock_orchestrations(worker, 1), 20)
        other = schema.open_database(str(file.path))
        owners = [owner for (owner,) in other.execute("select id from owners").fetchall()]
        take_over(other, owners)
        other.close()
        again = service.lock_orchestrations(worker, 1)
        service._scanner.scan()
        refused = await _committed(service, item, _turn("late"))
        assert isinstance(refused, LockLostError)
        (item,) = await asyncio.wait_for(again, 20)
        assert item.revision == 0
        assert await _committed(service, item, _turn("in time")) is None
        assert [getattr(event, "change_id", "") for event in await service.history("one")] == ["in time"]
        await service.detach(worker)


async def test_a_registration_that_failed_is_a_clear_error_and_leaves_no_number(file: File) -> None:
    """Something lies where the lock files belong."""
    async with file.client():
        pass
    locks = file.folder / "hub.db.locks"
    locks.write_text("in the way")
    with listening() as heard:
        async with file.client() as client:
            for _ in range(2):
                with pytest.raises(ProviderError, match=r"hub\.db\.locks"):
                    await client.start("echo", 1, instance_id="one")
                assert file.rows("select id from owners") == []
            locks.unlink()
            await client.start("echo", 1, instance_id="one")
            assert [path.name for path in file.lock_files] == [
                f"{id_}.lock" for (id_,) in file.rows("select id from owners")
            ]
    assert file.lock_files == []
    assert not any("lease_lost" in line for line in heard), "it never had one"


async def test_a_start_that_cannot_be_stored_takes_no_other_of_its_group_down(file: File) -> None:
    bad = "lone \ud800 surrogate"
    async with file.both() as client:
        names = [*(f"good{number}" for number in range(10)), bad, *(f"good{number}" for number in range(10, 20))]
        answers = await asyncio.gather(
            *(client.start("echo", name if name != bad else 1, instance_id=name) for name in names),
            return_exceptions=True,
        )
        for name, answer in zip(names, answers, strict=True):
            if name == bad:
                assert isinstance(answer, DurableTaskError)
            else:
                assert not isinstance(answer, BaseException)
                assert await answer.result(20) == name


async def test_a_lease_is_renewed_while_its_process_is_idle(file: File) -> None:
    service = connect(file.url, lease=0.6)
    async with TaskHubClient(service) as client:
        await client.start("echo", 1)
        (first,) = file.rows("select id, expires from owners")
        await eventually(lambda: file.rows("select expires from owners")[0][0] > first[1] + 0.4, "it is renewed twice")
        assert file.rows("select id from owners") == [(first[0],)]
