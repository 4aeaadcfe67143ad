"""`run`: a whole task hub in one call, and an id that exists is taken up where it stands."""

from pathlib import Path
from typing import Any

import pytest

from dtf_runtime import (
    DefinitionNotFoundError,
    InvalidArgumentError,
    OrchestrationAlreadyExistsError,
    OrchestrationContext,
    OrchestrationFailedError,
    Registry,
    TaskHubClient,
    connect,
    orchestration,
    run,
)


async def test_code_that_the_registry_lacks_is_an_error_before_anything_is_stored(tmp_path: Path) -> None:
    @orchestration(registry=Registry())
    async def flow(ctx: OrchestrationContext) -> None: ...

    url = f"sqlite:///{tmp_path}/hub.db"
    with pytest.raises(DefinitionNotFoundError, match="flow"):
        await run(flow, service=url, registry=Registry())
    assert list(tmp_path.iterdir()) == []


async def test_what_is_no_orchestration_is_refused() -> None:
    wrong: Any = len
    with pytest.raises(InvalidArgumentError, match="@orchestration"):
        await run(wrong, service="memory://")


async def test_a_failed_instance_that_is_taken_up_raises_its_failure_again(tmp_path: Path) -> None:
    ran: list[int] = []
    registry = Registry()

    @orchestration(registry=registry)
    async def flow(ctx: OrchestrationContext) -> None:
        ran.append(1)
        raise ValueError("broken")

    for _ in range(2):
        with pytest.raises(OrchestrationFailedError, match=r"'once'.*broken"):
            await run(flow, service=f"sqlite:///{tmp_path}/hub.db", instance_id="once", registry=registry)
    assert ran == [1]


async def test_an_instance_that_was_only_started_is_run_and_its_result_is_typed() -> None:
    registry = Registry()

    @orchestration(registry=registry)
    async def pair(ctx: OrchestrationContext, n: int) -> tuple[int, int]:
        return n, n

    service = connect("memory://")
    async with TaskHubClient(service) as client:
        await client.start(pair, 1, instance_id="mine")
        assert await run(pair, 2, service=service, instance_id="mine", registry=registry) == (1, 1)


async def test_an_id_of_another_orchestration_is_taken() -> None:
    registry = Registry()

    @orchestration(registry=registry)
    async def one(ctx: OrchestrationContext) -> None: ...

    @orchestration(registry=registry)
    async def other(ctx: OrchestrationContext) -> None: ...

    service = connect("memory://")
    async with TaskHubClient(service) as client:
        await client.start(one, instance_id="mine")
        with pytest.raises(OrchestrationAlreadyExistsError, match="'mine'"):
            await run(other, service=service, instance_id="mine", registry=registry)
