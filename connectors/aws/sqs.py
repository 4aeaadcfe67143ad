"""SQS: send, receive, delete, change visibility. A message is a text, and is kept in history: no secrets in it.

A FIFO queue takes a deduplication id, which is this call's key: SQS forgets it after five minutes, so a worker that is down for longer, just
between sending and noting it, sends again. A standard queue takes nothing: at least once, and it may itself deliver twice. Every message
carries `dtf-key` as an attribute, by which a consumer tells a repeat for as long as it likes.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from connectors.aws.client import aws_call, request_id
from connectors.aws.models import AwsCall
from connectors.core import (
    DEFAULT_RETRY,
    Ambiguous,
    Conflict,
    Effect,
    InvalidRequest,
    Mutation,
    Permanent,
    Transient,
    call_key,
    declare,
)
from dtf_runtime import activity

KEY_ATTRIBUTE = "dtf-key"
"""The idempotency key of the call that sent the message, 32 hex digits."""


class SendMessage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    """To a standard queue."""

    queue_url: str
    body: str
    """At most 1 MiB with the attributes, and only the characters that XML allows."""
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)
    """At most nine; the tenth is `dtf-key`."""
    delay: int | None = None
    """Seconds until it can be received, at most 900; None: as the queue says."""
    on_ambiguous: Literal["fail", "resend"] = "fail"
    """What to do when no answer came: Ambiguous, or send it again, for consumers that look at `dtf-key`."""


class SendFifoMessage(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    queue_url: str
    """Ends in ".fifo"."""
    body: str
    group_id: str
    """Messages of one group come in their order, one at a time."""
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)


class SendMessageResult(Mutation, frozen=True, kw_only=True):
    """`replayed` is never known: SQS answers a repeat like the first."""

    message_id: str
    key: str
    """What the message carries as `dtf-key`."""
    sequence_number: str = ""
    """FIFO only."""


class ReceiveMessages(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    queue_url: str
    most: int = 10
    """1 to 10. Fewer come, even none, though there are some."""
    wait: int = 10
    """Seconds to wait for the first, at most 20; a thread of the worker is held meanwhile."""
    visibility_timeout: int | None = None
    """Seconds that nobody else gets them, at most 43,200; None: as the queue says. Longer than the work on all of them takes."""


class Message(msgspec.Struct, frozen=True, kw_only=True):
    message_id: str
    receipt_handle: str
    """For `delete_message` and `change_visibility`: of this very receipt."""
    body: str
    attributes: Mapping[str, str]
    """Texts and numbers; binary ones are left out."""
    key: str
    """`dtf-key` of the sender, else the FIFO deduplication id, else the message's id: the same each time it comes."""
    sent_at: datetime | None
    receive_count: int
    """How often it came, this time included."""
    group_id: str = ""
    sequence_number: str = ""


class ReceiveMessagesResult(Mutation, frozen=True, kw_only=True):
    messages: list[Message]


class MessageReceipt(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    queue_url: str
    receipt_handle: str


class ChangeVisibility(MessageReceipt, frozen=True, kw_only=True, omit_defaults=True):
    timeout: int
    """Seconds from now, at most 43,200; 0: others may have it at once."""


class QueueName(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    name: str
    owner: str | None = None
    """Account of the queue; None: the caller's."""


class QueueUrl(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    queue_url: str


class QueueFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Counts are approximate, as SQS itself says."""

    queue_url: str
    arn: str
    waiting: int
    in_flight: int
    delayed: int
    fifo: bool
    visibility_timeout: int
    """Seconds."""


def _sqs(call: AwsCall, operation: str, given: Mapping[str, Any], *, effect: Effect = Effect.READ) -> dict[str, Any]:
    return aws_call("sqs", operation, given, connection=call.connection, region=call.region, effect=effect)


@declare(
    Effect.AT_LEAST_ONCE,
    "a standard queue knows no repeat; consumers tell it by the attribute dtf-key",
    permissions=("sqs:SendMessage",),
)
@activity(name="aws.sqs.send_message", retry=DEFAULT_RETRY)
def send_message(call: SendMessage) -> SendMessageResult:
    """At least once: a worker that is killed before it notes the answer sends again. Raises Ambiguous when no answer came."""
    if call.queue_url.endswith(".fifo"):
        raise InvalidRequest(f"{call.queue_url} is a FIFO queue: send_fifo_message sends once there")
    key = call_key(call)
    given = _message(call, key) | {"DelaySeconds": call.delay}
    try:
        answer = _sqs(call, "send_message", given, effect=Effect.AT_LEAST_ONCE)
    except Ambiguous as error:
        if call.on_ambiguous == "fail":
            raise
        raise Transient(str(error), code=error.code, status=error.status, request_id=error.request_id) from None
    return _sent(answer, key)


@declare(Effect.TOKEN, "MessageDeduplicationId, which SQS remembers for five minutes", permissions=("sqs:SendMessage",))
@activity(name="aws.sqs.send_fifo_message", retry=DEFAULT_RETRY)
def send_fifo_message(call: SendFifoMessage) -> SendMessageResult:
    """Once, within SQS's five minutes. Source: SQS developer guide, "Using the message deduplication ID"."""
    if not call.queue_url.endswith(".fifo"):
        raise InvalidRequest(f"{call.queue_url} is no FIFO queue: use send_message")
    key = call_key(call)
    given = _message(call, key) | {"MessageGroupId": call.group_id, "MessageDeduplicationId": key}
    return _sent(_sqs(call, "send_message", given, effect=Effect.TOKEN), key)


def _message(call: SendMessage | SendFifoMessage, key: str) -> dict[str, Any]:
    if KEY_ATTRIBUTE in call.attributes or len(call.attributes) > 9:
        raise InvalidRequest(f"a message takes nine attributes, and {KEY_ATTRIBUTE} is this connector's own")
    attributes = {**call.attributes, KEY_ATTRIBUTE: key}
    return {
        "QueueUrl": call.queue_url,
        "MessageBody": call.body,
        "MessageAttributes": {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items()},
    }


def _sent(answer: Mapping[str, Any], key: str) -> SendMessageResult:
    return SendMessageResult(
        request_id=request_id(answer),
        message_id=answer["MessageId"],
        key=key,
        sequence_number=answer.get("SequenceNumber") or "",
    )


@declare(
    Effect.AT_LEAST_ONCE,
    "messages of an answer that was lost are hidden until their visibility time-out and come again",
    permissions=("sqs:ReceiveMessage",),
)
@activity(name="aws.sqs.receive_messages", retry=DEFAULT_RETRY)
def receive_messages(call: ReceiveMessages) -> ReceiveMessagesResult:
    """Up to ten, hidden from others until deleted or timed out. No answer is Transient: nothing is lost by asking again."""
    given = {
        "QueueUrl": call.queue_url,
        "MaxNumberOfMessages": call.most,
        "WaitTimeSeconds": call.wait,
        "VisibilityTimeout": call.visibility_timeout,
        "MessageAttributeNames": ["All"],
        "MessageSystemAttributeNames": ["All"],
    }
    answer = _sqs(call, "receive_message", given, effect=Effect.CONDITIONAL)
    return ReceiveMessagesResult(
        request_id=request_id(answer), messages=[_received(raw) for raw in answer.get("Messages") or ()]
    )


def _received(raw: Mapping[str, Any]) -> Message:
    said = {
        name: value["StringValue"]
        for name, value in (raw.get("MessageAttributes") or {}).items()
        if value.get("StringValue") is not None
    }
    system = raw.get("Attributes") or {}
    sent = system.get("SentTimestamp")
    return Message(
        message_id=raw["MessageId"],
        receipt_handle=raw["ReceiptHandle"],
        body=raw.get("Body") or "",
        attributes={name: value for name, value in said.items() if name != KEY_ATTRIBUTE},
        key=said.get(KEY_ATTRIBUTE) or system.get("MessageDeduplicationId") or raw["MessageId"],
        sent_at=datetime.fromtimestamp(int(sent) / 1000, UTC) if sent else None,
        receive_count=int(system.get("ApproximateReceiveCount") or 1),
        group_id=system.get("MessageGroupId") or "",
        sequence_number=system.get("SequenceNumber") or "",
    )


@declare(Effect.NATURAL, "a message that is deleted is what was wanted", permissions=("sqs:DeleteMessage",))
@activity(name="aws.sqs.delete_message", retry=DEFAULT_RETRY)
def delete_message(call: MessageReceipt) -> Mutation:
    """It is done with. Raises Permanent (ReceiptHandleIsInvalid), also for a FIFO message whose visibility time-out has passed."""
    given = {"QueueUrl": call.queue_url, "ReceiptHandle": call.receipt_handle}
    return Mutation(request_id=request_id(_sqs(call, "delete_message", given, effect=Effect.NATURAL)))


@declare(
    Effect.NATURAL, "hidden for so long from now; a repeat counts anew", permissions=("sqs:ChangeMessageVisibility",)
)
@activity(name="aws.sqs.change_visibility", retry=DEFAULT_RETRY)
def change_visibility(call: ChangeVisibility) -> Mutation:
    """Longer, for work that takes longer; 0 to give a message back. Giving back what is gone or free already is no error: `replayed`."""
    given = {
        "QueueUrl": call.queue_url,
        "ReceiptHandle": call.receipt_handle,
        "VisibilityTimeout": call.timeout,
    }
    try:
        answer = _sqs(call, "change_message_visibility", given, effect=Effect.NATURAL)
    except (Conflict, Permanent) as error:
        if not (call.timeout == 0 and error.code.endswith(("MessageNotInflight", "ReceiptHandleIsInvalid"))):
            raise
        return Mutation(replayed=True)
    return Mutation(request_id=request_id(answer))


@declare(Effect.READ, permissions=("sqs:GetQueueUrl",))
@activity(name="aws.sqs.get_queue_url", retry=DEFAULT_RETRY)
def get_queue_url(call: QueueName) -> QueueUrl:
    """Raises NotFound."""
    given = {"QueueName": call.name, "QueueOwnerAWSAccountId": call.owner}
    found = _sqs(call, "get_queue_url", given)["QueueUrl"]
    return QueueUrl(connection=call.connection, region=call.region, queue_url=found)


@declare(Effect.READ, permissions=("sqs:GetQueueAttributes",))
@activity(name="aws.sqs.describe_queue", retry=DEFAULT_RETRY)
def describe_queue(call: QueueUrl) -> QueueFacts:
    """How much is in it. Raises NotFound."""
    given = {"QueueUrl": call.queue_url, "AttributeNames": ["All"]}
    found = _sqs(call, "get_queue_attributes", given).get("Attributes") or {}
    return QueueFacts(
        queue_url=call.queue_url,
        arn=found.get("QueueArn") or "",
        waiting=int(found.get("ApproximateNumberOfMessages") or 0),
        in_flight=int(found.get("ApproximateNumberOfMessagesNotVisible") or 0),
        delayed=int(found.get("ApproximateNumberOfMessagesDelayed") or 0),
        fifo=found.get("FifoQueue") == "true",
        visibility_timeout=int(found.get("VisibilityTimeout") or 30),
    )


ACTIVITIES = (
    change_visibility,
    delete_message,
    describe_queue,
    get_queue_url,
    receive_messages,
    send_fifo_message,
    send_message,
)
