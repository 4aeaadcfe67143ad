"""The thin services, each through moto's own: what goes in comes out, a repeat does no second time what it promises not to."""

import inspect
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.aws import operations as ops
from connectors.aws import sqs
from connectors.aws.client import aws_call
from connectors.aws.operations import GetItem, PutItem, TransactAction, TransactWrite, UpdateItem
from connectors.aws.testing import AwsServer
from connectors.aws.thin import events, functions, values
from connectors.core import (
    AlreadyExists,
    Ambiguous,
    Conflict,
    Effect,
    InvalidRequest,
    Mutation,
    NotFound,
    Permanent,
    Secret,
    Transient,
    declaration_of,
)
from dtf_runtime import Activity
from tests.connectors.aws.delivery import delivered

# == the table ====================================================================================================


@pytest.mark.parametrize("activity", ops.ACTIVITIES, ids=lambda one: str(one.name))
def test_each_row_makes_a_typed_and_documented_activity(activity: Activity[..., Any]) -> None:
    declared = declaration_of(activity)
    signature = inspect.signature(activity.fn)
    assert declared is not None
    assert declared.permissions
    assert activity.fn.__doc__
    (call,) = signature.parameters.values()
    assert issubclass(call.annotation, msgspec.Struct)
    assert issubclass(signature.return_annotation, Mutation) is (declared.effect is not Effect.READ)


# == DynamoDB =====================================================================================================


@pytest.fixture
def table(aws: AwsServer) -> str:
    given = {
        "TableName": "orders",
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "line", "KeyType": "RANGE"}],
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "line", "AttributeType": "N"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    }
    aws_call("dynamodb", "create_table", given)
    return "orders"


KEY = {"id": "seven", "line": 1}


def item(key: dict[str, Any] = KEY) -> Any:
    return ops.get_item.fn(GetItem(table="orders", key=key)).item


def test_an_item_comes_back_as_it_was(table: str) -> None:
    whole = {
        **KEY,
        "text": "Grüße",
        "price": 12.5,
        "large": 2**70,
        "exact": {"$type": "N", "value": "0.1000000000000000000001"},
        "yes": True,
        "nothing": None,
        "list": [1, "two", {"three": 3}],
        "tags": {"$type": "SS", "value": ["a", "b"]},
        "bytes": {"$type": "B", "value": "AAEC"},
    }
    ops.put_item.fn(PutItem(table=table, item=whole))
    assert item() == whole
    assert item({"id": "eight", "line": 1}) is None
    with pytest.raises(NotFound):
        ops.get_item.fn(GetItem(table="missing", key=KEY))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {"$type": "X", "value": 1}])
def test_what_dynamodb_has_not_is_refused_before_it_is_sent(value: Any) -> None:
    with pytest.raises(InvalidRequest):
        values.written(value)


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.text() | st.integers(-(10**37), 10**37) | st.floats(1e-100, 1e100) | st.just(0.0),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text().filter(lambda name: name != "$type"), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(JSON)
def test_whatever_is_written_is_read_back(value: Any) -> None:
    assert values.read(values.written(value)) == value


async def test_a_conditional_put_whose_answer_was_lost_is_known_again(aws: AwsServer, table: str) -> None:
    call = PutItem(table=table, item={**KEY, "n": 1}, condition="attribute_not_exists(id)")
    aws.cut("PutItem", when="after")
    lost, found = await delivered(ops.put_item, call)
    assert isinstance(lost, Transient)
    assert found.replayed
    assert aws.count("PutItem") == 1
    (other,) = await delivered(ops.put_item, call, 1)
    assert isinstance(other, Conflict)
    assert item()["n"] == 1


async def test_a_counter_is_raised_once_by_one_call_and_twice_by_two(aws: AwsServer, table: str) -> None:
    call = UpdateItem(table=table, key=KEY, update="ADD sold :one", values={":one": 1})
    aws.cut("UpdateItem", when="after")
    lost, found, third = await delivered(ops.update_item, call, 3)
    assert isinstance(lost, Transient)
    assert (found.replayed, third.replayed, found.item["sold"]) == (True, True, 1)
    (other,) = await delivered(ops.update_item, call, 1)
    assert (other.replayed, other.item["sold"]) == (False, 2)


async def test_an_update_keeps_its_own_condition_and_expression(aws: AwsServer, table: str) -> None:
    ops.put_item.fn(PutItem(table=table, item={**KEY, "state": "new"}))
    call = UpdateItem(
        table=table,
        key=KEY,
        update="set #s = :paid REMOVE nothing",
        condition="#s = :new",
        names={"#s": "state"},
        values={":paid": "paid", ":new": "new"},
    )
    first, second = await delivered(ops.update_item, call)
    assert (first.item["state"], first.replayed, second.replayed) == ("paid", False, True)
    (other,) = await delivered(ops.update_item, call, 1)
    assert isinstance(other, Conflict)


async def test_deleting_twice_is_no_error_unless_the_condition_says_so(aws: AwsServer, table: str) -> None:
    ops.put_item.fn(PutItem(table=table, item={**KEY, "state": "new"}))
    call = ops.DeleteItem(table=table, key=KEY, condition="#s = :v", names={"#s": "state"}, values={":v": "paid"})
    with pytest.raises(Conflict):
        ops.delete_item.fn(call)
    call = msgspec.structs.replace(call, values={":v": "new"})
    first, second = await delivered(ops.delete_item, call)
    assert (first.replayed, second.replayed) == (False, True)
    ops.delete_item.fn(ops.DeleteItem(table=table, key=KEY))


def test_a_query_comes_in_pages(table: str) -> None:
    for line in range(5):
        ops.put_item.fn(PutItem(table=table, item={"id": "seven", "line": line}))
    call = ops.QueryItems(table=table, key_condition="id = :id", values={":id": "seven"}, limit=2, descending=True)
    seen: list[int] = []
    while True:
        found = ops.query_items.fn(call)
        seen += [one["line"] for one in found.items]
        if found.next_page is None:
            break
        call = msgspec.structs.replace(call, page=found.next_page)
    assert seen == [4, 3, 2, 1, 0]


async def test_a_transaction_is_done_once_and_all_or_none(aws: AwsServer, table: str) -> None:
    count = TransactAction(do="update", table=table, key=KEY, update="ADD sold :one", values={":one": 1})
    put = TransactAction(do="put", table=table, item={"id": "eight", "line": 1})
    aws.cut("TransactWriteItems", when="after", times=2)
    lost, done = await delivered(ops.transact_write, TransactWrite(actions=[count, put]))
    assert isinstance(lost, Transient)
    assert isinstance(done, ops.WriteResult)
    assert item()["sold"] == 1
    check = TransactAction(do="check", table=table, key=KEY, condition="attribute_not_exists(id)")
    with pytest.raises(Conflict, match="ConditionalCheckFailed"):
        ops.transact_write.fn(TransactWrite(actions=[count_of("nine"), check]))
    assert item({"id": "nine", "line": 1}) is None
    with pytest.raises(InvalidRequest, match="needs condition"):
        ops.transact_write.fn(TransactWrite(actions=[TransactAction(do="check", table=table, key=KEY)]))


def count_of(name: str) -> TransactAction:
    key = {"id": name, "line": 1}
    return TransactAction(do="update", table="orders", key=key, update="ADD sold :one", values={":one": 1})


def test_a_transaction_that_met_another_one_is_worth_another_try(aws: AwsServer, table: str) -> None:
    text = "Transaction cancelled, please refer cancellation reasons for specific reasons [None, TransactionConflict]"
    aws.fail("TransactWriteItems", status=400, code="TransactionCanceledException", message=text)
    with pytest.raises(Transient, match="TransactionConflict"):
        ops.transact_write.fn(TransactWrite(actions=[count_of("nine")]))


# == SNS ==========================================================================================================


def topic(name: str, **attributes: str) -> tuple[str, str]:
    """A topic, and the URL of a queue that gets what is published."""
    arn = str(aws_call("sns", "create_topic", {"Name": name, "Attributes": attributes})["TopicArn"])
    url = str(aws_call("sqs", "create_queue", {"QueueName": name, "Attributes": attributes})["QueueUrl"])
    given = {
        "TopicArn": arn,
        "Protocol": "sqs",
        "Endpoint": sqs.describe_queue.fn(sqs.QueueUrl(queue_url=url)).arn,
        "Attributes": {"RawMessageDelivery": "true"},
    }
    aws_call("sns", "subscribe", given)
    return arn, url


def arrived(url: str) -> list[sqs.Message]:
    found: list[sqs.Message] = sqs.receive_messages.fn(sqs.ReceiveMessages(queue_url=url, wait=0)).messages
    return found


async def test_a_message_to_a_fifo_topic_arrives_once(aws: AwsServer) -> None:
    arn, url = topic("news.fifo", FifoTopic="true", FifoQueue="true")
    call = ops.PublishFifoMessage(topic_arn=arn, message="hello", group_id="g")
    first, second = await delivered(ops.publish_fifo_message, call)
    (message,) = arrived(url)
    assert (message.body, message.key) == ("hello", first.key)
    assert first.key == second.key


async def test_a_message_to_a_standard_topic_has_a_key_and_a_lost_answer_is_ambiguous(aws: AwsServer) -> None:
    arn, url = topic("news")
    call = ops.PublishMessage(topic_arn=arn, message="hello", attributes={"kind": "greeting"})
    first, second = await delivered(ops.publish_message, call)
    messages = arrived(url)
    assert [one.attributes for one in messages] == [{"kind": "greeting"}] * 2
    assert {one.key for one in messages} == {first.key, second.key} == {first.key}
    aws.cut("Publish", when="after", times=2)
    (lost,) = await delivered(ops.publish_message, call, 1)
    assert isinstance(lost, Ambiguous)
    assert aws.count("Publish") == 3
    with pytest.raises(InvalidRequest):
        ops.publish_message.fn(ops.PublishMessage(topic_arn="arn:x.fifo", message=""))
    with pytest.raises(InvalidRequest):
        ops.publish_fifo_message.fn(ops.PublishFifoMessage(topic_arn="arn:x", message="", group_id="g"))


# == Lambda, Step Functions, the rest =============================================================================


def role(service: str) -> str:
    trust = {"Version": "2012-10-17", "Statement": []}
    given = {"RoleName": service, "AssumeRolePolicyDocument": json.dumps(trust)}
    return str(aws_call("iam", "create_role", given)["Role"]["Arn"])


def function() -> None:
    given = {
        "FunctionName": "answer",
        "Runtime": "python3.13",
        "Role": role("lambda"),
        "Handler": "a.b",
        "Code": {"ZipFile": b"PK\x05\x06" + b"\0" * 18},
    }
    aws_call("lambda", "create_function", given, effect=Effect.AT_LEAST_ONCE)


async def test_a_function_gets_its_payload_and_gives_its_answer(aws: AwsServer) -> None:
    function()
    done = ops.invoke_function.fn(ops.InvokeFunction(function="answer", payload={"a": 1}))
    assert done.status == 200
    assert done.payload is not None
    fired = ops.invoke_function.fn(ops.InvokeFunction(function="answer", invocation="Event"))
    assert (fired.status, fired.log) == (202, "")
    aws.cut("Invoke", when="after")
    with pytest.raises(Ambiguous):
        ops.invoke_function.fn(ops.InvokeFunction(function="answer"))


def test_a_function_that_fails_is_an_error_with_the_end_of_its_log() -> None:
    from io import BytesIO

    told = {"errorMessage": "no such order", "errorType": "KeyError"}
    answer = {"FunctionError": "Unhandled", "LogResult": "Ym9vbQ==", "Payload": BytesIO(json.dumps(told).encode())}
    call = ops.InvokeFunction(function="answer")
    with pytest.raises(ops.FunctionFailed, match="no such order") as failed:
        functions.read(call, "key", answer)
    assert failed.value.failure_properties() == {"code": "KeyError", "log": "boom"}


async def test_an_execution_is_started_once_for_one_call(aws: AwsServer) -> None:
    definition = {"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}}
    given = {"name": "machine", "definition": json.dumps(definition), "roleArn": role("states")}
    arn = aws_call("stepfunctions", "create_state_machine", given)["stateMachineArn"]
    call = ops.StartExecution(state_machine_arn=arn, input={"order": 7})
    first, second = await delivered(ops.start_execution, call)
    assert first.execution_arn == second.execution_arn
    listed = aws_call("stepfunctions", "list_executions", {"stateMachineArn": arn})["executions"]
    assert len(listed) == 1
    named = msgspec.structs.replace(call, name="monday")
    await delivered(ops.start_execution, named, 1)
    (other,) = await delivered(ops.start_execution, msgspec.structs.replace(named, input={"order": 8}), 1)
    assert isinstance(other, AlreadyExists)


def test_a_secret_is_told_by_reference_and_its_value_stays_out_of_sight(aws: AwsServer) -> None:
    aws_call("secretsmanager", "create_secret", {"Name": "db", "SecretString": "hunter2-the-first"})
    reference = ops.describe_secret.fn(ops.SecretName(name="db"))
    aws_call("secretsmanager", "put_secret_value", {"SecretId": "db", "SecretString": "hunter2-the-second"})
    assert "hunter2" not in msgspec.json.encode(reference).decode()
    assert ops.secret_value(reference) == Secret("hunter2-the-first")
    assert ops.secret_value(ops.describe_secret.fn(ops.SecretName(name="db"))) == Secret("hunter2-the-second")
    with pytest.raises(NotFound, match="AWSPENDING"):
        ops.describe_secret.fn(ops.SecretName(name="db", stage="AWSPENDING"))
    with pytest.raises(NotFound):
        ops.describe_secret.fn(ops.SecretName(name="missing"))


def test_an_alarm_and_a_metric_are_read(aws: AwsServer) -> None:
    alarm = {
        "AlarmName": "busy",
        "MetricName": "CPUUtilization",
        "Namespace": "AWS/EC2",
        "Statistic": "Average",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 80.0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    aws_call("cloudwatch", "put_metric_alarm", alarm)
    given = {"AlarmName": "busy", "StateValue": "ALARM", "StateReason": "too hot"}
    aws_call("cloudwatch", "set_alarm_state", given)
    found = ops.describe_alarm.fn(ops.AlarmName(name="busy"))
    assert (found.state, found.reason, found.metric) == ("ALARM", "too hot", "AWS/EC2 CPUUtilization")
    with pytest.raises(NotFound):
        ops.describe_alarm.fn(ops.AlarmName(name="missing"))
    now = datetime.now(UTC)
    data = [
        {"MetricName": "Sold", "Value": value, "Timestamp": now - timedelta(minutes=ago)}
        for ago, value in ((30, 1.0), (20, 2.0))
    ]
    aws_call("cloudwatch", "put_metric_data", {"Namespace": "Shop", "MetricData": data})
    points = ops.get_metric.fn(ops.GetMetric(namespace="Shop", metric="Sold", statistic="Sum")).points
    assert [one.value for one in points] == [1.0, 2.0]
    assert points[0].at.tzinfo is not None
    assert ops.get_metric.fn(ops.GetMetric(namespace="Shop", metric="Unknown")).points == []


def test_an_event_is_put_or_its_own_error_is_raised(aws: AwsServer) -> None:
    call = ops.PutEvent(source="com.example.shop", detail_type="sold", detail={"order": 7})
    assert ops.put_event.fn(call).event_id
    for code, kind in (("ThrottlingException", Exception), ("MalformedDetail", Permanent)):
        answer = {"Entries": [{"ErrorCode": code}]}
        with pytest.raises(kind, match=code):
            events.read(call, "key", answer)
    aws.cut("PutEvents", when="after")
    with pytest.raises(Ambiguous):
        ops.put_event.fn(call)


def test_a_mail_is_handed_over_with_its_key(aws: AwsServer) -> None:
    aws_call("sesv2", "create_email_identity", {"EmailIdentity": "shop@example.com"})
    call = ops.SendEmail(sender="shop@example.com", to=["you@example.com"], subject="Hi", text="Sold")
    assert ops.send_email.fn(call).message_id
    assert aws.calls[-1].parameters["EmailTags"][0]["Name"] == "dtf-key"
    with pytest.raises(InvalidRequest, match="template"):
        ops.send_email.fn(msgspec.structs.replace(call, text=None))
    aws.cut("SendEmail", when="after")
    with pytest.raises(Ambiguous):
        ops.send_email.fn(call)
