"""A request whose answer comes later, by a link of ours: once, in time, and without the link in history."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
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
from dtf_runtime import FailureDetails, OrchestrationFailedError, Registry
from dtf_runtime.testing import TestHub
from tests.connectors.core.webhook_host import serving

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
        told = got.query.get("notify") or got.json()["notify"]
        self.keys.append(got.headers.get("idempotency-key", ""))
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status < 400 or status == 503:
            self.jobs.append(told)
        headers = {"location": told, "retry-after": "0"}
        return Said(status=status, body={"you": told}, headers=headers)

    async def asked(self) -> str:
        async with asyncio.timeout(10):
            while not self.jobs:
                await asyncio.sleep(0.005)
        return self.jobs[-1]


@pytest.fixture
def printer() -> Iterator[Printer]:
    with Printer() as running:
        yield running


@contextmanager
def connected(url: str) -> Iterator[None]:
    with using(WebhookConnection(base_url=url, signing_key=KEY)):
        yield


def app_of(hub: TestHub, folder: Path, base_url: str) -> WebhookApp:
    links = Links(base_url, [KEY], clock=hub.clock)
    return WebhookApp(hub.client, links=links, inbox=folder / "inbox.db", clock=hub.clock)


def job(printer: Printer, **more: Any) -> CallAndWait:
    request = HttpRequest(
        **{"url": f"{printer.url}/jobs", "method": "POST", "json": {"notify": CALLBACK_URL}, "expected": (202,), **more}
    )
    return CallAndWait(request=request, timeout=600)


async def call_back(url: str, status: str) -> int:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.post(url, json={"status": status})).status_code


async def outcome(folder: Path, printer: Printer, call: CallAndWait, *answers: str) -> tuple[CallbackResult, str]:
    """The result, and the whole history as text."""
    async with TestHub(registry=REGISTRY, auto_advance=False) as hub:
        app = app_of(hub, folder, "http://127.0.0.1:1")
        async with serving(app) as url:
            with connected(url):
                handle = await hub.client.start(call_and_wait_for_callback, call)
                asked = printer.jobs if not answers else [await printer_asks(hub, printer)]
                for answer in answers:
                    await call_back(asked[0], answer)
                result = await handle.result(10)
        history = await hub.client.get_history(handle.instance_id)
        return result, msgspec.json.encode(history).decode()


async def printer_asks(hub: TestHub, printer: Printer) -> str:
    while not printer.jobs:
        await hub.advance(1)
    return printer.jobs[-1]
