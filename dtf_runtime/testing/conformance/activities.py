"""An activity is handed out at least once, its result is applied once, and it learns when nobody waits any more (guarantee 5)."""

from msgspec import UNSET, Raw

from dtf_runtime.model.commit import NextExecution
from dtf_runtime.model.messages import ActivityResult
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.service import ActivityWorkItem
from dtf_runtime.testing.conformance.case import Case, Worker, names, start_of, task

_ENDS = (OrchestrationStatus.FAILED, OrchestrationStatus.CANCELLED)


async def a_result_reaches_its_instance_once(case: Case) -> None:
    """The result of an activity comes to its instance, once."""
    await case.begun("one", tasks=[task("paint", 5)])
    await case.answer(await case.take("paint"), "blue")
    item = await case.lock("one")
    results = [message for message in item.messages if isinstance(message, ActivityResult)]
    assert [(r.number, r.result) for r in results] == [(5, Raw(b'"blue"'))], f"what came is {item.messages}"
    await case.commit(item)
    await case.no_turn("the result was consumed")
    await case.no_activity("the activity is done")


async def an_activity_has_one_holder(case: Case) -> None:
    """An activity that is handed out is not handed out again."""
    await case.begun("one", tasks=[task("paint")])
    await case.take("paint")
    await case.no_activity("another worker has it", Worker())


async def an_abandoned_activity_comes_again(case: Case) -> None:
    """An abandoned activity is handed out again, with the details of its last heartbeat."""
    await case.begun("one", tasks=[task("paint")])
    item = await case.take("paint")
    assert item.task.heartbeat is UNSET, f"at first it has the heartbeat {item.task.heartbeat!r}"
    await case.service.renew_activity(item, Raw(b'"half"'))
    await case.service.renew_activity(item)
    await case.service.abandon_activity(item, counts=False)
    item = await case.take("paint")
    assert item.deliveries == 0, "an abandon that does not count was counted"
    assert item.task.heartbeat == Raw(b'"half"'), f"its heartbeat is {item.task.heartbeat!r}"


async def a_poisoned_activity_is_marked(case: Case) -> None:
    """An activity handed out `max_delivery_count` times without a result comes once more, marked."""
    await case.begun("one", tasks=[task("paint")])
    for delivery in range(case.worker.max_delivery_count):
        item = await case.take("paint")
        assert not item.poisoned, f"it is marked after {delivery} deliveries"
        await case.service.abandon_activity(item, counts=True)
    assert (await case.take("paint")).poisoned, "it is not marked"


async def a_limit_of_its_own_is_kept(case: Case) -> None:
    """An activity for which `take_activity` says no stays where it is; others are handed out."""
    await case.begun("one", tasks=[task("limited"), task("paint", 2)])
    worker = Worker()
    worker.refuses = {"limited"}
    await case.take("paint", worker)
    await case.no_activity("its limit is reached", worker)
    await case.take("limited", Worker())


async def a_cancelled_activity_is_told(case: Case) -> None:
    """A running activity that a turn cancels is told; its late result is dropped. One that waits is never handed out."""
    await case.begun("one", tasks=[task("paint"), task("drill", 2)])
    item = await case.take("paint", Worker({"paint"}))
    told = _listening(item)
    await case.send("one", "go")
    await case.commit(await case.lock("one"), cancelled_tasks=[1, 2])
    assert await case.service.renew_activity(item) is True, "its renewal does not say that it is cancelled"
    assert told and item.cancelled, "on_cancel was not called"
    await case.answer(item)
    await case.no_turn("nobody waits for the result any more")
    await case.no_activity("it was cancelled before it began")


async def the_activities_of_what_failed_are_gone(case: Case) -> None:
    """When an instance ends FAILED or CANCELLED its waiting activities are gone, its running ones told, their results dropped."""
    for number, status in enumerate(_ENDS):
        one = f"one {number}"
        await case.begun(one, tasks=[task("paint"), task("drill", 2)])
        item = await case.take("paint", Worker({"paint"}))
        told = _listening(item)
        await case.send(one, "go")
        await case.commit(await case.lock(one), status, cancelled_tasks=[1, 2])
        await case.no_activity(f"the instance is {status}")
        assert told, f"the instance is {status}, but on_cancel was not called"
        await case.answer(item)
        await case.no_turn(f"the instance is {status}")


async def the_activities_of_what_was_terminated_are_gone(case: Case) -> None:
    """When an instance is terminated its waiting activities are gone, its running ones told, their results dropped."""
    await case.begun("one", tasks=[task("paint"), task("drill", 2)])
    item = await case.take("paint", Worker({"paint"}))
    told = _listening(item)
    await case.service.terminate("one", "", False)
    assert told, "on_cancel was not called"
    await case.no_activity("the instance was terminated")
    await case.answer(item)
    await case.no_turn("the instance was terminated")


async def the_activities_of_what_was_replaced_are_gone(case: Case) -> None:
    """When an instance is replaced, its activities are gone or told; their results do not reach the new execution."""
    await case.begun("one", tasks=[task("paint"), task("drill", 2)])
    item = await case.take("paint", Worker({"paint"}))
    told = _listening(item)
    await case.service.create(start_of("one"), frozenset({OrchestrationStatus.RUNNING}))
    assert told, "on_cancel was not called"
    await case.answer(item)
    turn = await case.lock("one")
    assert not turn.messages, f"the new execution got {names(turn.messages)}"
    await case.commit(turn)
    await case.no_activity("their instance was replaced")
    await case.no_turn("the result was for the old execution")


async def the_activities_of_what_completed_run_on(case: Case) -> None:
    """When an instance completes, its open activities run all the same; their results are dropped."""
    await case.create("one")
    await case.commit(await case.lock("one"), OrchestrationStatus.COMPLETED, tasks=[task("paint")])
    await case.answer(await case.take("paint"))
    await case.no_turn("the instance has completed")
    await case.no_activity("it has run")


async def a_result_is_for_one_execution(case: Case) -> None:
    """A result for an execution that has continued as new does not reach the next one."""
    await case.begun("one", tasks=[task("paint")])
    activity = await case.take("paint")
    await case.send("one", "go")
    coming = NextExecution(execution_id="the next one", version="", input=None)
    await case.commit(await case.lock("one"), OrchestrationStatus.CONTINUED_AS_NEW, next=coming)
    turn = await case.lock("one")
    await case.answer(activity)
    await case.commit(turn)
    await case.no_turn("the result was for the execution before")


def _listening(item: ActivityWorkItem) -> list[bool]:
    told: list[bool] = []
    item.on_cancel = lambda: told.append(True)
    return told


CHECKS = (
    a_result_reaches_its_instance_once,
    an_activity_has_one_holder,
    an_abandoned_activity_comes_again,
    a_poisoned_activity_is_marked,
    a_limit_of_its_own_is_kept,
    a_cancelled_activity_is_told,
    the_activities_of_what_failed_are_gone,
    the_activities_of_what_was_terminated_are_gone,
    the_activities_of_what_was_replaced_are_gone,
    the_activities_of_what_completed_run_on,
    a_result_is_for_one_execution,
)
