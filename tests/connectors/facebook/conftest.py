"""What the tests of the Facebook connector share: the Graph API on this machine and a hub, both on one virtual clock."""

from collections.abc import AsyncIterator, Iterator

import pytest

from connectors.core.claims import claims_of
from connectors.facebook.testing import FakeFacebook
from dtf_runtime.testing import TestHub
from tests.connectors.facebook.flows import registry


@pytest.fixture
async def hub() -> AsyncIterator[TestHub]:
    async with TestHub(registry=registry) as running:
        yield running


@pytest.fixture
def facebook(hub: TestHub, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeFacebook]:
    """Reached as a user would: through the environment's connection."""
    claims_of.cache_clear()
    with FakeFacebook(hub.clock) as fake:
        for name, value in fake.environment().items():
            monkeypatch.setenv(name, value)
        yield fake
