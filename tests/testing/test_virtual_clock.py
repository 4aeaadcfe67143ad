"""The clock that a test moves."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from dtf_runtime import InvalidArgumentError
from dtf_runtime.testing.virtual_clock import VirtualClock

START = datetime(2031, 5, 6, tzinfo=UTC)


async def test_sleepers_wake_in_the_order_of_their_times() -> None:
    clock = VirtualClock(START)
    woken: list[int] = []

    async def sleep(seconds: int) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (30, 10, 20)]
    await asyncio.sleep(0)
    assert clock.next_due() == START + timedelta(seconds=10)
    clock.move_to(START + timedelta(seconds=20))
    await asyncio.sleep(0)
    assert woken == [10, 20]
    clock.move_to(START + timedelta(seconds=30))
    await asyncio.gather(*tasks)
    assert woken == [10, 20, 30]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = VirtualClock(START)
    task = asyncio.create_task(clock.sleep(10))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert clock.next_due() is None
    clock.move_to(START + timedelta(seconds=10))


async def test_who_sleeps_for_the_rest_of_a_span_comes_to_its_end() -> None:
    clock = VirtualClock(START)
    task = asyncio.create_task(clock.sleep(1e-9))
    await asyncio.sleep(0)
    due = clock.next_due()
    assert due is not None and due > START
    clock.move_to(due)
    await task
    assert clock.monotonic() > 0


async def test_a_sleep_of_nothing_ends_without_a_move() -> None:
    await asyncio.wait_for(VirtualClock(START).sleep(0), 1)


async def test_a_sleep_beyond_the_calendar_is_the_end_of_time() -> None:
    clock = VirtualClock(START)
    task = asyncio.create_task(clock.sleep(1e15))
    await asyncio.sleep(0)
    due = clock.next_due()
    assert due is not None and due.year == 9999
    task.cancel()


async def test_it_does_not_go_back() -> None:
    clock = VirtualClock(START)
    with pytest.raises(InvalidArgumentError, match="can't go back"):
        clock.move_to(START - timedelta(seconds=1))


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "5", None])
async def test_what_is_no_delay_is_refused(delay: object) -> None:
    with pytest.raises(InvalidArgumentError):
        await VirtualClock(START).sleep(delay)  # type: ignore[arg-type]


async def test_holds_overlap() -> None:
    clock = VirtualClock(START)
    with clock.hold():
        with clock.hold():
            assert clock.is_held
        assert clock.is_held
    assert not clock.is_held
