"""What the tests of the HTTP connector share."""

from collections.abc import Iterator

import pytest

from connectors.core import using
from tests.connectors.http.calls import LOCAL
from tests.connectors.http.rude_server import RudeServer


@pytest.fixture
def server() -> Iterator[RudeServer]:
    with RudeServer() as running:
        yield running


@pytest.fixture(autouse=True)
def this_machine_is_allowed() -> Iterator[None]:
    with using(LOCAL):
        yield
