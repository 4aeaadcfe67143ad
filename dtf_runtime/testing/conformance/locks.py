"""One instance, one worker; work goes to those who know it; nobody is held up (guarantees 4, 6 and 7)."""

import asyncio

from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.service import OrchestrationWorkItem
from dtf_runtime.testing.conformance.case import Case, Worker, names, task, within


async def an_instance_is_locked_by_one_worker(case: Case) -> None:
    """While an instance is locked nobody is given it again, also when messages come for it."""
    await case.create("one")
    await case.lock("one")
    await case.send("one", "meanwhile")
    await case.no_turn("the instance is locked")
    await case.no_turn("the instance is locked by another worker", Worker())


async def a_locked_instance_holds_up_no_other(case: Case) -> None:
    """Other instances are handed out while one is locked."""
    await case.create("slow")
    await case.lock("slow")
    await case.create("quick")
    await case.commit(await case.lock("quick"), OrchestrationStatus.COMPLETED)


async def unknown_orchestrations_wait_for_who_knows_them(case: Case) -> None:
    """A worker is never handed an orchestration that it can't run; others go on, and one that can run it gets it."""
    some = Worker({"work"})
    for number in range(5):
        await case.create(f"strange {number}", name="strange")
    await case.create("one")
    await case.commit(await case.lock("one", some))
    await case.no_turn("nothing is left that this worker can run", some)
    found: set[str] = set()
    while len(found) < 5:
        for item in await within(case.service.lock_orchestrations(Worker({"strange"}), 10), "what was left"):
            found.add(item.instance_id)


async def unknown_activities_wait_for_who_knows_them(case: Case) -> None:
    """A worker is never handed an activity that it can't run; others go on, and one that can run it gets it."""
    await case.begun("one", tasks=[task("strange"), task("paint", 2)])
    await case.take("paint", Worker({"paint"}))
    await case.no_activity("nothing is left that this worker can run", Worker({"paint"}))
    await case.take("strange", Worker({"strange"}))


async def a_waiting_worker_is_woken(case: Case) -> None:
    """A lock call waits until there is work, and ends when it comes."""
    waiting = asyncio.ensure_future(case.service.lock_orchestrations(case.worker, 10))
    working = asyncio.ensure_future(case.service.lock_activities(case.worker, 10))
    await asyncio.sleep(0.05)
    assert not waiting.done(), "it did not wait"
    await case.create("one")
    items: list[OrchestrationWorkItem] = await within(waiting, "the first turn")
    assert not working.done(), "the activities did not wait"
    await case.commit(items[0], tasks=[task("paint")])
    await within(working, "the activity")


async def a_cancelled_lock_loses_nothing(case: Case) -> None:
    """Calling off a lock call, at whatever moment, leaves the work for the next one."""
    for number in range(20):
        waiting = asyncio.ensure_future(case.service.lock_orchestrations(case.worker, 10))
        for _ in range(number % 4):
            await asyncio.sleep(0)
        created = asyncio.ensure_future(case.create(f"one {number}"))
        for _ in range(number % 5):
            await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await created
        items = waiting.result() if not waiting.cancelled() else []
        if not items:
            items = [await case.lock(f"one {number}")]
        await case.commit(items[0], OrchestrationStatus.COMPLETED)


async def an_abandoned_turn_comes_again(case: Case) -> None:
    """Abandoning gives the lock and all messages back, in their order."""
    await case.begun("one")
    await case.send("one", "first")
    await case.send("one", "second")
    item = await case.lock("one")
    came = names(item.messages)
    await case.send("one", "third")
    await case.service.abandon_orchestration(item, 0.0, counts=False)
    item = await case.lock("one")
    came_again = names(item.messages)
    assert came_again[: len(came)] == came, f"{came} came, and after the abandon {came_again}"
    assert item.deliveries == 0, "an abandon that does not count was counted"


async def a_lost_lock_can_not_be_abandoned(case: Case) -> None:
    """Abandoning an item whose lock was lost changes nothing."""
    await case.create("one")
    item = await case.lock("one")
    await case.service.terminate("one", "", False)
    await case.service.abandon_orchestration(item, 0.0, counts=True)
    await case.no_turn("the instance has ended")


async def poison_is_marked(case: Case) -> None:
    """An instance handed out `max_delivery_count` times without a commit comes once more, marked; a commit starts anew."""
    await case.create("one")
    for delivery in range(case.worker.max_delivery_count):
        item = await case.lock("one")
        assert not item.poisoned, f"it is marked after {delivery} deliveries"
        await case.service.abandon_orchestration(item, 0.0, counts=True)
    item = await case.lock("one")
    assert item.poisoned, f"it is not marked after {case.worker.max_delivery_count} deliveries"
    await case.commit(item)
    await case.send("one", "go")
    item = await case.lock("one")
    assert not item.poisoned and item.deliveries == 0, f"after a commit it counts {item.deliveries} deliveries"


async def a_detached_worker_leaves_its_work(case: Case) -> None:
    """What a worker had not begun when it left goes to others."""
    gone = Worker()
    await case.create("one")
    await case.commit(await case.lock("one", gone))
    waiting = asyncio.ensure_future(case.service.lock_orchestrations(gone, 1))
    await asyncio.sleep(0.05)
    waiting.cancel()
    await asyncio.wait([waiting])
    await case.send("one", "go")
    await case.create("two", name="strange")
    await case.service.detach(gone)
    found: set[str] = set()
    while len(found) < 2:
        for item in await within(case.service.lock_orchestrations(case.worker, 10), "what it left"):
            found.add(item.instance_id)


CHECKS = (
    an_instance_is_locked_by_one_worker,
    a_locked_instance_holds_up_no_other,
    unknown_orchestrations_wait_for_who_knows_them,
    unknown_activities_wait_for_who_knows_them,
    a_waiting_worker_is_woken,
    a_cancelled_lock_loses_nothing,
    an_abandoned_turn_comes_again,
    a_lost_lock_can_not_be_abandoned,
    poison_is_marked,
    a_detached_worker_leaves_its_work,
)
