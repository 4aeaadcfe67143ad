"""Histories that 3.11, 3.12 and 3.13 recorded replay on whatever Python runs this, strictly (rule 20)."""

from pathlib import Path

import msgspec
import pytest

from dtf_runtime import NonDeterminismError
from dtf_runtime.testing import replay
from tests.replay.record import HISTORIES, PYTHON, recording
from tests.replay.recorded import OWN_MINOR_ONLY, SCRIPTS, gathering, racing

PATHS = sorted(HISTORIES.glob("*.json"))
REPLAYABLE = [
    path for path in PATHS if path.stem.rpartition("-")[0] not in OWN_MINOR_ONLY or path.stem.endswith(PYTHON)
]


@pytest.mark.rule(20)
@pytest.mark.parametrize("path", REPLAYABLE, ids=lambda path: str(path.stem))
def test_a_recorded_history_is_repeated(path: Path) -> None:
    made, _ = SCRIPTS[path.stem.rpartition("-")[0]]
    replay(made, path)


@pytest.mark.rule(20)
def test_every_orchestration_was_recorded_on_every_python() -> None:
    expected = {f"{name}-3.{minor}" for name in SCRIPTS for minor in (11, 12, 13)}
    assert {path.stem for path in PATHS} == expected


@pytest.mark.rule(7, 20)
@pytest.mark.parametrize("name", sorted(set(SCRIPTS) - {"retried"}))  # its policy has jitter
def test_today_the_same_messages_make_the_same_history(name: str) -> None:
    stored = (HISTORIES / f"{name}-{PYTHON}.json").read_bytes()
    assert msgspec.json.decode(recording(name)) == msgspec.json.decode(stored)


@pytest.mark.rule(8)
def test_a_recorded_history_is_not_repeated_by_other_code() -> None:
    with pytest.raises(NonDeterminismError):
        replay(gathering, HISTORIES / f"racing-{PYTHON}.json")
    with pytest.raises(NonDeterminismError):
        replay(racing, HISTORIES / f"gathering-{PYTHON}.json")
