"""A history as a timeline: decisions beside their answers."""

import io
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from rich.console import Console, RenderableType

from dtf_runtime import FailureDetails, HistoryEvent, OrchestrationStatus
from dtf_runtime.cli import timeline, view
from dtf_runtime.model import history as h

START = datetime(2026, 1, 31, 9, tzinfo=UTC)


def _at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def _failure(kind: str, message: str, inner: FailureDetails | None = None) -> FailureDetails:
    return FailureDetails(type=kind, message=message, inner_failure=inner)


def _scheduled(number: int, at: float = 0) -> HistoryEvent:
    return h.TaskScheduled(event_id=0, timestamp=_at(at), number=number, name=f"step{number}", input=_raw([]))


def _completed(number: int, at: float, result: object = None) -> HistoryEvent:
    return h.TaskCompleted(event_id=0, timestamp=_at(at), number=number, result=_raw(result))


def _failed(number: int, at: float, attempt: int, retry_at: float | None = None) -> HistoryEvent:
    return h.TaskFailed(
        event_id=0,
        timestamp=_at(at),
        number=number,
        attempt=attempt,
        failure=_failure("builtins.ValueError", f"attempt {attempt}"),
        retry_at=None if retry_at is None else _at(retry_at),
    )


def _drawn(part: RenderableType) -> str:
    console = Console(file=io.StringIO(), width=200, markup=False)
    with console.capture() as captured:
        console.print(part)
    return captured.get()


def test_answers_stand_beside_their_decisions_whatever_their_order() -> None:
    events = [_scheduled(1), _scheduled(2), _completed(2, 1.5, "b"), _completed(1, 3, {"a": 1})]
    first, second = timeline.build(events)
    assert (first.number, first.state, first.duration, first.value) == (1, "done", timedelta(seconds=3), {"a": 1})
    assert (second.number, second.state, second.duration, second.value) == (2, "done", timedelta(seconds=1.5), "b")


def test_attempts_belong_to_their_call() -> None:
    events = [_scheduled(1), _failed(1, 1, 1, retry_at=2), _failed(1, 3, 2, retry_at=5), _completed(1, 6, "ok")]
    (entry,) = timeline.build(events)
    assert (entry.state, entry.attempts, entry.duration, entry.due) == ("done", 3, timedelta(seconds=6), None)
    assert [failure.message for failure in entry.failures] == ["attempt 1", "attempt 2"]


def test_a_call_between_two_attempts_is_open_and_says_when_it_goes_on() -> None:
    (entry,) = timeline.build([_scheduled(1), _failed(1, 1, 1, retry_at=60)])
    assert (entry.state, entry.due) == ("open", _at(60))
    assert "tried again at" in view.entry_detail(entry)
    assert "ValueError: attempt 1" in view.entry_detail(entry)


def test_the_last_failure_ends_the_call() -> None:
    (entry,) = timeline.build([_scheduled(1), _failed(1, 1, 1, retry_at=2), _failed(1, 3, 2)])
    assert (entry.state, entry.attempts, entry.duration) == ("failed", 2, timedelta(seconds=3))


def test_timers_children_and_events_have_entries_too() -> None:
    events: Sequence[HistoryEvent] = [
        h.ExecutionStarted(event_id=0, timestamp=START, name="parent", execution_id="e", input=_raw(7)),
        h.OrchestratorStarted(event_id=1, timestamp=START, python="3.11"),
        h.TimerCreated(event_id=2, timestamp=START, number=1, fire_at=_at(60)),
        h.SubOrchestrationCreated(event_id=3, timestamp=START, number=2, name="child", instance_id="c"),
        h.SubOrchestrationCreated(event_id=4, timestamp=START, number=3, name="loose", instance_id="l", detached=True),
        h.EventSent(event_id=5, timestamp=START, number=4, instance_id="other", name="ping", payload=_raw("now")),
        h.EventRaised(event_id=6, timestamp=_at(5), name="pong", payload=_raw([1])),
        h.TimerFired(event_id=7, timestamp=_at(61), number=1, fire_at=_at(60)),
        h.SubOrchestrationCompleted(event_id=8, timestamp=_at(70), number=2, result=_raw("grown up")),
        h.ExecutionCompleted(
            event_id=9, timestamp=_at(71), number=5, status=OrchestrationStatus.COMPLETED, result=_raw("end")
        ),
    ]
    entries = timeline.build(events)
    assert [(entry.kind, entry.label, entry.state) for entry in entries] == [
        ("started", "parent", "note"),
        ("timer", "", "done"),
        ("child", "child as c", "done"),
        ("detached", "loose as l", "note"),
        ("event sent", "ping to other", "note"),
        ("event", "pong", "note"),
        ("completed", "", "done"),
    ]
    drawn = _drawn(view.timeline(entries, ended=True))
    assert drawn.index("child as c") < drawn.index("ping to other") < drawn.index("completed")
    assert "1m 10s" in drawn


def test_what_nobody_will_answer_any_more_is_not_called_open() -> None:
    entries = timeline.build([_scheduled(1)])
    assert "open" in _drawn(view.timeline(entries, ended=False))
    assert "not awaited" in _drawn(view.timeline(entries, ended=True))


def test_a_failure_is_drawn_with_all_of_its_causes() -> None:
    disk = _failure("builtins.OSError", "disk full")
    group = FailureDetails(
        type="builtins.ExceptionGroup",
        message="2 errors",
        group=(_failure("shop.Declined", "no money", disk), _failure("builtins.KeyError", "'sku'")),
    )
    lines = view.failure_chain(_failure("dtf_runtime.TaskFailedError", "charge failed", group)).plain.splitlines()
    assert lines == [
        "dtf_runtime.TaskFailedError: charge failed",
        "    caused by ExceptionGroup: 2 errors",
        "        1 of 2: shop.Declined: no money",
        "            caused by OSError: disk full",
        "        2 of 2: KeyError: 'sku'",
    ]


def test_a_deep_chain_of_causes_is_drawn_whole() -> None:
    failure = _failure("builtins.ValueError", "0")
    for depth in range(1, 60):
        failure = _failure("builtins.ValueError", str(depth), failure)
    assert len(view.failure_chain(failure).plain.splitlines()) == 60


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 ms"),
        (0.85, "850 ms"),
        (12.34, "12.3 s"),
        (245, "4m 05s"),
        (11_520, "3h 12m"),
        (187_200, "2d 04h"),
        (-1, "0 ms"),
    ],
)
def test_spans_are_rounded_to_what_a_person_reads(seconds: float, shown: str) -> None:
    assert view.elapsed(timedelta(seconds=seconds)) == shown


def test_a_custom_status_of_steps_is_a_checklist() -> None:
    states = ["done", "undone", "failed", "running", "pending", "skipped"]
    steps = view.steps({"steps": [{"name": f"step {state}", "state": state, "detail": "why"} for state in states]})
    assert steps is not None
    assert view.checklist(steps).plain.splitlines() == [
        "✓ step done  why",
        "↶ step undone (undone)  why",
        "✗ step failed  why",
        "▶ step running  why",
        "○ step pending  why",
        "- step skipped (skipped)  why",
    ]


def test_the_detail_of_a_step_may_be_missing() -> None:
    assert view.steps({"steps": [{"name": "a", "state": "done"}]}) == [{"name": "a", "state": "done", "detail": ""}]


@pytest.mark.parametrize(
    "status",
    [
        None,
        "steps",
        [],
        {"steps": []},
        {"steps": "x"},
        {"steps": ["x"]},
        {"steps": [{"name": "a"}]},
        {"steps": [{"name": "a", "state": "wild"}]},
        {"steps": [{"name": 1, "state": "done"}]},
        {"steps": [{"name": "a", "state": ["done"]}]},
    ],
)
def test_any_other_custom_status_is_no_checklist(status: object) -> None:
    assert view.steps(status) is None
