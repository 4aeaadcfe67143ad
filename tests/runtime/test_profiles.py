"""Which version runs an instance, and how many of one activity run at once."""

import pytest

from dtf_runtime import OrchestrationContext, Registry, VersionPolicy, activity, orchestration
from dtf_runtime.dispatchers.profiles import Profile


def profile(registry: Registry, versions: VersionPolicy = VersionPolicy.STRICT) -> Profile:
    return Profile(registry, versions, lock_duration=30, max_delivery_count=10)


def with_versions(*versions: str) -> Registry:
    registry = Registry()
    for version in versions:

        @orchestration(name="flow", version=version, registry=registry)
        async def flow(ctx: OrchestrationContext) -> None: ...

    return registry


def test_strict_runs_only_what_is_registered() -> None:
    strict = profile(with_versions("1", "2"))
    assert [strict.runs_orchestration("flow", version) for version in ("1", "2", "3", "")] == [True, True, False, False]


@pytest.mark.parametrize(
    ("wanted", "runs_on"),
    [("2", "2"), ("10", "10"), ("1", "10"), ("", "10"), ("9", "10"), ("2.5", "10"), ("11", None), ("10.1", None)],
)
def test_an_older_version_that_is_gone_runs_on_the_newest_one(wanted: str, runs_on: str | None) -> None:
    lenient = profile(with_versions("2", "10"), VersionPolicy.CURRENT_OR_OLDER)
    found = lenient.find_orchestration("flow", wanted)
    assert (None if found is None else found.version) == runs_on
    assert lenient.runs_orchestration("flow", wanted) == (runs_on is not None)


def test_a_name_that_is_unknown_runs_under_no_policy() -> None:
    for versions in VersionPolicy:
        assert not profile(with_versions("1"), versions).runs_orchestration("other", "1")


def test_places_of_an_activity_with_a_limit_are_taken_and_given_back() -> None:
    registry = Registry()

    @activity(name="precious", max_concurrency=2, registry=registry)
    async def precious() -> None: ...

    @activity(name="plain", registry=registry)
    async def plain() -> None: ...

    limited = profile(registry)
    assert [limited.take_activity("precious", "") for _ in range(3)] == [True, True, False]
    assert all(limited.take_activity("plain", "") for _ in range(100))
    limited.release_activity("precious")
    assert [limited.take_activity("precious", "") for _ in range(2)] == [True, False]
    assert not limited.take_activity("unknown", "")
