"""kill -9 between verifying and raising: the event happens exactly once, whether or not the sender tries again. A file outside counts."""

import asyncio
import hmac
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from connectors.core.webhooks.inbox import Inbox
from dtf_runtime import TaskHubClient
from tests.connectors.core.webhook_host import KEY
from tests.connectors.core.webhook_process import BASE, LINKS, notes


@contextmanager
def process(folder: Path, when: str = "") -> Iterator[tuple["subprocess.Popen[str]", str]]:
    command = [sys.executable, "-m", "tests.connectors.core.webhook_process", str(folder), when]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        try:
            assert started.stdout is not None
            yield started, started.stdout.readline().strip()
        finally:
            started.kill()


def post(url: str, what: str, delivery: str, *, by_link: bool = False) -> int:
    """The status; 0 when the other side died."""
    if by_link:
        link = LINKS.make("i", "paid", once=delivery, expires_in=600, payload=what).replace(BASE, url)
        request = httpx.Request("POST", link)
    else:
        body = json.dumps({"instance": "i", "what": what}).encode()
        signature = hmac.new(KEY.reveal().encode(), body, "sha256").hexdigest()
        headers = {"x-signature": f"sha256={signature}", "x-delivery": delivery}
        request = httpx.Request("POST", f"{url}/shop", content=body, headers=headers)
    with httpx.Client(trust_env=False, timeout=20) as client:
        try:
            return client.send(request).status_code
        except httpx.TransportError:
            return 0


async def start(folder: Path) -> str:
    async with TaskHubClient(f"sqlite:///{folder / 'hub.db'}") as client:
        await client.start(notes, str(folder / "log"), instance_id="i")
    return str(folder / "log")


async def finish(folder: Path) -> list[str]:
    """What was noted, once the instance has ended: each call counts once, however often it was delivered."""
    async with TaskHubClient(f"sqlite:///{folder / 'hub.db'}") as client:
        await client.raise_event("i", "paid", "stop")
        await client.handle("i").result(30)
    calls = dict(line.split() for line in (folder / "log").read_text().splitlines())
    return list(calls.values())


@pytest.mark.parametrize(
    ("when", "by_link"),
    [("mapping", False), ("accepted", False), ("raised", False), ("accepted", True), ("raised", True)],
)
async def test_killed_anywhere_it_is_raised_once_when_the_sender_tries_again(
    tmp_path: Path, when: str, by_link: bool
) -> None:
    await start(tmp_path)
    with process(tmp_path, when) as (dying, url):
        assert post(url, "a", "d-1", by_link=by_link) == 0
        assert dying.wait(10) == -signal.SIGKILL
    with process(tmp_path) as (_, url):
        assert post(url, "a", "d-1", by_link=by_link) == 200
        assert post(url, "b", "d-2", by_link=by_link) == 200
        assert await finish(tmp_path) == ["a", "b"]


@pytest.mark.parametrize("when", ["accepted", "raised"])
async def test_what_was_accepted_is_raised_even_when_nobody_sends_it_again(tmp_path: Path, when: str) -> None:
    await start(tmp_path)
    with process(tmp_path, when) as (dying, url):
        assert post(url, "a", "d-1") == 0
        dying.wait(10)
    inbox = Inbox(tmp_path / "inbox.db")
    assert [json.loads(delivery.payload) for delivery in inbox.waiting()] == ["a"]
    with process(tmp_path):
        while inbox.waiting():
            await asyncio.sleep(0.01)
        assert await finish(tmp_path) == ["a"]
    inbox.close()
