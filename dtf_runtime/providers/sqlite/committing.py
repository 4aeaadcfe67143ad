"""From a Commit to its operation, and what is handed over once that is on disk."""

from collections.abc import Callable, Iterable

from dtf_runtime.errors import ProviderError
from dtf_runtime.model.commit import Commit, InstanceRecord
from dtf_runtime.model.state import OrchestrationStatus
from dtf_runtime.providers.sqlite.alarms import Alarms
from dtf_runtime.providers.sqlite.hub import Hub
from dtf_runtime.providers.sqlite.inbox import Owned
from dtf_runtime.providers.sqlite.rows import to_micros
from dtf_runtime.providers.sqlite.turns import TurnOp
from dtf_runtime.service import ActivityWorkItem, Outcome

_RETRY = 1.0  # seconds after a group failed


class Committer:
    def __init__(self, hub: Hub, alarms: Alarms) -> None:
        self._hub = hub
        self._alarms = alarms

    def submit(self, owned: Owned, commit: Commit, done: Callable[[BaseException | None], None]) -> None:
        hub = self._hub
        op = TurnOp(owned, commit, done, self._answered)
        for _, key, task in owned.taken:
            if task:
                op.task_keys.append(task)
            else:
                op.messages.append(key)
        if commit.tasks:
            self._place_tasks(op)
        fresh = hub.key
        if commit.timers:
            op.timers = [(fresh(), timer) for timer in commit.timers]
        for start in commit.starts:
            ours = (
                start.due is None
                and start.instance_id not in hub.by_id
                and hub.home(start.name, start.version) is not None
            )
            op.children.append((fresh(), fresh(), start, ours))
        if commit.sends:
            op.sends = [(fresh(), send) for send in commit.sends]
        if commit.reinject:
            op.reinjects = [(fresh(), message) for message in commit.reinject]
        if commit.next is not None:
            op.next_x = fresh()
        hub.open_writer().submit(op)

    def _place_tasks(self, op: TurnOp) -> None:
        """This process takes only as many as it has free slots for; the rest any process takes."""
        hub = self._hub
        room = hub.room()
        for task in op.commit.tasks:
            ours = room > 0 and task.due is None and hub.may_take(task.name, task.version)
            room -= ours
            hub.reserved += ours
            op.tasks.append((hub.key(), task, ours))

    def _answered(self, op: TurnOp) -> None:
        if op.error is None:
            self._applied(op)
        else:
            self._refused(op, op.error)

    def _applied(self, op: TurnOp) -> None:
        hub, commit = self._hub, op.commit
        owned: Owned = op.owned
        if op.messages:
            owned.keys.difference_update(op.messages)
        owned.taken = []
        owned.record = None
        owned.deliveries = 0
        owned.busy = False
        owned.revision += 1
        if commit.withdrawn_timers:
            self._alarms.withdraw(owned, op.execution, commit.withdrawn_timers)
        if commit.status.is_final:
            self._alarms.drop(owned.n)
        if hub.suspect is owned:
            hub.suspect = None
            hub.scan()
        op.done(None)
        if commit.next is not None:
            self._continue(op)
        elif commit.status.is_final:
            hub.forget(owned.n)
            if commit.status != OrchestrationStatus.COMPLETED:
                hub.cancel_instance(owned.n)
            hub.watches.ended(owned.id, Outcome(commit.status, commit.output, commit.failure))
        self._hand_over(op)
        if hub.owned.get(owned.n) is owned:
            for key, message in op.reinjects:
                hub.arrived(owned.n, message, key)
            hub.ready(owned)

    def _continue(self, op: TurnOp) -> None:
        owned, coming = op.owned, op.commit.next
        assert coming is not None
        if self._hub.home(owned.name, coming.version) is None:
            self._hub.release(owned)
            return
        owned.x, owned.execution, owned.version, owned.revision = op.next_x, coming.execution_id, coming.version, 0
        late = [entry for entry in owned.inbox if entry[2]]
        self._hub.drop_results(owned, late)
        owned.inbox = [entry for entry in owned.inbox if not entry[0].execution_id]
        owned.record = InstanceRecord(
            instance_id=owned.id,
            execution_id=owned.execution,
            name=owned.name,
            version=owned.version,
            input=coming.input,
            tags=coming.tags,
            parent=coming.parent,
            carried=coming.carried,
            recent=coming.recent,
        )

    def _hand_over(self, op: TurnOp) -> None:
        hub, owned, commit = self._hub, op.owned, op.commit
        for key, task, ours in op.tasks:
            if ours:
                hub.reserved -= 1
                hub.tasks.append(
                    ActivityWorkItem(instance_id=owned.id, execution_id=op.execution, task=task, lease=(key, owned.n))
                )
            else:
                hub.due_at(to_micros(commit.at if task.due is None else task.due))
        if not commit.status.is_final:
            for key, timer in op.timers:
                self._alarms.add(owned, op.execution, key, timer)
        if commit.cancelled_tasks:
            self._cancel(owned.n, op.execution, commit.cancelled_tasks)
        for n, x, start, ours in op.children:
            if n in op.lost_children:
                hub.scan()
            elif ours:
                hub.adopt(n, x, start)
            else:
                hub.due_at(to_micros(commit.at if start.due is None else start.due))
        for key, send in op.sends:
            if key in op.lost_sends:
                hub.scan()  # a cancel may have ended it at once, and told its parent
            else:
                target = hub.by_id.get(send.instance_id)
                if target is None:
                    hub.scan()
                else:
                    hub.arrived(target.n, send.message, key)

    def _cancel(self, n: int, execution: str, numbers: Iterable[int]) -> None:
        wanted = set(numbers)
        self._hub.running.cancel(n, execution, wanted)
        for item in (*self._hub.tasks, *self._hub.passed):
            if item.lease[1] == n and item.execution_id == execution and item.task.number in wanted:
                item.cancelled = True

    def _refused(self, op: TurnOp, error: BaseException) -> None:
        hub = self._hub
        owned: Owned = op.owned
        hub.reserved -= sum(ours for _, _, ours in op.tasks)
        owned.busy = False
        op.done(error)
        taken, owned.taken = owned.taken, []
        if hub.owned.get(owned.n) is not owned:
            hub.drop_results(owned, taken)
            hub.scan()
            return
        owned.inbox = [*taken, *owned.inbox]
        if isinstance(error, ProviderError):
            hub.loop.call_later(_RETRY, self._retry, owned)
        else:
            hub.release(owned)
            hub.scan()

    def _retry(self, owned: Owned) -> None:
        """The disk was full, say: nothing was lost, it is tried again."""
        hub = self._hub
        if hub.owned.get(owned.n) is owned and hub.writer is not None:
            hub.ready(owned)
