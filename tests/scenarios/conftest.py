"""A registry and a hub for each scenario, so that no two share a definition or an instance."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from dtf_runtime import Registry, TaskHubClient
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
