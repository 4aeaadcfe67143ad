"""`monitor`: for months, with a history that does not grow; tells every confirmed change once."""

from datetime import UTC, datetime, timedelta
from typing import Any

from dtf_runtime import OrchestrationStatus, Registry, activity
from dtf_runtime.testing import TestHub
from suborchestrations.monitor import STOP, CallCheck, Change, MonitorOutcome, MonitorSpec, monitor

START = datetime(2031, 1, 1, tzinfo=UTC)
HOUR = 3600.0
WAIT = 60.0


class Lighthouse:
    """What is looked at: dark in the hours that were named. Counts looks and what it is told."""

    def __init__(self, *, dark: range = range(0), odd_look: int = 0) -> None:
        self.dark = dark
        self.odd_look = odd_look
        self.told: list[Change] = []
        self.looks: list[float] = []
        self.clock: Any = None
        self.telling_fails = 0

    def hour(self) -> float:
        return float((self.clock.now() - START).total_seconds() / HOUR)

    def registry(self) -> Registry:
        registry = Registry()

        @activity(name="lamp", registry=registry)
        async def lamp(which: str) -> dict[str, str]:
            self.looks.append(self.hour())
            is_dark = int(self.hour()) in self.dark or len(self.looks) == self.odd_look
            return {"lamp": "dark" if is_dark else "lit"}

        @activity(name="tell", registry=registry)
        async def tell(change: Change) -> None:
            if self.telling_fails:
                self.telling_fails -= 1
                raise OSError("nobody is in")
            self.told.append(change)

        return registry.add(monitor)


def spec(**changes: Any) -> MonitorSpec:
    check = CallCheck(activity="lamp", input="north", field="lamp", ok=["lit"])
    given: dict[str, Any] = {
        "name": "the north lamp",
        "check": check,
        "tell": "tell",
        "poll_interval": HOUR,
        "fast_interval": 60.0,
    }
    return MonitorSpec(**(given | changes))


async def run(light: Lighthouse, wanted: MonitorSpec) -> tuple[MonitorOutcome, int]:
    async with TestHub(registry=light.registry(), start_time=START) as hub:
        light.clock = hub.clock
        handle = await hub.client.start(monitor, wanted, instance_id="m")
        outcome = await handle.result(WAIT)
        return outcome, (await handle.state()).history_length


async def test_a_year_of_hourly_looks_has_a_short_history_and_tells_each_change_once() -> None:
    light = Lighthouse(dark=range(4000, 4010))
    outcome, length = await run(light, spec(deadline=365 * 24 * HOUR))
    assert [(change.number, change.before, change.now) for change in light.told] == [
        (1, "", "ok"),
        (2, "ok", "failing"),
        (3, "failing", "ok"),
    ]
    assert 4000 <= (light.told[1].at - START) / timedelta(hours=1) < 4002
    assert outcome.looks == len(light.looks) > 8000
    assert (outcome.changes, outcome.state) == (3, "ok")
    assert length < 2500


async def test_a_bad_state_is_looked_at_more_often() -> None:
    light = Lighthouse(dark=range(10, 12))
    await run(light, spec(deadline=24 * HOUR))
    bad = [hour for hour in light.looks if 10 <= hour < 12]
    good = [hour for hour in light.looks if 14 <= hour < 24]
    assert len(bad) > 60 > 12 > len(good)


async def test_one_odd_look_is_no_change() -> None:
    light = Lighthouse(odd_look=7)
    outcome, _ = await run(light, spec(deadline=24 * HOUR))
    assert (outcome.state, outcome.changes) == ("ok", 1)


async def test_telling_is_tried_again_and_told_once() -> None:
    light = Lighthouse()
    light.telling_fails = 3
    await run(light, spec(deadline=24 * HOUR))
    assert [change.number for change in light.told] == [1]


async def test_an_event_stops_it() -> None:
    light = Lighthouse()
    async with TestHub(registry=light.registry(), start_time=START) as hub:
        light.clock = hub.clock
        handle = await hub.client.start(monitor, spec(), instance_id="m")
        await hub.advance(timedelta(days=3))
        await hub.client.raise_event("m", STOP)
        assert (await handle.result(WAIT)).state == "ok"
        assert (await handle.state()).status is OrchestrationStatus.COMPLETED
