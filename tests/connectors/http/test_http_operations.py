"""Long-running operations: single polls and durable timers, in virtual time, against servers of each kind."""

import json
from typing import Any

import pytest

from connectors.core import NotFound
from connectors.http import (
    HttpRequest,
    OperationFailed,
    OperationResult,
    OperationTimedOut,
    PollOperation,
    poll_operation,
    request,
)
from dtf_runtime import (
    OrchestrationCancelledError,
    OrchestrationContext,
    OrchestrationFailedError,
    OrchestrationStatus,
    Registry,
    SubOrchestrationFailedError,
    orchestration,
)
from dtf_runtime.testing import TestHub
from tests.connectors.http.rude_server import Answer, RudeServer, answer, reset

registry = Registry(request, poll_operation)


@orchestration(name="tests.http.submit_and_wait", registry=registry)
async def submit_and_wait(ctx: OrchestrationContext, options: dict[str, Any]) -> OperationResult:
    submit = HttpRequest(
        url=options.pop("url"),
        method=options.pop("method", "POST"),
        json={"work": 1},
        headers={"X-Tenant": "7", "If-Match": "*", "Content-Language": "en"},
        expected=(200, 201, 202),
        timeout=options.pop("each", 30.0),
    )
    accepted = await request(submit)
    try:
        return await poll_operation(PollOperation(request=submit, accepted=accepted, **options))
    except SubOrchestrationFailedError as error:
        ctx.set_custom_status(dict(error.failure.properties))
        raise


async def waited(**options: Any) -> tuple[OperationResult, float]:
    """The result, and the virtual seconds that it took."""
    async with TestHub(registry=registry) as hub:
        began = hub.now()
        handle = await hub.client.start(submit_and_wait, options)
        result = await handle.result(timeout=86_400)
        return result, (hub.now() - began).total_seconds()


async def failed(**options: Any) -> OrchestrationFailedError:
    with pytest.raises(OrchestrationFailedError) as caught:
        await waited(**options)
    return caught.value


def status(said: str, *headers: str, **more: Any) -> Answer:
    return answer(200, json.dumps({"status": said, **more}).encode(), *headers)


@pytest.mark.parametrize("header", ["Operation-Location", "Azure-AsyncOperation"])
async def test_a_status_address_is_polled_and_the_result_fetched(server: RudeServer, header: str) -> None:
    url = server.on("/jobs", answer(202, b"", f"{header}: /status/7?v=1", "Location: /results/7", "Retry-After: 10"))
    server.on("/status/7", status("Running", "Retry-After: 30"), status("inProgress"), status("Succeeded"))
    server.on("/results/7", answer(200, b"result"))
    got, took = await waited(url=url)
    assert (got.status, got.polls, got.response.text) == ("Succeeded", 3, "result")
    assert [each.method for each in server.received] == ["POST", "GET", "GET", "GET", "GET"]
    assert 10 + 30 + 5 <= took < 10 + 30 + 5 * 1.5**2 + 5
    poll = server.received[1]
    assert (poll.target, poll.headers["x-tenant"]) == ("/status/7?v=1", "7")
    assert not {"if-match", "content-language", "idempotency-key", "content-type"} & poll.headers.keys()


async def test_after_a_put_the_result_is_what_was_put(server: RudeServer) -> None:
    url = server.on("/things/7", answer(201, b"", "Azure-AsyncOperation: /status/7"), answer(200, b"made"))
    server.on("/status/7", status("Succeeded"))
    got, _ = await waited(url=url, method="PUT")
    assert got.response.text == "made"
    assert [each.method for each in server.received] == ["PUT", "GET", "GET"]


async def test_the_status_itself_may_name_the_result(server: RudeServer) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    server.on("/status", status("succeeded", resourceLocation="/made"))
    server.on("/made", answer(200, b"made"))
    assert (await waited(url=url))[0].response.text == "made"
    assert (await waited(url=url, fetch_result=False))[0].response.json()["status"] == "succeeded"


async def test_a_location_is_polled_while_it_answers_202(server: RudeServer) -> None:
    url = server.on("/jobs", answer(202, b"", "Location: jobs/7"))
    server.on("/jobs/7", answer(202, b"", "Retry-After: 60"), answer(202), answer(200, b"result"))
    got, took = await waited(url=url)
    assert (got.response.text, got.polls) == ("result", 3)
    assert took >= 65


async def test_retry_after_may_be_a_date(server: RudeServer) -> None:
    date = "Date: Tue, 06 Feb 2001 08:00:00 GMT"
    url = server.on("/jobs", answer(202, b"", "Location: /j", date, "Retry-After: Tue, 06 Feb 2001 08:10:00 GMT"))
    server.on("/j", answer(200, b"result"))
    _, took = await waited(url=url)
    assert 600 <= took < 610


async def test_what_is_done_at_once_is_not_polled(server: RudeServer) -> None:
    url = server.on("/jobs", answer(200, b"result", "Location: /elsewhere"))
    got, _ = await waited(url=url)
    assert (got.polls, got.response.text, len(server.received)) == (0, "result", 1)


async def test_a_poll_that_fails_never_submits_again(server: RudeServer) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    busy = [answer(503)] * 10 + [reset] * 3 + [answer(429, b"", "Retry-After: 120")] * 9
    server.on("/status", *busy, status("Succeeded"))
    got, _ = await waited(url=url, timeout=7200.0)
    assert got.status == "Succeeded"
    assert [each.method for each in server.received].count("POST") == 1


async def test_a_poll_that_fails_for_good_ends_the_wait(server: RudeServer) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    server.on("/status", answer(404))
    assert (await failed(url=url)).failure.is_caused_by(NotFound)


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        ("Failed", "failed", "QuotaExceeded"),
        ("Canceled", "cancelled", "Canceled"),
        ("cancelled", "cancelled", "cancelled"),
    ],
)
async def test_an_operation_that_fails_is_an_error_that_says_how(
    server: RudeServer, said: str, state: str, code: str
) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    more = {"error": {"code": code, "message": "s3cret"}} if state == "failed" else {}
    server.on("/status", status(said, **more))
    error = await failed(url=url)
    assert error.failure.is_caused_by(OperationFailed)
    assert said in str(error) and "s3cret" not in str(error)


@pytest.mark.parametrize(("cancel", "deletes"), [("leave", 0), ("delete", 1)])
async def test_at_the_deadline_the_remote_work_is_cancelled_where_that_is_asked_for(
    server: RudeServer, cancel: str, deletes: int
) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    server.on("/status", status("Running"))
    error = await failed(url=url, timeout=600.0, cancel=cancel)
    assert error.failure.is_caused_by(OperationTimedOut)
    methods = [each.method for each in server.received]
    assert (methods.count("DELETE"), methods.count("POST")) == (deletes, 1)
    assert methods[-1] == ("DELETE" if deletes else "GET")
    assert ("told to cancel" in str(error)) == bool(deletes)


async def test_a_server_that_never_answers_does_not_move_the_deadline(server: RudeServer) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    server.on("/status", answer(503, b"", "Retry-After: 80000"))
    async with TestHub(registry=registry) as hub:
        began = hub.now()
        handle = await hub.client.start(submit_and_wait, {"url": url, "timeout": 600.0})
        with pytest.raises(OrchestrationFailedError) as caught:
            await handle.result(timeout=86_400)
        assert (hub.now() - began).total_seconds() < 700
    assert caught.value.failure.is_caused_by(OperationTimedOut)


async def test_cancelling_the_orchestration_cancels_the_remote_work(server: RudeServer) -> None:
    url = server.on("/jobs", answer(202, b"", "Operation-Location: /status"))
    server.on("/status", status("Running"))
    async with TestHub(registry=registry, auto_advance=False) as hub:
        handle = await hub.client.start(submit_and_wait, {"url": url, "cancel": "delete"})
        await hub.advance(30)
        assert "DELETE" not in [each.method for each in server.received]
        await hub.client.cancel(handle.instance_id, "no longer wanted")
        await hub.advance(30)
        assert (await handle.state()).status is OrchestrationStatus.CANCELLED
        with pytest.raises(OrchestrationCancelledError):
            await handle.result()
    assert [each.method for each in server.received][-1] == "DELETE"


async def test_nothing_of_the_connection_is_asked_of_another_server(server: RudeServer) -> None:
    with RudeServer() as other:
        away = other.on("/status", status("Succeeded"))
        url = server.on("/jobs", answer(202, b"", f"Operation-Location: {away}"))
        await waited(url=url)
        assert "x-tenant" not in other.received[0].headers
