"""A parent is always told how its child ended, also when the child could not be started (guarantee 8)."""

from dtf_runtime.errors import OrchestrationAlreadyExistsError
from dtf_runtime.model.commit import Send
from dtf_runtime.model.messages import ChildResult, StartExecution
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.service import OrchestrationWorkItem
from dtf_runtime.testing.conformance.case import Case, child_of, control, event, later, start_of


async def a_child_starts_with_the_turn(case: Case) -> None:
    """A child that a turn starts is there with it, and knows its parent."""
    parent = await _parent_of(case, "child")
    item = await case.lock("child")
    assert item.record is not None and item.record.parent is not None, f"its record is {item.record}"
    assert item.record.parent.execution_id == parent.execution_id, f"its parent is {item.record.parent}"
    assert (await case.state("child")).parent_id == "parent", "its state does not say its parent"


async def a_taken_id_is_told_to_the_parent(case: Case) -> None:
    """A child whose id is taken does not start: its parent gets a failed ChildResult that says so, the other instance nothing."""
    other = await case.begun("taken")
    await _parent_of(case, "taken", number=4)
    result = _result(await case.lock("parent"))
    assert (result.number, result.status) == (4, OrchestrationStatus.FAILED), f"it was told {result}"
    assert result.failure is not None, "it was not told why"
    assert result.failure.is_caused_by(OrchestrationAlreadyExistsError), f"it was told {result.failure.type}"
    assert (await case.state("taken")).execution_id == other.execution_id, "the other instance was replaced"


async def an_ended_child_of_the_same_parent_is_replaced(case: Case) -> None:
    """A child's id is free again when an ended child of the same parent has it."""
    parent = await _parent_of(case, "child")
    await case.commit(await case.lock("child"), OrchestrationStatus.FAILED)
    await case.send("parent", "go")
    again = child_of(parent, "child", 2)
    await case.commit(await case.lock("parent"), starts=[again])
    item = await case.lock("child")
    assert item.execution_id == again.execution_id, "the old child was handed out"


async def a_detached_start_leaves_a_taken_id_alone(case: Case) -> None:
    """A start without a parent whose id is taken changes nothing and tells nobody; its turn is kept."""
    other = await case.begun("taken")
    await case.begun("one", starts=[start_of("taken"), start_of("free")])
    assert (await case.state("taken")).execution_id == other.execution_id, "the other instance was replaced"
    await case.commit(await case.lock("free"))
    await case.no_turn("nobody is to be told")


async def a_terminated_child_is_told_to_the_parent(case: Case) -> None:
    """The parent of a terminated child gets a ChildResult TERMINATED, with the reason."""
    await _parent_of(case, "child")
    await case.commit(await case.lock("child"))
    await case.service.terminate("child", "enough", False)
    result = _result(await case.lock("parent"))
    assert result.status == OrchestrationStatus.TERMINATED, f"it was told {result.status}"
    assert result.failure is not None and "enough" in result.failure.message, f"it was told {result.failure}"


async def a_replaced_child_is_told_to_the_parent(case: Case) -> None:
    """The parent of a live child that a client replaces gets a ChildResult TERMINATED."""
    await _parent_of(case, "child")
    await case.commit(await case.lock("child"))
    await case.service.create(start_of("child"), frozenset({OrchestrationStatus.RUNNING}))
    items: dict[str, OrchestrationWorkItem] = {}
    while len(items) < 2:
        for item in await case.service.lock_orchestrations(case.worker, 10):
            items[item.instance_id] = item
    result = _result(items["parent"])
    assert result.status == OrchestrationStatus.TERMINATED, f"it was told {result.status}"


async def a_cancelled_scheduled_child_is_told_to_the_parent(case: Case) -> None:
    """A child whose start is due later and that its parent cancels ends at once, and the parent is told."""
    parent = await case.create("parent")
    child = child_of(parent, "child", due=later())
    await case.commit(await case.lock("parent"), starts=[child])
    await case.send("parent", "go")
    cancel = control("cancel", execution_id=child.execution_id)
    await case.commit(await case.lock("parent"), sends=[Send("child", cancel)])
    result = _result(await case.lock("parent"))
    assert result.status == OrchestrationStatus.CANCELLED, f"it was told {result.status}"
    assert await case.status("child") == OrchestrationStatus.CANCELLED, "the child goes on"


async def terminate_reaches_descendants_only_when_asked(case: Case) -> None:
    """Terminate reaches children, and theirs, with `recursive` alone; then also those of a finished instance."""
    await _parent_of(case, "child")
    item = await case.lock("child")
    child = StartExecution(instance_id="child", execution_id=item.execution_id, name="work")
    await case.commit(item, starts=[child_of(child, "grandchild")])
    await case.service.terminate("parent", "", False)
    assert await case.status("child") == OrchestrationStatus.RUNNING, "a terminate without recursive reached the child"
    await case.service.terminate("parent", "", True)
    for one in ("child", "grandchild"):
        status = await case.status(one)
        assert status == OrchestrationStatus.TERMINATED, f"after a recursive terminate {one} is {status}"


async def a_message_to_nobody_is_dropped(case: Case) -> None:
    """A turn may send to an instance that is not there or has ended: that message is dropped, the turn is kept."""
    await case.create("ended")
    await case.commit(await case.lock("ended"), OrchestrationStatus.COMPLETED)
    await case.begun("here")
    sends = [Send(one, event("hello")) for one in ("nobody", "ended", "here")]
    await case.begun("one", sends=sends)
    item = await case.lock("here")
    assert len(item.messages) == 1, f"the one that is there got {item.messages}"
    assert await case.service.get("nobody") is None, "a message made an instance"


async def _parent_of(case: Case, child_id: str, number: int = 1) -> StartExecution:
    parent = await case.create("parent")
    await case.commit(await case.lock("parent"), starts=[child_of(parent, child_id, number)])
    return parent


def _result(item: OrchestrationWorkItem) -> ChildResult:
    results = [message for message in item.messages if isinstance(message, ChildResult)]
    assert len(results) == 1, f"the parent was told {item.messages}"
    assert results[0].execution_id == item.execution_id, f"the parent was told {results[0]}"
    return results[0]


CHECKS = (
    a_child_starts_with_the_turn,
    a_taken_id_is_told_to_the_parent,
    an_ended_child_of_the_same_parent_is_replaced,
    a_detached_start_leaves_a_taken_id_alone,
    a_terminated_child_is_told_to_the_parent,
    a_replaced_child_is_told_to_the_parent,
    a_cancelled_scheduled_child_is_told_to_the_parent,
    terminate_reaches_descendants_only_when_asked,
    a_message_to_nobody_is_dropped,
)
