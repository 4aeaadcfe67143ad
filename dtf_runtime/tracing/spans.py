"""The seam for spans: the runtime says here what begins and ends; a sink, once one is set, makes spans of it.

Replay-safe by use: a span is begun where something happens live, never where it is replayed, so that each activity has
one. `traceparent` (W3C) travels in the messages, which makes one trace of parent, child and external events. Names and
attributes are those of the C# Durable Task Framework (`durabletask.*`). Without a sink a call costs one global check; a
sink that raises is traced and left out, never felt by the work it watches.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, Protocol

from dtf_runtime.tracing import events as trace

Kind = Literal["create_orchestration", "orchestration", "activity", "timer", "orchestration_event"]


class Span(Protocol):
    """One that was begun. `traceparent` is the W3C header for what it causes; `end` is called once."""

    @property
    def traceparent(self) -> str: ...
    def end(self, *, error: str = "") -> None: ...


class SpanSink(Protocol):
    """Begins a span. `parent`: the W3C traceparent of its cause, or "". `start`: when it began, None for now."""

    def begin(self, name: str, *, parent: str, start: datetime | None, attributes: Mapping[str, str | int]) -> Span: ...


class Watched:
    """What `begin` gives, for `with` or for `end`; without a sink it does nothing and `traceparent` is ""."""

    __slots__ = ("_span", "traceparent")

    def __init__(self, span: Span | None, traceparent: str) -> None:
        self._span = span
        self.traceparent = traceparent

    def end(self, *, error: BaseException | str = "") -> None:
        """A second call does nothing."""
        if self._span is None:
            return
        span, self._span = self._span, None
        try:
            span.end(error=trace.describe(error) if isinstance(error, BaseException) else error)
        except Exception as problem:
            trace.tracing_failed(what="ending a span", error=problem)

    def __enter__(self) -> "Watched":
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.end(error=error or "")


_OFF = Watched(None, "")
_sink: SpanSink | None = None


def set_span_sink(sink: SpanSink | None) -> None:
    """Spans of the whole process go to this sink from now on; None: nowhere."""
    global _sink
    _sink = sink


def begin(
    kind: Kind,
    name: str,
    *,
    instance_id: str,
    execution_id: str = "",
    version: str = "",
    task_id: int | None = None,
    parent: str = "",
    start: datetime | None = None,
    fire_at: datetime | None = None,
) -> Watched:
    """Begins a span of that kind. `name` is the orchestration's, activity's or event's; `parent` the traceparent of
    what caused it, which travels on even when there is no sink here. `start` and `fire_at` are aware."""
    if _sink is None:
        return Watched(None, parent) if parent else _OFF
    target = "durabletask.event.target_instance_id" if kind == "orchestration_event" else "durabletask.task.instance_id"
    attributes: dict[str, str | int] = {"durabletask.type": kind, "durabletask.task.name": name, target: instance_id}
    if execution_id:
        attributes["durabletask.task.execution_id"] = execution_id
    if version:
        attributes["durabletask.task.version"] = version
    if task_id is not None:
        attributes["durabletask.task.task_id"] = task_id
    if fire_at is not None:
        attributes["durabletask.fire_at"] = fire_at.isoformat()
    try:
        span = _sink.begin(f"{kind}:{name}", parent=parent, start=start, attributes=attributes)
        return Watched(span, span.traceparent)
    except Exception as problem:
        trace.tracing_failed(what=f"beginning a span of kind {kind}", error=problem)
        return Watched(None, parent)
