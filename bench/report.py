"""Medians, the table that is printed, and the figures of README.md: nobody types one by hand.

The functions here are pure apart from `write_readme`.
"""

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.targets import ROWS, Medians, Row

README = Path(__file__).with_name("README.md")
BEGIN, END = "<!-- figures: written by `python -m bench --write` -->", "<!-- end of figures -->"
Line = Mapping[str, Any]  # one run, as bench.run prints it
PROMISES = ("lost", "twice", "wake_early")  # a median would hide the one repetition that broke it
HEADER = ("workload", "unit", "ours", "bound", "best durable peer", "of the bound", "x the peer", "target", "")


def medians(lines: Iterable[Line]) -> dict[str, dict[str, dict[str, float]]]:
    """engine -> workload -> figure -> median over the repetitions; for a promise kept or broken, the worst of them."""
    groups: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for line in lines:
        for name, value in line.items():
            if isinstance(value, int | float):
                groups[line["engine"], line["workload"], name].append(value)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for (engine, workload, name), values in groups.items():
        found.setdefault(engine, {}).setdefault(workload, {})[name] = (
            max(values) if name in PROMISES else statistics.median(values)
        )
    return found


def table(lines: Sequence[Line], durable_peers: Sequence[str]) -> list[tuple[str, ...]]:
    """One tuple of cells a row; rows for which nothing was run are left out."""
    by_engine = medians(lines)
    peers = {name: by_engine[name] for name in durable_peers if name in by_engine}
    cells = [_cells(row, by_engine, peers) for row in ROWS]
    return [HEADER, *[row for row in cells if any(cell for cell in row[2:5])]]


def _cells(row: Row, by_engine: Mapping[str, Medians], peers: Mapping[str, Medians]) -> tuple[str, ...]:
    ours = row.value(by_engine.get("ours", {}))
    bound = row.value(by_engine.get("bound", {}))
    peer, peer_name = _best(row, peers)
    of_bound, of_peer = _better(row, ours, bound), _better(row, ours, peer)
    return (
        row.label,
        row.unit,
        _number(ours),
        _number(bound),
        f"{_number(peer)} ({peer_name})" if peer is not None else "",
        _number(of_bound),
        _number(of_peer),
        target(row),
        verdict(row, ours, of_bound, of_peer),
    )


def _best(row: Row, peers: Mapping[str, Medians]) -> tuple[float | None, str]:
    values = [(value, name) for name, found in peers.items() if (value := row.value(found)) is not None]
    if not values:
        return None, ""
    return max(values) if row.more_is_better else min(values)


def _better(row: Row, ours: float | None, other: float | None) -> float | None:
    """How many times better ours is."""
    if ours is None or other is None or not ours or not other:
        return None
    return ours / other if row.more_is_better else other / ours


def target(row: Row) -> str:
    parts = [
        f">= {row.of_bound:g} of the bound" if row.of_bound is not None else "",
        f">= {row.of_peer:g}x" if row.of_peer is not None else "",
        f"<= {row.limit:g}" if row.limit is not None else "",
    ]
    return ", ".join(part for part in parts if part)


def verdict(row: Row, ours: float | None, of_bound: float | None, of_peer: float | None) -> str:
    """ "met", "UNDER", "not compared" when the other side did not run, "" when there is no target."""
    pairs = [(row.of_bound, of_bound), (row.of_peer, of_peer)]
    compared = [(wanted, got) for wanted, got in pairs if wanted is not None]
    if row.limit is not None:
        compared.append((-row.limit, None if ours is None else -ours))
    if not compared:
        return ""
    if any(got is not None and got < wanted for wanted, got in compared):
        return "UNDER"
    return "not compared" if any(got is None for _, got in compared) else "met"


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    drawn = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([drawn[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *drawn[1:]])


def durabilities(lines: Iterable[Line]) -> str:
    """What each engine had on disk when it said so, one list item each."""
    return "\n".join(
        f"- {name}: {text}" for name, text in {line["engine"]: line["durability"] for line in lines}.items()
    )


def checks(lines: Iterable[Line]) -> str:
    """What a second connection read from our files after the runs."""
    found = [line["checked"] for line in lines if line["engine"] == "ours" and line.get("checked")]
    if not found:
        return "Nothing of ours was checked in this run."
    synchronous = sorted({str(check["synchronous"]) for check in found})
    return (
        f"Checked after each of {len(found)} runs of ours, synchronous={'/'.join(synchronous)} on the "
        f"connections the service holds; and by a second connection to the file: {sum(check['finished'] for check in found):,} finished instances, "
        f"{sum(check['waiting'] for check in found):,} waiting, {sum(check['activities'] for check in found):,} "
        "activity results in the file, as the runs claim."
    )


def section(rows: Sequence[Sequence[str]], lines: Sequence[Line], machine: str, date: str, repetitions: int) -> str:
    load = max((line["load"] for line in lines if line.get("load") is not None), default=0)
    return "\n\n".join(
        [
            f"{date}, {machine}. Medians of {repetitions} interleaved repetition(s); the longest workloads run once. "
            f"Load average at most {load} (the benchmark's own work included).",
            markdown(rows),
            "What each engine has on disk when it answers:\n\n" + durabilities(lines),
            checks(lines),
        ]
    )


def write_readme(text: str) -> None:
    """Replace what stands between the two markers of README.md."""
    old = README.read_text()
    head, _, rest = old.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or not tail:
        raise ValueError(f"bench/README.md lacks the markers {BEGIN!r} and {END!r}: put them back where the figures go")
    README.write_text(f"{head}{BEGIN}\n\n{text}\n\n{END}{tail}")
