"""What the EC2 activities share: calls of this service, tags in the same request that creates, look-ups by tag."""

from collections.abc import Iterator, Mapping
from typing import Any

from connectors.aws.client import aws_call, pages
from connectors.aws.models import KEY_TAG, AwsCall, tag_list
from connectors.core import ConnectorError, Effect, NotFound, Transient


def ec2(
    call: AwsCall,
    operation: str,
    parameters: Mapping[str, Any],
    *,
    effect: Effect = Effect.READ,
    just_made: bool = False,
) -> dict[str, Any]:
    """One operation. `just_made`: what it names was made moments ago, so that NotFound is Transient: EC2's parts learn of each other with
    a delay. [docs: eventual consistency in the Amazon EC2 API]"""
    try:
        return aws_call("ec2", operation, parameters, connection=call.connection, region=call.region, effect=effect)
    except NotFound as error:
        if not just_made:
            raise
        raise not_yet(error) from None


def ec2_pages(call: AwsCall, operation: str, parameters: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    yield from pages("ec2", operation, parameters, connection=call.connection, region=call.region)


def not_yet(error: ConnectorError) -> Transient:
    """The same error, worth another try."""
    return Transient(
        f"{error} (made moments ago: not visible yet)",
        code=error.code,
        status=error.status,
        request_id=error.request_id,
    )


def tagged(kind: str, tags: Mapping[str, str], key: str) -> list[dict[str, Any]]:
    """`TagSpecifications` of a creating request: the resource is never without its key, not even for a moment."""
    return [{"ResourceType": kind, "Tags": tag_list(tags, key)}]


def made_by(key: str) -> list[dict[str, Any]]:
    """`Filters` of the look-up for what the call with this key made."""
    return [{"Name": f"tag:{KEY_TAG}", "Values": [key]}]
