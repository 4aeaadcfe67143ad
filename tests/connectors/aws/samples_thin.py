"""One call of every mutating activity of SQS and of the services that are offered thinly."""

import io
import json
import zipfile
from typing import Any

from connectors.aws import operations as ops
from connectors.aws import sqs
from connectors.aws.client import aws_call
from tests.connectors.aws.samples import Sample, role


def queue(*, fifo: bool = False) -> str:
    given = {"QueueName": "work.fifo", "Attributes": {"FifoQueue": "true"}} if fifo else {"QueueName": "work"}
    return str(aws_call("sqs", "create_queue", given)["QueueUrl"])


def received() -> sqs.MessageReceipt:
    url = queue()
    sqs.send_message.fn(sqs.SendMessage(queue_url=url, body="one"))
    (message,) = sqs.receive_messages.fn(sqs.ReceiveMessages(queue_url=url, wait=0)).messages
    return sqs.MessageReceipt(queue_url=url, receipt_handle=message.receipt_handle)


def hidden() -> sqs.ChangeVisibility:
    receipt = received()
    return sqs.ChangeVisibility(queue_url=receipt.queue_url, receipt_handle=receipt.receipt_handle, timeout=600)


def topic(*, fifo: bool = False) -> str:
    given = {"Name": "news.fifo", "Attributes": {"FifoTopic": "true"}} if fifo else {"Name": "news"}
    return str(aws_call("sns", "create_topic", given)["TopicArn"])


def table() -> str:
    given = {
        "TableName": "orders",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "BillingMode": "PAY_PER_REQUEST",
    }
    aws_call("dynamodb", "create_table", given)
    return "orders"


def table_with_item() -> str:
    ops.put_item.fn(ops.PutItem(table=table(), item={"id": "seven", "n": 1}))
    return "orders"


def role_arn() -> str:
    return f"arn:aws:iam::123456789012:role/{role()}"


def function() -> str:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("main.py", "def handler(event, context):\n    return event\n")
    given: dict[str, Any] = {"FunctionName": "echo", "Runtime": "python3.12", "Handler": "main.handler"}
    given |= {"Role": role_arn(), "Code": {"ZipFile": packed.getvalue()}}
    aws_call("lambda", "create_function", given)
    return "echo"


def state_machine() -> str:
    definition = json.dumps({"StartAt": "Done", "States": {"Done": {"Type": "Succeed"}}})
    given = {"name": "shop", "definition": definition, "roleArn": role_arn()}
    return str(aws_call("stepfunctions", "create_state_machine", given)["stateMachineArn"])


def sender() -> str:
    aws_call("sesv2", "create_email_identity", {"EmailIdentity": "shop@example.org"})
    return "shop@example.org"


SQS = (
    Sample(sqs.send_message, "sqs:SendMessage", lambda aws: sqs.SendMessage(queue_url=queue(), body="one")),
    Sample(
        sqs.send_fifo_message,
        "sqs:SendMessage",
        lambda aws: sqs.SendFifoMessage(queue_url=queue(fifo=True), body="one", group_id="a"),
    ),
    Sample(sqs.receive_messages, "sqs:ReceiveMessage", lambda aws: sqs.ReceiveMessages(queue_url=queue(), wait=0)),
    Sample(sqs.delete_message, "sqs:DeleteMessage", lambda aws: received()),
    Sample(sqs.change_visibility, "sqs:ChangeMessageVisibility", lambda aws: hidden()),
)
THIN = (
    Sample(ops.invoke_function, "lambda:Invoke", lambda aws: ops.InvokeFunction(function=function(), payload=1)),
    Sample(ops.publish_message, "sns:Publish", lambda aws: ops.PublishMessage(topic_arn=topic(), message="one")),
    Sample(
        ops.publish_fifo_message,
        "sns:Publish",
        lambda aws: ops.PublishFifoMessage(topic_arn=topic(fifo=True), message="one", group_id="a"),
    ),
    Sample(
        ops.put_item,
        "dynamodb:PutItem",
        lambda aws: ops.PutItem(table=table(), item={"id": "seven"}, condition="attribute_not_exists(id)"),
    ),
    Sample(
        ops.update_item,
        "dynamodb:UpdateItem",
        lambda aws: ops.UpdateItem(table=table(), key={"id": "seven"}, update="ADD n :one", values={":one": 1}),
    ),
    Sample(
        ops.delete_item,
        "dynamodb:DeleteItem",
        lambda aws: ops.DeleteItem(table=table_with_item(), key={"id": "seven"}),
    ),
    Sample(
        ops.transact_write,
        "dynamodb:TransactWriteItems",
        lambda aws: ops.TransactWrite(actions=[ops.TransactAction(do="put", table=table(), item={"id": "seven"})]),
    ),
    Sample(
        ops.start_execution,
        "states:StartExecution",
        lambda aws: ops.StartExecution(state_machine_arn=state_machine(), input={"n": 1}),
    ),
    Sample(
        ops.put_event,
        "events:PutEvents",
        lambda aws: ops.PutEvent(source="shop", detail_type="sold", detail={"n": 1}),
    ),
    Sample(
        ops.send_email,
        "ses:SendEmail",
        lambda aws: ops.SendEmail(sender=sender(), to=["somebody@example.org"], subject="Hello", text="Hello"),
    ),
)
