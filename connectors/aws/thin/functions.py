"""Lambda: invoke."""

import base64
from typing import Any, Literal

import msgspec

from connectors.aws.client import request_id
from connectors.aws.errors import mapped
from connectors.aws.models import AwsCall
from connectors.aws.thin.operation import Answer
from connectors.core import Effect, Mutation, Permanent

_LONGEST_MESSAGE = 400  # characters of a function's own error


class InvokeFunction(AwsCall, frozen=True, kw_only=True, omit_defaults=True):
    function: str
    """Name or ARN."""
    payload: Any = None
    """JSON, at most 6 MB; 256 kB when it isn't waited for."""
    qualifier: str | None = None
    """A version or an alias."""
    invocation: Literal["RequestResponse", "Event"] = "RequestResponse"
    """Event: Lambda takes it and runs it later, without a result."""


class InvokeFunctionResult(Mutation, frozen=True, kw_only=True):
    status: int
    payload: Any
    """JSON that the function answered, None without one."""
    log: str
    """The end of its log, at most 4 kB."""
    version: str
    """That ran."""


class FunctionFailed(Permanent):
    """The function ran and ended with an error. `code` is its error's type; `properties` has the end of its log."""

    may_have_happened = True


def send(call: InvokeFunction, key: str) -> dict[str, Any]:
    waits = call.invocation == "RequestResponse"
    context = base64.b64encode(msgspec.json.encode({"custom": {"dtf-key": key}})).decode()
    return {
        "FunctionName": call.function,
        "Qualifier": call.qualifier,
        "InvocationType": call.invocation,
        "Payload": msgspec.json.encode(call.payload),
        "LogType": "Tail" if waits else None,
        "ClientContext": context if waits else None,  # Lambda gives it to functions that are waited for alone
    }


def read(call: InvokeFunction, key: str, answer: Answer) -> InvokeFunctionResult:
    payload = _json(_body(answer))
    log = base64.b64decode(answer.get("LogResult") or "").decode("utf-8", "replace")
    if answer.get("FunctionError"):
        told = payload if isinstance(payload, dict) else {}
        message = str(told.get("errorMessage") or answer["FunctionError"])[:_LONGEST_MESSAGE]
        code = str(told.get("errorType") or answer["FunctionError"])
        raise FunctionFailed(
            f"the function {call.function} failed: {message}", code=code, request_id=request_id(answer), log=log
        )
    return InvokeFunctionResult(
        request_id=request_id(answer),
        status=answer.get("StatusCode") or 0,
        payload=payload,
        log=log,
        version=answer.get("ExecutedVersion") or "",
    )


def _body(answer: Answer) -> bytes:
    try:
        data: bytes = answer["Payload"].read()
    except Exception as error:
        found = mapped(error, service="lambda", operation="invoke", effect=Effect.AT_LEAST_ONCE)
        if found is None:
            raise
        raise found from None
    return data


def _json(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data) if data else None
    except msgspec.DecodeError:
        return data.decode("utf-8", "replace")
