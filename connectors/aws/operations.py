"""The services that are offered thinly, from one table: Lambda, SNS, DynamoDB, Secrets Manager, Step Functions, CloudWatch, EventBridge, SES.

A row says which operation it is, how it is effectively once, what it needs to be allowed to do, and how a call is put into AWS's words and
back. Whatever needs more than that belongs into a module of its own.
"""

from connectors.aws.thin import events, functions, mail, metrics, secrets, tables, topics, workflows
from connectors.aws.thin.events import PutEvent, PutEventResult
from connectors.aws.thin.functions import FunctionFailed, InvokeFunction, InvokeFunctionResult
from connectors.aws.thin.mail import SendEmail, SendEmailResult
from connectors.aws.thin.metrics import Alarm, AlarmName, GetMetric, MetricPoint, MetricResult
from connectors.aws.thin.operation import Operation, made
from connectors.aws.thin.secrets import SecretName, SecretReference, secret_value
from connectors.aws.thin.tables import (
    DeleteItem,
    GetItem,
    ItemResult,
    PutItem,
    QueryItems,
    QueryResult,
    TransactAction,
    TransactWrite,
    UpdateItem,
    WriteResult,
)
from connectors.aws.thin.topics import PublishFifoMessage, PublishMessage, PublishResult
from connectors.aws.thin.workflows import StartExecution, StartExecutionResult
from connectors.core import Effect

INVOKE_FUNCTION = Operation(
    name="aws.lambda.invoke_function",
    service="lambda",
    operation="invoke",
    effect=Effect.AT_LEAST_ONCE,
    how="Lambda knows no repeat; the function finds this call's key in its client context, as custom dtf-key",
    permissions=("lambda:InvokeFunction",),
    takes=InvokeFunction,
    gives=InvokeFunctionResult,
    send=functions.send,
    read=functions.read,
    says="""Runs a function and gives its answer and the end of its log, within the connection's `read_timeout`.

    Raises FunctionFailed when it ended with an error, Ambiguous when no answer came.""",
)
PUBLISH_MESSAGE = Operation(
    name="aws.sns.publish_message",
    service="sns",
    operation="publish",
    effect=Effect.AT_LEAST_ONCE,
    how="a standard topic knows no repeat; subscribers tell it by the attribute dtf-key",
    permissions=("sns:Publish",),
    takes=PublishMessage,
    gives=PublishResult,
    send=topics.send,
    read=topics.read,
    says="To all subscribers of a standard topic. Raises Ambiguous when no answer came.",
)
PUBLISH_FIFO_MESSAGE = Operation(
    name="aws.sns.publish_fifo_message",
    service="sns",
    operation="publish",
    effect=Effect.TOKEN,
    how="MessageDeduplicationId, which SNS remembers for five minutes",
    permissions=("sns:Publish",),
    takes=PublishFifoMessage,
    gives=PublishResult,
    send=topics.send_fifo,
    read=topics.read,
    says="To all subscribers of a FIFO topic, once within SNS's five minutes.",
)
GET_ITEM = Operation(
    name="aws.dynamodb.get_item",
    service="dynamodb",
    operation="get_item",
    effect=Effect.READ,
    permissions=("dynamodb:GetItem",),
    takes=GetItem,
    gives=ItemResult,
    send=tables.send_get,
    read=tables.read_get,
    says="One item, or None. Raises NotFound for a missing table.",
)
PUT_ITEM = Operation(
    name="aws.dynamodb.put_item",
    service="dynamodb",
    operation="put_item",
    effect=Effect.CONDITIONAL,
    how="with a condition the item carries this call's key, by which a repeat knows it; without one the same item is put again",
    permissions=("dynamodb:PutItem", "dynamodb:DescribeTable", "dynamodb:GetItem"),
    takes=PutItem,
    gives=WriteResult,
    send=tables.send_put,
    read=tables.read_write,
    adopt=tables.adopt_put,
    says="A whole item. Raises Conflict (ConditionalCheckFailedException). The last two permissions are for the look after a failed condition.",
)
UPDATE_ITEM = Operation(
    name="aws.dynamodb.update_item",
    service="dynamodb",
    operation="update_item",
    effect=Effect.CONDITIONAL,
    how="the item keeps the key of the last update, and an update is not applied to an item that has its own",
    permissions=("dynamodb:UpdateItem", "dynamodb:GetItem"),
    takes=UpdateItem,
    gives=WriteResult,
    send=tables.send_update,
    read=tables.read_write,
    adopt=tables.adopt_update,
    says="""Changes an item, or makes it, once: counters too, unless another write comes between a lost answer and the repeat.

    Raises Conflict (ConditionalCheckFailedException).""",
)
DELETE_ITEM = Operation(
    name="aws.dynamodb.delete_item",
    service="dynamodb",
    operation="delete_item",
    effect=Effect.NATURAL,
    how="a missing item is what was wanted",
    permissions=("dynamodb:DeleteItem", "dynamodb:GetItem"),
    takes=DeleteItem,
    gives=WriteResult,
    send=tables.send_delete,
    read=tables.read_write,
    adopt=tables.adopt_delete,
    says="Deletes an item. Raises Conflict when it is there and the condition does not hold.",
)
QUERY_ITEMS = Operation(
    name="aws.dynamodb.query_items",
    service="dynamodb",
    operation="query",
    effect=Effect.READ,
    permissions=("dynamodb:Query",),
    takes=QueryItems,
    gives=QueryResult,
    send=tables.send_query,
    read=tables.read_query,
    says="One page of items of one partition, at most 1 MB. Raises NotFound.",
)
TRANSACT_WRITE = Operation(
    name="aws.dynamodb.transact_write",
    service="dynamodb",
    operation="transact_write_items",
    effect=Effect.TOKEN,
    how="ClientRequestToken, which DynamoDB remembers for ten minutes",
    permissions=(
        "dynamodb:PutItem",
        "dynamodb:UpdateItem",
        "dynamodb:DeleteItem",
        "dynamodb:ConditionCheckItem",
    ),
    takes=TransactWrite,
    gives=WriteResult,
    send=tables.send_transact,
    read=tables.read_write,
    adopt=tables.adopt_transact,
    says="""All or none. Raises Conflict (TransactionCanceledException) when a condition fails, Transient when it met another transaction.

    Of the permissions, those of the actions in it.""",
)
DESCRIBE_SECRET = Operation(
    name="aws.secretsmanager.describe_secret",
    service="secretsmanager",
    operation="describe_secret",
    effect=Effect.READ,
    permissions=("secretsmanager:DescribeSecret",),
    takes=SecretName,
    gives=SecretReference,
    send=secrets.send,
    read=secrets.read,
    says="Which version of a secret is current, never its value: `secret_value(reference)` gives that inside an activity. Raises NotFound.",
)
START_EXECUTION = Operation(
    name="aws.stepfunctions.start_execution",
    service="stepfunctions",
    operation="start_execution",
    effect=Effect.NATURAL,
    how="the execution's name, which is this call's key unless one is given; one of that name with the same input is adopted",
    permissions=("states:StartExecution", "states:DescribeExecution"),
    takes=StartExecution,
    gives=StartExecutionResult,
    send=workflows.send,
    read=workflows.read,
    adopt=workflows.adopt,
    says="Starts a state machine. Raises AlreadyExists (another input under that name), NotFound.",
)
DESCRIBE_ALARM = Operation(
    name="aws.cloudwatch.describe_alarm",
    service="cloudwatch",
    operation="describe_alarms",
    effect=Effect.READ,
    permissions=("cloudwatch:DescribeAlarms",),
    takes=AlarmName,
    gives=Alarm,
    send=metrics.send_alarm,
    read=metrics.read_alarm,
    says="The state of an alarm. Raises NotFound.",
)
GET_METRIC = Operation(
    name="aws.cloudwatch.get_metric",
    service="cloudwatch",
    operation="get_metric_data",
    effect=Effect.READ,
    permissions=("cloudwatch:GetMetricData",),
    takes=GetMetric,
    gives=MetricResult,
    send=metrics.send_metric,
    read=metrics.read_metric,
    says="The values of a metric in the last hour, or another window. One that is unknown has none.",
)
PUT_EVENT = Operation(
    name="aws.events.put_event",
    service="events",
    operation="put_events",
    effect=Effect.AT_LEAST_ONCE,
    how="EventBridge knows no repeat, and delivers at least once itself",
    permissions=("events:PutEvents",),
    takes=PutEvent,
    gives=PutEventResult,
    send=events.send,
    read=events.read,
    says="One event to a bus. Raises Ambiguous when no answer came.",
)
SEND_EMAIL = Operation(
    name="aws.ses.send_email",
    service="sesv2",
    operation="send_email",
    effect=Effect.AT_LEAST_ONCE,
    how="SES knows no repeat; the mail's tag dtf-key is in the events that it publishes",
    permissions=("ses:SendEmail",),
    takes=SendEmail,
    gives=SendEmailResult,
    send=mail.send,
    read=mail.read,
    says="Hands a mail to SES; whether it arrives is told by SES's events. Raises Ambiguous when no answer came, Permanent (MessageRejected).",
)

invoke_function = made(INVOKE_FUNCTION)
publish_message = made(PUBLISH_MESSAGE)
publish_fifo_message = made(PUBLISH_FIFO_MESSAGE)
get_item = made(GET_ITEM)
put_item = made(PUT_ITEM)
update_item = made(UPDATE_ITEM)
delete_item = made(DELETE_ITEM)
query_items = made(QUERY_ITEMS)
transact_write = made(TRANSACT_WRITE)
describe_secret = made(DESCRIBE_SECRET)
start_execution = made(START_EXECUTION)
describe_alarm = made(DESCRIBE_ALARM)
get_metric = made(GET_METRIC)
put_event = made(PUT_EVENT)
send_email = made(SEND_EMAIL)

ACTIVITIES = (
    delete_item,
    describe_alarm,
    describe_secret,
    get_item,
    get_metric,
    invoke_function,
    publish_fifo_message,
    publish_message,
    put_event,
    put_item,
    query_items,
    send_email,
    start_execution,
    transact_write,
    update_item,
)

__all__ = [
    "ACTIVITIES",
    "Alarm",
    "AlarmName",
    "DeleteItem",
    "FunctionFailed",
    "GetItem",
    "GetMetric",
    "InvokeFunction",
    "InvokeFunctionResult",
    "ItemResult",
    "MetricPoint",
    "MetricResult",
    "PublishFifoMessage",
    "PublishMessage",
    "PublishResult",
    "PutEvent",
    "PutEventResult",
    "PutItem",
    "QueryItems",
    "QueryResult",
    "SecretName",
    "SecretReference",
    "SendEmail",
    "SendEmailResult",
    "StartExecution",
    "StartExecutionResult",
    "TransactAction",
    "TransactWrite",
    "UpdateItem",
    "WriteResult",
    "delete_item",
    "describe_alarm",
    "describe_secret",
    "get_item",
    "get_metric",
    "invoke_function",
    "publish_fifo_message",
    "publish_message",
    "put_event",
    "put_item",
    "query_items",
    "secret_value",
    "send_email",
    "start_execution",
    "transact_write",
    "update_item",
]
