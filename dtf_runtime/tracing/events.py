"""The event catalogue, in the style of an EventSource: each entry has an id, a level and typed fields.

    from dtf_runtime.tracing import events as trace
    trace.turn_committed(instance_id=instance_id, execution_id=execution_id, events=3)

An entry goes through logger `dtf_runtime.worker`, `.dispatcher`, `.orchestration`, `.activity` or `.provider`; its
record carries `dtf_event` (the name), `dtf_event_id` and `dtf` (the fields). Off, a call costs one `isEnabledFor`.
`error` takes the exception itself, whose traceback then goes with the record, or a text. Durations are in seconds.

Ids up to 99 are those of the same events in the C# Durable Task Framework; from 100 on they are our own: 100 worker and dispatchers, 110
orchestrations, 140 activities, 150 providers. Their meaning never changes and none is used again. `docs/tracing.md` lists them all.
"""

from dtf_runtime.tracing._activity_events import *  # noqa: F403
from dtf_runtime.tracing._define import EventInfo as EventInfo
from dtf_runtime.tracing._define import catalogue as catalogue
from dtf_runtime.tracing._define import describe as describe
from dtf_runtime.tracing._host_events import *  # noqa: F403
from dtf_runtime.tracing._orchestration_events import *  # noqa: F403
