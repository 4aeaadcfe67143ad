"""What the tests of replay share: what was traced, and a way to run code as a worker's loop would."""

import logging
from collections.abc import Callable, Iterator

import pytest

from tests.replay import instance

Traced = Callable[[str], list[dict[str, object]]]


@pytest.fixture
def traced(caplog: pytest.LogCaptureFixture) -> Iterator[Traced]:
    """The fields of each event of that name that was traced so far."""
    with caplog.at_level(logging.DEBUG, logger="dtf_runtime"):
        yield lambda name: [vars(r)["dtf"] for r in caplog.records if vars(r).get("dtf_event") == name]


@pytest.fixture(autouse=True)
def _evicted() -> Iterator[None]:
    """What a test leaves in memory is evicted, as a worker does when it stops."""
    yield
    while instance.MADE:
        instance.MADE.pop().evict()
