"""From a URL to a service: what is no URL, an unknown scheme, a wrong option; and that nothing is opened yet."""

from pathlib import Path
from typing import Any

import pytest

from dtf_runtime import InvalidArgumentError, OrchestrationService, TaskHubClient, TaskHubWorker, connect


@pytest.mark.parametrize(
    "url", ["", "orders.db", "/var/orders.db", "://x", "sq lite://x", "1sqlite://x", "sqlite:x.db"]
)
def test_what_is_no_url_is_refused_with_one_that_works(url: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"sqlite:///orders\.db"):
        connect(url)


@pytest.mark.parametrize("url", [None, 5, b"sqlite:///x.db", Path("orders.db"), ["memory://"]])
def test_what_is_no_text_is_refused(url: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="connect takes a URL"):
        connect(url)


def test_an_unknown_scheme_lists_those_there_are() -> None:
    with pytest.raises(InvalidArgumentError, match=r"no provider serves carrierpigeon://.*memory://.*sqlite://"):
        connect("carrierpigeon://loft")


def test_a_url_that_can_not_be_used_is_not_shown_since_it_may_hold_a_secret() -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        connect("Endpoint=sb:/bus;SharedAccessKey=hunter2")
    assert "hunter2" not in str(caught.value)


def test_an_option_that_the_provider_does_not_have_is_refused() -> None:
    with pytest.raises(InvalidArgumentError, match="colour"):
        connect("memory://", colour="blue")


def test_the_scheme_may_be_in_capitals() -> None:
    assert isinstance(connect("MEMORY://"), OrchestrationService)


def test_nothing_is_opened_by_connect_a_client_or_a_worker_that_is_not_entered(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/orders.db"
    TaskHubClient(connect(url))
    TaskHubWorker(url)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("service", [None, 5, object(), OrchestrationService, Path("x.db")])
def test_a_client_and_a_worker_take_nothing_but_a_service_or_its_url(service: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="service must be"):
        TaskHubClient(service)
    with pytest.raises(InvalidArgumentError, match="service must be"):
        TaskHubWorker(service)
