"""Starting, telling, ending, and waiting for the end."""

import asyncio

from dtf_runtime.errors import (
    FailureDetails,
    InstanceNotFoundError,
    InvalidStateError,
    OrchestrationAlreadyExistsError,
)
from dtf_runtime.model.commit import NextExecution, Timer
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.testing.conformance.case import (
    NO_REUSE,
    QUIET,
    Case,
    control,
    event,
    later,
    names,
    now,
    refused,
    start_of,
    task,
    within,
)


async def an_id_is_taken_once(case: Case) -> None:
    """Of many starts with one id at once, one is accepted; the others raise OrchestrationAlreadyExistsError."""
    starts = [start_of("one") for _ in range(20)]
    answers = await asyncio.gather(*(case.service.create(s, NO_REUSE) for s in starts), return_exceptions=True)
    accepted = [start for start, answer in zip(starts, answers, strict=True) if not isinstance(answer, BaseException)]
    assert len(accepted) == 1, f"{len(accepted)} starts were accepted"
    wrong = [a for a in answers if isinstance(a, BaseException) and not isinstance(a, OrchestrationAlreadyExistsError)]
    assert not wrong, f"another error was raised: {wrong}"
    assert (await case.state("one")).execution_id == accepted[0].execution_id, "it runs a start that was refused"
    await case.commit(await case.lock("one"))


async def reuse_is_asked_for_each_status(case: Case) -> None:
    """An ended instance is replaced only when `reuse` has its status."""
    await case.begun("one")
    await case.service.terminate("one", "", False)
    wrong = case.service.create(start_of("one"), frozenset({OrchestrationStatus.COMPLETED}))
    await refused(wrong, OrchestrationAlreadyExistsError, "its status is not in reuse")
    start = start_of("one")
    await case.service.create(start, frozenset({OrchestrationStatus.TERMINATED}))
    state = await case.state("one")
    assert (state.execution_id, state.status) == (start.execution_id, OrchestrationStatus.PENDING), f"it is {state}"
    assert state.history_length == 0 and state.completed_at is None and state.failure is None, f"it is {state}"


async def a_replaced_instance_leaves_nothing(case: Case) -> None:
    """Replacing a live instance takes its messages and timers with it, in one step."""
    await case.begun("one", timers=[Timer(1, now()), Timer(2, later())], tasks=[task("paint")])
    await case.send("one", "for the old one")
    await case.service.create(start_of("one"), frozenset({OrchestrationStatus.RUNNING}))
    item = await case.lock("one")
    assert item.revision == 0 and item.record is not None, f"the new one begins at revision {item.revision}"
    assert not item.messages, f"the new one got {names(item.messages)}"
    await case.commit(item)
    await case.no_turn("what was for the old one is gone")
    await case.no_activity("what was for the old one is gone")


async def an_unknown_instance_is_an_error(case: Case) -> None:
    """Every call that names an unknown instance raises InstanceNotFoundError, except `get`, which gives None."""
    assert await case.service.get("nobody") is None, "get found one"
    service, why = case.service, "there is no such instance"
    await refused(service.send("nobody", event("hello")), InstanceNotFoundError, why)
    await refused(service.send("nobody", control("cancel")), InstanceNotFoundError, why)
    await refused(service.terminate("nobody", "", False), InstanceNotFoundError, why)
    await refused(service.history("nobody"), InstanceNotFoundError, why)
    await refused(service.purge("nobody", False), InstanceNotFoundError, why)


async def an_ended_instance_hears_nothing(case: Case) -> None:
    """What is sent to an ended instance is dropped without an error; terminating it changes nothing."""
    await case.create("one")
    await case.commit(await case.lock("one"), OrchestrationStatus.COMPLETED)
    before = await case.state("one")
    await case.send("one", "hello")
    for action in ("cancel", "suspend", "resume"):
        await case.service.send("one", control(action))
    await case.service.terminate("one", "", False)
    assert await case.state("one") == before, "its state has changed"
    await case.no_turn("the instance has ended")


async def a_rewind_is_for_what_failed(case: Case) -> None:
    """A rewind goes to a FAILED instance, which then has a turn; for any other it is an InvalidStateError."""
    await case.create("one")
    await refused(case.service.send("one", control("rewind")), InvalidStateError, "it has not failed")
    await case.commit(await case.lock("one"), OrchestrationStatus.FAILED, failure=FailureDetails(type="x"))
    await case.service.send("one", control("rewind"))
    item = await case.lock("one")
    assert names(item.messages) == ["Control"], f"its turn brought {names(item.messages)}"
    await case.commit(item)
    state = await case.state("one")
    assert state.status == OrchestrationStatus.RUNNING, f"it is {state.status}"
    assert state.failure is None and state.completed_at is None, "its old end is still there"


async def terminate_ends_at_once(case: Case) -> None:
    """Terminate ends a live instance in the call, without a turn, and says why."""
    await case.begun("one")
    await case.send("one", "hello")
    await case.service.terminate("one", "enough", False)
    state = await case.state("one")
    assert state.status == OrchestrationStatus.TERMINATED, f"it is {state.status}"
    assert state.failure is not None and "enough" in state.failure.message, f"its failure is {state.failure}"
    history = await case.service.history("one")
    assert history[-1].kind == "ExecutionTerminated", f"its history ends with {history[-1].kind}"
    assert state.history_length == len(history), f"history_length is {state.history_length} of {len(history)}"
    await case.no_turn("the instance was terminated")


async def a_watch_knows_the_end(case: Case) -> None:
    """A Watch answers when the instance ends, whoever ends it; one made afterwards at once."""
    watches = {one: await case.watched(one) for one in ("completes", "is terminated")}
    waiting = {one: asyncio.ensure_future(watch.outcome()) for one, watch in watches.items()}
    await asyncio.sleep(0)
    await case.service.terminate("is terminated", "enough", False)
    await case.commit(await case.lock("completes"), OrchestrationStatus.COMPLETED, output=b"5")
    outcome = await within(waiting["completes"], "the outcome of the one that completed")
    assert (outcome.status, outcome.output) == (OrchestrationStatus.COMPLETED, b"5"), f"its outcome is {outcome}"
    outcome = await within(waiting["is terminated"], "the outcome of the terminated one")
    assert outcome.status == OrchestrationStatus.TERMINATED, f"its outcome is {outcome}"
    outcome = await within(case.service.watch("completes").outcome(), "the outcome for one who comes late")
    assert outcome.output == b"5", f"its outcome is {outcome}"


async def continuing_as_new_is_one_step(case: Case) -> None:
    """The next execution is pending at once; messages for the instance stay, those for the old execution and its timers go."""
    watch = await case.watched("one")
    first = await case.lock("one")
    waiting = asyncio.ensure_future(watch.outcome())
    await case.send("one", "for anyone")
    await case.send("one", "for the old one", execution_id=first.execution_id)
    coming = NextExecution(execution_id="the next one", version="2", input=b"7", recent=("an id",))
    await case.commit(
        first,
        OrchestrationStatus.CONTINUED_AS_NEW,
        next=coming,
        custom_status=b'"kept"',
        timers=[Timer(1, now()), Timer(2, later())],
    )
    state = await case.state("one")
    assert (state.execution_id, state.version) == ("the next one", "2"), f"it is {state}"
    assert (state.input, state.custom_status) == (7, "kept"), f"it is {state}"
    item = await case.lock("one")
    assert item.record is not None and item.record.recent == ("an id",), f"its record is {item.record}"
    assert item.record.input == b"7" and item.revision == 0, f"its record is {item.record}"
    assert names(item.messages) == ["for anyone"], f"it got {names(item.messages)}"
    old = await case.service.get("one", first.execution_id)
    assert old is not None and old.status == OrchestrationStatus.CONTINUED_AS_NEW, f"the old one is {old}"
    assert len(await case.service.history("one", first.execution_id)) == 1, "the history of the old one is gone"
    assert not waiting.done(), "who waits for its end was told that it had ended"
    await case.commit(item, OrchestrationStatus.COMPLETED, output=b"8")
    assert (await within(waiting, "the outcome")).output == b"8", "the outcome is another one"


async def a_message_for_another_execution_is_dropped(case: Case) -> None:
    """A message that names an execution reaches no other."""
    await case.begun("one")
    await case.send("one", "for another", execution_id="no such execution")
    await asyncio.sleep(QUIET)
    await case.send("one", "for this one")
    item = await case.lock("one")
    assert "for this one" in names(item.messages), f"it got {names(item.messages)}"
    wrong = [m for m in item.messages if m.execution_id not in ("", item.execution_id)]
    # A provider may leave the judgement to the engine, which drops by the id: so it must still be there.
    assert all(m.execution_id == "no such execution" for m in wrong), f"it got {item.messages}"


CHECKS = (
    an_id_is_taken_once,
    reuse_is_asked_for_each_status,
    a_replaced_instance_leaves_nothing,
    an_unknown_instance_is_an_error,
    an_ended_instance_hears_nothing,
    a_rewind_is_for_what_failed,
    terminate_ends_at_once,
    a_watch_knows_the_end,
    continuing_as_new_is_one_step,
    a_message_for_another_execution_is_dropped,
)
