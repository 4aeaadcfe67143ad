"""`http.request` called by an orchestration: what the retry policy makes of its errors, and how they look there."""

from dataclasses import dataclass

from connectors.core import NotFound, Throttled, Transient
from connectors.http import HttpRequest, request
from dtf_runtime import OrchestrationContext, Registry, RetryPolicy, TaskFailedError, orchestration, run
from tests.connectors.http.rude_server import RudeServer, answer, reset

registry = Registry(request)
eager = request.options(retry=RetryPolicy(max_attempts=4, first_interval=0.0))


@dataclass(frozen=True)
class Outcome:
    status: int | None
    message: str
    transient: bool
    throttled: bool
    missing: bool


@orchestration(name="tests.http.twice", registry=registry)
async def twice(ctx: OrchestrationContext, call: HttpRequest) -> list[int]:
    return [(await eager(call)).status, (await eager(call)).status]


@orchestration(name="tests.http.caught", registry=registry)
async def caught(ctx: OrchestrationContext, call: HttpRequest) -> Outcome:
    try:
        answered = await eager(call)
    except TaskFailedError as error:
        failure = error.failure
        kinds = (failure.is_caused_by(kind) for kind in (Transient, Throttled, NotFound))
        return Outcome(failure.properties.get("status"), failure.message, *kinds)
    return Outcome(answered.status, answered.text, False, False, False)


async def outcome(call: HttpRequest) -> Outcome:
    return await run(caught, call, service="memory://", registry=registry)


async def test_each_attempt_of_one_call_has_the_same_key_and_another_call_has_another(server: RudeServer) -> None:
    url = server.on("/", answer(503), reset, answer(500), answer(201))
    post = HttpRequest(url=url, method="POST", json={"a": 1})
    assert await run(twice, post, service="memory://", registry=registry) == [201, 201]
    keys = [got.headers["idempotency-key"] for got in server.received]
    assert len(keys) == 5
    assert len(set(keys[:4])) == 1
    assert len(set(keys)) == 2


async def test_an_error_that_may_pass_is_tried_until_the_policy_ends(server: RudeServer) -> None:
    got = await outcome(HttpRequest(url=server.on("/", answer(503))))
    assert (got.status, got.transient, got.throttled, got.missing) == (503, True, False, False)
    assert len(server.received) == 4


async def test_the_servers_own_delay_wins_over_the_policys(server: RudeServer) -> None:
    slow = request.options(retry=RetryPolicy(max_attempts=2, first_interval=3600.0))
    hasty = Registry(request)

    @orchestration(name="tests.http.hasty", registry=hasty)
    async def once(ctx: OrchestrationContext, call: HttpRequest) -> int:
        return (await slow(call)).status

    call = HttpRequest(url=server.on("/", answer(429, b"", "Retry-After: 0"), answer(200)))
    assert await run(once, call, service="memory://", registry=hasty) == 200


async def test_an_error_for_good_is_not_tried_again(server: RudeServer) -> None:
    got = await outcome(HttpRequest(url=server.on("/gone", answer(404))))
    assert (got.status, got.transient, got.missing) == (404, False, True)
    assert "404 Not Found" in got.message
    assert len(server.received) == 1


async def test_a_post_that_may_have_happened_is_not_sent_twice_without_a_key(server: RudeServer) -> None:
    call = HttpRequest(url=server.on("/", reset), method="POST", send_idempotency_key="never")
    got = await outcome(call)
    assert "may have happened" in got.message
    assert len(server.received) == 1
