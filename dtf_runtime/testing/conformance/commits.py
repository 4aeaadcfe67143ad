"""A turn is all or nothing, and only its holder commits it (guarantee 1)."""

from dtf_runtime.errors import LockLostError
from dtf_runtime.model.commit import Send, Timer
from dtf_runtime.model.messages import TimerDue
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.testing.conformance.case import Case, event, later, names, now, refused, start_of, task


async def a_turn_is_applied_whole(case: Case) -> None:
    """A committed turn leaves its history, status, custom status, activities, timers, starts and messages, all of them."""
    await case.begun("other")
    await case.create("one")
    await case.commit(
        await case.lock("one"),
        custom_status=b'"busy"',
        tasks=[task("paint")],
        timers=[Timer(2, now())],
        starts=[start_of("started")],
        sends=[Send("other", event("hello"))],
    )
    state = await case.state("one")
    assert state.status == OrchestrationStatus.RUNNING, f"its status is {state.status}"
    assert state.custom_status == "busy", f"its custom status is {state.custom_status!r}"
    assert state.history_length == 1, f"its history_length is {state.history_length}"
    history = await case.service.history("one")
    assert [e.kind for e in history] == ["ExecutionStarted"], f"its history is {history}"
    await case.take("paint")
    found: dict[str, list[str]] = {}
    while len(found) < 3:
        for item in await case.service.lock_orchestrations(case.worker, 10):
            found[item.instance_id] = names(item.messages)
    assert found == {"one": ["TimerDue"], "started": [], "other": ["hello"]}, f"what came of it is {found}"


async def nothing_of_a_turn_that_lost_its_lock_is_kept(case: Case) -> None:
    """A turn whose instance was terminated meanwhile is refused with LockLostError, and none of it happened."""
    await case.begun("other")
    await case.create("one")
    item = await case.lock("one")
    await case.service.terminate("one", "", False)
    lost = case.commit(
        item,
        custom_status=b'"busy"',
        tasks=[task("paint")],
        timers=[Timer(2, now())],
        starts=[start_of("started")],
        sends=[Send("other", event("hello"))],
    )
    await refused(lost, LockLostError, "its instance was terminated under it")
    state = await case.state("one")
    assert state.status == OrchestrationStatus.TERMINATED, f"the instance is {state.status}"
    assert state.custom_status is None, "its custom status was kept"
    history = await case.service.history("one")
    assert [e.kind for e in history] == ["ExecutionTerminated"], f"its history is {history}"
    assert await case.service.get("started") is None, "its child was started"
    await case.no_activity("the turn was refused")
    await case.no_turn("the turn was refused")


async def a_turn_of_a_replaced_instance_is_refused(case: Case) -> None:
    """A turn whose instance was replaced meanwhile (`reuse`) is refused with LockLostError; the new execution is untouched."""
    await case.begun("one")
    await case.send("one", "go")
    item = await case.lock("one")
    start = start_of("one")
    await case.service.create(start, frozenset({OrchestrationStatus.RUNNING}))
    await refused(case.commit(item, tasks=[task("paint")]), LockLostError, "its instance was replaced under it")
    state = await case.state("one")
    assert state.execution_id == start.execution_id, "the old execution is back"
    assert state.status == OrchestrationStatus.PENDING, f"the new execution is {state.status}"
    await case.no_activity("the turn was refused")


async def a_turn_commits_once(case: Case) -> None:
    """The lock ends with the commit: a second one by the same item is refused with LockLostError."""
    await case.create("one")
    item = await case.lock("one")
    await case.commit(item)
    await refused(case.commit(item, tasks=[task("paint")]), LockLostError, "the item had been committed")
    await case.no_activity("the second commit was refused")


async def what_a_turn_consumed_does_not_come_again(case: Case) -> None:
    """The messages of an item are consumed with its commit."""
    await case.begun("one")
    await case.send("one", "first")
    await case.commit(await case.lock("one"))
    await case.no_turn("its only message was consumed")


async def what_comes_during_a_turn_waits_for_the_next(case: Case) -> None:
    """A message that arrives while its instance is locked is not lost, and comes with the next turn."""
    await case.create("one")
    item = await case.lock("one")
    await case.send("one", "meanwhile")
    await case.commit(item)
    item = await case.lock("one")
    assert names(item.messages) == ["meanwhile"], f"the next turn brought {names(item.messages)}"


async def messages_come_in_order(case: Case) -> None:
    """Messages are handed out in the order in which they were accepted."""
    await case.begun("one")
    sent = [f"event {n}" for n in range(20)]
    for name in sent:
        await case.send("one", name)
    came: list[str] = []
    while len(came) < len(sent):
        item = await case.lock("one")
        came += names(item.messages)
        await case.commit(item)
    assert came == sent, f"they came as {came}"


async def revisions_count_commits(case: Case) -> None:
    """`revision` counts the commits of an execution; the record comes with revision 0, and `load` gives record and history."""
    start = await case.create("one", input=b'{"size": 5}')
    for revision in range(3):
        item = await case.lock("one")
        assert item.revision == revision, f"after {revision} commits the revision is {item.revision}"
        assert (item.record is not None) == (revision == 0), f"at revision {revision} the record is {item.record}"
        record, history = await case.service.load(item)
        assert record.input == b'{"size": 5}', f"the input is {record.input!r}"
        assert (record.name, record.execution_id) == (start.name, start.execution_id), f"the record is {record}"
        assert len(history) == revision, f"{revision} events were committed, and {len(history)} loaded"
        await case.commit(item)
        await case.send("one", "go")


async def a_rewrite_replaces_history(case: Case) -> None:
    """`rewrite` puts the row of this turn in the place of all history of the execution."""
    await case.begun("one")
    for _ in range(2):
        await case.send("one", "go")
        await case.commit(await case.lock("one"))
    await case.send("one", "go")
    await case.commit(await case.lock("one"), rewrite=True)
    history = await case.service.history("one")
    assert len(history) == 1, f"its history has {len(history)} events"


async def an_end_drops_what_waits(case: Case) -> None:
    """With a final status, messages and timers of the instance are gone, those that came during its last turn too."""
    await case.create("one")
    item = await case.lock("one")
    await case.send("one", "meanwhile")
    await case.commit(item, OrchestrationStatus.COMPLETED, output=b"1", timers=[Timer(1, now()), Timer(2, later())])
    state = await case.state("one")
    assert (state.status, state.output) == (OrchestrationStatus.COMPLETED, 1), (
        f"it ended {state.status}, {state.output}"
    )
    assert state.completed_at is not None, "it has no completed_at"
    await case.no_turn("the instance has ended")


async def what_is_put_back_comes_again(case: Case) -> None:
    """`reinject` goes back to the instance's own inbox, before what came meanwhile."""
    await case.begun("one")
    await case.send("one", "early")
    item = await case.lock("one")
    await case.send("one", "late")
    await case.commit(item, reinject=list(item.messages))
    came: list[str] = []
    while len(came) < 2:
        item = await case.lock("one")
        came += names(item.messages)
        assert not any(isinstance(message, TimerDue) for message in item.messages)
        await case.commit(item)
    assert sorted(came) == ["early", "late"], f"what came is {came}"


CHECKS = (
    a_turn_is_applied_whole,
    nothing_of_a_turn_that_lost_its_lock_is_kept,
    a_turn_of_a_replaced_instance_is_refused,
    a_turn_commits_once,
    what_a_turn_consumed_does_not_come_again,
    what_comes_during_a_turn_waits_for_the_next,
    messages_come_in_order,
    revisions_count_commits,
    a_rewrite_replaces_history,
    an_end_drops_what_waits,
    what_is_put_back_comes_again,
)
