"""The taxonomy, as the runtime's retry and the orchestrations see it."""

import math
from collections.abc import Callable

import pytest

import connectors.core
from connectors.core import (
    DEFAULT_RETRY,
    AlreadyExists,
    Ambiguous,
    AuthenticationFailed,
    CapacityUnavailable,
    Conflict,
    ConnectionMissing,
    ConnectorError,
    InvalidRequest,
    NotFound,
    Permanent,
    Throttled,
    Transient,
    blips,
)
from connectors.core.errors import LONGEST_RETRY_AFTER
from dtf_runtime import (
    FailureDetails,
    NonRetriableError,
    OrchestrationContext,
    Registry,
    RetryAfter,
    RetryPolicy,
    TaskFailedError,
    activity,
    orchestration,
)
from dtf_runtime.testing import TestHub

FINAL = (
    Permanent,
    AuthenticationFailed,
    NotFound,
    Conflict,
    AlreadyExists,
    InvalidRequest,
    ConnectionMissing,
    Ambiguous,
)
AGAIN = (Transient, Throttled)


@activity(registry=Registry(), retry=DEFAULT_RETRY)
def call_service() -> int:
    raise NotImplementedError


@orchestration(registry=Registry())
async def outcome(ctx: OrchestrationContext) -> FailureDetails | None:
    try:
        await call_service()
    except TaskFailedError as error:
        return error.failure
    return None


@orchestration(registry=Registry())
async def seconds_until_done(ctx: OrchestrationContext) -> float:
    began = ctx.now()
    await call_service()
    return (ctx.now() - began).total_seconds()


class Service:
    """Fails as it is told, then answers."""

    def __init__(self, *failures: Exception) -> None:
        self.calls = 0
        self._failures = failures

    def __call__(self) -> int:
        self.calls += 1
        if self.calls <= len(self._failures):
            raise self._failures[self.calls - 1]
        return self.calls


def hub(service: Callable[[], int]) -> TestHub:
    return TestHub(registry=Registry(call_service, outcome, seconds_until_done), activities={call_service: service})


async def failure_of(service: Service) -> FailureDetails | None:
    async with hub(service) as running:
        handle = await running.client.start(outcome)
        await handle.result(10)
        history = await running.client.get_history(handle.instance_id)
        failed = [event for event in history if event.kind == "TaskFailed"]
        found: FailureDetails | None = failed[-1].failure if failed else None  # type: ignore[attr-defined]
        return found


@pytest.mark.parametrize("kind", FINAL)
async def test_what_can_not_help_or_may_have_happened_is_never_sent_again(kind: type[ConnectorError]) -> None:
    service = Service(kind("no", retry_after=1.0))
    assert await failure_of(service)
    assert service.calls == 1
    assert issubclass(kind, NonRetriableError)


@pytest.mark.parametrize("kind", FINAL)
async def test_no_policy_of_the_user_sends_it_again_either(kind: type[ConnectorError]) -> None:
    service = Service(kind("no"))
    stubborn = call_service.options(retry=RetryPolicy(max_attempts=9))

    @orchestration(registry=Registry())
    async def insists(ctx: OrchestrationContext) -> None:
        await stubborn()

    registry = Registry(call_service, insists)
    async with TestHub(registry=registry, activities={call_service: service}) as running:
        handle = await running.client.start(insists)
        await handle.wait(10)
    assert service.calls == 1


@pytest.mark.parametrize("kind", AGAIN)
async def test_what_passes_is_sent_again_after_what_the_service_asks_for(kind: type[ConnectorError]) -> None:
    service = Service(kind("busy", retry_after=90.0), kind("busy", retry_after=30))
    async with hub(service) as running:
        waited = await (await running.client.start(seconds_until_done)).result(10)
    assert service.calls == 3
    assert waited == pytest.approx(120, abs=1), "a durable timer, not the policy's own interval"


async def test_without_a_wish_of_the_service_the_policy_says_how_long() -> None:
    service = Service(Transient("busy"), Throttled("busy"))
    async with hub(service) as running:
        waited = await (await running.client.start(seconds_until_done)).result(10)
    assert 2.0 <= waited <= 4.0  # 1 and 2 seconds, give or take a fifth


async def test_missing_capacity_is_for_the_caller_to_decide() -> None:
    service = Service(CapacityUnavailable("no room"))
    failure = await failure_of(service)
    assert service.calls == 1
    assert failure is not None and failure.is_caused_by(CapacityUnavailable)


async def test_history_knows_it_by_the_public_name_and_by_its_bases() -> None:
    failure = await failure_of(
        Service(AlreadyExists("taken", code="Duplicate", status=409, request_id="r-1", zone="a"))
    )
    assert failure is not None
    assert failure.type == "connectors.core.AlreadyExists"
    assert failure.is_caused_by(Conflict) and failure.is_caused_by(Permanent) and failure.is_caused_by(ConnectorError)
    assert failure.is_caused_by("AlreadyExists")
    assert not failure.is_caused_by(NotFound)
    assert failure.properties == {"code": "Duplicate", "status": 409, "request_id": "r-1", "zone": "a"}
    assert failure.message == "taken"


async def test_one_that_waits_is_known_by_the_same_name() -> None:
    failure = FailureDetails.of(Throttled("slow down", retry_after=5))
    assert (failure.type, failure.retry_after) == ("connectors.core.Throttled", 5.0)
    assert failure.is_caused_by(Throttled) and failure.is_caused_by(RetryAfter)


def test_only_one_that_says_when_is_a_retry_after() -> None:
    assert isinstance(Transient("x", retry_after=1), RetryAfter)
    assert not isinstance(Transient("x"), RetryAfter)
    assert not isinstance(NotFound("x", retry_after=1), RetryAfter)


@pytest.mark.parametrize(
    ("asked", "believed"), [(-3.0, 0.0), (1e9, LONGEST_RETRY_AFTER), (math.inf, LONGEST_RETRY_AFTER), (2, 2.0)]
)
def test_a_foolish_wish_is_believed_within_limits(asked: float, believed: float) -> None:
    error = Transient("x", retry_after=asked)
    assert error.retry_after == believed
    assert isinstance(error, RetryAfter) and error.delay == believed


def test_a_wish_that_is_no_number_is_none() -> None:
    error = Throttled("x", retry_after=math.nan)
    assert error.retry_after is None
    assert not isinstance(error, RetryAfter)


def test_only_two_kinds_of_error_leave_open_whether_it_happened() -> None:
    errors = {value for value in vars(connectors.core).values() if isinstance(value, type)}
    open_ended = {error for error in errors if issubclass(error, ConnectorError) and error.may_have_happened}
    assert {error.__name__ for error in open_ended} == {"Ambiguous", "BodyTooLarge"}


def test_each_error_says_that_it_is_of_the_kit() -> None:
    named = [getattr(connectors.core, name) for name in connectors.core.__all__]
    errors = [value for value in named if isinstance(value, type) and issubclass(value, Exception)]
    assert len(errors) >= 12
    assert {error.__module__ for error in errors} == {"connectors.core"}


# == Blips ========================================================================================================


def test_a_blip_is_over_before_anybody_notices() -> None:
    service = Service(Transient("blip"), Throttled("blip"))
    assert blips(service) == 3


@pytest.mark.parametrize("error", [Transient("busy", retry_after=1), Ambiguous("?"), NotFound("no"), OSError("x")])
def test_what_is_no_blip_is_told_at_once(error: Exception) -> None:
    service = Service(error)
    with pytest.raises(type(error)):
        blips(service)
    assert service.calls == 1


def test_a_blip_that_stays_is_told_after_three_tries() -> None:
    service = Service(*(Transient(str(n)) for n in range(9)))
    with pytest.raises(Transient, match="2"):
        blips(service)
    assert service.calls == 3
