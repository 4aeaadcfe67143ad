"""What was acknowledged is there when the hub is opened again, and what was held by who has left is free (guarantees 2 and 3).

Closing is as far as a suite in one process can go; that a provider on disk survives `kill -9` needs processes to kill.
"""

from dtf_runtime.errors import ProviderError
from dtf_runtime.model.commit import Timer
from dtf_runtime.model.state import OrchestrationQuery, OrchestrationStatus
from dtf_runtime.testing.conformance.case import SOON, Case, Worker, names, now, refused, task


async def what_was_accepted_survives_closing(case: Case) -> None:
    """Instances, messages, activities and timers are there when the hub was closed and opened again."""
    await case.begun("one", tasks=[task("paint")], timers=[Timer(2, now() + SOON)])
    await case.create("two", name="other")
    await case.send("one", "hello")
    await case.service.stop()
    await case.service.start()
    assert len(await case.service.history("one")) == 1, "its history is gone"
    worker = Worker({"work", "paint"})
    item = await case.lock("one", worker)
    assert names(item.messages) == ["hello"], f"what waited is {names(item.messages)}"
    await case.commit(item)
    await case.take("paint", worker)
    item = await case.lock("one", worker)
    assert names(item.messages) == ["TimerDue"], f"what was due is {names(item.messages)}"
    await case.lock("two", Worker({"other"}))


async def what_was_held_is_free_after_closing(case: Case) -> None:
    """Locks of who has left do not outlive them: the turn and the activity are handed out again, with all they had."""
    await case.begun("one", tasks=[task("paint")])
    await case.take("paint")
    await case.send("one", "hello")
    await case.lock("one")
    await case.service.stop()
    await case.service.start()
    worker = Worker()
    item = await case.lock("one", worker)
    assert names(item.messages) == ["hello"], f"what waited is {names(item.messages)}"
    await case.take("paint", worker)


async def a_result_survives_closing_before_its_turn(case: Case) -> None:
    """A result that was handed over but not yet consumed by a turn comes again, or its activity does."""
    await case.begun("one", tasks=[task("paint")])
    await case.answer(await case.take("paint"))
    await case.service.stop()
    await case.service.start()
    worker = Worker()
    items = await case.service.lock_orchestrations(worker, 10)
    assert names(items[0].messages) == ["ActivityResult"], f"what waited is {names(items[0].messages)}"


async def a_service_is_opened_as_often_as_it_is_closed(case: Case) -> None:
    """A service stays open until everybody who opened it has closed it; closed, it raises ProviderError."""
    await case.service.start()
    await case.create("one")
    await case.service.stop()
    assert await case.status("one") == OrchestrationStatus.PENDING, "it was closed by the first who left"
    await case.service.stop()
    await refused(case.service.query(OrchestrationQuery(), None), ProviderError, "it is closed")
    await case.service.start()
    assert await case.status("one") == OrchestrationStatus.PENDING, "it lost an instance"


CHECKS = (
    what_was_accepted_survives_closing,
    what_was_held_is_free_after_closing,
    a_result_survives_closing_before_its_turn,
    a_service_is_opened_as_often_as_it_is_closed,
)
