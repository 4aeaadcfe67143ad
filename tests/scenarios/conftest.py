"""A registry and a hub for each scenario, so that no two share a definition or an instance."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from dtf_runtime import OrchestrationContext, Registry, TaskHubClient, orchestration
from tests.conftest import MakeService
from tests.scenarios.support import Hub, eventually


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
async def hub(make_service: MakeService) -> AsyncIterator[Hub]:
    """A new hub with an open client. Whatever ran for it must be gone once the last client and worker have left."""
    before = asyncio.all_tasks()
    service = make_service()
    async with TaskHubClient(service) as client:
        yield Hub(service, client)
    own = {asyncio.current_task()}
    await eventually(lambda: asyncio.all_tasks() - own <= before, "no task is left behind", timeout=2)


@pytest.fixture
async def working(hub: Hub, registry: Registry) -> AsyncIterator[Hub]:
    """A hub with a worker that must have come through the bad input unharmed when the test is over."""

    @orchestration(name="echo", registry=registry)
    async def echo(ctx: OrchestrationContext, value: Any = None) -> Any:
        return value

    async with hub.worker(registry):
        yield hub
        await hub.bystander_runs()
