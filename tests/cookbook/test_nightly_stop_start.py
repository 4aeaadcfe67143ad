"""Nightly stop and start, copied out of the project: tried without AWS, killed at any hour. The server's log counts."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connectors.aws.testing import AwsServer
from cookbook.nightly_stop_start import Schedule, due, launch, states, switched
from dtf_runtime import TaskHubClient
from tests.cookbook.conftest import Kitchen

FAST = ("--day", "8", "--poll", "0.1")
MISSING = "i-0123456789abcdef0"


def line_of(servers: list[str]) -> list[str]:
    return [word for server in servers for word in ("--instance", server)] + list(FAST)


async def status_of(kitchen: Kitchen, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The custom status, once it is so."""
    async with asyncio.timeout(40), TaskHubClient(f"sqlite:///{kitchen.folder / 'nightly_stop_start.db'}") as client:
        while True:
            state = await client.get_state("nights")
            if state and state.custom_status and until(state.custom_status):
                return dict(state.custom_status)
            await asyncio.sleep(0.05)


def end(kitchen: Kitchen) -> None:
    line = [sys.executable, str(kitchen.folder / "nightly_stop_start.py"), "--end"]
    subprocess.run(line, cwd=kitchen.folder, env=kitchen.environment, timeout=60, check=True, stdout=subprocess.DEVNULL)


def test_tried_without_aws_it_stops_and_starts_until_it_is_told_to_end(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("nightly_stop_start")
    assert code == 0, printed
    assert "stopped until" in printed and "running until" in printed
    assert "nights; all are started" in printed
    assert printed.splitlines()[-1].count("'running'") == 2
    assert not kitchen.refused


@pytest.mark.parametrize("moment", ["StopInstances", "StartInstances"])
async def test_killed_in_the_middle_of_a_change_it_goes_on_and_ends_with_all_started(
    kitchen_with_aws: Kitchen, aws: AwsServer, moment: str
) -> None:
    kitchen, servers = kitchen_with_aws, launch(2)
    line = line_of(servers)
    aws.hold(moment, when="after")
    with kitchen.start("nightly_stop_start", *line) as recipe:
        try:
            await asyncio.to_thread(aws.wait_held)
        finally:
            recipe.kill()
    aws.release()
    with kitchen.start("nightly_stop_start", *line) as recipe:
        try:
            await status_of(kitchen, lambda status: status["nights"] >= 2)
            await asyncio.to_thread(end, kitchen)
            assert await asyncio.to_thread(recipe.wait, 40) == 0, kitchen.output.read_text()
        finally:
            recipe.kill()
    printed = kitchen.output.read_text().splitlines()
    assert printed[0] == "Goes on."
    nights = int(printed[-1].partition(" ")[0])
    assert nights >= 2
    for server in servers:
        assert switched(aws, server) == ["stopped", "running"] * nights
    assert set(states(servers).values()) == {"running"}
    assert not kitchen.refused


async def test_killed_at_night_and_told_to_end_it_starts_what_is_stopped(
    kitchen_with_aws: Kitchen, aws: AwsServer
) -> None:
    kitchen, servers = kitchen_with_aws, launch(1)
    line = [*line_of(servers)[:2], "--day", "4000", "--poll", "0.1"]
    late = datetime.now(UTC).timestamp() % 4000 / 4000 * 24  # the hour of this trial's day: it is evening now
    hours = ("--stop-at", clock(late - 1), "--start-at", clock(late + 12))
    with kitchen.start("nightly_stop_start", *line, *hours) as recipe:
        try:
            await status_of(kitchen, lambda status: status["state"] == "stopped")
        finally:
            recipe.kill()
    assert set(states(servers).values()) == {"stopped"}
    await asyncio.to_thread(end, kitchen)
    code, printed = await asyncio.to_thread(kitchen.run, "nightly_stop_start", *line, *hours)
    assert (code, printed.splitlines()[-1]) == (0, "1 nights; all are started")
    assert switched(aws, servers[0]) == ["stopped", "running"]
    assert set(states(servers).values()) == {"running"}


def clock(hour: float) -> str:
    return f"{int(hour % 24):02}:{int(hour % 1 * 60):02}"


def test_a_server_that_is_gone_is_told_and_the_others_are_switched(kitchen_with_aws: Kitchen, aws: AwsServer) -> None:
    (server,) = launch(1)
    code, printed = kitchen_with_aws.run("nightly_stop_start", *line_of([MISSING, server]), "--nights", "1")
    assert code == 1, printed
    assert f"there is no instance {MISSING}" in printed
    assert switched(aws, server) == ["stopped", "running"]
    assert states([server]) == {server: "running"}


BERLIN = Schedule(["i-1"], stop_at="20:00", start_at="07:00", zone="Europe/Berlin")


@pytest.mark.parametrize(
    ("now", "state", "until"),
    [
        ("2024-06-03T17:59:59Z", "running", "2024-06-03T18:00:00Z"),
        ("2024-06-03T18:00:00Z", "stopped", "2024-06-04T05:00:00Z"),
        ("2024-06-04T05:00:00Z", "running", "2024-06-04T18:00:00Z"),
        ("2024-03-30T20:00:00Z", "stopped", "2024-03-31T05:00:00Z"),  # the night that is an hour shorter
        ("2024-10-26T20:00:00Z", "stopped", "2024-10-27T06:00:00Z"),  # and the one that is longer
    ],
)
def test_what_should_be_now_follows_the_clocks_of_the_zone(now: str, state: str, until: str) -> None:
    found = due.fn(BERLIN, datetime.fromisoformat(now))
    assert (found.state, found.until) == (state, datetime.fromisoformat(until))


def test_in_a_trial_the_day_has_the_same_parts() -> None:
    plan = Schedule(["i-1"], stop_at="18:00", start_at="06:00", day=8.0)
    first = datetime(2024, 1, 1, tzinfo=UTC)  # of a trial's day too
    told = [due.fn(plan, first + timedelta(seconds=second)) for second in (1, 2, 5, 6, 9)]
    assert [one.state for one in told] == ["stopped", "running", "running", "stopped", "stopped"]
    assert [(one.until - first).total_seconds() for one in told] == [2, 6, 6, 10, 10]
