"""Credentials are found nowhere in what is stored and logged: the raw bytes of the database and its log, all loggers at DEBUG, after successes,
failures and retries."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from connectors.core import Secret
from connectors.http import (
    Download,
    HttpConnection,
    HttpRequest,
    PollOperation,
    download,
    fetch_page,
    paginate,
    poll_operation,
    request,
)
from dtf_runtime import (
    OrchestrationContext,
    Registry,
    RetryPolicy,
    TaskFailedError,
    TaskHubClient,
    TaskHubWorker,
    activity,
    connect,
    orchestration,
)
from tests.connectors.http.rude_server import RudeServer, answer, reset

CANARY = "c4n4ry"
registry = Registry(request, fetch_page, paginate, download, poll_operation)


@activity(name="tests.http.leaking", registry=registry)
async def leaking(number: int) -> str:
    return f"{CANARY}-{number}"


@orchestration(name="tests.http.everything", registry=registry)
async def everything(ctx: OrchestrationContext, options: dict[str, Any]) -> list[str]:
    retry = RetryPolicy(max_attempts=2, first_interval=0)
    seen = []
    for path in ("/fine", "/missing", "/broken", "/busy"):
        try:
            got = await request.options(retry=retry)(HttpRequest(url=path, method="POST", json=1, connection="all"))
            seen.append(str(got.status))
        except TaskFailedError as error:
            seen.append(error.failure.type)
    submit = HttpRequest(url="/jobs", method="POST", connection="all", expected=(202,))
    accepted = await request(submit)
    await poll_operation(PollOperation(request=submit, accepted=accepted, interval=0.0))
    await download(Download(url="/fine", path=options["path"], connection="all"))
    if options["leak"]:
        await leaking(1)
    return seen


@pytest.mark.parametrize("leak", [False, True])
async def test_no_credential_is_in_the_store_and_a_leak_would_be_found(
    server: RudeServer, tmp_path: Path, leak: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)  # the libraries' own loggers too
    granted = {"access_token": f"{CANARY}-token", "expires_in": 1}
    server.on("/token", answer(200, json.dumps(granted).encode()))
    cookie, link = f"Set-Cookie: a={CANARY}-cookie", f"</fine?apikey={CANARY}-key&page=2>; rel=next"
    server.on("/fine", answer(200, b"[]", cookie, f"Link: {link}"))
    server.on("/missing", answer(404, b"", cookie))
    server.on("/broken", reset)
    server.on("/busy", answer(503, b"", "Retry-After: 0", cookie))
    server.on("/jobs", answer(202, b"", f"Operation-Location: /status?apikey={CANARY}-key"))
    server.on("/status", answer(200, b'{"status": "Succeeded"}'))
    origin = f"http://127.0.0.1:{server.port}"
    connection = HttpConnection(
        name="all",
        base_url=origin,
        username="ann",
        password=Secret(f"{CANARY}-password"),
        api_key=Secret(f"{CANARY}-key"),
        api_key_query="apikey",
        token_url=f"{origin}/token",
        client_id="worker",
        client_secret=Secret(f"{CANARY}-client"),
        allow_private=True,
    )
    service = connect(f"sqlite:///{tmp_path / 'hub.db'}")
    options = {"path": str(tmp_path / "file"), "leak": leak}
    async with (
        TaskHubWorker(service, registry=registry, connections=[connection]),
        TaskHubClient(service) as client,
    ):
        handle = await client.start(everything, options)
        seen = await handle.result(timeout=30)
        stored = b"".join(path.read_bytes() for path in tmp_path.glob("hub.db*") if path.is_file())
    stored += b"".join(path.read_bytes() for path in tmp_path.glob("hub.db*") if path.is_file())
    assert seen[1] == "connectors.core.NotFound"
    assert any(f"{CANARY}-key" in got.target for got in server.received)
    assert b"http.request" in stored
    assert (CANARY.encode() in stored) == leak
    assert {"httpx", "httpcore.http11"} <= {record.name for record in caplog.records}
    assert CANARY not in caplog.text
