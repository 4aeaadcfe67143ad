"""The benchmark's arithmetic: a wrong ratio or verdict would be a false claim in bench/README.md."""

from pathlib import Path
from typing import Any

import pytest

from bench import report
from bench.targets import Row, figure

FASTER = Row(label="speed", unit="/s", value=figure("w", "speed"), more_is_better=True, of_bound=0.5, of_peer=2)
SHORTER = Row(label="time", unit="s", value=figure("w", "time"), of_bound=0.5, of_peer=2)
LIMITED = Row(label="lost", unit="", value=figure("w", "lost"), limit=0)


def line(engine: str, **figures: Any) -> dict[str, Any]:
    return {"engine": engine, "workload": "w", "durability": "a disk", **figures}


def cells(row: Row, lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, *peers: str) -> tuple[str, ...]:
    monkeypatch.setattr(report, "ROWS", [row])
    (_, found) = report.table(lines, peers)
    return found


def test_figures_are_medians_but_of_a_promise_the_worst_counts() -> None:
    lines = [line("ours", speed=speed, lost=lost) for speed, lost in ((1, 0), (100, 3), (10, 0))]
    assert report.medians(lines)["ours"]["w"] == {"speed": 10, "lost": 3}


@pytest.mark.parametrize(("bound", "peer", "verdict"), [(20, 5, "met"), (21, 5, "UNDER"), (20, 5.1, "UNDER")])
def test_of_a_rate_more_is_better(bound: float, peer: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line("ours", speed=10), line("bound", speed=bound), line("p", speed=peer)]
    found = cells(FASTER, lines, monkeypatch, "p")
    assert (float(found[5]), float(found[6])) == pytest.approx((10 / bound, 10 / peer), rel=0.01)
    assert found[-1] == verdict


@pytest.mark.parametrize(("bound", "peer", "verdict"), [(5, 20, "met"), (4.9, 20, "UNDER"), (5, 19, "UNDER")])
def test_of_a_time_less_is_better(bound: float, peer: float, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line("ours", time=10), line("bound", time=bound), line("p", time=peer)]
    found = cells(SHORTER, lines, monkeypatch, "p")
    assert (float(found[5]), float(found[6])) == pytest.approx((bound / 10, peer / 10), rel=0.01)
    assert found[-1] == verdict


def test_ours_is_held_against_the_best_peer_that_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line("ours", speed=10), line("slow", speed=1), line("fast", speed=4), line("in memory", speed=1000)]
    assert cells(FASTER, lines, monkeypatch, "slow", "fast")[4] == "4 (fast)"


def test_a_target_without_the_other_side_is_not_called_met(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [line("ours", speed=10), line("bound", speed=11)]
    assert cells(FASTER, lines, monkeypatch)[-1] == "not compared"


@pytest.mark.parametrize(("lost", "verdict"), [(0, "met"), (1, "UNDER")])
def test_a_limit_holds_by_itself(lost: int, verdict: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cells(LIMITED, [line("ours", lost=lost)], monkeypatch)[-1] == verdict


def test_the_page_keeps_what_stands_around_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "README.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    monkeypatch.setattr(report, "README", page)
    report.write_readme("new")
    assert page.read_text() == f"before\n{report.BEGIN}\n\nnew\n\n{report.END}\nafter\n"
    page.write_text("no markers")
    with pytest.raises(ValueError, match="markers"):
        report.write_readme("new")
