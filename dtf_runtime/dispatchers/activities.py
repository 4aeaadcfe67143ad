"""Locks activities, runs them, hands their results over. Async ones run in a task each, plain functions in a thread.

Whatever an activity does ends here as a result or a failure that its instance gets; nothing an activity raises may reach the worker. The way
of a quick async activity is the hot path: what few of them need (threads, time limits, heartbeats, cancels) is set up only for those.
"""

import asyncio
import inspect
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import msgspec
from msgspec import Raw

from dtf_runtime.clock import Clock, RealClock
from dtf_runtime.definitions import Activity
from dtf_runtime.dispatchers.activity_context import current
from dtf_runtime.dispatchers.delays import call_after
from dtf_runtime.dispatchers.profiles import Profile
from dtf_runtime.dispatchers.running import CANCELLED, HANDED_BACK, Running
from dtf_runtime.dispatchers.threads import ActivityThreads
from dtf_runtime.errors import FailureDetails, LockLostError, NonRetriableError, SerializationError
from dtf_runtime.model.messages import ActivityResult
from dtf_runtime.service import ActivityWorkItem, OrchestrationService
from dtf_runtime.tracing import events as trace

_LOCK_RETRY = 0.5  # seconds
_HAND_OVER_RETRIES = (0.1, 0.5, 2.0)  # seconds; then it is given back and will run again
_LAST_WORDS = 1.0  # seconds that a cancelled activity has for its `finally` when the worker stops


class _Code:
    """A definition, with what is said in errors about its values."""

    __slots__ = ("arguments", "decode", "encode", "fn", "is_async", "result")

    def __init__(self, definition: Activity[..., Any]) -> None:
        self.fn = definition.fn
        self.is_async = definition.is_async
        self.decode = definition.parameters.decode_call
        self.encode = definition.parameters.encode_result
        self.arguments = f"the arguments of activity {definition.name!r}"
        self.result = f"the result of activity {definition.name!r}"


class ActivityDispatcher:
    """No more than `slots` run at once. `grace`: seconds that running ones have when the worker stops."""

    def __init__(
        self,
        service: OrchestrationService,
        worker: Profile,
        clock: Clock,
        *,
        slots: int,
        grace: float,
        connections: tuple[Any, ...] = (),
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.thread = threading.get_ident()
        self.clock = clock
        self.threads = ActivityThreads(slots)
        self.beats = threading.Lock()
        self.connections = connections
        self._service = service
        self._worker = worker
        self._slots = slots
        self._grace = grace
        self._code: dict[tuple[str, str], _Code] = {}
        self._limited = {a.name for a in worker.registry.activities() if a.max_concurrency is not None}
        self._busy = 0  # slots taken, by threads that outlive their attempt too
        self._running: set[Running] = set()
        self._task: asyncio.Task[Any] | None = None
        self._freed: asyncio.Future[None] | None = None
        self._is_locking = False
        self._look_again = False
        self._closing = False
        self._stop_renewing: Callable[[], object] | None = None
        self._renewal: asyncio.Task[Any] | None = None

    # -- pulling
    async def run(self) -> None:
        """Until cancelled."""
        self._task = asyncio.current_task()
        while True:
            while self._busy >= self._slots:
                self._freed = self.loop.create_future()
                await self._freed
            for item in await self._lock():
                self._begin(item)

    async def _lock(self) -> list[ActivityWorkItem]:
        self._is_locking = True
        try:
            return await self._service.lock_activities(self._worker, self._slots - self._busy)
        except asyncio.CancelledError:
            if not self._look_again:
                raise
            self._look_again = False
            if self._task is not None and self._task.uncancel() > 0:
                raise
            return []
        except Exception as error:
            self._is_locking = False
            trace.lock_failed(dispatcher="activities", delay=_LOCK_RETRY, error=error)
            await asyncio.sleep(_LOCK_RETRY)
            return []
        finally:
            self._is_locking = False
            if self._look_again and self._task is not None:  # asked for, but there was an answer already
                self._look_again = False
                self._task.uncancel()

    def _begin(self, item: ActivityWorkItem) -> None:
        self._busy += 1
        running = Running(self, item)
        self._running.add(running)
        item.on_cancel = running.cancel
        if self._stop_renewing is None:
            self._stop_renewing = call_after(self.clock, self._worker.lock_duration / 3, self._renew_all)
        running.task = self.loop.create_task(self._run(running))

    def free(self, item: ActivityWorkItem) -> None:
        """A slot. An activity that has a limit of its own may have been passed over for it: the provider is asked anew."""
        self._busy -= 1
        if item.task.name in self._limited and self._has_limit(item):
            self._worker.release_activity(item.task.name)
            if self._is_locking and not self._look_again and self._task is not None:
                self._look_again = True
                self._task.cancel()
        if self._freed is not None and not self._freed.done():
            self._freed.set_result(None)

    def _has_limit(self, item: ActivityWorkItem) -> bool:
        definition = self._worker.find_activity(item.task.name, item.task.version)
        return definition is not None and definition.max_concurrency is not None

    # -- one activity
    async def _run(self, running: Running) -> None:
        try:
            result = await self._outcome(running)
            if result is not None:
                await self._hand_over(running, result)
        except Exception as error:
            trace.worker_error(worker="", where="activity dispatcher", error=error)
        finally:
            running.has_ended = True
            self._running.discard(running)
            if not running.in_thread:
                self.free(running.item)
            if not self._running and self._stop_renewing is not None and not isinstance(self.clock, RealClock):
                self._stop_renewing()  # a virtual clock must find nothing to wait for
                self._stop_renewing = None

    async def _outcome(self, running: Running) -> ActivityResult | None:
        """None: nobody is to be told."""
        item = running.item
        task = item.task
        code = self._code.get((task.name, task.version)) or self._compile(task.name, task.version)
        if running.told or item.cancelled or item.poisoned or code is None:
            return await self._not_run(running, code)
        if task.timeout is not None or task.heartbeat_timeout is not None:
            if task.timeout is not None:
                running.context.deadline = self.clock.now() + timedelta(seconds=task.timeout)
            running.set_alarms()
        current.set(running.context)
        trace.activity_started(
            instance_id=item.instance_id,
            execution_id=item.execution_id,
            name=task.name,
            task_id=task.number,
            attempt=task.attempt,
            version=task.version,
        )
        try:
            args, kwargs = code.decode(bytes(task.input), code.arguments)
            running.live = True
            if code.is_async:
                value = await code.fn(*args, **kwargs)
            else:
                value = await running.in_a_thread(code.fn, args, kwargs)
                if inspect.isawaitable(value):
                    value = await value
            running.end()
            if running.told:
                self._unwanted(running)
                return None
            data = code.encode(value, code.result)
        except BaseException as error:
            was_live = running.live
            running.end()
            return await self._failed(running, error, was_live)
        trace.activity_completed(
            instance_id=item.instance_id,
            execution_id=item.execution_id,
            name=task.name,
            task_id=task.number,
            attempt=task.attempt,
        )
        return ActivityResult(
            execution_id=item.execution_id, number=task.number, attempt=task.attempt, result=Raw(data)
        )

    def _compile(self, name: str, version: str) -> _Code | None:
        definition = self._worker.find_activity(name, version)
        if definition is None:
            return None
        code = self._code[name, version] = _Code(definition)
        return code

    async def _not_run(self, running: Running, code: _Code | None) -> ActivityResult | None:
        item = running.item
        if running.told or item.cancelled:
            running.told = running.told or CANCELLED
            self._unwanted(running)
            return None
        running.end()
        if item.poisoned:
            error = NonRetriableError(
                f"activity {item.task.name!r} (task {item.task.number} of {item.instance_id!r}) was handed out {item.deliveries} times "
                f"and ended its worker, or was lost with it, each time; it is not tried again. See the log of the worker for the "
                f"cause, then rewind the instance."
            )
            trace.poison_set_aside(
                instance_id=item.instance_id, execution_id=item.execution_id, deliveries=item.deliveries, error=error
            )
            return self._failure(running, FailureDetails.of(error))
        trace.missing_definition(
            kind="activity", name=item.task.name, version=item.task.version, instance_id=item.instance_id
        )
        await self._service.abandon_activity(item, counts=False)
        return None

    async def _failed(self, running: Running, error: BaseException, was_live: bool) -> ActivityResult | None:
        if isinstance(error, GeneratorExit) and not self.loop.is_running():
            raise error  # the loop is gone: nothing can be told any more
        if running.told:
            self._unwanted(running)
            return None
        if isinstance(error, asyncio.CancelledError):
            if running.expired:
                assert running.task is not None
                running.task.uncancel()
                timeout = running.timeout_error()
                timeout.__cause__ = error
                error = timeout
            elif running.task is not None and running.task.cancelling() and self._is_torn_down():
                running.told = HANDED_BACK
                await self._give_back(running)
                return None
        details = FailureDetails.of(error)
        if not was_live and isinstance(error, SerializationError):
            # Another attempt would have the same arguments, or do the work again for a result of the same type.
            details = msgspec.structs.replace(details, non_retriable=True)
        trace.activity_failed(**running.identity, error=error)
        return self._failure(running, details)

    def _is_torn_down(self) -> bool:
        """Somebody cancels every task of the loop, as asyncio.run does at its end."""
        return self._closing or self._task is None or self._task.done() or self._task.cancelling() > 0

    def _unwanted(self, running: Running) -> None:
        if running.told == CANCELLED:
            trace.activity_cancelled(
                **running.identity, reason="nobody waits for its result any more, or its lock was lost"
            )

    def _failure(self, running: Running, details: FailureDetails) -> ActivityResult:
        item = running.item
        return ActivityResult(
            execution_id=item.execution_id,
            number=item.task.number,
            attempt=item.task.attempt,
            failure=details,
            heartbeat=running.heartbeat,
        )

    async def _hand_over(self, running: Running, result: ActivityResult) -> None:
        for delay in (*_HAND_OVER_RETRIES, None):
            try:
                await self._service.complete_activity(running.item, result)
                return
            except LockLostError as error:
                trace.activity_cancelled(**running.identity, reason=str(error))
                return
            except Exception as error:
                trace.worker_error(worker="", where=f"handing over activity {running.item.task.name!r}", error=error)
            if delay is not None:
                await asyncio.sleep(delay)
        await self._service.abandon_activity(running.item, counts=True)

    # -- leases
    def _renew_all(self) -> None:
        self._stop_renewing = None
        if not self._running:
            return
        self._stop_renewing = call_after(self.clock, self._worker.lock_duration / 3, self._renew_all)
        if self._renewal is None or self._renewal.done():
            self._renewal = self.loop.create_task(self._renew_each(list(self._running)))

    async def _renew_each(self, running: list[Running]) -> None:
        await asyncio.gather(*(self.renew(each) for each in running if not each.told and not each.has_ended))

    async def renew(self, running: Running, heartbeat: Raw | None = None) -> None:
        """Its lease; a heartbeat does so too. A provider that fails is tried again at the next renewal."""
        item = running.item
        try:
            is_lost = await self._service.renew_activity(item, heartbeat)
        except LockLostError:
            is_lost = True
        except Exception as error:
            if heartbeat is None:
                trace.renew_failed(instance_id=item.instance_id, kind="activity", error=error, task_id=item.task.number)
            else:
                identity = running.identity
                identity.pop("attempt")
                trace.heartbeat_failed(**identity, error=error)
            return
        if is_lost and running.live:
            running.cancel()

    # -- stopping
    async def close(self) -> int:
        """After `run` was cancelled: waits for what runs, `grace` at most, then tells the rest and hands it back. Gives how many."""
        self._closing = True
        try:
            await self._ended(self._grace)
            for running in self._running:
                running.hand_back()
            rest = [running for running in self._running if running.told == HANDED_BACK]
            await self._ended(_LAST_WORDS)
            for running in rest:
                await self._give_back(running)
            return len(rest)
        finally:
            if self._stop_renewing is not None:
                self._stop_renewing()
            if self._renewal is not None:
                self._renewal.cancel()
            self.threads.close()

    async def _ended(self, within: float) -> None:
        tasks = [running.task for running in self._running if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=within)

    async def _give_back(self, running: Running) -> None:
        trace.activity_handed_back(**running.identity)
        await running.heartbeats_sent()
        try:
            await self._service.abandon_activity(running.item, counts=False)
        except Exception as error:
            trace.worker_error(worker="", where=f"handing back activity {running.item.task.name!r}", error=error)
