"""The launch announcement, copied out of the project: tried offline, and killed in the middle of each service's work. What is there counts."""

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.core.loopback import Loopback
from cookbook.launch_announcement import NEWS, Announced, Launch, services
from dtf_runtime import TaskHubClient
from tests.cookbook.conftest import Kitchen

LAUNCH = Launch("Example", "2.0", "https://example.com/launch", NEWS)


def test_without_credentials_it_is_tried_offline_where_each_service_loses_an_answer(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("launch_announcement")
    assert code == 0, printed
    assert "No credentials for facebook, twitter, teams" in printed
    assert "one page post, one thread, one card" in printed
    assert "1 of them found after a lost answer" in printed
    assert not kitchen.refused


@pytest.mark.parametrize(
    ("service", "path", "after"),
    [("facebook", "_", 0), ("x", "/2/tweets", 3), ("teams", "", 0)],
    ids=["the page post", "the fourth post", "the card"],
)
async def test_killed_in_the_middle_it_goes_on_and_nothing_is_there_twice(
    kitchen: Kitchen, service: str, path: str, after: int
) -> None:
    with services() as running:
        fakes: dict[str, Loopback] = {"facebook": running.facebook, "x": running.x, "teams": running.teams}
        environment = running.facebook.environment() | running.x.environment() | running.teams.environment()
        there = replace(kitchen, environment={**kitchen.environment, **environment})
        fakes[service].cut("hang", method="POST", path=path, after=after)
        with there.start("launch_announcement", "--id", "launch-2.0") as recipe:
            try:
                assert await asyncio.to_thread(fakes[service].reached.wait, 30)
            finally:
                recipe.send_signal(signal.SIGKILL)
        code, printed = await asyncio.to_thread(there.run, "launch_announcement", "--id", "launch-2.0")
        assert code == 0, printed
        running.check(LAUNCH, await announced(kitchen.folder))
    assert not kitchen.refused


async def announced(folder: Path) -> Announced:
    async with TaskHubClient(f"sqlite:///{folder / 'launch_announcement.db'}") as client:
        return await client.handle("launch-2.0", Announced).result()
