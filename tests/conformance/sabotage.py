"""Ways to break the hub in memory, one guarantee each, and the checks that must notice. Each takes a service and spoils it."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import msgspec

from dtf_runtime.errors import DurableTaskError, InstanceNotFoundError, LockLostError
from dtf_runtime.model.commit import Send
from dtf_runtime.model.messages import Control
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.service import Outcome
from dtf_runtime.testing.conformance.case import later

Sabotage = Callable[[Any], None]
SABOTAGES: dict[Sabotage, tuple[str, ...]] = {}


def breaks(*checks: str) -> Callable[[Sabotage], Sabotage]:
    def remember(sabotage: Sabotage) -> Sabotage:
        SABOTAGES[sabotage] = checks
        return sabotage

    return remember


def _changing_commits(service: Any, **changes: Any) -> None:
    """Each commit is applied with these fields changed; a callable gets the commit."""
    real = service.commit

    def commit(item: Any, commit: Any, done: Any) -> None:
        changed = {name: value(commit) if callable(value) else value for name, value in changes.items()}
        real(item, msgspec.structs.replace(commit, **changed), done)

    service.commit = commit


# -- turns
@breaks("a_turn_is_applied_whole", "revisions_count_commits")
def history_is_not_written(service: Any) -> None:
    _changing_commits(service, history=b"")


@breaks("a_turn_is_applied_whole")
def messages_of_a_turn_are_not_sent(service: Any) -> None:
    _changing_commits(service, sends=())


@breaks("a_child_starts_with_the_turn", "a_turn_is_applied_whole")
def children_are_not_started(service: Any) -> None:
    _changing_commits(service, starts=())


@breaks(
    "nothing_of_a_turn_that_lost_its_lock_is_kept",
    "a_turn_of_a_replaced_instance_is_refused",
    "a_turn_commits_once",
    "a_lost_lock_is_told_at_renewal_or_commit",
)
def a_lost_lock_is_not_told(service: Any) -> None:
    real = service.commit
    service.commit = lambda item, commit, done: real(item, commit, lambda error: done(None))


@breaks(
    "nothing_of_a_turn_that_lost_its_lock_is_kept", "a_turn_of_a_replaced_instance_is_refused", "a_turn_commits_once"
)
def a_refused_turn_leaves_its_activities(service: Any) -> None:
    real = service.commit

    def commit(item: Any, commit: Any, done: Any) -> None:
        def told(error: BaseException | None) -> None:
            if isinstance(error, LockLostError):
                for task in commit.tasks:
                    service.hub.queue(item.lease.instance, task)
            done(error)

        real(item, commit, told)

    service.commit = commit


@breaks("what_a_turn_consumed_does_not_come_again", "a_result_reaches_its_instance_once")
def consumed_messages_come_again(service: Any) -> None:
    real = service.commit

    def commit(item: Any, commit: Any, done: Any) -> None:
        real(item, commit, done)
        for message in item.messages:
            service.hub.deliver(item.instance_id, message)

    service.commit = commit


@breaks("what_comes_during_a_turn_waits_for_the_next", "continuing_as_new_is_one_step")
def messages_to_a_locked_instance_are_lost(service: Any) -> None:
    real = service.send

    async def send(instance_id: str, message: Any) -> None:
        if service.hub.found(instance_id).lease is None:
            await real(instance_id, message)

    service.send = send


def _changing_items(service: Any, change: Callable[[Any], None]) -> None:
    real = service.lock_orchestrations

    async def lock(worker: Any, most: int) -> Any:
        items = await real(worker, most)
        for item in items:
            change(item)
        return items

    service.lock_orchestrations = lock


@breaks("messages_come_in_order")
def messages_come_backwards(service: Any) -> None:
    _changing_items(service, lambda item: item.messages.reverse())


@breaks("revisions_count_commits")
def the_revision_stands_still(service: Any) -> None:
    _changing_items(service, lambda item: setattr(item, "revision", 0))


@breaks("a_rewrite_replaces_history")
def a_rewrite_is_added(service: Any) -> None:
    _changing_commits(service, rewrite=False)


@breaks("an_end_drops_what_waits", "an_ended_instance_hears_nothing")
def an_ended_instance_goes_on_hearing(service: Any) -> None:
    service.hub.ended = lambda instance: service.hub.refresh(instance)
    real = service.hub.deliver

    def deliver(instance_id: str, message: Any, sender_id: str = "") -> None:
        instance = service.hub.instances.get(instance_id)
        if instance is not None and instance.status.is_final:
            service.hub.post(instance, message, service.hub.now())
        else:
            real(instance_id, message, sender_id)

    service.hub.deliver = deliver


@breaks("what_is_put_back_comes_again")
def what_is_put_back_is_lost(service: Any) -> None:
    _changing_commits(service, reinject=())


# -- locks
@breaks("an_instance_is_locked_by_one_worker", "an_activity_has_one_holder")
def work_is_handed_out_twice(service: Any) -> None:
    for name in ("lock_orchestrations", "lock_activities"):
        _handing_out_twice(service, name)


def _handing_out_twice(service: Any, name: str) -> None:
    real = getattr(service, name)
    last: list[Any] = []

    async def lock(worker: Any, most: int) -> Any:
        if last:
            return last
        last.extend(await real(worker, most))
        return last

    setattr(service, name, lock)


@breaks("a_locked_instance_holds_up_no_other")
def one_lock_holds_up_all(service: Any) -> None:
    real = service.lock_orchestrations

    async def lock(worker: Any, most: int) -> Any:
        if any(instance.lease is not None for instance in service.hub.instances.values()):
            await asyncio.Event().wait()
        return await real(worker, most)

    service.lock_orchestrations = lock


@breaks("unknown_orchestrations_wait_for_who_knows_them", "unknown_activities_wait_for_who_knows_them")
def workers_get_what_they_do_not_know(service: Any) -> None:
    service.hub.ready.taking = _taking_all(service.hub.ready)
    service.hub.queued.taking = _taking_all(service.hub.queued)


def _taking_all(queue: Any) -> Any:
    real = queue.taking
    return lambda knows, may_take=lambda name, version: True: real(lambda name, version: True, may_take)


@breaks("a_waiting_worker_is_woken")
def nobody_is_woken(service: Any) -> None:
    service._bell.ring = lambda: None
    service.hub._work_came = lambda: None


@breaks("a_cancelled_lock_loses_nothing")
def a_cancelled_lock_loses_what_it_took(service: Any) -> None:
    real = service.lock_orchestrations

    async def lock(worker: Any, most: int) -> Any:
        items = await real(worker, most)
        await asyncio.sleep(0.001)
        return items

    service.lock_orchestrations = lock


@breaks("an_abandoned_turn_comes_again")
def an_abandoned_turn_loses_its_messages(service: Any) -> None:
    real = service.abandon_orchestration

    async def abandon(item: Any, delay: float, *, counts: bool) -> None:
        item.lease.letters.clear()
        await real(item, delay, counts=counts)

    service.abandon_orchestration = abandon


@breaks("a_lost_lock_can_not_be_abandoned")
def an_abandon_revives_what_has_ended(service: Any) -> None:
    async def abandon(item: Any, delay: float, *, counts: bool) -> None:
        instance = item.lease.instance
        instance.lease = None
        service.hub.ready.add(instance.kind, -1, instance)
        service._bell.ring()

    service.abandon_orchestration = abandon


@breaks("poison_is_marked")
def poison_is_never_marked(service: Any) -> None:
    _changing_items(service, lambda item: setattr(item, "poisoned", False))


@breaks("a_detached_worker_leaves_its_work")
def a_leaving_worker_takes_its_work_along(service: Any) -> None:
    async def detach(worker: Any) -> None:
        service.hub.ready.clear()

    service.detach = detach


# -- time
@breaks("a_timer_is_due_once_and_not_early")
def timers_are_early(service: Any) -> None:
    early = timedelta(milliseconds=100)
    _changing_commits(
        service, timers=lambda c: [msgspec.structs.replace(t, fire_at=t.fire_at - early) for t in c.timers]
    )


@breaks("a_timer_is_due_once_and_not_early")
def timers_are_due_twice(service: Any) -> None:
    _changing_commits(service, timers=lambda c: [*c.timers, *c.timers])


@breaks("timers_come_in_order")
def timers_come_as_they_were_made(service: Any) -> None:
    _changing_commits(
        service,
        timers=lambda c: [msgspec.structs.replace(t, fire_at=max(t.fire_at for t in c.timers)) for t in c.timers],
    )


@breaks("a_withdrawn_timer_does_not_come")
def withdrawn_timers_come(service: Any) -> None:
    _changing_commits(service, withdrawn_timers=())


@breaks("a_start_waits_for_its_time")
def scheduled_starts_begin_at_once(service: Any) -> None:
    real = service.hub.create
    service.hub.create = lambda start, reuse: real(msgspec.structs.replace(start, due=None), reuse)


@breaks("a_scheduled_start_can_be_cancelled", "a_cancelled_scheduled_child_is_told_to_the_parent")
def a_scheduled_start_waits_with_its_cancel(service: Any) -> None:
    service.hub._is_before_start = lambda instance: False


@breaks("a_scheduled_start_can_be_terminated", "terminate_ends_at_once", "a_watch_knows_the_end")
def terminate_does_nothing(service: Any) -> None:
    async def terminate(instance_id: str, reason: str, recursive: bool) -> None:
        service.hub.found(instance_id)

    service.terminate = terminate


@breaks("a_retry_waits_for_its_time")
def retries_come_at_once(service: Any) -> None:
    _changing_commits(service, tasks=lambda c: [msgspec.structs.replace(t, due=None) for t in c.tasks])


@breaks("an_abandoned_turn_waits")
def an_abandoned_turn_comes_at_once(service: Any) -> None:
    real = service.abandon_orchestration

    async def abandon(item: Any, delay: float, *, counts: bool) -> None:
        await real(item, 0.0, counts=counts)

    service.abandon_orchestration = abandon


# -- activities
@breaks("a_result_reaches_its_instance_once")
def results_come_twice(service: Any) -> None:
    real = service.hub.post

    def post(instance: Any, message: Any, due: Any) -> None:
        for _ in range(2):
            real(instance, message, due)

    service.hub.post = post


@breaks("an_abandoned_activity_comes_again")
def heartbeats_are_forgotten(service: Any) -> None:
    real = service.renew_activity

    async def renew(item: Any, heartbeat: Any = None) -> Any:
        return await real(item, None)

    service.renew_activity = renew


@breaks("an_abandoned_activity_comes_again", "a_poisoned_activity_is_marked")
def an_abandoned_activity_is_lost(service: Any) -> None:
    service._put_back = lambda task: None


@breaks("a_poisoned_activity_is_marked")
def deliveries_of_activities_are_not_counted(service: Any) -> None:
    real = service.abandon_activity

    async def abandon(item: Any, *, counts: bool) -> None:
        await real(item, counts=False)

    service.abandon_activity = abandon


@breaks("a_limit_of_its_own_is_kept")
def limits_are_not_asked(service: Any) -> None:
    real = service.hub.queued.taking
    service.hub.queued.taking = lambda knows, may_take: real(knows)


@breaks(
    "a_cancelled_activity_is_told",
    "the_activities_of_what_failed_are_gone",
    "the_activities_of_what_was_terminated_are_gone",
    "the_activities_of_what_was_replaced_are_gone",
)
def activities_are_not_cancelled(service: Any) -> None:
    service.hub.cancel = lambda task: None


@breaks("the_activities_of_what_completed_run_on")
def activities_end_with_their_instance(service: Any) -> None:
    real = service.hub.ended

    def ended(instance: Any) -> None:
        service.hub.cancel_all(instance)
        real(instance)

    service.hub.ended = ended


@breaks("a_result_is_for_one_execution", "the_activities_of_what_completed_run_on")
def results_reach_whoever_has_the_id(service: Any) -> None:
    async def complete(item: Any, result: Any) -> None:
        service.hub.post(item.lease.instance, result, service.hub.now())

    service.complete_activity = complete


# -- instances
@breaks("an_id_is_taken_once", "reuse_is_asked_for_each_status")
def every_start_replaces(service: Any) -> None:
    real = service.hub.create
    service.hub.create = lambda start, reuse: real(start, frozenset(OrchestrationStatus))


@breaks("reuse_is_asked_for_each_status", "a_replaced_instance_leaves_nothing")
def reuse_is_ignored(service: Any) -> None:
    real = service.hub.create
    service.hub.create = lambda start, reuse: real(start, frozenset())


@breaks("a_replaced_instance_leaves_nothing")
def a_replaced_instance_leaves_its_messages(service: Any) -> None:
    real = service.hub.replace

    def replace_(instance: Any, start: Any) -> None:
        real(instance, start)
        instance.letters.extend(left)

    left: list[Any] = []
    ended = service.hub.ended

    def keeping(instance: Any) -> None:
        left.extend(instance.letters)
        ended(instance)

    service.hub.ended = keeping
    service.hub.replace = replace_


@breaks("an_unknown_instance_is_an_error")
def a_message_to_nobody_is_accepted(service: Any) -> None:
    real = service.send

    async def send(instance_id: str, message: Any) -> None:
        try:
            await real(instance_id, message)
        except InstanceNotFoundError:
            return

    service.send = send


@breaks("a_rewind_is_for_what_failed")
def a_rewind_is_never_refused(service: Any) -> None:
    async def send(instance_id: str, message: Any) -> None:
        instance = service.hub.found(instance_id)
        if isinstance(message, Control) and message.action == "rewind":
            service.hub.post(instance, message, service.hub.now())
        else:
            service.hub.send(instance_id, message)

    service.send = send


@breaks("continuing_as_new_is_one_step")
def a_new_generation_is_taken_for_an_end(service: Any) -> None:
    real = service.commit

    def commit(item: Any, commit: Any, done: Any) -> None:
        if commit.next is not None:
            for watch in service.hub.watches.get(item.instance_id, ()):
                watch.resolve(Outcome(commit.status))
        real(item, commit, done)

    service.commit = commit


@breaks("a_watch_knows_the_end")
def the_end_is_not_told(service: Any) -> None:
    service.hub.watches = _Forgetful()


class _Forgetful(dict[Any, Any]):
    def pop(self, key: Any, default: Any = None) -> Any:
        return default


@breaks("a_message_for_another_execution_is_dropped")
def the_execution_of_a_message_is_forgotten(service: Any) -> None:
    real = service.send

    async def send(instance_id: str, message: Any) -> None:
        await real(instance_id, msgspec.structs.replace(message, execution_id="", name="for whoever is there"))

    service.send = send


# -- children
@breaks(
    "a_taken_id_is_told_to_the_parent",
    "a_terminated_child_is_told_to_the_parent",
    "a_replaced_child_is_told_to_the_parent",
    "a_cancelled_scheduled_child_is_told_to_the_parent",
)
def parents_are_not_told(service: Any) -> None:
    real = service.hub.deliver

    def deliver(instance_id: str, message: Any, sender_id: str = "") -> None:
        if type(message).__name__ != "ChildResult":
            real(instance_id, message, sender_id)

    service.hub.deliver = deliver


@breaks("a_detached_start_leaves_a_taken_id_alone", "a_taken_id_is_told_to_the_parent")
def a_taken_id_is_taken_over(service: Any) -> None:
    def clearing(commit: Any) -> Any:
        for start in commit.starts:
            service.hub.instances.pop(start.instance_id, None)
        return commit.starts

    _changing_commits(service, starts=clearing)


@breaks("an_ended_child_of_the_same_parent_is_replaced")
def an_ended_child_keeps_its_id(service: Any) -> None:
    _changing_commits(
        service,
        starts=lambda c: [start for start in c.starts if start.instance_id not in service.hub.instances],
    )


@breaks("terminate_reaches_descendants_only_when_asked")
def terminate_always_reaches_children(service: Any) -> None:
    real = service.hub.terminate
    service.hub.terminate = lambda instance_id, reason, recursive: real(instance_id, reason, True)


@breaks("terminate_reaches_descendants_only_when_asked")
def terminate_never_reaches_children(service: Any) -> None:
    real = service.hub.terminate
    service.hub.terminate = lambda instance_id, reason, recursive: real(instance_id, reason, False)


@breaks("a_message_to_nobody_is_dropped")
def a_message_to_nobody_fails_its_turn(service: Any) -> None:
    real = service.commit

    def commit(item: Any, commit: Any, done: Any) -> None:
        if any(isinstance(s, Send) and s.instance_id not in service.hub.instances for s in commit.sends):
            done(DurableTaskError("there is no such instance"))
        else:
            real(item, commit, done)

    service.commit = commit


# -- queries
@breaks("every_filter_filters")
def tags_are_not_compared(service: Any) -> None:
    _changing_queries(service, tags={})


@breaks("every_filter_filters", "pages_neither_repeat_nor_skip")
def prefixes_are_not_compared(service: Any) -> None:
    _changing_queries(service, instance_id_prefix=None)


def _changing_queries(service: Any, **changes: Any) -> None:
    query, count = service.query, service.count
    service.query = lambda q, token: query(replace(q, **changes), token)
    service.count = lambda q: count(replace(q, **changes))


@breaks("bounds_are_inclusive")
def bounds_are_exclusive(service: Any) -> None:
    real = service.query

    def query(q: Any, token: Any) -> Any:
        after = q.created_after and q.created_after + timedelta(microseconds=1)
        return real(replace(q, created_after=after), token)

    service.query = query


@breaks("pages_neither_repeat_nor_skip")
def pages_are_counted_off(service: Any) -> None:
    real = service.query

    async def query(q: Any, token: Any) -> Any:
        skip = int(token or 0)
        states, _ = await real(replace(q, page_size=10_000, instance_id_prefix=None), None)
        page = [s for s in states[skip : skip + q.page_size] if s.instance_id.startswith(q.instance_id_prefix or "")]
        more = skip + q.page_size < len(states)
        return page, str(skip + q.page_size) if more else None

    service.query = query


@breaks("counts_are_by_status", "every_filter_filters")
def counts_are_wrong(service: Any) -> None:
    real = service.count

    async def count(query: Any) -> Any:
        return {status: number + 1 for status, number in (await real(query)).items()}

    service.count = count


@breaks("a_live_instance_is_not_purged")
def purge_takes_live_ones(service: Any) -> None:
    real = service.purge

    async def purge(which: Any, recursive: bool) -> Any:
        if isinstance(which, str):
            service.hub.found(which).execution.status = OrchestrationStatus.COMPLETED
        return await real(which, recursive)

    service.purge = purge


@breaks("a_purged_instance_is_gone")
def a_purged_instance_leaves_its_activities(service: Any) -> None:
    service.hub._forget = lambda instance: service.hub.instances.pop(instance.instance_id)


@breaks("purge_takes_children_when_asked")
def purge_always_takes_children(service: Any) -> None:
    real = service.hub.purge
    service.hub.purge = lambda which, recursive: real(which, True)


@breaks("a_limit_stops_a_purge")
def purge_has_no_limit(service: Any) -> None:
    real = service.hub.purge
    service.hub.purge = lambda which, recursive: real(replace(which, limit=None), recursive)


@breaks("earlier_executions_are_kept_for_a_while")
def earlier_executions_pile_up(service: Any) -> None:
    real = service.hub.add

    def add(start: Any) -> None:
        real(start)
        service.hub.instances[start.instance_id].earlier = deque()

    service.hub.add = add


# -- closing
@breaks("what_was_accepted_survives_closing")
def closing_forgets_timers(service: Any) -> None:
    real = service.stop

    async def stop() -> None:
        await real()
        for instance in service.hub.instances.values():
            instance.letters = [x for x in instance.letters if type(x.message).__name__ != "TimerDue"]

    service.stop = stop


@breaks("a_result_survives_closing_before_its_turn")
def closing_forgets_results(service: Any) -> None:
    real = service.stop

    async def stop() -> None:
        await real()
        for instance in service.hub.instances.values():
            for letter in instance.letters:
                letter.due = later()
            service.hub.refresh(instance)

    service.stop = stop


@breaks("what_was_held_is_free_after_closing")
def locks_outlive_their_holder(service: Any) -> None:
    service._free_all = lambda: None


@breaks("a_service_is_opened_as_often_as_it_is_closed")
def the_first_who_leaves_closes(service: Any) -> None:
    real = service.stop

    async def stop() -> None:
        service._users = 1
        await real()

    service.stop = stop
