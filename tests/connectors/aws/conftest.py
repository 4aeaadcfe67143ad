"""AWS on this machine, one server for all tests of the session, emptied before each of them."""

from collections.abc import Iterator

import pytest

from connectors.aws.testing import AwsServer
from connectors.core import using


@pytest.fixture(scope="session")
def aws_process() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def aws(aws_process: AwsServer) -> Iterator[AwsServer]:
    """Behaves as AWS does; the connection `default` leads there."""
    aws_process.reset()
    with using(aws_process.connection()):
        yield aws_process
    aws_process.clear_faults()


@pytest.fixture(scope="session")
def plain_process() -> Iterator[AwsServer]:
    with AwsServer(plain=True) as running:
        yield running


@pytest.fixture
def plain_aws(plain_process: AwsServer) -> AwsServer:
    """moto alone, to show what it lacks."""
    plain_process.reset()
    return plain_process
