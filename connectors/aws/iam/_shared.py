"""Calls of IAM, which has no regions."""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.aws.client import aws_call, pages
from connectors.aws.models import AwsCall
from connectors.core import Effect


def iam(
    call: AwsCall, operation: str, parameters: Mapping[str, Any], *, effect: Effect = Effect.READ
) -> dict[str, Any]:
    return aws_call("iam", operation, parameters, connection=call.connection, region=call.region, effect=effect)


def iam_all(call: AwsCall, operation: str, parameters: Mapping[str, Any], member: str) -> Iterator[Any]:
    """What all the pages list under `member`."""
    where = {"connection": call.connection, "region": call.region}
    for answer in pages("iam", operation, parameters, token="Marker", answered="Marker", **where):  # type: ignore[arg-type]
        yield from answer[member]
