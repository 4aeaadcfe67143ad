"""Every connector here passes the check that third parties' are held to."""

import asyncio
import importlib
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.aws import AwsConnection, ec2
from connectors.aws.testing import AwsServer
from connectors.core import ConnectorError, Effect, Secret, declaration_of, using
from connectors.core.loopback import Loopback, Received, Reply
from connectors.core.testing import (
    Run,
    Sample,
    check_connector,
    check_imports,
    error_table,
    planted,
    secret_scan,
    static_findings,
)
from connectors.core.testing.error_tables import table_findings
from connectors.core.webhooks import WebhookConnection
from connectors.http import (
    CALLBACK_URL,
    CONNECTOR,
    ByLink,
    Download,
    FetchPage,
    HttpConnection,
    HttpRequest,
    RequestWithCallback,
    Upload,
    download,
    fetch_page,
    request,
    request_with_callback,
    upload,
)
from dtf_runtime import (
    ConnectorInfo,
    OrchestrationContext,
    OrchestrationFailedError,
    Registry,
    RetryPolicy,
    TaskHubClient,
    TaskHubWorker,
    connect,
    orchestration,
)
from tests.connectors.aws.samples import PUBLIC_KEY
from tests.connectors.aws.samples import SAMPLES as AWS_SAMPLES
from tests.connectors.aws.samples import Sample as AwsSample

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
NAMES = sorted(ENTRY_POINTS["dtf.connectors"])


def info_of(name: str) -> ConnectorInfo:
    module, _, attribute = ENTRY_POINTS["dtf.connectors"][name].partition(":")
    found = getattr(importlib.import_module(module), attribute)
    assert isinstance(found, ConnectorInfo) and found.name == name
    return found


@pytest.mark.parametrize("name", NAMES)
def test_what_it_says_of_itself_is_in_order(name: str) -> None:
    assert [str(finding) for finding in static_findings(info_of(name))] == []


@pytest.mark.parametrize("name", NAMES)
def test_importing_it_loads_no_sdk(name: str) -> None:
    assert check_imports(f"connectors.{name}") == []


@pytest.mark.parametrize("name", NAMES)
def test_its_table_of_errors_does_not_contradict_itself(name: str) -> None:
    package = importlib.import_module(f"connectors.{name}")
    own = {
        key: each for key, each in vars(package).items() if isinstance(each, type) and issubclass(each, ConnectorError)
    }
    rows = error_table(ROOT / "connectors" / name / "README.md")
    assert [str(finding) for finding in table_findings(rows, own)] == []


# == HTTP =========================================================================================================


class Shelf(Loopback):
    """Keeps what is put there, and makes one thing for each key that is posted."""

    def __init__(self) -> None:
        super().__init__()
        self.made: dict[str, bytes] = {}
        self.files: dict[str, bytes] = {}

    def answer(self, got: Received) -> Reply:
        if got.method == "POST":
            known = got.headers["idempotency-key"] in self.made
            self.made.setdefault(got.headers["idempotency-key"], got.body)
            return Reply(status=201, body={}, headers={"idempotent-replayed": str(known).lower()})
        if got.method == "PUT":
            self.files[got.path] = got.body
            return Reply(status=201)
        return Reply(body=self.files.get(got.path, b"[1, 2]"))


def test_http_delivered_twice_happens_once(tmp_path: Path) -> None:
    (tmp_path / "out.bin").write_bytes(b"content" * 1000)
    fetched = tmp_path / "in.bin"
    with Shelf() as shelf:
        connections = [
            HttpConnection(base_url=shelf.url, allow_private=True),
            WebhookConnection(base_url="https://hooks.example.com", signing_key=Secret("k" * 32)),
        ]
        order = HttpRequest(url="/orders", method="POST", json={"a": 1})
        told = HttpRequest(url="/jobs", method="POST", json={"tell": CALLBACK_URL})
        ends = shelf.clock.now()
        call = RequestWithCallback(request=told, instance_id="i", event="e", ends=ends)
        samples = [
            Sample(activity=request, call=order, made=lambda: len(shelf.made)),
            Sample(activity=request_with_callback, call=call, made=lambda: len(shelf.made)),
            Sample(activity=fetch_page, call=FetchPage(request=HttpRequest(url="/list"), by=ByLink())),
            Sample(
                activity=download, call=Download(url="/file", path=str(fetched)), made=lambda: int(fetched.exists())
            ),
            Sample(
                activity=upload,
                call=Upload(url="/shelf/1", path=str(tmp_path / "out.bin")),
                made=lambda: len(shelf.files),
            ),
        ]
        asyncio.run(check_connector(CONNECTOR, samples=samples, connections=connections))


async def scan_http(*, leak: bool) -> list[str]:
    """Every credential there is, sent, refused and broken off; what is found of it."""
    registry = Registry(request)

    @orchestration(name="tests.conformance.call", registry=registry)
    async def call(ctx: OrchestrationContext, asked: HttpRequest) -> object:
        once = request.options(retry=RetryPolicy(max_attempts=2, first_interval=0.01))
        return (await once(asked)).headers

    class Echo(Loopback):
        def answer(self, got: Received) -> Reply:
            if got.path == "/token":
                return Reply(body={"access_token": granted, "expires_in": 3600})
            heard.append(got)
            headers = {"x-you": got.headers.get("authorization", "")} if leak else {}
            return Reply(status=503 if got.path == "/busy" else 200, headers=headers)

    heard: list[Received] = []
    with Echo() as echo:
        here: dict[str, Any] = {"base_url": echo.url, "allow_private": True}
        proxy = "http://user:{canary}@127.0.0.1:9"
        bearer = planted(HttpConnection, **here, name="bearer", proxy=proxy)
        granted = bearer.canaries["bearer_token"]  # the token that OAuth2 fetches is a secret too
        basic = planted(HttpConnection, **here, username="me", proxy=proxy, bearer_token=None)
        query = planted(HttpConnection, **here, name="query", api_key_query="key", proxy=proxy)
        oauth = planted(
            HttpConnection,
            **here,
            name="oauth",
            token_url=f"{echo.url}/token",
            client_id="me",
            proxy=proxy,
            bearer_token=None,
        )

        async def exercise(run: Run) -> None:
            service = connect(run.hub)
            worker = TaskHubWorker(service, registry=registry, connections=run.connections)
            async with worker, TaskHubClient(service) as client:
                for name in ("bearer", "default", "query", "oauth"):
                    for path in ("/fine", "/busy", "/broken"):
                        echo.cut("lose", path="/broken", times=2)
                        asked = HttpRequest(url=path, connection=name)
                        handle = await client.start(call, asked)
                        try:
                            await handle.result(20)
                        except OrchestrationFailedError as error:
                            run.note(error)

        leaks = await secret_scan([bearer, basic, query, oauth], exercise)
        assert {"authorization", "x-api-key"} <= {name for got in heard for name in got.headers}
        assert any("key" in got.query for got in heard), "the credentials were really sent"
        return [str(leak) for leak in leaks]


async def test_no_credential_of_http_is_left_anywhere() -> None:
    assert await scan_http(leak=False) == []


@pytest.mark.parametrize(
    "proxy", ["{canary}", "user:{canary}@127.0.0.1:9", "gopher://{canary}@127.0.0.1", "http://[{canary}"]
)
async def test_a_proxy_that_is_no_address_is_not_quoted(proxy: str) -> None:
    plant = planted(HttpConnection, base_url="http://127.0.0.1:9", proxy=proxy, allow_private=True, api_key_query="key")

    async def exercise(run: Run) -> None:
        with using(*run.connections):
            with pytest.raises(ConnectorError) as caught:
                await request(HttpRequest(url="http://127.0.0.1:9/x"))
            run.note(caught.value)

    assert await secret_scan(plant, exercise) == []


async def test_a_server_that_repeats_a_credential_would_be_found() -> None:
    assert any("bearer_token" in leak and "database" in leak for leak in await scan_http(leak=True))


# == AWS ==========================================================================================================


_MAKING = (Effect.TOKEN, Effect.LOOKUP)


def effect_of(sample: AwsSample) -> Effect | None:
    declaration = declaration_of(sample.activity)
    return declaration.effect if declaration else None


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.mark.parametrize("sample", [each for each in AWS_SAMPLES if effect_of(each) in _MAKING], ids=str)
def test_aws_delivered_twice_happens_once(aws: AwsServer, sample: AwsSample) -> None:
    checked = Sample(
        activity=sample.activity,
        made=lambda: aws.count(sample.operation),
        prepare=lambda: fresh(aws, sample.prepare),
        afresh=False,  # many of them name what they make
    )
    info = ConnectorInfo(name="aws", version="1", activities=(sample.activity,))
    with using(aws.connection()):
        asyncio.run(check_connector(info, samples=[checked], connections=[aws.connection()]))


def fresh(aws: AwsServer, prepare: Any) -> Any:
    aws.reset()
    return prepare(aws)


async def test_no_credential_of_aws_is_left_anywhere(aws: AwsServer) -> None:
    aws.reset()
    registry = Registry(ec2.describe_instances, ec2.import_key_pair)

    @orchestration(name="tests.conformance.aws", registry=registry)
    async def call(ctx: OrchestrationContext, key: str) -> int:
        await ec2.import_key_pair(ec2.ImportKeyPair(name=f"k-{ctx.instance_id}", public_key=key))
        return len((await ec2.describe_instances(ec2.DescribeInstances())).instances)

    good = aws.connection()
    plant = planted(AwsConnection, endpoint_url=good.endpoint_url, region=good.region, proxy_url=None, external_id=None)

    async def exercise(run: Run) -> None:
        service = connect(run.hub)
        worker = TaskHubWorker(service, registry=registry, connections=run.connections)
        async with worker, TaskHubClient(service) as client:
            for key in (PUBLIC_KEY, f"{PUBLIC_KEY} again"):
                try:
                    await (await client.start(call, key)).result(30)
                except OrchestrationFailedError as error:
                    run.note(error)

    assert [str(leak) for leak in await secret_scan(plant, exercise)] == []
    assert set(plant.canaries) == {"access_key_id", "secret_access_key", "session_token"}
