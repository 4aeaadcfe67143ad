"""What the tests of the HTTP connector share."""

from collections.abc import Iterator

import pytest

from tests.connectors.http.rude_server import RudeServer


@pytest.fixture
def server() -> Iterator[RudeServer]:
    with RudeServer() as running:
        yield running
