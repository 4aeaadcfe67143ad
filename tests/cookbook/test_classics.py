"""The classic samples, copied out of the project and run as a reader runs them."""

import subprocess
import sys
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from cookbook.error_handling import Bank
from dtf_runtime import OrchestrationStatus, TaskHubClient
from tests.cookbook.conftest import Kitchen


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def also(kitchen: Kitchen, recipe: str, *arguments: str) -> str:
    """The recipe a second time, beside the one that runs."""
    line = [sys.executable, str(kitchen.folder / f"{recipe}.py"), *arguments]
    return subprocess.run(
        line, cwd=kitchen.folder, env=kitchen.environment, text=True, timeout=60, check=True, stdout=subprocess.PIPE
    ).stdout


@pytest.mark.parametrize(
    ("recipe", "arguments", "says"),
    [
        ("average_calculator", (), "The average of 100,000 numbers is 50,000.50\n"),
        ("average_calculator", ("3", "5", "10"), "The average of 3 numbers is 6.00\n"),
        ("sum_of_squares", (), "91\n"),
        ("sum_of_squares", ("[[1, 2], [[3]], []]",), "14\n"),
        (
            "timer_against_activity",
            (),
            "quick: 12.50\nslow: no answer in 1 s, so the list price, 15.00\n",
        ),
        ("timer_against_activity", ("--patience", "20"), "quick: 12.50\nslow: 11.90\n"),
        ("wait_for_signal", ("--patience", "0.2"), "Waiting for a name, at most 0.2 s\nNobody came.\n"),
    ],
)
def test_it_says_what_it_should_and_leaves_the_machine_alone(
    kitchen: Kitchen, recipe: str, arguments: tuple[str, ...], says: str
) -> None:
    assert kitchen.run(recipe, *arguments) == (0, says)
    assert not kitchen.refused


async def test_each_inner_list_is_an_instance_of_its_own(kitchen: Kitchen) -> None:
    assert kitchen.run("sum_of_squares")[0] == 0
    async with TaskHubClient(f"sqlite:///{kitchen.folder}/sum_of_squares.db") as client:
        assert await client.count() == {OrchestrationStatus.COMPLETED: 3}


def test_money_moves_whole_or_not_at_all_and_once_though_it_was_tried_thrice(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("error_handling")
    assert (code, printed.splitlines()) == (
        0,
        [
            "done    30.00 from ann to bea",
            "failed  20.00 from ann to closed: closed has no account here any more",
            "failed  900.00 from bea to ann: bea has only 35.00",
            "ann: 70.00, booked [-3000, -2000, 2000]",
            "bea: 35.00, booked [3000]",
        ],
    )
    assert Bank(str(kitchen.folder / "error_handling_bank.db")).accounts() == {"ann": 7_000, "bea": 3_500}
    assert (kitchen.folder / "error_handling.log").read_text().count("BankIsBusyError: no answer about bea, attempt 2")
    assert not kitchen.refused


def test_a_signal_from_another_program_is_heard(kitchen: Kitchen) -> None:
    with kitchen.start("wait_for_signal") as waiting:
        until(lambda: "Waiting" in kitchen.output.read_text())
        assert also(kitchen, "wait_for_signal", "--tell", "Ann") == "Told.\n"
        assert waiting.wait(30) == 0
    assert kitchen.output.read_text().endswith("Hello, Ann!\n")


def test_a_signal_that_comes_while_nobody_runs_is_kept(kitchen: Kitchen) -> None:
    with kitchen.start("wait_for_signal") as waiting:
        until(lambda: "Waiting" in kitchen.output.read_text())
        waiting.kill()
    also(kitchen, "wait_for_signal", "--tell", "Ann")
    assert kitchen.run("wait_for_signal")[1].endswith("Hello, Ann!\n")


def ticks(kitchen: Kitchen) -> list[tuple[int, datetime]]:
    log = kitchen.folder / "cron.log"
    lines = log.read_text().rpartition("\n")[0].splitlines() if log.exists() else []
    return [(int(number), datetime.fromisoformat(due)) for number, due in (line.split() for line in lines)]


async def test_cron_runs_at_fixed_times_over_several_executions(kitchen: Kitchen) -> None:
    code, printed = kitchen.run("cron", "--every", "0.3", "--times", "7")
    assert (code, printed.splitlines()[-1]) == (0, "Ran 7 times.")
    found = ticks(kitchen)
    assert [number for number, _ in found] == [1, 2, 3, 4, 5, 6, 7]
    assert all(due.timestamp() * 10 % 3 < 1e-3 or due.timestamp() * 10 % 3 > 3 - 1e-3 for _, due in found)
    async with TaskHubClient(f"sqlite:///{kitchen.folder}/cron.db") as client:
        state = await client.get_state("cron")
    assert state and state.history_length < 20
    assert not kitchen.refused


def test_cron_killed_goes_on_and_no_tick_is_there_twice_until_it_is_told_to_stop(kitchen: Kitchen) -> None:
    line = ("--every", "0.2", "--times", "0")
    for wanted in (2, 5):
        with kitchen.start("cron", *line) as running:
            until(lambda wanted=wanted: len(ticks(kitchen)) >= wanted)  # type: ignore[misc]
            running.kill()
    with kitchen.start("cron", *line) as running:
        until(lambda: len(ticks(kitchen)) >= 8)
        assert also(kitchen, "cron", "--stop") == "Told to stop.\n"
        assert running.wait(30) == 0
    found = ticks(kitchen)
    assert [number for number, _ in found] == list(range(1, len(found) + 1))
    assert all(later - earlier >= timedelta(seconds=0.2) for (_, earlier), (_, later) in pairwise(found))
    printed = kitchen.output.read_text().splitlines()
    assert ("Goes on." in printed, printed[-1]) == (True, f"Ran {len(found)} times.")
