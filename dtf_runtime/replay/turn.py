"""What one turn has decided so far. Becomes a Commit."""

from datetime import UTC, datetime

from dtf_runtime.model.commit import Send, Timer
from dtf_runtime.model.history import HistoryEvent
from dtf_runtime.model.messages import ActivityTask, Message, StartExecution

_NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Turn:
    """Keyed where a decision can be taken back before it is committed (a timer made and cancelled in one turn leaves no row)."""

    __slots__ = (
        "at",
        "cancelled_tasks",
        "events",
        "reinject",
        "sends",
        "starts",
        "tasks",
        "timers",
        "withdrawn_timers",
    )

    def __init__(self, at: datetime = _NEVER) -> None:
        self.at = at
        self.events: list[HistoryEvent] = []
        self.tasks: dict[tuple[int, int], ActivityTask] = {}  # by (number, attempt)
        self.cancelled_tasks: list[int] = []
        self.timers: dict[int, Timer] = {}
        self.withdrawn_timers: list[int] = []
        self.starts: list[StartExecution] = []
        self.sends: list[Send] = []
        self.reinject: list[Message] = []
