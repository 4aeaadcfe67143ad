"""Tracing over `logging`: event catalogue, JSON formatter, one redactor, a replay-aware logger and a seam for spans.

`events` is the catalogue (`from dtf_runtime.tracing import events as trace`). Tracing must never change what the
runtime does: it raises nothing into a turn, costs one check when it is off, and imports nothing else of `dtf_runtime`.
"""
