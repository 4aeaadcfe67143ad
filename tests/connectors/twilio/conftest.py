"""A fake Twilio a test."""

from collections.abc import Iterator

import pytest

from connectors.core import forget_clients
from connectors.twilio.testing import FakeTwilio


@pytest.fixture
def twilio() -> Iterator[FakeTwilio]:
    with FakeTwilio() as fake:
        yield fake
    forget_clients()
