"""The emulator's time."""

import pytest

from dtf_runtime.testing.servicebus.clock import EmulatorClock
from tests.azure.emulator.support import HandMovedClock


def test_it_runs_with_the_machine_and_jumps_ahead_of_it() -> None:
    machine = HandMovedClock()
    clock = EmulatorClock(source=machine)
    start = clock.now()
    machine.seconds += 5
    clock.advance(100)
    machine.seconds += 1
    assert clock.now() - start == pytest.approx(106)


def test_each_alarm_rings_at_its_own_instant_in_order_while_time_jumps() -> None:
    clock = EmulatorClock(source=HandMovedClock())
    start = clock.now()
    rung: list[tuple[str, float]] = []

    def note(name: str) -> None:
        rung.append((name, round(clock.now() - start, 3)))
        if name == "first":
            clock.at(clock.now() + 5, lambda: note("set by the first"))

    clock.at(start + 30, lambda: note("last"))
    clock.at(start + 10, lambda: note("first"))
    clock.at(start + 99, lambda: note("too late"))
    clock.at(start + 20, lambda: note("cancelled")).cancel()
    clock.advance(60)
    assert rung == [("first", 10), ("set by the first", 15), ("last", 30)]
    assert clock.now() - start == pytest.approx(60)


def test_it_stands_still_when_stopped_and_goes_on_from_there() -> None:
    machine = HandMovedClock()
    clock = EmulatorClock(source=machine)
    rung: list[str] = []
    clock.at(clock.now() + 10, lambda: rung.append("rung"))
    clock.stop()
    stood_at = clock.now()
    machine.seconds += 3_600
    clock.ring()
    assert (clock.now(), rung) == (stood_at, [])
    clock.advance(9)
    assert (clock.now(), rung, clock.is_stopped) == (stood_at + 9, [], True)
    clock.resume()
    machine.seconds += 1
    clock.ring()
    assert clock.now() == pytest.approx(stood_at + 10)
    assert rung == ["rung"]


def test_it_never_goes_back() -> None:
    with pytest.raises(ValueError, match="does not go back"):
        EmulatorClock(source=HandMovedClock()).advance(-1)


def test_who_waits_for_the_next_alarm_is_told_when_another_is_next() -> None:
    told: list[float | None] = []
    clock = EmulatorClock(source=HandMovedClock())
    clock.changed = lambda: told.append(clock.next_due())
    start = clock.now()
    clock.at(start + 20, lambda: None)
    clock.at(start + 30, lambda: None)
    clock.at(start + 10, lambda: None)
    assert told == [start + 20, start + 10]
