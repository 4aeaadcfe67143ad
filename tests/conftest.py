"""The task hubs that the suites run on: one entry a provider, and the sizes it is given.

Tests see a provider through `make_service` alone and never learn which one it is.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

from dtf_runtime import OrchestrationService, connect
from tests.scenarios.support import Sizes

pytest_plugins = ["tests.netguard"] if find_spec("tests.netguard") else []

MakeService = Callable[[], OrchestrationService]


@dataclass(frozen=True)
class Provider:
    """One row of the matrix. `connect` gets a path that no one else uses and gives the service of a new, empty hub."""

    name: str
    connect: Callable[[Path], OrchestrationService]
    sizes: Sizes = field(default_factory=Sizes)


def _sqlite(path: Path) -> OrchestrationService:
    return connect(f"sqlite:///{path}.db")


def _memory(path: Path) -> OrchestrationService:
    return connect("memory://")


PROVIDERS = (
    Provider("sqlite", _sqlite),
    # Here the stored executions themselves lie in this process, so each generation may keep what a file would.
    Provider("memory", _memory, Sizes(kept_bytes_a_generation=8_192)),
)


@pytest.fixture(params=PROVIDERS, ids=lambda provider: str(provider.name))
def provider(request: pytest.FixtureRequest) -> Provider:
    entry: Provider = request.param
    return entry


@pytest.fixture
def sizes(provider: Provider) -> Sizes:
    return provider.sizes


@pytest.fixture
def make_service(provider: Provider, tmp_path: Path) -> MakeService:
    """Makes the service of a new, empty hub at every call; nothing is opened until a client or a worker is entered."""
    made = 0

    def make() -> OrchestrationService:
        nonlocal made
        made += 1
        return provider.connect(tmp_path / f"hub{made}")

    return make
