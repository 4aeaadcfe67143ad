"""The client refuses wrong arguments by name before anything is stored, and names the instance in every error."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from dtf_runtime import (
    InstanceNotFoundError,
    InvalidArgumentError,
    InvalidStateError,
    OrchestrationContext,
    OrchestrationQuery,
    OrchestrationStatus,
    Registry,
    SerializationError,
    TaskHubClient,
    activity,
    connect,
    orchestration,
)

registry = Registry()


@orchestration(name="flow", version="2", registry=registry)
async def flow(ctx: OrchestrationContext, order: int) -> int:
    return order


@orchestration(name="idle", registry=registry)
async def idle(ctx: OrchestrationContext) -> None: ...


@activity(name="step", registry=registry)
async def step() -> None: ...


async def undecorated(ctx: OrchestrationContext) -> None: ...


@pytest.fixture
async def client() -> AsyncIterator[TaskHubClient]:
    async with TaskHubClient(connect("memory://")) as entered:
        yield entered
        assert await entered.count() == {}, "a refused call stored something"


# == What is stored ===============================================================================================


async def test_a_start_takes_name_version_tags_and_id_from_its_definition_and_the_call_wins() -> None:
    async with TaskHubClient("memory://") as client:
        own = flow.options(instance_id="own", tags={"a": "1", "b": "1"})
        await client.start(own, 1)
        await client.start(own, 2, instance_id="other", version="3", tags={"b": "2"})
        first, second = await client.get_state("own"), await client.get_state("other")
        assert first is not None and second is not None
        assert (first.name, first.version, first.input, dict(first.tags)) == ("flow", "2", 1, {"a": "1", "b": "1"})
        assert (second.name, second.version, second.input, dict(second.tags)) == ("flow", "3", 2, {"a": "1", "b": "2"})


async def test_ids_that_are_not_given_are_new_each_time() -> None:
    async with TaskHubClient("memory://") as client:
        assert len({(await client.start(idle)).instance_id for _ in range(5)}) == 5


async def test_an_instant_in_another_zone_is_kept_as_the_same_instant() -> None:
    async with TaskHubClient("memory://") as client:
        later = datetime(2090, 1, 1, tzinfo=UTC)
        handle = await client.start(idle, start_at=later.astimezone())
        assert (await handle.state()).scheduled_at == later


# == What is refused ==============================================================================================


@pytest.mark.parametrize("what", [step, undecorated, None, 5, object()])
async def test_only_an_orchestration_or_its_name_is_started(client: TaskHubClient, what: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="@orchestration"):
        await client.start(what)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("instance_id", ""),
        ("instance_id", "x" * 501),
        ("instance_id", "a\nb"),
        ("instance_id", 5),
        ("version", 2),
        ("version", "x" * 201),
        ("tags", {"a": 1}),
        ("tags", "a=b"),
        ("start_at", datetime(2026, 1, 1)),
        ("start_at", "tomorrow"),
        ("reuse", "completed"),
        ("reuse", ["done"]),
        ("reuse", OrchestrationStatus.COMPLETED),
        ("reuse", 5),
    ],
)
async def test_a_wrong_argument_of_start_is_named(client: TaskHubClient, name: str, value: Any) -> None:
    with pytest.raises(InvalidArgumentError, match=name):
        await client.start(idle, **{name: value})


async def test_an_input_that_the_orchestration_does_not_take_is_refused(client: TaskHubClient) -> None:
    unchecked: Any = client
    with pytest.raises(InvalidArgumentError, match="flow"):
        await unchecked.start(flow)
    with pytest.raises(InvalidArgumentError, match="idle"):
        await unchecked.start(idle, 1)
    with pytest.raises(SerializationError, match="'flow'"):
        await unchecked.start(flow, float("nan"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("statuses", "running"),
        ("statuses", ["live"]),
        ("name", 5),
        ("created_after", datetime(2026, 1, 1)),
        ("completed_before", "yesterday"),
        ("tags", {"a": None}),
        ("page_size", 0),
        ("limit", 0),
        ("limit", 1.5),
    ],
)
async def test_a_wrong_field_of_a_query_is_named_by_whatever_takes_queries(
    client: TaskHubClient, field: str, value: Any
) -> None:
    query = OrchestrationQuery(**{field: value})
    with pytest.raises(InvalidArgumentError, match=field):
        client.query(query)
    with pytest.raises(InvalidArgumentError, match=field):
        await client.count(query)
    with pytest.raises(InvalidArgumentError, match=field):
        await client.purge(query)


@pytest.mark.parametrize("query", [None, "running", {"name": "x"}])
async def test_a_query_is_a_query(client: TaskHubClient, query: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="OrchestrationQuery"):
        client.query(query)


async def test_every_call_that_names_an_unknown_instance_says_which(client: TaskHubClient) -> None:
    handle = client.handle("nobody")
    for call in (
        handle.result(),
        handle.wait(),
        handle.state(),
        client.get_history("nobody"),
        client.raise_event("nobody", "go"),
        client.terminate("nobody"),
        client.cancel("nobody"),
        client.suspend("nobody"),
        client.resume("nobody"),
        client.rewind("nobody"),
        client.restart("nobody"),
        client.purge("nobody"),
    ):
        with pytest.raises(InstanceNotFoundError, match="'nobody'"):
            await call
    assert await client.get_state("nobody") is None


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    client = TaskHubClient("memory://")
    for call in (client.start(idle), client.get_state("a"), client.count(), client.terminate("a")):
        with pytest.raises(InvalidStateError, match="async with TaskHubClient"):
            await call
    with pytest.raises(InvalidStateError, match="async with TaskHubClient"):
        client.query()


async def test_a_wrong_timeout_is_refused(client: TaskHubClient) -> None:
    for timeout in (-1, float("nan"), "3"):
        unchecked: Any = timeout
        with pytest.raises(InvalidArgumentError, match="timeout"):
            await client.handle("a").result(unchecked)


async def test_a_limit_holds_over_all_pages() -> None:
    async with TaskHubClient("memory://") as client:
        for n in range(10):
            await client.start(idle, instance_id=f"i{n}")
        found = [state async for state in client.query(OrchestrationQuery(page_size=3, limit=7))]
        assert len({state.instance_id for state in found}) == 7
        assert len([state async for state in client.query(OrchestrationQuery(page_size=3))]) == 10


async def test_what_is_not_finished_is_neither_restarted_nor_rewound() -> None:
    async with TaskHubClient("memory://") as client:
        await client.start(idle, instance_id="pending one")
        with pytest.raises(InvalidStateError, match="'pending one' can't be restarted: it is pending"):
            await client.restart("pending one")
        with pytest.raises(InvalidStateError, match="'pending one' can't be rewound: it is pending"):
            await client.rewind("pending one")
        another = await client.restart("pending one", new_id=True)
        assert another.instance_id != "pending one"


async def test_waiting_too_long_names_the_instance() -> None:
    async with TaskHubClient("memory://") as client:
        handle = await client.start(idle, instance_id="the slow one")
        with pytest.raises(TimeoutError, match=r"'the slow one' has not finished within 0\.01 s"):
            await handle.result(0.01)
