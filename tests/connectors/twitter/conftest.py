"""What the tests of the X connector share: X on this machine and a hub, both on one virtual clock."""

from collections.abc import AsyncIterator, Iterator

import pytest

from connectors.core import forget_clients
from connectors.core.claims import claims_of
from connectors.twitter.testing import FakeTwitter
from dtf_runtime.testing import TestHub
from tests.connectors.twitter.flows import registry


@pytest.fixture
async def hub() -> AsyncIterator[TestHub]:
    async with TestHub(registry=registry) as running:
        yield running


@pytest.fixture
def x(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeTwitter]:
    """Reached as a user would: through the environment's connection."""
    claims_of.cache_clear()
    with FakeTwitter(hub.clock) as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake
    forget_clients()
