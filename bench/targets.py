"""The rows of the report: which figure, which way is better, and what it has to reach.

A target is a ratio to the bound or to the best durable peer of the same run, since absolute figures differ from machine
to machine; a few are absolute. What has no target is there to be seen.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Medians = Mapping[str, Mapping[str, Any]]  # of one engine: workload -> figure -> median
Value = Callable[[Medians], float | None]


@dataclass(frozen=True, kw_only=True)
class Row:
    label: str
    unit: str
    value: Value
    more_is_better: bool = False
    of_bound: float | None = None  # at least this part of what the bound reaches
    of_peer: float | None = None  # at least this many times better than the best durable peer
    limit: float | None = None  # absolute, at most


def figure(workload: str, name: str) -> Value:
    def read(medians: Medians) -> float | None:
        value = medians.get(workload, {}).get(name)
        return None if value is None else float(value)

    return read


def _with_server(workload: str) -> Value:
    """The memory of the worker and, where the engine has one, of its server."""

    def read(medians: Medians) -> float | None:
        worker, server = figure(workload, "rss_mb")(medians), figure(workload, "server_mb")(medians)
        return None if worker is None else worker + (server or 0)

    return read


def _long_step_growth(medians: Medians) -> float | None:
    """A step of the sequence of 10,000 against a step of the sequence of 1,000."""
    short, tenfold = figure("long", "wall_s")(medians), figure("long10000", "wall_s")(medians)
    return None if short is None or tenfold is None else tenfold / (10 * short)


ROWS = (
    Row(
        label="noop, one at a time",
        unit="/s",
        value=figure("noop1", "ops_per_s"),
        more_is_better=True,
        of_bound=0.45,
        of_peer=5,
    ),
    Row(label="noop, one at a time, p50", unit="ms", value=figure("noop1", "p50_ms")),
    Row(
        label="noop, 100 at once",
        unit="/s",
        value=figure("noop100", "ops_per_s"),
        more_is_better=True,
        of_bound=0.35,
        of_peer=9,
    ),
    Row(
        label="10 activities in sequence, 50 at once",
        unit="activities/s",
        value=figure("seq10", "activities_per_s"),
        more_is_better=True,
        of_bound=0.45,
        of_peer=6,
    ),
    Row(label="fan-out to 1,000 activities", unit="s", value=figure("fanout", "wall_s"), of_bound=0.33, of_peer=12),
    Row(label="1,000 activities in sequence", unit="s", value=figure("long", "wall_s"), of_bound=0.5, of_peer=3),
    Row(label="... last hundred : first hundred", unit="x", value=figure("long", "growth"), limit=1.15),
    Row(label="10,000 in sequence, a step : one of 1,000", unit="x", value=_long_step_growth, limit=1.15),
    Row(label="100 children x 3 activities", unit="s", value=figure("subs", "wall_s"), of_peer=4),
    Row(label="500 one-second timers, late p50", unit="ms", value=figure("timers", "wake_late_p50_ms"), limit=2),
    Row(label="... late p99", unit="ms", value=figure("timers", "wake_late_p99_ms"), limit=10),
    Row(label="... woke > 2 ms early by the wall clock", unit="timers", value=figure("timers", "wake_early")),
    Row(label="200 waiting, one event each", unit="s", value=figure("events", "wall_s"), of_peer=7),
    Row(label="recover 200 x 10 after kill -9", unit="s", value=figure("recover", "done_s"), of_peer=5),
    Row(label="... activities run twice", unit="activities", value=figure("recover", "twice"), limit=20),
    Row(label="... instances lost", unit="instances", value=figure("recover", "lost"), limit=0),
    Row(label="idle", unit="% of a core", value=figure("idle", "idle_cpu_pct"), limit=0.1),
    Row(label="idle, memory", unit="MB", value=_with_server("idle"), limit=50),
    Row(label="import", unit="s", value=figure("startup", "import_s"), limit=0.1),
    Row(label="spawn to first result", unit="s", value=figure("startup", "spawn_to_first_s"), limit=0.25),
    Row(label="10,000 waiting instances, idle", unit="% of a core", value=figure("waiting10k", "idle_cpu_pct")),
    Row(label="... memory", unit="MB", value=figure("waiting10k", "rss_mb")),
    Row(label="... memory for each", unit="KB", value=figure("waiting10k", "kb_per_instance")),
    Row(label="... event to result p50", unit="ms", value=figure("waiting10k", "event_p50_ms")),
    Row(label="start p50 beside 100,000 finished", unit="ms", value=figure("finished100k", "start_full_p50_ms")),
    Row(label="... : in an empty file", unit="x", value=figure("finished100k", "slower"), limit=1.2),
    Row(label="replay of 10,000 events", unit="s", value=figure("replay10k", "wall_s")),
    Row(label="... for each event", unit="us", value=figure("replay10k", "us_per_event")),
)
