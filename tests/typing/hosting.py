"""Services, workers, clients, handles, `run` and the testing tools."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, assert_type

from dtf_runtime import (
    Clock,
    ConnectorInfo,
    FailureDetails,
    HistoryEvent,
    InstanceState,
    NonDeterminismPolicy,
    OrchestrationFailedError,
    OrchestrationHandle,
    OrchestrationQuery,
    OrchestrationService,
    OrchestrationStatus,
    PurgeResult,
    Registry,
    TaskHubClient,
    TaskHubWorker,
    VersionPolicy,
    WorkerOptions,
    connect,
    default_registry,
    run,
)
from dtf_runtime.testing import ProviderConformance, TestHub, replay

from .shop import Order, Receipt, charge, checkout, nightly, price, registry

service = connect("sqlite:///orders.db", synchronous="normal")
assert_type(service, OrchestrationService)
assert_type(default_registry, Registry)

options = WorkerOptions(
    max_concurrent_activities=10,
    max_cached_orchestrations=100,
    lock_duration=timedelta(seconds=30),
    shutdown_grace=1,
    max_delivery_count=3,
    non_determinism=NonDeterminismPolicy.FAIL,
    versions=VersionPolicy.CURRENT_OR_OLDER,
    blocked_after=0.5,
    max_steps_per_turn=1_000,
)
connector = ConnectorInfo(name="shop", version="1", activities=(charge, price), orchestrations=(checkout, nightly))


async def one_line() -> None:
    assert_type(await run(nightly), int)
    assert_type(await run(checkout, Order("1", 2)), Receipt)
    assert_type(await run(checkout.options(version="2"), Order("1", 2), service="memory://"), Receipt)
    assert_type(await run(nightly, service=service, instance_id="n", registry=registry, options=options), int)


async def worker_and_client() -> None:
    async with TaskHubWorker(service, options=options) as worker, TaskHubClient(service) as client:
        assert_type(worker, TaskHubWorker)
        assert_type(client, TaskHubClient)
        handle = await client.start(checkout, Order("1", 2), instance_id="order-7")
        assert_type(handle, OrchestrationHandle[Receipt])
        assert_type(await handle.result(), Receipt)
        assert_type(await handle.result(timedelta(seconds=5)), Receipt)
        assert_type(await handle.wait(timeout=5), InstanceState)
        assert_type(await handle.state(), InstanceState)
        assert_type(handle.instance_id, str)
    assert_type(TaskHubWorker("sqlite:///x.db", registry=registry).add_connector("http", "shop"), TaskHubWorker)
    await TaskHubWorker(service, connections=[object()]).run()


async def starts(client: TaskHubClient, when: datetime) -> None:
    assert_type(await client.start(nightly), OrchestrationHandle[int])
    assert_type(
        await client.start(
            checkout,
            Order("1", 2),
            version="2",
            tags={"a": "b"},
            start_at=when,
            reuse={OrchestrationStatus.COMPLETED, OrchestrationStatus.FAILED},
        ),
        OrchestrationHandle[Receipt],
    )
    assert_type(await client.start(nightly.options(version="1")), OrchestrationHandle[int])
    assert_type(await client.start("shop.nightly"), OrchestrationHandle[Any])
    assert_type(await client.start("shop.checkout", {"id": "1"}, instance_id="a"), OrchestrationHandle[Any])


async def handles(client: TaskHubClient) -> None:
    assert_type(client.handle("a"), OrchestrationHandle[Any])
    assert_type(client.handle("a", Receipt), OrchestrationHandle[Receipt])
    either: Receipt | None = await client.handle("a", Receipt | None).result()
    print(either)
    try:
        await client.handle("a").result()
    except OrchestrationFailedError as error:
        assert_type(error.failure, FailureDetails)


async def questions(client: TaskHubClient) -> None:
    assert_type(await client.get_state("a"), InstanceState | None)
    assert_type(await client.get_state("a", "execution"), InstanceState | None)
    history = await client.get_history("a")
    assert_type(history, list[HistoryEvent])
    assert_type(history[0].kind, str)
    assert_type(history[0].event_id, int)
    assert_type(history[0].timestamp, datetime)
    query = OrchestrationQuery(
        statuses=[OrchestrationStatus.RUNNING],
        name="shop.checkout",
        instance_id_prefix="order-",
        created_after=datetime(2026, 1, 1, tzinfo=UTC),
        tags={"team": "shop"},
        limit=10,
        newest_first=False,
    )
    assert_type(client.query(query), AsyncIterator[InstanceState])
    async for state in client.query():
        assert_type(state.status, OrchestrationStatus)
        assert_type(state.failure, FailureDetails | None)
        assert_type(state.completed_at, datetime | None)
        assert_type(state.output, Any)
    assert_type(await client.count(), dict[OrchestrationStatus, int])
    assert_type(await client.count(query), dict[OrchestrationStatus, int])


async def controls(client: TaskHubClient) -> None:
    await client.raise_event("a", "approved")
    await client.raise_event("a", "approved", Order("1", 2))
    await client.terminate("a", "gone", recursive=True)
    await client.cancel("a", "changed my mind")
    await client.suspend("a")
    await client.resume("a", reason="back")
    await client.rewind("a")
    assert_type(await client.restart("a"), OrchestrationHandle[Any])
    assert_type(await client.restart("a", new_id=True), OrchestrationHandle[Any])
    purged = await client.purge(OrchestrationQuery(), recursive=True)
    assert_type(purged, PurgeResult)
    assert_type(purged.deleted, int)
    assert_type(purged.is_complete, bool)
    assert_type(await client.purge("a"), PurgeResult)


def fake_charge(order: Order) -> Receipt:
    return Receipt(order.id)


def fake_refund(receipt_id: str) -> None: ...


async def a_test_of_a_users_own(history: list[HistoryEvent]) -> None:
    async with TestHub(
        activities={charge: fake_charge, "shop.refund": fake_refund},
        registry=registry,
        start_time=datetime(2026, 1, 1, tzinfo=UTC),
        auto_advance=False,
    ) as hub:
        assert_type(hub.client, TaskHubClient)
        assert_type(hub.clock, Clock)
        assert_type(hub.now(), datetime)
        await hub.advance(timedelta(days=30))
        await hub.advance(5)
        handle = await hub.client.start(checkout, Order("1", 2))
        assert_type(await handle.result(), Receipt)
    replay(checkout, history)
    replay(nightly, "history.json")
    replay(nightly, Path("history.json"))


def make_service(clock: Clock) -> OrchestrationService:
    assert_type(clock.now(), datetime)
    assert_type(clock.monotonic(), float)
    with clock.hold():
        return connect("memory://")


async def a_providers_own_tests() -> None:
    conformance = ProviderConformance(make_service)
    assert_type(conformance.checks(), tuple[str, ...])
    await conformance.run()
    await conformance.run("a_turn_is_all_or_nothing", "timers_fire_once")
