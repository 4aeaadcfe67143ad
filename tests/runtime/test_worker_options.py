"""WorkerOptions and the other arguments of a worker are checked when they are given, each by its name."""

from datetime import timedelta
from typing import Any

import pytest

from dtf_runtime import (
    InvalidArgumentError,
    InvalidStateError,
    Registry,
    TaskHubWorker,
    VersionPolicy,
    WorkerOptions,
    connect,
)

COUNTS = ["max_concurrent_activities", "max_cached_orchestrations", "max_delivery_count", "max_steps_per_turn"]
DURATIONS = ["lock_duration", "shutdown_grace", "blocked_after"]


@pytest.mark.parametrize("name", COUNTS)
@pytest.mark.parametrize("value", [0, -1, 1.5, "3", None, True, float("nan")])
def test_a_count_is_a_whole_number_from_one(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        WorkerOptions(**{name: value})


@pytest.mark.parametrize("name", DURATIONS)
@pytest.mark.parametrize("value", [-1, "3", None, float("nan"), float("inf"), timedelta(seconds=-1)])
def test_a_duration_is_finite_and_not_negative(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        WorkerOptions(**{name: value})


def test_only_the_grace_may_be_nothing() -> None:
    assert WorkerOptions(shutdown_grace=0).shutdown_grace == 0
    for name in ("lock_duration", "blocked_after"):
        with pytest.raises(InvalidArgumentError, match=name):
            WorkerOptions(**{name: timedelta(0)})  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("versions", "strict"), ("non_determinism", VersionPolicy.STRICT)])
def test_a_policy_is_a_member_of_its_enum(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=rf"{name} must be one of \w+\.\w+"):
        WorkerOptions(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("registry", {}), ("options", {"lock_duration": 3}), ("connections", "http"), ("connections", 5)],
)
def test_a_worker_refuses_what_it_can_not_use(name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        TaskHubWorker("memory://", **{name: value})


async def test_a_worker_is_entered_once_at_a_time_and_takes_connectors_only_before() -> None:
    worker = TaskHubWorker(connect("memory://"), registry=Registry())
    async with worker:
        with pytest.raises(InvalidStateError, match="running already"):
            await worker.__aenter__()
        with pytest.raises(InvalidStateError, match="before its worker is entered"):
            worker.add_connector("http")
    async with worker:  # and again, afterwards
        assert not worker.knows("anything", "")


def test_a_connector_goes_into_its_worker_and_not_into_the_registry_that_was_given() -> None:
    registry = Registry()
    with pytest.raises(InvalidArgumentError, match="no connector 'abacus' is installed"):
        TaskHubWorker("memory://", registry=registry).add_connector("abacus")
    assert registry.activities() == ()
