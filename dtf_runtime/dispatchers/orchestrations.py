"""Locks instances, runs their turns, commits. Live orchestrations stay in memory between turns, so that a turn costs what is new.

Turns run in a callback of the worker's loop, where no task is current (rule 2), a batch at a time. A refused or failed commit evicts: memory must
never be ahead of the disk (rule 22).
"""

import asyncio
import random
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from dtf_runtime.clock import Clock
from dtf_runtime.definitions import Orchestration
from dtf_runtime.dispatchers import commits
from dtf_runtime.errors import DurableTaskError, LockLostError, NonDeterminismError
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.messages import Control
from dtf_runtime.replay.execution import Execution
from dtf_runtime.replay.loop import turns
from dtf_runtime.service import OrchestrationService, OrchestrationWorkItem, WorkerProfile
from dtf_runtime.tracing import events as trace

_BATCH = 32  # turns before the loop gets a breath; also how much a kill can repeat
_FIRST_BACKOFF, _LONGEST_BACKOFF = 0.5, 30.0  # seconds
_LOCK_RETRY = 0.5


class OrchestrationDispatcher:
    """`find` gives the code for a name and version. `fail_blocked`: non-determinism fails the instance instead of blocking it."""

    def __init__(
        self,
        service: OrchestrationService,
        worker: WorkerProfile,
        find: Callable[[str, str], Orchestration[..., Any] | None],
        clock: Clock,
        *,
        cache: int,
        max_steps: int,
        fail_blocked: bool,
    ) -> None:
        self._service = service
        self._worker = worker
        self._find = find
        self._clock = clock
        self._most_cached = cache
        self._max_steps = max_steps
        self._fail_blocked = fail_blocked
        self._cache: OrderedDict[str, Execution] = OrderedDict()
        self._backoffs: dict[str, int] = {}
        self._side_work: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._pulling = False
        self._pending: asyncio.Future[list[OrchestrationWorkItem]] | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._loop = asyncio.get_running_loop()

    # -- pulling
    async def run(self) -> None:
        """Until cancelled."""
        self._pull()
        try:
            await self._loop.create_future()
        finally:
            self._pulling = False
            if self._pending is not None:
                self._pending.cancel()

    def _pull(self) -> None:
        self._pulling = True
        self._pending = asyncio.ensure_future(self._service.lock_orchestrations(self._worker, _BATCH))
        self._pending.add_done_callback(self._locked)

    def _locked(self, pending: "asyncio.Future[list[OrchestrationWorkItem]]") -> None:
        """A callback of the loop, where no task is current (rule 2)."""
        if pending.cancelled():
            return
        error = pending.exception()
        if error is not None:
            trace.lock_failed(dispatcher="orchestrations", delay=_LOCK_RETRY, error=error)
            self._loop.call_later(_LOCK_RETRY, self._pull_again)
            return
        self._run_batch(pending.result())
        self._pull_again()

    def _pull_again(self) -> None:
        if self._pulling:
            self._pull()

    async def close(self) -> None:
        """After `run` was cancelled: what was begun is committed, then every live orchestration is evicted."""
        while self._in_flight or self._side_work:
            if self._side_work:
                await asyncio.wait(list(self._side_work))
            await self._idle.wait()
        closed = self._loop.create_future()
        self._loop.call_soon(self._evict_all, closed)
        await closed

    def _evict_all(self, closed: "asyncio.Future[None]") -> None:
        with turns():
            for execution in self._cache.values():
                execution.evict()
        self._cache.clear()
        closed.set_result(None)

    def _run_batch(self, items: list[OrchestrationWorkItem]) -> None:
        now = self._clock.now()
        with turns():
            for position, item in enumerate(items):
                try:
                    self._take(item, now)
                except KeyboardInterrupt:
                    for rest in items[position:]:
                        self._aside(self._service.abandon_orchestration(rest, 0.0, counts=False))
                    self._pull_again()
                    raise
                except Exception as error:
                    self._turn_failed(item, "", error)

    def _take(self, item: OrchestrationWorkItem, now: Any) -> None:
        execution = self._cache.pop(item.instance_id, None)
        if execution is not None and (
            execution.execution_id != item.execution_id or execution.revision != item.revision
        ):
            self._evict(execution, "it is behind the store")
            execution = None
        if item.poisoned:
            self._evict(execution, "it is poisoned")
            self._aside(self._fail(item, _poison(item)))
        elif execution is not None:
            self._turn(item, execution, now)
        elif item.record is not None and item.revision == 0:
            self._begin(item, item.record, [], now)
        else:
            self._aside(self._load(item))

    def _begin(
        self, item: OrchestrationWorkItem, record: InstanceRecord, history: list[HistoryEvent], now: Any
    ) -> None:
        definition = self._find(record.name, record.version)
        if definition is None:
            trace.missing_definition(
                kind="orchestration", name=record.name, version=record.version, instance_id=item.instance_id
            )
            self._give_back(item, counts=False)
            return
        execution = Execution(record, definition, max_steps=self._max_steps)
        execution.revision = item.revision
        if history and any(isinstance(message, Control) and message.action == "rewind" for message in item.messages):
            self._attempt(item, execution, lambda: commits.rewind(execution, history, item.messages, now))
        else:
            self._turn(item, execution, now, history)

    def _turn(self, item: OrchestrationWorkItem, execution: Execution, now: Any, history: Any = ()) -> None:
        self._attempt(item, execution, lambda: commits.turn(execution, history, item.messages, now))

    def _attempt(self, item: OrchestrationWorkItem, execution: Execution, work: Callable[[], Commit]) -> None:
        try:
            commit = work()
        except KeyboardInterrupt:
            execution.evict()
            raise
        except BaseException as error:
            self._evict(execution, "its turn failed")
            self._turn_failed(item, execution.record.name, error)
            return
        self._backoffs.pop(item.instance_id, None)
        self._in_flight += 1
        self._idle.clear()
        self._service.commit(item, commit, lambda error: self._committed(execution, commit, error))

    def _committed(self, execution: Execution, commit: Commit, error: BaseException | None) -> None:
        self._in_flight -= 1
        if not self._in_flight:
            self._idle.set()
        if error is not None:
            trace.commit_refused(
                instance_id=execution.instance_id, execution_id=execution.execution_id, reason=str(error)
            )
            self._evict_soon(execution)
            return
        commits.report(execution, commit)
        if execution.is_running:
            execution.revision += 1
            self._cache[execution.instance_id] = execution
            if len(self._cache) > self._most_cached:
                self._evict_soon(self._cache.popitem(last=False)[1])
        else:
            execution.let_go()

    # -- what went wrong
    def _turn_failed(self, item: OrchestrationWorkItem, name: str, error: BaseException) -> None:
        blocked = isinstance(error, NonDeterminismError)
        if blocked:
            trace.non_determinism(instance_id=item.instance_id, execution_id=item.execution_id, name=name, error=error)
            if self._fail_blocked:
                self._aside(self._fail(item, error))
                return
        else:
            trace.turn_failed(instance_id=item.instance_id, execution_id=item.execution_id, name=name, error=error)
            if item.deliveries + 1 >= self._worker.max_delivery_count:
                self._aside(self._fail(item, error))
                return
        self._give_back(item, counts=not blocked)

    def _give_back(self, item: OrchestrationWorkItem, *, counts: bool) -> None:
        tries = self._backoffs.get(item.instance_id, 0)
        self._backoffs[item.instance_id] = tries + 1
        delay = min(_FIRST_BACKOFF * 2 ** min(tries, 10), _LONGEST_BACKOFF) * random.uniform(0.8, 1.0)
        self._aside(self._service.abandon_orchestration(item, delay, counts=counts))

    async def _load(self, item: OrchestrationWorkItem) -> None:
        try:
            record, history = await self._service.load(item)
        except LockLostError as error:
            trace.commit_refused(instance_id=item.instance_id, execution_id=item.execution_id, reason=str(error))
            return
        except Exception as error:
            trace.turn_failed(instance_id=item.instance_id, execution_id=item.execution_id, error=error)
            self._give_back(item, counts=False)
            return
        self._loop.call_soon(self._run_loaded, item, record, history)

    def _run_loaded(self, item: OrchestrationWorkItem, record: InstanceRecord, history: list[HistoryEvent]) -> None:
        with turns():
            self._begin(item, record, history, self._clock.now())

    async def _fail(self, item: OrchestrationWorkItem, error: BaseException) -> None:
        """Ends the instance without running its code."""
        self._backoffs.pop(item.instance_id, None)
        try:
            record, history = await self._service.load(item)
        except LockLostError:
            return
        except Exception as unreadable:
            trace.turn_failed(instance_id=item.instance_id, execution_id=item.execution_id, error=unreadable)
            self._give_back(item, counts=False)
            return
        commit = commits.failure(record, history, error, self._clock.now())
        trace.poison_set_aside(instance_id=item.instance_id, deliveries=item.deliveries, error=error)
        done: asyncio.Future[None] = self._loop.create_future()
        self._service.commit(item, commit, lambda refused: done.set_result(None))
        await done

    # -- housekeeping
    def _aside(self, work: Any) -> None:
        task = self._loop.create_task(work)
        self._side_work.add(task)
        task.add_done_callback(self._side_done)

    def _side_done(self, task: "asyncio.Task[None]") -> None:
        self._side_work.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            trace.worker_error(worker="", where="orchestration dispatcher", error=error)

    def _evict(self, execution: Execution | None, why: str) -> None:
        if execution is not None:
            trace.instance_evicted(instance_id=execution.instance_id, execution_id=execution.execution_id, reason=why)
            execution.evict()

    def _evict_soon(self, execution: Execution) -> None:
        self._loop.call_soon(self._evict_one, execution)

    def _evict_one(self, execution: Execution) -> None:
        with turns():
            self._evict(execution, "to make room, or its commit was refused")


def _poison(item: OrchestrationWorkItem) -> DurableTaskError:
    return DurableTaskError(
        f"orchestration {item.instance_id!r} was tried {item.deliveries} times and ended its worker or its turn each time. Its history is "
        f"kept: see the worker's log for the cause, then rewind or restart it."
    )
