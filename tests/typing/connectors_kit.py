"""The kit that connectors are built on: what its users, and authors of connectors, see."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, assert_type

import msgspec

from connectors.core import (
    DEFAULT_RETRY,
    Connection,
    Declaration,
    Effect,
    FileTokenStore,
    Mutation,
    NotFound,
    Secret,
    Throttled,
    Tokens,
    TokenStore,
    blips,
    call_key,
    client_of,
    declaration_of,
    declare,
    refreshed,
    refreshed_async,
    resolve,
    using,
)
from connectors.core.testing import Finding, Leak, Run, Sample, check_connector, delivered, planted, secret_scan
from connectors.core.webhooks import (
    Incoming,
    Links,
    RaiseEvent,
    Received,
    Reply,
    Webhook,
    WebhookApp,
    WebhookConnection,
    running,
    serve,
    signed_body,
)
from dtf_runtime import Call, ConnectorInfo, OrchestrationContext, TaskHubClient, activity, orchestration


@dataclass(frozen=True, kw_only=True)
class ShopConnection(Connection):
    connector: ClassVar[str] = "shop"
    token: Secret | None = field(default=None, metadata={"help": "its key"})


class Buy(msgspec.Struct, frozen=True, kw_only=True):
    item: str
    connection: str = "default"


class Bought(Mutation, frozen=True, kw_only=True):
    key: str


class Client:
    def buy(self, item: str, key: str) -> str:
        return item + key


def make(connection: ShopConnection) -> Client:
    return Client()


@declare(Effect.TOKEN, "ClientToken", permissions=("shop:Buy",))
@activity(name="shop.buy", retry=DEFAULT_RETRY)
def buy(call: Buy) -> Bought:
    connection = resolve(ShopConnection, call.connection)
    assert_type(connection, ShopConnection)
    client = client_of(connection, make, "eu")
    assert_type(client, Client)
    key = call_key(call, attempt="zone b", length=64)
    assert_type(key, str)
    assert_type(blips(client.buy, call.item, key), str)
    return Bought(key=key)


assert_type(declaration_of(buy), Declaration | None)


@orchestration
async def shop(ctx: OrchestrationContext, item: str) -> str:
    assert_type(buy(Buy(item=item)), Call[Bought])
    bought = await buy(Buy(item=item))
    assert_type(bought, Bought)
    received = await ctx.wait_for_event("answer", Received)
    assert_type(received.json(), Any)
    return bought.request_id if bought.replayed else received.text


def errors() -> None:
    raise Throttled("slow down", code="429", status=429, retry_after=3.0, request_id="r-1", zone="a")


def caught(error: NotFound) -> None:
    assert_type(error.code, str)
    assert_type(error.status, int | None)
    assert_type(error.retry_after, float | None)
    assert_type(error.failure_properties(), dict[str, Any])


async def tokens(store: TokenStore, renew: Callable[[Tokens], Tokens]) -> None:
    async def renew_later(old: Tokens) -> Tokens:
        return renew(old)

    def now() -> datetime:
        return datetime.now(UTC)

    assert_type(refreshed(store, "shop", renew, now), Tokens)
    assert_type(await refreshed_async(store, "shop", renew_later, now, force=Secret("old")), Tokens)
    refreshed(FileTokenStore(Path("tokens")), "shop", renew, now)


def to_event(request: Incoming) -> RaiseEvent | Reply | None:
    assert_type(request.param("a"), str)
    return RaiseEvent(instance_id="order-7", name="paid", payload={"amount": 7}, delivery_id=request.header("x-id"))


async def later(request: Incoming) -> RaiseEvent:
    return RaiseEvent(instance_id="order-7", name="paid")


async def webhooks(client: TaskHubClient) -> None:
    links = Links.of(resolve(WebhookConnection))
    assert_type(links.make("order-7", "approved", once="q", expires_in=60, payload="yes"), str)
    routes = [
        Webhook(path="/shop", verify=signed_body(Secret("key"), header="X-Signature"), to_event=to_event),
        Webhook(path="/later", verify=None, to_event=later),
    ]
    app = WebhookApp(client, routes, links=links, inbox=Path("inbox.db"))
    assert_type(app.add(), WebhookApp)
    async with running(app, port=8080) as url:
        assert_type(url, str)
    await serve(WebhookApp("sqlite:///orders.db"))


async def checks(info: ConnectorInfo) -> None:
    await check_connector(info, samples=[Sample(activity=buy, call=Buy(item="a"), made=lambda: 1)])
    assert_type(await delivered(buy, Buy(item="a"), times=3), list[Any])

    async def exercise(run: Run) -> None:
        run.note(ValueError("x"))

    with using(ShopConnection()):
        assert_type(await secret_scan(planted(ShopConnection), exercise), list[Leak])
    assert_type(Finding("a", "b").what, str)
