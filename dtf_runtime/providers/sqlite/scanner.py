"""Looks in the file for what is due and not in memory: timers, retries, what other processes wrote, what dead ones left.

One scan at a time; a wish for another while one is under way is kept. Between scans nothing polls but the writer's look at `data_version`.
"""

import asyncio
from typing import Any

import msgspec
from msgspec import Raw

from dtf_runtime.errors import FailureDetails, ProviderError
from dtf_runtime.model.messages import decode_message, decode_task
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.providers.sqlite.alarms import LONGEST_SLEEP, SLACK
from dtf_runtime.providers.sqlite.hub import Hub, report
from dtf_runtime.providers.sqlite.inbox import Owned, stop
from dtf_runtime.providers.sqlite.instances import record_of
from dtf_runtime.providers.sqlite.rows import to_micros
from dtf_runtime.providers.sqlite.work import ScanOp, WatchOp
from dtf_runtime.service import ActivityWorkItem, Outcome
from dtf_runtime.tracing import events as trace

_MOST_CLAIMED = 100  # instances a scan, so that processes share
_RETRY = 1.0  # seconds after a group failed


class Scanner:
    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._scanning = False
        self._again = False
        self._checking_watches = False
        self._wake_at = 0.0
        self._wake: asyncio.TimerHandle | None = None
        self._room = 0
        hub.scan = self.scan
        hub.due_at = self.due_at

    def close(self) -> None:
        if self._wake is not None:
            self._wake.cancel()

    # -- when
    def due_at(self, micros: int) -> None:
        """Something becomes due then."""
        hub = self._hub
        now = to_micros(hub.clock.now())
        if micros <= now:
            self.scan()
            return
        at = hub.loop.time() + min((micros - now) / 1_000_000 + SLACK, LONGEST_SLEEP)
        if self._wake is None or at < self._wake_at:
            if self._wake is not None:
                self._wake.cancel()
            self._wake_at = at
            self._wake = hub.loop.call_at(at, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self.scan()

    def changed_elsewhere(self) -> None:
        """Another process wrote, or died."""
        trace.foreign_change(hub=self._hub.url)
        self._hub.tasks_elsewhere = True
        self.scan()
        self.check_watches()

    def lease_lost(self) -> None:
        """Others run what was ours: forget it all, tell what runs."""
        hub = self._hub
        for n in list(hub.owned):
            hub.forget(n, keep_results=True)
        hub.running.cancel_all()
        for item in (*hub.tasks, *hub.passed):
            stop(item)
        hub.passed.clear()
        hub.tasks.clear()
        if hub.writer is not None:
            hub.became(hub.writer.owner)
        self.scan()

    # -- one scan
    def scan(self) -> None:
        hub = self._hub
        if self._scanning:
            self._again = True
            return
        if not hub.workers or hub.writer is None or not hub.is_owner:
            return
        self._scanning = True
        self._again = False
        self._hub.tasks_elsewhere = False
        self._room = max(0, hub.room())
        hub.reserved += self._room
        op = ScanOp(
            to_micros(hub.clock.now()),
            _MOST_CLAIMED,
            self._room,
            hub.suspect is not None,
            lambda name, version: hub.home(name, version) is not None,
            hub.may_take,
        )
        op.answered = self._merge
        hub.do(op).add_done_callback(_seen)

    def _merge(self, op: ScanOp) -> None:
        """At once when its group is on disk: what a later turn of the same group consumed must not come in again."""
        hub = self._hub
        hub.reserved -= self._room
        self._scanning = False
        if op.error is not None:
            trace.provider_retried(hub=hub.url, operation="scan", delay=_RETRY, error=op.error)
            hub.loop.call_later(_RETRY, self.scan)
            return
        touched = self._claimed(op)
        for key, n, body in op.messages:
            holder = hub.owned.get(n)
            if holder is not None and key not in holder.keys:
                self._take_in(holder, key, body)
                touched[n] = holder
        for owned in touched.values():
            hub.ready(owned)
        self._add_tasks(op)
        is_full = len(op.tasks) >= self._room
        hub.tasks_elsewhere = hub.tasks_elsewhere or is_full or bool(hub.passed)
        if op.next_due is not None:
            self.due_at(op.next_due)
        if self._again or op.more or (is_full and hub.room() > 0):
            self.scan()

    def _claimed(self, op: ScanOp) -> dict[int, Owned]:
        hub, new = self._hub, {}
        for n, id_, x, execution, name, version, revision, deliveries, is_suspect, record in op.claimed:
            if n in hub.owned:  # it had no owner in the file: another process replaced it, what is held here is old
                hub.forget(n)
                hub.cancel_instance(n)
            owned = Owned(n, id_, x, execution, name, version, revision)
            owned.deliveries = deliveries
            owned.record = None if record is None else record_of(record)
            if is_suspect:
                hub.suspect = owned
            hub.owned[n] = hub.by_id[id_] = new[n] = owned
        return new

    def _take_in(self, owned: Owned, key: int, body: str) -> None:
        owned.keys.add(key)
        try:
            message = decode_message(body)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:  # this version can't read it: it stays in its row
            trace.row_set_aside(table="messages", key=str(key), error=error, instance_id=owned.id)
            return
        owned.inbox.append((message, key, 0))

    def _add_tasks(self, op: ScanOp) -> None:
        for key, n, id_, execution, deliveries, heartbeat, body in op.tasks:
            task = decode_task(body)
            if heartbeat is not None:
                task = msgspec.structs.replace(task, heartbeat=Raw(heartbeat.encode()))
            self._hub.tasks.append(
                ActivityWorkItem(
                    instance_id=id_ or "", execution_id=execution, task=task, deliveries=deliveries, lease=(key, n)
                )
            )

    # -- ends of instances that other processes run
    def check_watches(self) -> None:
        hub = self._hub
        if not self._checking_watches and hub.watches and hub.writer is not None:
            self._checking_watches = True
            op = WatchOp(hub.watches.ids())
            op.answered = self._ended
            hub.do(op).add_done_callback(report)

    def _ended(self, op: WatchOp) -> None:
        self._checking_watches = False
        for id_, status, output, failure in op.result or ():
            details = None if failure is None else msgspec.json.decode(failure, type=FailureDetails)
            outcome = Outcome(OrchestrationStatus(status), None if output is None else output.encode(), details)
            self._hub.watches.ended(id_, outcome)


def _seen(future: Any) -> None:
    """Its error was reported by `_merge`."""
    if not future.cancelled() and not isinstance(future.exception(), (ProviderError, type(None))):
        report(future)
