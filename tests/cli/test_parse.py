"""What people type for durations, instants, JSON, tags and statuses."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dtf_runtime import InvalidArgumentError, OrchestrationStatus
from dtf_runtime.cli import parse


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("90", timedelta(seconds=90)),
        ("1.5s", timedelta(seconds=1.5)),
        ("250ms", timedelta(milliseconds=250)),
        ("1h30m", timedelta(minutes=90)),
        (" 2 d ", timedelta(days=2)),
        ("1w", timedelta(weeks=1)),
        ("0", timedelta()),
    ],
)
def test_a_duration_is_read_as_people_write_it(typed: str, meant: timedelta) -> None:
    assert parse.duration(typed) == meant


@pytest.mark.parametrize("typed", ["", "soon", "-5", "5 parsecs", "1h30", "nan", "1e3", "9" * 400, "99999999999w"])
def test_what_is_no_duration_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(InvalidArgumentError, match="duration"):
        parse.duration(typed)


def test_an_instant_may_be_absolute_in_any_zone() -> None:
    assert parse.past("2026-01-31T09:00Z") == datetime(2026, 1, 31, 9, tzinfo=UTC)
    assert parse.future("2026-01-31T09:00+02:00") == datetime(2026, 1, 31, 7, tzinfo=UTC)


def test_an_instant_without_a_zone_is_local_time() -> None:
    assert parse.past("2026-07-31T09:00") == datetime(2026, 7, 31, 9).astimezone(UTC)


def test_a_duration_counts_back_for_filters_and_forward_for_a_start() -> None:
    before = datetime.now(UTC)
    past, future = parse.past("1h"), parse.future("1h")
    after = datetime.now(UTC)
    assert past is not None and before <= past + timedelta(hours=1) <= after
    assert future is not None and before <= future - timedelta(hours=1) <= after


@pytest.mark.parametrize("typed", ["", "yesterday", "2026-13-01", "999999w", "2026-01-31T09:00 Mars"])
def test_what_is_no_instant_is_refused_with_an_example(typed: str) -> None:
    with pytest.raises(InvalidArgumentError, match="instant such as"):
        parse.past(typed)


def test_json_comes_as_text_from_a_file_or_not_at_all(tmp_path: Path) -> None:
    (tmp_path / "input.json").write_text('\ufeff{"größe": [1, null]}', encoding="utf-8")
    assert parse.json_input('{"id": 7}', "--input") == {"id": 7}
    assert parse.json_input(f"@{tmp_path / 'input.json'}", "--input") == {"größe": [1, None]}
    assert parse.json_input("null", "--input") is None
    assert parse.json_input(None, "--input") is parse.MISSING


@pytest.mark.parametrize("typed", ["", "hello", "{", "NaN", "[Infinity]", "[" * 100_000, "1" * 10_000])
def test_what_is_no_json_is_refused(typed: str) -> None:
    with pytest.raises(InvalidArgumentError, match="--input is not JSON"):
        parse.json_input(typed, "--input")


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    for file in (tmp_path / "missing.json", tmp_path, tmp_path / "binary"):
        with pytest.raises(InvalidArgumentError, match=f"--input can't read {file}"):
            parse.json_input(f"@{file}", "--input")


def test_tags_are_pairs() -> None:
    assert parse.tags(["team=blue", "note=a=b", "empty="]) == {"team": "blue", "note": "a=b", "empty": ""}
    assert parse.tags(None) == {}
    for wrong in ("team", "=blue"):
        with pytest.raises(InvalidArgumentError, match="KEY=VALUE"):
            parse.tags([wrong])


def test_statuses_may_be_repeated_or_separated_by_commas() -> None:
    assert parse.statuses(["failed", "RUNNING, pending"]) == (
        OrchestrationStatus.FAILED,
        OrchestrationStatus.RUNNING,
        OrchestrationStatus.PENDING,
    )
    with pytest.raises(InvalidArgumentError, match="'faild' is not a status: one of cancelled, completed"):
        parse.statuses(["faild"])
