"""Connections by name: who is asked first, what the environment may say, and what a missing one tells."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from connectors.core import ConnectionMissing, Secret, client_of, forget_clients, resolve, using
from connectors.core.connections import variable
from dtf_runtime import OrchestrationContext, Registry, TaskHubClient, TaskHubWorker, activity, connect, orchestration
from tests.connectors.core.samples import ChainedConnection, ShopConnection

GIVEN = ShopConnection(url="given")


@activity(registry=Registry())
def shop_url(name: str) -> str:
    return resolve(ShopConnection, name).url


@orchestration(registry=Registry())
async def ask_for(ctx: OrchestrationContext, name: str) -> str:
    return await shop_url(name)


async def in_worker(name: str, *connections: object) -> str:
    service = connect("memory://")
    worker = TaskHubWorker(service, registry=Registry(shop_url, ask_for), connections=connections)
    async with worker, TaskHubClient(service) as client:
        handle = await client.start(ask_for, name)
        return await handle.result(10)


async def test_a_worker_resolves_the_connections_that_it_was_given_by_name() -> None:
    others = (GIVEN, ShopConnection(name="second", url="other"), ChainedConnection())
    assert await in_worker("default", *others) == "given"
    assert await in_worker("second", *others) == "other"


async def test_what_the_worker_was_given_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTF_CONNECTION_SHOP_DEFAULT_URL", "environment")
    assert await in_worker("default", GIVEN) == "given"
    assert await in_worker("default") == "environment"


def test_what_this_context_was_given_goes_before_everything_and_ends_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTF_CONNECTION_SHOP_DEFAULT_URL", "environment")
    with using(ShopConnection(url="outer"), ShopConnection(name="b", url="outer b")):
        with using(ShopConnection(url="inner")):
            assert resolve(ShopConnection).url == "inner"
            assert resolve(ShopConnection, "b").url == "outer b"
        assert resolve(ShopConnection).url == "outer"
    assert resolve(ShopConnection).url == "environment"


async def test_what_a_context_was_given_reaches_the_threads_of_its_calls() -> None:
    with using(GIVEN):
        assert await shop_url("default") == "given"
        assert await asyncio.to_thread(lambda: resolve(ShopConnection).url) == "given"


def test_every_kind_of_field_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = {"URL": "u", "TOKEN": "s3cret-token", "RETRIES": "7", "PATIENCE": "0.5", "VERIFY": "off"}
    texts |= {"CA_FILE": "/ca.pem", "HOSTS": "a, b,,c", "MODE": "test"}
    for field, text in texts.items():
        monkeypatch.setenv(f"DTF_CONNECTION_SHOP_NEAR_BY_{field}", text)
    assert resolve(ShopConnection, "near-by") == ShopConnection(
        name="near-by",
        url="u",
        token=Secret("s3cret-token"),
        retries=7,
        patience=0.5,
        verify=False,
        ca_file=Path("/ca.pem"),
        hosts=("a", "b", "c"),
        mode="test",
    )


@pytest.mark.parametrize(
    ("field", "text", "told"),
    [
        ("RETRIES", "many-secrets", "it must be a int"),
        ("VERIFY", "perhaps", "write true or false"),
        ("MODE", "dead", "write one of live, test"),
        ("HOOK", "os.system", "can't come from the environment"),
    ],
)
def test_a_value_that_can_not_be_read_names_its_variable_and_never_itself(
    monkeypatch: pytest.MonkeyPatch, field: str, text: str, told: str
) -> None:
    monkeypatch.setenv(f"DTF_CONNECTION_SHOP_DEFAULT_{field}", text)
    with pytest.raises(ConnectionMissing, match=told) as caught:
        resolve(ShopConnection)
    assert f"DTF_CONNECTION_SHOP_DEFAULT_{field}" in str(caught.value)
    assert text not in str(caught.value)


def test_a_changed_variable_is_seen_at_the_next_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DTF_CONNECTION_SHOP_DEFAULT_TOKEN", "first-token")
    first = resolve(ShopConnection)
    assert resolve(ShopConnection) is first, "an unchanged environment gives the same connection, at no cost"
    monkeypatch.setenv("DTF_CONNECTION_SHOP_DEFAULT_TOKEN", "second-token")
    assert resolve(ShopConnection).token == Secret("second-token")
    monkeypatch.delenv("DTF_CONNECTION_SHOP_DEFAULT_TOKEN")
    with pytest.raises(ConnectionMissing):
        resolve(ShopConnection)


def test_the_chain_of_the_connector_comes_last(monkeypatch: pytest.MonkeyPatch) -> None:
    assert resolve(ChainedConnection, "work").profile == "profile of work"
    monkeypatch.setenv("DTF_CONNECTION_CHAINED_WORK_PROFILE", "set")
    assert resolve(ChainedConnection, "work").profile == "set"


def test_a_missing_connection_says_what_there_is_and_what_to_set() -> None:
    with using(ShopConnection(name="a"), ChainedConnection(name="c")), pytest.raises(ConnectionMissing) as caught:
        resolve(ShopConnection, "b")
    said = str(caught.value)
    assert "no shop connection 'b' (it was given: 'a')" in said
    assert "connections=[ShopConnection(name='b', ...)]" in said
    assert variable(ShopConnection, "b", "url") == "DTF_CONNECTION_SHOP_B_URL"
    assert "DTF_CONNECTION_SHOP_B_URL" in said
    with pytest.raises(ConnectionMissing):
        resolve(ChainedConnection, "unknown")


def test_equal_connections_share_a_client_and_others_do_not() -> None:
    made: list[ShopConnection] = []

    def make(connection: ShopConnection) -> object:
        made.append(connection)
        return object()

    one = ShopConnection(url="x", token=Secret("secret-one"))
    first = client_of(one, make, "s3")
    assert client_of(replace(one), make, "s3") is first
    assert client_of(one, make, "ec2") is not first
    assert client_of(replace(one, token=Secret("secret-two")), make, "s3") is not first
    assert len(made) == 3
    forget_clients()
    assert client_of(one, make, "s3") is not first


async def test_a_client_is_made_once_however_many_threads_ask_at_once() -> None:
    made = []
    gate = asyncio.Barrier(8)

    def make(connection: ShopConnection) -> object:
        made.append(connection)
        return object()

    async def ask() -> object:
        await gate.wait()
        return await asyncio.to_thread(client_of, ShopConnection(url="busy"), make)

    clients = await asyncio.gather(*(ask() for _ in range(8)))
    assert len(set(map(id, clients))) == 1
    assert len(made) == 1


def test_a_client_that_could_not_be_made_is_made_at_the_next_call() -> None:
    tries = iter(range(2))

    def make(connection: ShopConnection) -> str:
        if next(tries) == 0:
            raise OSError("not now")
        return "client"

    with pytest.raises(OSError, match="not now"):
        client_of(ShopConnection(url="shaky"), make)
    assert client_of(ShopConnection(url="shaky"), make) == "client"
