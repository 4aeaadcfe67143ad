"""A request whose answer comes later, by a link of ours: once, in time, and without the link in history."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from connectors.core import Ambiguous, Conflict, InvalidRequest, Secret, using
from connectors.core.loopback import Loopback
from connectors.core.loopback import Received as Got
from connectors.core.loopback import Reply as Said
from connectors.core.webhooks import Links, WebhookApp, WebhookConnection
from connectors.http import (
    CALLBACK_URL,
    CallAndWait,
    CallbackResult,
    CallbackTimedOut,
    HttpRequest,
    call_and_wait_for_callback,
    request_with_callback,
)
from dtf_runtime import FailureDetails, OrchestrationFailedError, Registry, TaskHubClient, TaskHubWorker, connect
from dtf_runtime.testing import TestHub
from tests.connectors.core.webhook_host import serving
from tests.connectors.http.calls import LOCAL

KEY = Secret("callback-key-0123456789abcdef0123456789")
REGISTRY = Registry(request_with_callback, call_and_wait_for_callback)


class Printer(Loopback):
    """Takes jobs, each with the address to call when it is done, and repeats what it was told."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[str] = []
        self.keys: list[str] = []
        self.statuses = [202]

    def answer(self, got: Got) -> Said:
        told = got.query.get("notify") or got.headers.get("x-notify") or self.told(got)
        self.keys.append(got.headers.get("idempotency-key", ""))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status < 400 or status == 503:
            self.jobs.append(told)
        headers = {"location": told, "retry-after": "0"}
        return Said(status=status, body={"you": told}, headers=headers)

    def told(self, got: Got) -> str:
        return str(got.json()["notify"] if got.body.startswith(b"{") else got.form()["notify"])

    async def asked(self) -> str:
        async with asyncio.timeout(10):
            while not self.jobs:
                await asyncio.sleep(0.005)
        return self.jobs[-1]


@pytest.fixture
def printer() -> Iterator[Printer]:
    with Printer() as running:
        yield running


def job(printer: Printer, *, timeout: float = 600, **more: Any) -> CallAndWait:
    given = {"url": f"{printer.url}/jobs", "method": "POST", "json": {"notify": CALLBACK_URL}, "expected": (202,)}
    return CallAndWait(request=HttpRequest(**{**given, **more}), timeout=timeout)


async def call_back(url: str, status: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(url, json={"status": status})).status_code


@dataclass
class Office:
    """A worker, and the app that is called back."""

    client: TaskHubClient
    printer: Printer

    async def run(self, call: CallAndWait, *answers: str) -> tuple[CallbackResult, list[int], str]:
        """The result, what the callers were told, and the whole history as text."""
        handle = await self.client.start(call_and_wait_for_callback, call)
        asked = await self.printer.asked()
        told = [await call_back(asked, answer) for answer in answers]
        result = await handle.result(10)
        history = await self.client.get_history(handle.instance_id)
        return result, told, msgspec.json.encode(history).decode()


@pytest.fixture
async def office(printer: Printer, tmp_path: Path) -> AsyncIterator[Office]:
    service = connect("memory://")
    async with TaskHubClient(service) as client:
        app = WebhookApp(client, links=Links("http://any.test", [KEY]), inbox=tmp_path / "inbox.db")
        async with serving(app) as url:
            connections = [LOCAL, WebhookConnection(base_url=url, signing_key=KEY)]
            async with TaskHubWorker(service, registry=REGISTRY, connections=connections):
                yield Office(client, printer)


async def failure(call: CallAndWait) -> FailureDetails:
    """Of a call that nobody answers; days take no time."""
    with using(LOCAL, WebhookConnection(base_url="https://hooks.example.com", signing_key=KEY)):
        async with TestHub(registry=REGISTRY) as hub:
            handle = await hub.client.start(call_and_wait_for_callback, call)
            with pytest.raises(OrchestrationFailedError) as caught:
                await handle.result(10)
            return caught.value.failure


async def test_what_is_sent_to_the_link_is_the_result(office: Office) -> None:
    result, told, history = await office.run(job(office.printer), "printed")
    assert result.callback.json() == {"status": "printed"}
    assert result.callback.content_type == "application/json"
    assert result.response is not None and result.response.status == 202
    assert told == [200]
    token = office.printer.jobs[0].rpartition("/")[2]
    assert token not in history and token.partition(".")[2] not in history, "a link is a secret"
    assert result.response.json() == {"you": office.printer.jobs[0].replace(token, "***")}
    assert CALLBACK_URL in history


async def test_a_link_is_good_for_one_answer(office: Office) -> None:
    result, told, _ = await office.run(job(office.printer), "printed", "printed", "burnt")
    assert result.callback.json() == {"status": "printed"}
    assert told == [200, 200, 410]


async def test_every_attempt_sends_the_same_link_and_the_same_key(office: Office) -> None:
    office.printer.statuses = [503, 503, 202]
    result, _, _ = await office.run(job(office.printer), "printed")
    assert result.callback.json() == {"status": "printed"}
    assert len(set(office.printer.jobs)) == 1
    assert office.printer.keys[0] and len(set(office.printer.keys)) == 1


async def test_two_calls_have_two_links(office: Office) -> None:
    await office.run(job(office.printer), "one")
    office.printer.jobs.clear()
    first = office.printer.received[0].json()["notify"]
    result, _, _ = await office.run(job(office.printer), "two")
    assert result.callback.json() == {"status": "two"}
    assert office.printer.jobs[0] != first


@pytest.mark.parametrize(
    "where",
    [
        {"method": "GET", "params": {"notify": CALLBACK_URL}, "json": None},
        {"form": {"notify": CALLBACK_URL}, "json": None},
        {"headers": {"x-notify": CALLBACK_URL}, "json": None},
        {"text": f"notify={CALLBACK_URL}", "json": None},
    ],
    ids=["params", "form", "header", "text"],
)
async def test_the_address_may_stand_anywhere(office: Office, where: dict[str, Any]) -> None:
    result, _, history = await office.run(job(office.printer, **where), "printed")
    assert result.callback.json() == {"status": "printed"}
    assert office.printer.jobs[0].rpartition(".")[2] not in history


async def test_in_the_url_it_is_written_as_a_value_of_the_query(office: Office) -> None:
    url = f"{office.printer.url}/jobs?notify={CALLBACK_URL}&a=1"
    result, _, _ = await office.run(job(office.printer, method="GET", url=url, json=None), "printed")
    assert result.callback.json() == {"status": "printed"}
    assert office.printer.received[0].query["a"] == "1"


async def test_an_answer_that_was_lost_is_waited_for_all_the_same(office: Office) -> None:
    office.printer.cut("lose")
    result, _, _ = await office.run(job(office.printer, send_idempotency_key="never"), "printed")
    assert result.response is None
    assert result.callback.json() == {"status": "printed"}
    assert len(office.printer.jobs) == 1, "sent once"


async def test_nobody_calls_back(printer: Printer) -> None:
    failed = await failure(job(printer, timeout=86_400))
    assert failed.is_caused_by(CallbackTimedOut) and failed.type == "connectors.http.CallbackTimedOut"
    assert failed.message == f"POST {printer.url}/jobs: nobody called back within 86400 s"
    assert not failed.is_caused_by(Ambiguous)


async def test_nobody_calls_back_and_nobody_knows_whether_it_was_sent(printer: Printer) -> None:
    printer.cut("lose")
    failed = await failure(job(printer, timeout=86_400, send_idempotency_key="never"))
    assert failed.is_caused_by(CallbackTimedOut) and failed.is_caused_by(Ambiguous)
    assert len(printer.jobs) == 1


async def test_a_request_that_is_refused_is_not_waited_for(printer: Printer) -> None:
    printer.statuses = [409]
    failed = await failure(job(printer))
    assert failed.is_caused_by(Conflict) and not failed.is_caused_by(CallbackTimedOut)


async def test_a_request_without_a_place_for_the_address_is_not_sent(printer: Printer) -> None:
    failed = await failure(job(printer, json={"notify": "me"}))
    assert failed.is_caused_by(InvalidRequest)
    assert "it has no {callback_url}" in failed.message
    assert not printer.received
