"""Whatever is due is due once, and never early (guarantee 5)."""

from contextlib import suppress

from msgspec import Raw

from dtf_runtime.errors import LockLostError
from dtf_runtime.model.commit import Timer
from dtf_runtime.model.messages import TimerDue
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.testing.conformance.case import SOON, Case, control, later, names, now, refused, task


async def a_timer_is_due_once_and_not_early(case: Case) -> None:
    """A timer comes when its time has come, not before, and once."""
    fire_at = now() + SOON
    await case.begun("one", timers=[Timer(7, fire_at)])
    item = await case.lock("one")
    at = now()
    assert at >= fire_at, f"it came {(fire_at - at).total_seconds()} s early"
    assert len(item.messages) == 1, f"what came is {item.messages}"
    message = item.messages[0]
    assert isinstance(message, TimerDue) and message.number == 7, f"what came is {item.messages}"
    await case.commit(item)
    await case.no_turn("the timer has fired")


async def timers_come_in_order(case: Case) -> None:
    """Timers come in the order of their times, whatever the order in which they were made."""
    at = now()
    await case.begun("one", timers=[Timer(number, at + SOON * number / 4) for number in (3, 1, 2)])
    came: list[int] = []
    while len(came) < 3:
        item = await case.lock("one")
        came += [message.number for message in item.messages if isinstance(message, TimerDue)]
        await case.commit(item)
    assert came == [1, 2, 3], f"they came as {came}"


async def a_withdrawn_timer_does_not_come(case: Case) -> None:
    """A timer that a turn withdraws is never due."""
    await case.begun("one", timers=[Timer(1, now() + SOON), Timer(2, now() + SOON * 1.5)])
    await case.send("one", "go")
    await case.commit(await case.lock("one"), withdrawn_timers=[1])
    item = await case.lock("one")
    numbers = [message.number for message in item.messages if isinstance(message, TimerDue)]
    assert numbers == [2], f"timers {numbers} came"


async def a_start_waits_for_its_time(case: Case) -> None:
    """An instance whose start is due later gets no turn before; its events are kept until then."""
    due = now() + SOON
    await case.create("one", due=due)
    await case.send("one", "early")
    assert await case.status("one") == OrchestrationStatus.PENDING, "it is not pending"
    item = await case.lock("one")
    assert now() >= due, "it came early"
    assert names(item.messages) == ["early"], f"its first turn brought {names(item.messages)}"


async def a_scheduled_start_can_be_cancelled(case: Case) -> None:
    """Cancelling an instance whose start is due later ends it CANCELLED at once."""
    await case.create("one", due=later())
    await case.service.send("one", control("cancel"))
    state = await case.state("one")
    assert state.status == OrchestrationStatus.CANCELLED, f"it is {state.status}"
    assert state.failure is not None, "it has no failure that says why"
    history = await case.service.history("one")
    assert len(history) == state.history_length == 1, f"its history is {history}"


async def a_scheduled_start_can_be_terminated(case: Case) -> None:
    """Terminating an instance whose start is due later ends it at once."""
    await case.create("one", due=later())
    await case.service.terminate("one", "no more", False)
    assert await case.status("one") == OrchestrationStatus.TERMINATED, "it goes on"


async def a_retry_waits_for_its_time(case: Case) -> None:
    """An activity with a due time is not handed out before it."""
    due = now() + SOON
    await case.begun("one", tasks=[task("paint", due=due, attempt=2)])
    item = await case.take("paint")
    assert now() >= due, "it came early"
    assert item.task.attempt == 2, f"it came as attempt {item.task.attempt}"


async def an_abandoned_turn_waits(case: Case) -> None:
    """A turn that was abandoned with a delay is not handed out before that, also when messages come."""
    await case.create("one")
    item = await case.lock("one")
    until = now() + SOON
    await case.service.abandon_orchestration(item, SOON.total_seconds(), counts=True)
    await case.lock("one")
    early = (until - now()).total_seconds()
    assert early <= 0.002, f"it came {early} s early"


async def a_lost_lock_is_told_at_renewal_or_commit(case: Case) -> None:
    """Renewing keeps a lock that is held; one that was lost can't commit, renewed or not."""
    await case.create("one")
    item = await case.lock("one")
    await case.service.renew_orchestration(item)
    await case.commit(item, tasks=[task("paint")])
    activity = await case.take("paint")
    told = await case.service.renew_activity(activity, Raw(b"1"))
    assert told is False, "a renewal said that a wanted activity is cancelled"
    await case.send("one", "go")
    item = await case.lock("one")
    await case.service.terminate("one", "", False)
    with suppress(LockLostError):  # a provider may say so already now
        await case.service.renew_orchestration(item)
    await refused(case.commit(item), LockLostError, "the lock was lost")


CHECKS = (
    a_timer_is_due_once_and_not_early,
    timers_come_in_order,
    a_withdrawn_timer_does_not_come,
    a_start_waits_for_its_time,
    a_scheduled_start_can_be_cancelled,
    a_scheduled_start_can_be_terminated,
    a_retry_waits_for_its_time,
    an_abandoned_turn_waits,
    a_lost_lock_is_told_at_renewal_or_commit,
)
