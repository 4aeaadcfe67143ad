"""Every provider keeps every guarantee."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from dtf_runtime import Clock, InvalidArgumentError, OrchestrationService, connect
from dtf_runtime.testing import ProviderConformance

CHECKS = ProviderConformance(lambda clock: connect("memory://", clock=clock)).checks()


def _memory(folder: Path) -> Callable[[Clock], OrchestrationService]:
    return lambda clock: connect("memory://", clock=clock)


def _sqlite(folder: Path) -> Callable[[Clock], OrchestrationService]:
    numbers = itertools.count(1)
    return lambda clock: connect(f"sqlite:///{folder}/hub{next(numbers)}.db", clock=clock)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("maker", [_memory, _sqlite], ids=["memory", "sqlite"])
async def test_a_provider_keeps(
    maker: Callable[[Path], Callable[[Clock], OrchestrationService]], check: str, tmp_path: Path
) -> None:
    await ProviderConformance(maker(tmp_path)).run(check)


async def test_a_check_that_does_not_exist_is_refused() -> None:
    suite = ProviderConformance(_memory(Path()))
    with pytest.raises(InvalidArgumentError, match="no check 'no_such_thing'"):
        await suite.run("no_such_thing")


async def test_each_check_gets_a_hub_of_its_own() -> None:
    made: list[Clock] = []

    def make(clock: Clock) -> OrchestrationService:
        made.append(clock)
        return connect("memory://", clock=clock)

    await ProviderConformance(make).run("a_turn_commits_once", "a_child_starts_with_the_turn")
    assert len(made) == 2
