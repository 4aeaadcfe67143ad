"""The real clock, and which instants are accepted."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from dtf_runtime.clock import REAL_CLOCK, utc
from dtf_runtime.errors import InvalidArgumentError


def test_now_is_aware_and_in_utc() -> None:
    before = datetime.now(UTC)
    assert before <= REAL_CLOCK.now() <= datetime.now(UTC)
    assert REAL_CLOCK.now().tzinfo is UTC


async def test_sleep_takes_at_least_its_delay() -> None:
    begun = REAL_CLOCK.monotonic()
    with REAL_CLOCK.hold():
        await REAL_CLOCK.sleep(timedelta(milliseconds=20))
    assert REAL_CLOCK.monotonic() - begun >= 0.019


async def test_a_negative_sleep_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="the delay of a sleep"):
        await REAL_CLOCK.sleep(-1)


def test_an_aware_instant_becomes_the_same_one_in_utc() -> None:
    local = datetime(2030, 1, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    assert utc(local, "start_at") == local
    assert utc(local, "start_at").isoformat() == "2030-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "wrong",
    [
        datetime(2030, 1, 1),
        date(2030, 1, 1),
        "2030-01-01T00:00:00Z",
        0,
        None,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_other_instants_are_refused_by_name(wrong: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="start_at"):
        utc(wrong, "start_at")
