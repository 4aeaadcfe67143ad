"""SNS: publish."""

from collections.abc import Mapping
from typing import Any

import msgspec

from connectors.aws.client import request_id
from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import InvalidRequest, Mutation

KEY_ATTRIBUTE = "dtf-key"
"""As of SQS: subscribers with raw delivery find it among the message's attributes."""


class PublishMessage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    topic_arn: str
    message: str
    """At most 256 kB with the attributes."""
    subject: str | None = None
    """For mail."""
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)


class PublishFifoMessage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    topic_arn: str
    """Ends in ".fifo"."""
    message: str
    group_id: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)


class PublishResult(Mutation, frozen=True, kw_only=True):
    message_id: str
    key: str
    """What the message carries as `dtf-key`."""
    sequence_number: str = ""


def send(call: PublishMessage, key: str) -> dict[str, Any]:
    if call.topic_arn.endswith(".fifo"):
        raise InvalidRequest(f"{call.topic_arn} is a FIFO topic: publish_fifo_message publishes once there")
    return _message(call, key) | {"Subject": call.subject}


def send_fifo(call: PublishFifoMessage, key: str) -> dict[str, Any]:
    if not call.topic_arn.endswith(".fifo"):
        raise InvalidRequest(f"{call.topic_arn} is no FIFO topic: use publish_message")
    return _message(call, key) | {"MessageGroupId": call.group_id, "MessageDeduplicationId": key}


def _message(call: PublishMessage | PublishFifoMessage, key: str) -> dict[str, Any]:
    attributes = {**call.attributes, KEY_ATTRIBUTE: key}
    return {
        "TopicArn": call.topic_arn,
        "Message": call.message,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }


def read(call: PublishMessage | PublishFifoMessage, key: str, answer: Answer) -> PublishResult:
    return PublishResult(
        request_id=request_id(answer),
        message_id=answer["MessageId"],
        key=key,
        sequence_number=answer.get("SequenceNumber") or "",
    )
