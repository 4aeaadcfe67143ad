"""Step Functions: start. The execution's name is its natural key; without one it is this call's."""

from datetime import datetime
from typing import Any

import msgspec

from connectors.aws.client import aws_call, request_id
from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import ConnectorError, Mutation


class StartExecution(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    state_machine_arn: str
    """Of a standard one: an express one starts again, whatever the name."""
    input: Any = None
    """JSON, at most 256 kB."""
    name: str | None = None
    """At most 80 characters, unique for 90 days. None: this call's key."""


class StartExecutionResult(Mutation, frozen=True, kw_only=True):
    execution_arn: str
    started_at: datetime | None


def _named(call: StartExecution, key: str) -> str:
    return call.name or key


def send(call: StartExecution, key: str) -> dict[str, Any]:
    text = msgspec.json.encode({} if call.input is None else call.input).decode()
    return {"stateMachineArn": call.state_machine_arn, "name": _named(call, key), "input": text}


def read(call: StartExecution, key: str, answer: Answer) -> StartExecutionResult:
    return StartExecutionResult(
        request_id=request_id(answer), execution_arn=answer["executionArn"], started_at=answer.get("startDate")
    )


def adopt(call: StartExecution, key: str, error: ConnectorError) -> StartExecutionResult | None:
    """One of that name, which has ended since, with the same input."""
    if error.code != "ExecutionAlreadyExists":
        return None
    arn = f"{call.state_machine_arn.replace(':stateMachine:', ':execution:', 1)}:{_named(call, key)}"
    found = aws_call(
        "stepfunctions", "describe_execution", {"executionArn": arn}, connection=call.connection, region=call.region
    )
    if msgspec.json.decode(found.get("input") or "{}") != msgspec.json.decode(send(call, key)["input"]):
        return None
    return StartExecutionResult(replayed=True, execution_arn=arn, started_at=found.get("startDate"))
