"""Calls of Systems Manager."""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.aws.client import aws_call, pages
from connectors.aws.models import AwsCall
from connectors.core import Effect


def ssm(
    call: AwsCall, operation: str, parameters: Mapping[str, Any], *, effect: Effect = Effect.READ
) -> dict[str, Any]:
    return aws_call("ssm", operation, parameters, connection=call.connection, region=call.region, effect=effect)


def ssm_pages(
    call: AwsCall, operation: str, parameters: Mapping[str, Any], *, most: int = 1000
) -> Iterator[dict[str, Any]]:
    yield from pages("ssm", operation, parameters, connection=call.connection, region=call.region, most=most)
