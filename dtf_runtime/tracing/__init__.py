"""Tracing over `logging`: event catalogue, JSON formatter, one redactor, a replay-aware logger and a seam for spans.

`events` is the catalogue (`from dtf_runtime.tracing import events as trace`). Tracing must never change what the
runtime does: it raises nothing into a turn, costs one check when it is off, and imports nothing else of `dtf_runtime`.
"""

from dtf_runtime.tracing.logs import (
    JsonFormatter,
    RedactingHandler,
    ReplayAwareLogger,
    TextFormatter,
    configure_logging,
)
from dtf_runtime.tracing.redaction import Redactor, redact_value, redactor
from dtf_runtime.tracing.spans import SpanSink, set_span_sink

__all__ = [
    "JsonFormatter",
    "RedactingHandler",
    "Redactor",
    "ReplayAwareLogger",
    "SpanSink",
    "TextFormatter",
    "configure_logging",
    "redact_value",
    "redactor",
    "set_span_sink",
]
