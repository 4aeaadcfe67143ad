"""The rounds prove nothing unless a worker that is broken on purpose is found out: one guarantee less, one complaint more."""

from pathlib import Path

import pytest

from tests.faults.judge import Verdict
from tests.faults.oracle import Oracle, accepted_of
from tests.faults.rounds import Outcome, Plan, Round

_IMPATIENT = 4.0  # seconds: a broken round need not end


async def outcome_of(folder: Path, *, broken: str = "", step: str = "activity halfway", passes: int = 60) -> Outcome:
    return await Round(folder, Plan(1, step, passes, 0.1, broken, _IMPATIENT if broken else 30.0)).run()


async def verdict_on(folder: Path, broken: str) -> Verdict:
    return (await outcome_of(folder, broken=broken)).verdict


@pytest.mark.parametrize("step", ["group begun", "group applied", "group committed", "result handed over"])
async def test_a_worker_that_keeps_its_guarantees_gives_no_cause_for_complaint(tmp_path: Path, step: str) -> None:
    outcome = await outcome_of(tmp_path, step=step, passes=5)
    assert outcome.verdict.complaints() == []
    assert outcome.by_itself, "it was killed at the step"


async def test_a_kill_with_work_in_flight_is_counted_as_such(tmp_path: Path) -> None:
    outcome = await outcome_of(tmp_path, step="activity halfway", passes=3)
    assert outcome.activities >= 1


async def test_an_acknowledged_start_that_is_not_there_is_lost(tmp_path: Path) -> None:
    lost = (await verdict_on(tmp_path, "loses a start")).lost
    assert sorted({text.split()[0] for text in lost}) == ["own0:sequence", "own1:sequence"]


async def test_a_step_that_runs_again_though_history_has_its_result_is_applied_twice(tmp_path: Path) -> None:
    assert any(
        "in history when" in text for text in (await verdict_on(tmp_path, "keeps what was consumed")).applied_twice
    )


async def test_a_result_that_is_twice_in_history_is_applied_twice(tmp_path: Path) -> None:
    assert any("2 results in history" in text for text in (await verdict_on(tmp_path, "applies twice")).applied_twice)


async def test_an_idempotency_key_that_changes_between_attempts_is_noticed(tmp_path: Path) -> None:
    assert (await verdict_on(tmp_path, "gives new keys")).keys


async def test_an_instance_that_never_ends_is_stuck(tmp_path: Path) -> None:
    stuck = (await verdict_on(tmp_path, "forgets fanout")).stuck
    assert {text.split()[0].rpartition(":")[2] for text in stuck} == {"fanout"}


def test_a_torn_line_of_the_oracle_takes_no_other_with_it(tmp_path: Path) -> None:
    path = tmp_path / "oracle"
    Oracle(path).line("accepted", instance="first")
    with path.open("a") as file:
        file.write('\n{"what": "accepted", "instance": "to')
    Oracle(path).line("accepted", instance="second")
    assert accepted_of(path) == ["first", "second"]
