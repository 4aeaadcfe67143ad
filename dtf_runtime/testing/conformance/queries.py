"""Finding instances, counting them, deleting finished ones."""

from datetime import timedelta
from typing import Any

from dtf_runtime.errors import InstanceNotFoundError, InvalidStateError
from dtf_runtime.model.commit import NextExecution
from dtf_runtime.model.state import InstanceState, OrchestrationQuery, OrchestrationStatus
from dtf_runtime.testing.conformance.case import Case, child_of, now, refused, task

_KEPT = 10  # earlier executions of an instance


async def every_filter_filters(case: Case) -> None:
    """A query gives what fulfils all its conditions, and nothing else."""
    before = now() - timedelta(seconds=1)
    start = await case.create("red 1", name="paint", version="1", tags={"colour": "red", "size": "5"})
    ended = await case.lock("red 1")
    await case.commit(ended, OrchestrationStatus.COMPLETED)
    await case.create("blue 1", name="paint", version="2", tags={"colour": "blue"})
    item = await case.lock("blue 1")
    await case.commit(item, starts=[child_of(start, "a child")])
    await case.commit(await case.lock("a child"))
    after = now() + timedelta(seconds=1)
    wanted: list[tuple[dict[str, Any], set[str]]] = [
        ({}, {"red 1", "blue 1", "a child"}),
        ({"statuses": (OrchestrationStatus.COMPLETED,)}, {"red 1"}),
        ({"statuses": (OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED)}, {"red 1"}),
        ({"name": "paint"}, {"red 1", "blue 1"}),
        ({"version": "2"}, {"blue 1"}),
        ({"version": ""}, {"a child"}),
        ({"instance_id_prefix": "red"}, {"red 1"}),
        ({"instance_id_prefix": "r%"}, set()),
        ({"tags": {"colour": "red", "size": "5"}}, {"red 1"}),
        ({"tags": {"colour": "red", "size": "6"}}, set()),
        ({"parent_id": "red 1"}, {"a child"}),
        ({"created_after": before, "created_before": after}, {"red 1", "blue 1", "a child"}),
        ({"created_before": before}, set()),
        ({"updated_after": after}, set()),
        ({"updated_before": after}, {"red 1", "blue 1", "a child"}),
        ({"completed_after": before}, {"red 1"}),
        ({"completed_before": before}, set()),
        ({"name": "paint", "statuses": (OrchestrationStatus.RUNNING,)}, {"blue 1"}),
    ]
    for conditions, expected in wanted:
        query = OrchestrationQuery(**conditions)
        found = {state.instance_id for state in await _all(case, query)}
        assert found == expected, f"{conditions} found {found}, not {expected}"
        counted = sum((await case.service.count(query)).values())
        assert counted == len(expected), f"{conditions} counted {counted}, not {len(expected)}"


async def bounds_are_inclusive(case: Case) -> None:
    """An instance created exactly at a bound of a query fulfils it."""
    await case.create("one")
    at = (await case.state("one")).created_at
    found = await _all(case, OrchestrationQuery(created_after=at, created_before=at))
    assert [state.instance_id for state in found] == ["one"], f"{found} were found"


async def pages_neither_repeat_nor_skip(case: Case) -> None:
    """Paging while others write gives what was there throughout, once, in order of creation, either way round."""
    ids = [f"old {number:02}" for number in range(25)]
    for one in ids:
        await case.create(one)
    for newest_first in (True, False):
        query = OrchestrationQuery(page_size=4, newest_first=newest_first, instance_id_prefix="old")
        found: list[str] = []
        token: str | None = None
        for page in range(20):
            states, token = await case.service.query(query, token)
            assert len(states) <= 4, f"a page has {len(states)}"
            found += [state.instance_id for state in states]
            await case.create(f"new {newest_first} {page}")
            if page == 2:
                await case.service.terminate(ids[3], "", False)
            if token is None:
                break
        expected = list(reversed(ids)) if newest_first else ids
        assert found == expected, f"newest_first={newest_first} gave {found}"


async def counts_are_by_status(case: Case) -> None:
    """`count` gives the number of instances of each status there is."""
    for number in range(3):
        await case.create(f"waiting {number}", due=now() + timedelta(days=1))
    await case.begun("running")
    counts = {status: n for status, n in (await case.service.count(OrchestrationQuery())).items() if n}
    expected = {OrchestrationStatus.PENDING: 3, OrchestrationStatus.RUNNING: 1}
    assert counts == expected, f"the counts are {counts}"


async def a_live_instance_is_not_purged(case: Case) -> None:
    """Purging a live instance by id is an InvalidStateError; by query it is skipped."""
    await case.begun("live")
    await case.begun("ended")
    await case.service.terminate("ended", "", False)
    await refused(case.service.purge("live", False), InvalidStateError, "it is live")
    result = await case.service.purge(OrchestrationQuery(), False)
    assert (result.deleted, result.is_complete) == (1, True), f"the result is {result}"
    assert await case.service.get("live") is not None, "the live one is gone"
    assert await case.service.get("ended") is None, "the ended one is still there"


async def a_purged_instance_is_gone(case: Case) -> None:
    """A purged instance leaves nothing: no state, no history, no work, and its id is free."""
    await case.create("one")
    await case.commit(await case.lock("one"), OrchestrationStatus.COMPLETED, tasks=[task("paint")])
    assert (await case.service.purge("one", False)).deleted == 1, "nothing was deleted"
    assert await case.service.get("one") is None, "its state is still there"
    await refused(case.service.history("one"), InstanceNotFoundError, "it was purged")
    await case.no_activity("its instance was purged")
    assert not await _all(case, OrchestrationQuery()), "a query still finds it"
    await case.create("one")
    item = await case.lock("one")
    assert item.revision == 0 and not item.messages, f"a new one of that id begins with {item}"


async def purge_takes_children_when_asked(case: Case) -> None:
    """`recursive` purges ended children too, and only then."""
    for recursive in (False, True):
        one, its_child = f"parent {recursive}", f"child {recursive}"
        parent = await case.create(one)
        await case.commit(await case.lock(one), starts=[child_of(parent, its_child)])
        await case.commit(await case.lock(its_child), OrchestrationStatus.COMPLETED)
        await case.service.terminate(one, "", False)
        result = await case.service.purge(one, recursive)
        there = await case.service.get(its_child) is not None
        assert result.deleted == 1 + recursive, f"recursive={recursive} deleted {result.deleted}"
        assert there != recursive, f"after recursive={recursive} the child is {'there' if there else 'gone'}"


async def a_limit_stops_a_purge(case: Case) -> None:
    """A purge by a query with a limit deletes no more than that, and says that it is not complete."""
    for number in range(5):
        await case.create(f"one {number}")
        await case.service.terminate(f"one {number}", "", False)
    result = await case.service.purge(OrchestrationQuery(limit=2), False)
    assert (result.deleted, result.is_complete) == (2, False), f"the result is {result}"


async def earlier_executions_are_kept_for_a_while(case: Case) -> None:
    """The last ten earlier executions can be read; older ones are forgotten, so that generations do not pile up."""
    await case.create("one")
    executions = []
    for generation in range(_KEPT + 3):
        item = await case.lock("one")
        executions.append(item.execution_id)
        coming = NextExecution(execution_id=f"generation {generation + 1}", version="", input=None)
        await case.commit(item, OrchestrationStatus.CONTINUED_AS_NEW, next=coming)
    there = [e for e in executions if await case.service.get("one", e) is not None]
    assert there == executions[-_KEPT:], f"of {len(executions)} earlier executions {len(there)} can be read"


async def _all(case: Case, query: OrchestrationQuery) -> list[InstanceState]:
    found: list[InstanceState] = []
    token: str | None = None
    while True:
        states, token = await case.service.query(query, token)
        found += states
        if token is None:
            return found


CHECKS = (
    every_filter_filters,
    bounds_are_inclusive,
    pages_neither_repeat_nor_skip,
    counts_are_by_status,
    a_live_instance_is_not_purged,
    a_purged_instance_is_gone,
    purge_takes_children_when_asked,
    a_limit_stops_a_purge,
    earlier_executions_are_kept_for_a_while,
)
